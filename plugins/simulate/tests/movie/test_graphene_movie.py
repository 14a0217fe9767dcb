"""The simulator: schemas, seeds, stores, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import ronchi
from ronchi.api import Context
from ronchi.schema import validate
from ronchi_simulate.params.graphene_movie import GrapheneMovieParams
from ronchi_simulate.simulators.graphene_movie import GrapheneMovie

STILL: dict[str, Any] = {"drift_px": (0, 0), "drift_walk_px": 0, "line_jitter_px": 0}


def test_schemas_and_laziness(film: SimpleNamespace) -> None:
    made = film.movie()
    validate(made.data)
    validate(made.sides["truth"])
    assert list(made.sides["truth"].attrs["image_shape"]) == list(made.data["intensity"].shape[1:])
    assert made.data["intensity"].chunks is not None
    assert made.data["intensity"].dtype == np.uint16
    assert made.data["intensity"].chunks[0] == (1,) * 6
    np.testing.assert_allclose(np.diff(made.data["x"].values), 0.2, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "told"), [({}, 0), ({"carbon_counts": 7e4}, 1), ({"carbon_counts": 7e4, "noise": False}, 0)]
)
def test_counts_beyond_16_bits_are_told_of(
    film: SimpleNamespace, caplog: Any, changes: dict[str, Any], told: int
) -> None:
    params = GrapheneMovieParams.model_validate(film.small | {"n_frames": 1} | changes)
    made = GrapheneMovie(params).simulate(Context(rng=np.random.default_rng(0)))
    assert caplog.text.count("are cut off at 65535") == told
    values = made.data["intensity"].values
    assert bool((values == 65535).any()) == bool(told)


def test_the_seed_decides_everything_and_frames_can_be_read_in_any_order(film: SimpleNamespace) -> None:
    made, other = film.movie(), film.movie(1)
    simulator = GrapheneMovie(GrapheneMovieParams.model_validate(film.small))
    again = simulator.simulate(Context(rng=np.random.default_rng(0)))
    np.testing.assert_array_equal(again.data["intensity"][4].values, made.data["intensity"].values[4])
    assert again.sides["truth"].equals(made.sides["truth"])
    assert not other.sides["truth"].equals(made.sides["truth"])


def test_a_store_goes_on_where_it_stopped(film: SimpleNamespace, tmp_path: Path) -> None:
    made = film.movie()

    class Killed(BaseException):
        pass

    def stops(function: Any, items: Any) -> Any:
        for n, item in enumerate(items):
            if n == 2:
                raise Killed
            yield function(item)

    calls: list[int] = []

    def counted(function: Any, items: Any) -> Any:
        for item in items:
            calls.append(item[0])
            yield function(item)

    folder = tmp_path / "movie.zarr"
    folder.mkdir()
    simulator = GrapheneMovie(GrapheneMovieParams.model_validate(film.small))
    with pytest.raises(Killed):
        simulator.simulate_into(folder, Context(rng=np.random.default_rng(0), map=stops))
    with (folder / "frames_done").open("a") as log:
        # A full disk has cut off the 30 of another frame.
        log.write("3")
    simulator.simulate_into(folder, Context(rng=np.random.default_rng(0), map=counted))
    assert calls == [2, 3, 4, 5]
    assert not list(folder.glob("frames*"))
    read = ronchi.read(folder)
    np.testing.assert_array_equal(read["intensity"].values, made.data["intensity"].values)
    truth = ronchi.read(folder, side="truth")
    for name in made.sides["truth"].data_vars:
        np.testing.assert_array_equal(truth[name].values, made.sides["truth"][name].values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"grain_seeds": ((0.5, 0.5),)},
        {"tail_sigma_angstrom": 0.2},
        {"grain_angles_deg": ()},
        {"n_frames": 0},
        {"image_shape": (0, 64)},
        {"drift_px": (float("nan"), 0.0)},
        {"edge_loss": 1.5},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GrapheneMovieParams.model_validate(wrong)


def test_it_is_in_the_catalog() -> None:
    assert "graphene-movie" in ronchi.algorithms("simulator")
