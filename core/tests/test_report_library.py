"""The report of a library, and what the command line says of one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ronchi
from ronchi.cli.main import main
from ronchi.pipeline.provenance import STORE_ATTR
from ronchi.schema import library


@pytest.fixture
def store(tmp_path: Path) -> Path:
    columns = {name: np.ones(8, np.float32) for name in library.PER_REFLECTION}
    data = library.make(
        intensity=np.full((4, 2, 3, 16, 16), 1e-3, np.float32),
        probe=np.ones((4, 2, 16, 16), np.float32),
        structure_factor=np.ones((4, 16, 16), np.float32),
        n_reflections=[2, 2, 1, 3],
        reflections=columns,
        runs={
            "prototype": ["A_cF4_225_a", "A_cI2_229_a", "A_cF4_225_a", "A_cF4_225_a"],
            "formula": ["Cu", "W", "Cu", "Ag"],
            "split": ["train", "test", "train", "train"],
            "beam_energy_eV": [200e3, 80e3, 300e3, 80e3],
        },
        semiangle_mrad=[[4, 8]] * 4,
        thickness=[20, 40, 60],
        q_step=0.05,
        **{STORE_ATTR: json.dumps({"simulator": "library", "seed": 5})},
    )
    return Path(ronchi.write(data, tmp_path / "small.zarr"))


def test_a_library_is_told_in_words(store: Path) -> None:
    assert library.contents(ronchi.read(store)) == {
        "runs": "4 of 6 patterns",
        "patterns": "24",
        "crystals": "3 of 2 prototypes",
        "train": "3 runs, 1 prototypes",
        "validation": "0 runs, 0 prototypes",
        "test": "1 runs, 1 prototypes",
        "beam energy": "80, 200, 300 keV",
        "semiangle": "4, 8 mrad",
        "thickness": "20, 40, 60 angstrom",
        "detector": "16 x 16 px of 0.05 1/angstrom",
        "reflections": "8, 2 in the middle run",
    }


def test_its_report_has_numbers_a_picture_and_where_it_is_from(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(store)]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == store.with_name("small-report.html")
    text = path.read_text(encoding="utf-8")
    for told in ("small.zarr", "3 of 2 prototypes", "80, 200, 300 keV", "data:image/png", "&quot;seed&quot;: 5"):
        assert told in text
    assert 'class="error"' not in text


@pytest.mark.parametrize("command", ["read", "info"])
def test_the_command_line_says_what_is_in_it(command: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(store)]) == 0
    assert "crystals: 3 of 2 prototypes" in capsys.readouterr().out
