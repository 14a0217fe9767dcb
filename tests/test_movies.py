"""From a movie to order parameters: killed and gone on with, and larger than memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

import ronchi
from ronchi.schema import images

STEPS = {
    "movie": {"simulator": "graphene-movie", "params": {"n_frames": 3, "image_shape": [112, 112], "n_holes": 1}},
    "found": {"atom_finder": "log", "images": "movie"},
    "tracks": {"transform": "track-atoms", "atoms": "found"},
    "crops": {"transform": "crops", "data": "movie", "atoms": "tracks", "params": {"size_px": 21}},
    "invariants": {"descriptor_learner": "polar-invariants", "data": "crops"},
    "classes": {"descriptor_learner": "gmm", "data": "invariants", "params": {"n_classes": 2}},
    "dynamics": {"transform": "dynamics", "data": "classes"},
    "rings": {"transform": "rings", "atoms": "tracks"},
}


def pipeline(steps: dict, outputs: dict, **run) -> dict:
    return {"schema": "ronchi.pipeline/1", "name": "movie", "seed": 5, "run": run, "steps": steps, "outputs": outputs}


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {
        "dynamics": {"from": "dynamics", "path": "dynamics.nc"},
        "rings": {"from": "rings", "path": "rings.nc"},
        "report": {"path": "report.html"},
    }
    config = pipeline(STEPS, outputs)
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "movie.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "ronchi", "run", "movie.yaml", "-o", "out"]
    with subprocess.Popen(command, cwd=tmp_path / "killed", stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("tracks:") and "done" in line:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait(60) == -signal.SIGKILL
    made = {}
    for name in ("killed", "whole"):
        monkeypatch.chdir(tmp_path / name)
        made[name] = ronchi.run("movie.yaml", "out", progress=False)
        assert made[name].ok
    for step in ("movie", "found", "tracks"):
        assert made["killed"].steps[step].cached, step
        assert not made["whole"].steps[step].cached
    for path in ("dynamics.nc", "rings.nc"):
        first, second = (xr.open_dataset(tmp_path / name / "out" / path) for name in ("killed", "whole"))
        xr.testing.assert_identical(first, second)
    page = (tmp_path / "whole" / "out" / "report.html").read_text(encoding="utf-8")
    # Frames to step through, and figures of all parts; nothing is fetched, and there is no script but the slider's.
    assert page.count("data:image/jpeg") == 3
    for words in (
        "Part of the atoms in each class",
        "Transitions from one frame",
        "Times in a class",
        "Rings",
        "Motion",
    ):
        assert words in page
    assert "<script" not in page
    assert "could not be drawn" not in page
    assert "could not be made" not in page


@pytest.mark.slow
def test_a_movie_of_200_large_frames_stays_under_the_ceiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.4 GB in the file and 1.7 GB as numbers of the finder; what is not written is 0 and takes no place on disk."""
    zarr = pytest.importorskip("zarr")
    monkeypatch.chdir(tmp_path)
    n_frames, side = 200, 1024
    like = images.make(np.zeros((1, 2, 2), np.uint16), units="counts")
    like.drop_vars("intensity").isel(frame=[0] * n_frames, y=[0] * side, x=[0] * side).assign_coords(
        {name: (name, np.arange(n), like[name].attrs) for name, n in (("frame", n_frames), ("y", side), ("x", side))}
    ).to_zarr("movie.zarr", zarr_format=3, consolidated=False)
    stored = zarr.open_group("movie.zarr", mode="r+").create_array(
        "intensity",
        shape=(n_frames, side, side),
        dtype="uint16",
        chunks=(1, side, side),
        fill_value=0,
        dimension_names=["frame", "y", "x"],
        attributes=dict(like["intensity"].attrs),
    )
    y, x = np.mgrid[:25, :25] - 12
    atom = np.rint(200 * np.exp(-(y**2 + x**2) / 18)).astype("u2")
    for frame in range(0, n_frames, 20):
        for row, column in ((200, 300), (500, 520), (800, 100)):
            stored[frame, row : row + 25, column : column + 25] = atom + column * frame // 2000 * (atom > 20)
    steps = {
        "movie": {"reader": "native", "params": {"path": "movie.zarr"}},
        "found": {"atom_finder": "log", "images": "movie", "params": {"sigma_px": 3.0}},
        "tracks": {"transform": "track-atoms", "atoms": "found", "params": {"drift": "none", "max_gap_frames": 60}},
        "crops": {"transform": "crops", "data": "movie", "atoms": "tracks", "params": {"interpolation": "linear"}},
        "learn": {"descriptor_learner": "pca", "data": "crops", "params": {"n_components": 2}},
    }
    kept = {name: {"from": name, "path": f"{name}.nc"} for name in ("tracks", "learn")}
    Path("movie.yaml").write_text(yaml.safe_dump(pipeline(steps, kept, memory_mb=1000)))
    # A process of its own: what other tests have taken counts in the peak.
    command = [sys.executable, "-m", "ronchi", "run", "movie.yaml", "-o", "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    peak_mb = json.loads(Path("out/provenance.json").read_text())["peak_rss_mb"]
    assert 100 < peak_mb <= 1000
    tracks = ronchi.read("out/tracks.nc")
    assert tracks.sizes["atom"] == 30
    assert len(np.unique(tracks["track"])) == 3
    assert ronchi.read("out/learn.nc").sizes["sample"] == 30
