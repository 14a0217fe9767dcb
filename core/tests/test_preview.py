"""A preview: every candidate of a few patterns with a verdict, and what it cannot do said plainly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ronchi
from ronchi.errors import ConfigError, DataError, PluginError
from ronchi.manager import get_manager
from ronchi.pipeline import preview as module
from ronchi.pipeline.preview import preview_detection
from ronchi.schema import images

PARAMS = {"scan_shape": [2, 6], "pattern_shape": [64, 64], "background_fraction": 0.2, "dose_e": 20000}


def pipeline(**steps: Mapping[str, Any]) -> dict[str, Any]:
    base = {
        "sim": {"simulator": "disks", "params": PARAMS},
        "disks": {"disk_detector": "crosscorr", "data": "sim"},
    }
    return {"schema": "ronchi.pipeline/1", "name": "look", "seed": 5, "steps": {**base, **steps}}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "crosscorr" not in get_manager().names("disk_detector"):
        pytest.skip("ronchi-crosscorr is not installed: `pip install -e plugins/crosscorr` to run this test")
    monkeypatch.chdir(tmp_path)


def test_every_candidate_has_one_verdict_and_the_accepted_are_those_of_a_run() -> None:
    outcome = preview_detection(pipeline(), frames=12)
    assert outcome.n_frames == 12
    assert sum(outcome.reasons.values()) > outcome.reasons["accepted"] > 0
    found = ronchi.run(pipeline(), progress=False)["disks"]
    assert outcome.reasons["accepted"] == found.sizes["peak"]


def test_the_figure_has_a_panel_a_pattern_and_says_where_it_lies() -> None:
    figure = preview_detection(pipeline(), frames=3).figure
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert [title.partition(":")[0] for title in titles] == ["row 0, column 0", "row 1, column 0", "row 1, column 5"]


@pytest.mark.parametrize(("frames", "shown"), [(1, 1), (12, 12), (99, 12)])
def test_no_more_patterns_than_there_are(frames: int, shown: int) -> None:
    assert preview_detection(pipeline(), frames=frames).n_frames == shown


def test_a_stricter_parameter_moves_candidates_from_accepted_to_its_reason() -> None:
    loose, strict = (
        preview_detection(pipeline(), overrides=[f"disks.params.min_snr={value}"]).reasons for value in (6, 60)
    )
    assert strict["accepted"] < loose["accepted"]
    assert sum(strict.values()) == sum(loose.values())


def test_patterns_that_were_not_recorded_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = module.run_lazy_steps

    def with_gaps(plan: Any, reference: str, known: Any) -> Any:
        made = lazy(plan, reference, known)
        valid = np.zeros((2, 6), "i1")
        valid[1, 2:4] = recorded
        made.data["valid"] = (("scan_y", "scan_x"), valid, {"units": "1", "long_name": "recorded"})
        return made

    monkeypatch.setattr(module, "run_lazy_steps", with_gaps)
    recorded = 1
    titles = [ax.get_title(loc="left") for ax in preview_detection(pipeline(), frames=9).figure.axes]
    assert [title.partition(":")[0] for title in titles] == ["row 1, column 2", "row 1, column 3"]
    recorded = 0
    with pytest.raises(DataError, match="no valid pattern"):
        preview_detection(pipeline())


def test_which_detector_is_asked_for_when_there_are_several() -> None:
    more = {"other": {"disk_detector": "crosscorr", "data": "sim", "params": {"refine": "parabola"}}}
    with pytest.raises(ConfigError, match=r"2 disk detectors\n  -> --step, one of: disks, other"):
        preview_detection(pipeline(**more))
    assert preview_detection(pipeline(**more), step="other", frames=1).n_frames == 1
    with pytest.raises(ConfigError, match="'sim' is no disk detector"):
        preview_detection(pipeline(**more), step="sim")


def test_a_pipeline_without_detector_is_refused() -> None:
    config = pipeline()
    del config["steps"]["disks"]
    with pytest.raises(ConfigError, match="no disk detector"):
        preview_detection(config)


def test_a_detector_behind_another_one_is_refused_with_the_reason() -> None:
    steps = {
        "round": {
            "transform": "ellipse",
            "data": "sim",
            "peaks": "disks",
            "params": {"method": "peaks", "ring": [0.2, 0.5]},
        },
        "again": {"disk_detector": "crosscorr", "data": "round"},
    }
    with pytest.raises(ConfigError, match="depend on the disks that 'disks' finds"):
        preview_detection(pipeline(**steps), step="again")


def test_a_detector_that_cannot_explain_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from ronchi_crosscorr.detector import CrossCorr

    monkeypatch.delattr(CrossCorr, "explain")
    with pytest.raises(PluginError, match="does not explain"):
        preview_detection(pipeline())


def test_a_file_that_holds_images_is_refused_as_by_a_run(tmp_path: Path) -> None:
    ronchi.write(images.make(np.zeros((2, 32, 32), np.uint8)), tmp_path / "atoms.nc")
    config = pipeline(sim={"reader": "auto", "params": {"path": str(tmp_path / "atoms.nc")}})
    said = []
    for act in (preview_detection, lambda config: ronchi.run(config, progress=False)):
        with pytest.raises(
            ConfigError, match="'sim' turned out to be images/1, but 'crosscorr' takes fourd/1"
        ) as caught:
            act(config)
        said.append(str(caught.value))
    assert said[0] == said[1]
