"""A look at a library shows the patterns that it was asked for, with their reflections where they are."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi import plot
from ronchi.schema import library


@pytest.fixture
def data() -> xr.Dataset:
    """Three runs of two semiangles and six thicknesses, with a reflection in the centre of each and one beside it."""
    columns = {name: np.zeros(6, np.float32) for name in library.PER_REFLECTION}
    columns["amplitude"] += [9, 1] * 3
    columns["reflection_qx"] += [0, 0.1] * 3
    columns["excitation_error"] += [0, 1] * 3
    rng = np.random.default_rng(0)
    return library.make(
        intensity=rng.random((3, 2, 6, 16, 16), np.float32),
        probe=np.ones((3, 2, 16, 16), np.float32),
        structure_factor=np.ones((3, 16, 16), np.float32),
        n_reflections=[2, 2, 2],
        reflections=columns,
        runs={
            "prototype": ["A_cF4_225_a", "A_cI2_229_a", "A_cF4_225_a"],
            "formula": ["Cu", "W", "Ag"],
            "split": ["train", "test", "train"],
            "beam_energy_eV": [200e3, 80e3, 300e3],
        },
        semiangle_mrad=[[4, 8]] * 3,
        thickness=[20, 40, 60, 80, 100, 120],
        q_step=0.05,
        more={
            "zone_axis": xr.Variable(
                ("run", "uvw"), [[0, 0, 1], [0, 0, 0], [1, 1, 0]], {"units": "1", "long_name": "zone axis"}
            )
        },
    )


def test_patterns_and_points_are_drawn_on_the_same_axes(data: xr.Dataset) -> None:
    figure = plot.library_samples(data, [(0, 0, 1), (2, 1, 0), (1, 0, 0)], columns=2)
    first, second, third, spare = figure.axes
    assert "Ag [1 1 0]" in second.get_title()
    assert "300 kV, 8 mrad, 2 nm" in second.get_title()
    assert "W random" in third.get_title()
    assert not spare.images
    shown = first.images[0].get_array()
    np.testing.assert_allclose(shown, np.log10(data["intensity"][0, 0, 1].values + 1e-7))
    # The one beside it is so far from the sphere that nothing of it is seen.
    assert np.asarray(first.collections[0].get_offsets()).tolist() == [[0, 0]]


def test_samples_are_spread_over_runs_semiangles_and_thicknesses(data: xr.Dataset) -> None:
    samples = plot.spread_samples(data)
    assert len(samples) == 25
    assert {run for run, _, _ in samples} == {0, 1, 2}
    assert {angle for _, angle, _ in samples} == {0, 1}
    assert {depth for _, _, depth in samples[:5]} == {0, 1, 2, 4, 5}


def test_only_what_is_shown_is_read(data: xr.Dataset) -> None:
    import dask
    import dask.array as da

    read: list[tuple[int, ...]] = []

    def chunk(block_info: dict[None, dict[str, list[tuple[int, int]]]]) -> np.ndarray:
        where = tuple(start for start, _ in block_info[None]["array-location"])
        read.append(where)
        return data["intensity"].values[where[0], where[1], where[2]][None, None, None]

    template = da.map_blocks(
        chunk,
        chunks=((1,) * 3, (1,) * 2, (1,) * 6, (16,), (16,)),
        dtype=np.float32,
        meta=np.empty((0,) * 5, np.float32),
    )
    lazy = data.assign(intensity=(data["intensity"].dims, template, data["intensity"].attrs))
    with dask.config.set(scheduler="synchronous"):
        plot.library_samples(lazy, [(0, 0, 1), (2, 1, 5)])
    assert {place[:3] for place in read} == {(0, 0, 1), (2, 1, 5)}
