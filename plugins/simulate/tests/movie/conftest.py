"""Movies that are simulated once, and what is read off their truth."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context, Result
from ronchi_simulate.params.graphene_movie import GrapheneMovieParams
from ronchi_simulate.simulators.graphene_movie import GrapheneMovie

SMALL: dict[str, Any] = {"n_frames": 6, "image_shape": (300, 320), "grain_seeds": ((0.5, 0.2), (0.5, 0.8))}


@cache
def _movie(seed: int, changes: tuple[tuple[str, Any], ...]) -> Result:
    params = GrapheneMovieParams.model_validate({**SMALL, **dict(changes)})
    return GrapheneMovie(params).simulate(Context(rng=np.random.default_rng(seed)))


def movie(seed: int = 0, **changes: Any) -> Result:
    return _movie(seed, tuple(sorted(changes.items())))


def frame(truth: xr.Dataset, number: int) -> xr.Dataset:
    """Atoms of one frame; the drift left out."""
    return truth.drop_dims("movie_frame").isel(atom=np.flatnonzero(truth["frame"].values == number))


def places(atoms: xr.Dataset) -> np.ndarray:
    return np.stack([atoms["y"].values, atoms["x"].values], 1)


def by_track(truth: xr.Dataset, number: int) -> dict[int, int]:
    """Track to row of the frame's atoms."""
    tracks = frame(truth, number)["track"].values.tolist()
    assert len(set(tracks)) == len(tracks)
    return {track: i for i, track in enumerate(tracks)}


@pytest.fixture(scope="session")
def film() -> SimpleNamespace:
    """Functions ``movie``, ``frame``, ``places`` and ``by_track``, and the ``small`` parameters of every movie."""
    return SimpleNamespace(small=SMALL, movie=movie, frame=frame, places=places, by_track=by_track)
