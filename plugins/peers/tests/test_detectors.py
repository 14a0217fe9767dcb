"""What the detectors send and give back, with fake programs; and what is said when one is absent or fails."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ronchi.api import ConfigError, Context, DataError, Geometry
from ronchi.manager import get_manager
from ronchi_peers.detectors import PeerDetector

ENVIRONMENT = {"py4dstem": "py4dstem", "blobfinder": "libertem", "pyxem": "pyxem"}
GEOMETRY = Geometry(shape=(64, 80), centre_px=(32.0, 40.0), mean_pattern=np.ones((64, 80), np.float32))
FRAMES = np.ones((3, 64, 80), np.uint16)


def _prepared(name: str, context: Context, geometry: Geometry = GEOMETRY, **params: Any) -> PeerDetector:
    spec = get_manager().spec("disk_detector", name)
    detector: PeerDetector = spec.create(spec.params(probe_radius_px=5.0, **params))
    detector.prepare(geometry, None, context)
    return detector


@pytest.fixture
def context() -> Context:
    return Context(rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", ["py4dstem", "blobfinder", "pyxem"])
def test_rows_are_y_and_columns_are_x(name: str, fake: Callable[..., Path], found: list[Any], context: Context) -> None:
    fake(ENVIRONMENT[name])
    batch = _prepared(name, context).detect(FRAMES)
    y, x, intensity = np.concatenate([np.reshape(each, (-1, 3)) for each in found]).T
    np.testing.assert_array_equal(batch.counts, [2, 0, 1])
    np.testing.assert_array_equal(batch.qy_px, y)
    np.testing.assert_array_equal(batch.qx_px, x)
    np.testing.assert_array_equal(batch.intensity, intensity)
    assert (batch.var_yy == 1).all()
    assert batch.counts.dtype == np.int32
    assert batch.qy_px.dtype == np.float64


@pytest.mark.parametrize("params", [{"refine": "none"}, {"refine": "cross-correlation"}])
def test_pyxem_refines_or_not(params: dict[str, Any], fake: Callable[..., Path], context: Context) -> None:
    fake("pyxem")
    batch = _prepared("pyxem", context, **params).detect(FRAMES)
    whole = params["refine"] == "none"
    assert (batch.qy_px == np.round(batch.qy_px)).all() == whole


def test_one_that_is_absent_says_how_to_get_it(
    context: Context, environments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RONCHI_PEER_PYTHON_PYXEM", raising=False)
    with pytest.raises(DataError, match="there is none") as caught:
        _prepared("pyxem", context)
    assert f"`ronchi bench FILE --peers` makes it in {environments / 'pyxem-0.21.0'}" in caught.value.fix
    assert "RONCHI_PEER_PYTHON_PYXEM" in caught.value.fix
    monkeypatch.setenv("RONCHI_PEER_PYTHON_PYXEM", "/nowhere/else")
    with pytest.raises(DataError, match="RONCHI_PEER_PYTHON_PYXEM: there is no interpreter /nowhere/else"):
        _prepared("pyxem", context)


@pytest.mark.parametrize(
    ("kind", "name"), [*(("disk_detector", name) for name in ENVIRONMENT), ("descriptor_learner", "atomai")]
)
def test_no_parameter_names_the_program_to_start(kind: str, name: str) -> None:
    """A pipeline may come from somebody else, and sets parameters."""
    with pytest.raises(ConfigError, match="python: unknown key"):
        get_manager().create(kind, name, {"python": sys.executable})


def test_another_version_is_an_error_unless_asked_for(fake: Callable[..., Path], context: Context) -> None:
    fake("py4dstem", version="0.13.0")
    with pytest.raises(DataError, match=r"has py4dstem 0\.13\.0, not 0\.14\.18"):
        _prepared("py4dstem", context)
    _prepared("py4dstem", context, version="0.13.0")


def test_an_interpreter_without_the_program_says_so(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RONCHI_PEER_PYTHON_LIBERTEM", sys.executable)
    with pytest.raises(DataError, match="ModuleNotFoundError: No module named 'libertem_blobfinder'"):
        _prepared("blobfinder", context)


def test_what_goes_wrong_in_it_is_told_and_the_next_frames_are_done(
    fake: Callable[..., Path], context: Context
) -> None:
    fake("py4dstem")
    detector = _prepared("py4dstem", context)
    with pytest.raises(DataError, match="py4dstem failed: ValueError: too bright"):
        detector.detect(np.full((3, 64, 80), 2e6))
    assert detector.detect(FRAMES).counts.sum() == 3
    with pytest.raises(DataError, match="py4dstem ended with exit code 3"):
        detector.detect(np.full((3, 64, 80), -2e6))


def test_one_process_serves_one_detector_at_a_time_and_then_the_next(
    fake: Callable[..., Path], context: Context
) -> None:
    fake("py4dstem")
    first, second = (_prepared("py4dstem", context) for _ in range(2))
    pids = {detector._peer._process.pid for detector in (first, second)}
    assert len(pids) == 2
    del first, second
    gc.collect()
    third = _prepared("py4dstem", context)
    assert third._peer._process.pid in pids
    assert third.detect(FRAMES).counts.sum() == 3


def test_one_that_has_ended_is_not_lent_again(fake: Callable[..., Path], context: Context) -> None:
    fake("py4dstem")
    detector = _prepared("py4dstem", context)
    with pytest.raises(DataError, match="ended"):
        detector.detect(np.full((3, 64, 80), -2e6))
    del detector
    gc.collect()
    assert _prepared("py4dstem", context).detect(FRAMES).counts.sum() == 3


def test_it_ends_with_this_process(fake: Callable[..., Path]) -> None:
    python = fake("py4dstem")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from ronchi_peers import process, program\n"
        "class Borrower: pass\n"
        "borrower, script = Borrower(), program._CHILDREN / 'py4dstem_disks.py'\n"
        "print(process.lend(borrower, 'x', Path(sys.argv[1]), script, 1)._process.pid)"
    )
    pid = int(
        subprocess.run([sys.executable, "-c", code, str(python)], capture_output=True, text=True, check=True).stdout
    )
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_bad_pixels_are_filled_before_frames_are_sent(fake: Callable[..., Path], context: Context) -> None:
    fake("py4dstem")
    bad = np.zeros((64, 80), bool)
    bad[3, 5] = True
    frames = FRAMES.astype(float)
    # Such a count would end the fake program.
    frames[:, 3, 5] = -1e9
    geometry = Geometry(
        shape=(64, 80), centre_px=(32.0, 40.0), mean_pattern=np.ones((64, 80), np.float32), bad_pixel=bad
    )
    assert _prepared("py4dstem", context, geometry).detect(frames).counts.sum() == 3
