"""Sections of a report on movies: what is drawn where, once, and the slider."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi.report.elements import slider
from ronchi.report.movies import atoms_figures, dynamics_figures, film_figure, movie_of
from ronchi.result import RunResult, StepResult
from ronchi.schema import atoms, descriptors, dynamics, images
from ronchi.schema.common import variable


class Album:
    """Draws every figure, and notes its name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str, draw: Callable[[], Any], alt: str, caption: str) -> str:
        draw().draw_without_rendering()
        self.names.append(name)
        return caption


def step(name: str, kind: str, data: xr.Dataset, **more: Any) -> StepResult:
    return StepResult(step=name, kind=kind, name=name, data=data, **more)


@pytest.fixture
def result() -> RunResult:
    """A movie of three frames, its atoms, tracks, descriptors and rings."""
    movie = images.make(np.random.default_rng(0).random((3, 24, 36)))
    y, x = (axis.ravel().astype(float) for axis in np.mgrid[3:24:6, 3:36:6])
    n = len(y)
    found = atoms.make(frame=np.repeat(np.arange(3), n), y=np.tile(y, 3), x=np.tile(x, 3))
    tracks = found.assign(track=variable("atom", np.tile(np.arange(n), 3), "1", "track"))
    coords = {
        "frame": variable("sample", found["frame"].values, "1", "frame"),
        "position_y": variable("sample", found["y"].values, "pixel", "y"),
        "position_x": variable("sample", found["x"].values, "pixel", "x"),
    }
    learned = descriptors.make(np.random.default_rng(1).random((3 * n, 1)), dims=("sample",), coords=coords)
    size = {"ring_size": variable("ring_size", np.array([5, 6, 7]), "1", "size")}
    rings = tracks.assign(rings=variable(("atom", "ring_size"), np.ones((3 * n, 3), int), "1", "rings"))
    counts = {"ring_counts": variable(("frame", "ring_size"), np.ones((3, 3), int), "1", "rings")}
    made = [
        step("movie", "reader", movie),
        step("found", "atom_finder", found, inputs={"images": "movie"}),
        step("tracks", "transform", tracks, inputs={"atoms": "found"}),
        step("learn", "descriptor_learner", learned, inputs={"data": "movie"}),
        step(
            "rings", "transform", rings.assign_coords(size), inputs={"atoms": "tracks"},
            sides={"counts": dynamics.make(np.arange(3), counts, size)},
        ),
    ]  # fmt: skip
    return RunResult(name="movie", config={}, out_dir=Path(), steps={each.step: each for each in made})


def test_every_picture_comes_once(result):
    album = Album()
    for name in ("found", "tracks", "rings"):
        atoms_figures(result, result.steps[name], album)
    assert album.names == ["found-frames", "tracks-tracks", "rings-rings", "rings-counts-rings"]


def test_the_movie_is_found_through_the_steps_between(result):
    assert movie_of(result, result.steps["rings"]) is result.steps["movie"].data
    assert movie_of(result, result.steps["movie"]) is None


def test_parts_that_are_not_there_are_not_drawn(result):
    album = Album()
    body = dynamics_figures("counts", result.steps["rings"].sides["counts"], album)
    assert album.names == ["counts-rings"]
    assert "<table>" in body
    empty = result.steps["found"]
    none = step("none", "atom_finder", empty.data.isel(atom=slice(0)))
    assert atoms_figures(result, none, album) == ""


def test_a_film_has_all_frames_and_shows_the_first(result):
    body = film_figure(result, result.steps["learn"])
    assert body.count("data:image/jpeg;base64,") == 3
    assert body.count(" hidden>") == 2
    assert "image, z0" in body
    assert re.search(r"each is [\d.]+ (Å|nm|px) wide", body)
    assert 'max="2"' in body
    assert "Frames of the movie; from" in body
    del result.steps["movie"]
    body = film_figure(result, result.steps["learn"])
    assert "Atoms frame by frame; from left to right: z0" in body
    assert "movie" not in body
    assert "movie" not in atoms_figures(result, result.steps["found"], Album())
    single = result.steps["learn"].data
    one = step("one", "descriptor_learner", single.isel(sample=single["frame"].values == 0))
    assert film_figure(result, one) == ""


def test_words_in_a_slider_are_escaped():
    body = slider([b"a", b"b"], ["<1>", "<2>"], b"c", 'x" onload="y', "<b>")
    assert "<1>" not in body
    assert "<b>" not in body
    assert 'x" onload' not in body
