"""A small scan, a pipeline on it, and commands run in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ronchi.cli.main import main
from ronchi.manager import get_manager
from ronchi.verbs import apply
from ronchi.writing import write

PIPELINE = """\
schema: ronchi.pipeline/1
name: small
steps:
  load:   {reader: auto, params: {path: scan.nc}}
  disks:  {disk_detector: crosscorr, data: load}
  strain: {strain_solver: lattice, peaks: disks, params: {reference: {scan_x: [0, 20]}}}
  score:  {metric: strain-rmse, result: strain, truth: load.truth}
outputs:
  strain: {from: strain, path: strain.nc}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small scan with its truth."""
    for kind, name in (("disk_detector", "crosscorr"), ("strain_solver", "lattice")):
        if name not in get_manager().names(kind):
            pytest.skip(f"the plugin ronchi-{name} is not installed: `pip install -e plugins/{name}` to run this test")
    made = apply("simulator", "disks", {"scan_shape": (2, 6), "pattern_shape": (64, 64)}, {})
    return write(made.data, tmp_path_factory.mktemp("data") / "scan.nc", made.sides)


@pytest.fixture
def pipeline() -> str:
    """The pipeline in `folder`."""
    return PIPELINE


@pytest.fixture
def folder(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a pipeline on the scan."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scan.nc").write_bytes(scan.read_bytes())
    (tmp_path / "small.yaml").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def ronchi(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; gives the exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(list(arguments))
        except SystemExit as stop:  # argparse ends --help and usage errors itself
            code = int(stop.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def read_json(ronchi: Run) -> Callable[..., Any]:
    """Run a command that succeeds, with ``--json``; gives what it tells."""

    def read(*arguments: str) -> Any:
        code, out, err = ronchi(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return read
