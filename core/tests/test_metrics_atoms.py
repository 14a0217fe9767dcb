"""The metric of atoms: known errors give known figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.api import Context
from ronchi.builtin.matching import match_one_to_one
from ronchi.builtin.metrics_atoms import Atoms, match_many, score_frames
from ronchi.builtin.params_atoms import AtomsParams
from ronchi.errors import CalibrationError, DataError
from ronchi.schema import atoms

CTX = Context(rng=np.random.default_rng(0))
GRID = np.stack(np.meshgrid(np.arange(5, 60, 10.0), np.arange(5, 80, 10.0), indexing="ij"), -1).reshape(-1, 2)


def table(points: np.ndarray, frame: Any = 0, scale: float = 1.0, **more: Any) -> xr.Dataset:
    frame = np.broadcast_to(frame, len(points))
    return atoms.make(frame=frame, y=points[:, 0] * scale, x=points[:, 1] * scale, **more)


def figures(found: xr.Dataset, true: xr.Dataset, **params: Any) -> dict[str, float]:
    return dict(Atoms(AtomsParams(**params)).score(found, true, CTX))


def test_known_errors_give_known_figures():
    species = (np.arange(48) % 8 == 0).astype(int)
    found_species = species.copy()
    found_species[[0, 1]] = 0, 1  # one of 6 silicon atoms and one of 42 carbon atoms is taken for the other
    strays = np.array([[10.0, 10.0], [30.0, 30.0]])
    sigma = np.full(48, 0.15)
    found = table(
        np.concatenate([GRID[:-4] + np.array([0.3, -0.1]), strays]),
        species=[*found_species[:-4], 0, 0],
        sigma_y=sigma[:46],
        sigma_x=sigma[:46],
    )
    scored = figures(found, table(GRID, species=species), pixel_angstrom=0.2)
    assert scored["n_matched"] == 44
    assert scored["precision"] == pytest.approx(44 / 46)
    assert scored["recall"] == pytest.approx(44 / 48)
    assert scored["f1"] == pytest.approx(88 / 94)
    assert (scored["bias_y_px"], scored["bias_x_px"]) == pytest.approx((0.3, -0.1))
    assert scored["rms_px"] == pytest.approx(np.sqrt((0.09 + 0.01) / 2))
    assert scored["rms_angstrom"] == pytest.approx(0.2 * scored["rms_px"])
    assert scored["median_px"] == pytest.approx(np.hypot(0.3, 0.1))
    assert scored["z"] == pytest.approx(scored["rms_px"] / 0.15, rel=1e-5)  # sigma is kept as float32
    assert scored["species_accuracy"] == pytest.approx(42 / 44)
    assert scored["species_balanced"] == pytest.approx(np.mean([5 / 6, 37 / 38]))


def test_frames_are_kept_apart_and_the_worst_is_told():
    true = table(np.concatenate([GRID, GRID]), np.repeat([0, 1], len(GRID)))
    found = table(GRID, 1)
    scored = figures(found, true)
    assert (scored["recall"], scored["recall_worst"], scored["f1_worst"], scored["n_frames"]) == (0.5, 0, 0, 2)
    first, second = score_frames(found, true, AtomsParams())
    assert (first.frame, first.n_found, second.recall, second.f1) == (0, 0, 1, 1)
    assert np.isnan(first.precision)


def test_a_frame_without_true_atoms_counts_what_is_found_in_it():
    assert figures(table(GRID), table(GRID[:0]))["precision"] == 0
    nothing = figures(table(GRID[:0]), table(GRID[:0]))
    assert nothing["f1"] == 1
    assert np.isnan(nothing["recall"])


def test_each_atom_is_matched_once():
    pair = np.array([[10.0, 10.0], [10.0, 11.0]])
    scored = figures(table(pair), table(pair[:1] + np.array([0, 0.4])))
    assert (scored["n_matched"], scored["recall"], scored["precision"]) == (1, 1, 0.5)


def test_angstrom_and_px_are_compared_by_the_size_of_a_pixel():
    true = table(GRID)
    found = table(GRID + 0.5, scale=0.2, units="angstrom")
    with pytest.raises(CalibrationError, match="size of a pixel"):
        figures(found, true)
    assert figures(found, true, pixel_angstrom=0.2)["rms_px"] == pytest.approx(0.5)
    told = table(GRID + 0.5, scale=0.2, units="angstrom", step_angstrom=[0.2, 0.2])
    assert figures(told, true)["rms_angstrom"] == pytest.approx(0.1)
    assert figures(told, true, tolerance=0.12, tolerance_unit="angstrom")["recall"] == 0
    assert figures(told, true, tolerance=0.16, tolerance_unit="angstrom")["recall"] == 1
    with pytest.raises(CalibrationError, match="tolerance"):
        figures(table(GRID), true, tolerance_unit="angstrom")


def test_positions_that_are_named_after_px_are_in_px():
    old = table(GRID).rename(y="y_px", x="x_px")
    assert figures(table(GRID, scale=0.3, units="angstrom", step_angstrom=0.3), old)["rms_px"] == pytest.approx(0)
    with pytest.raises(DataError, match="no position"):
        figures(table(GRID), old.drop_vars("y_px"))


def test_a_border_is_forgiven_on_both_sides():
    with pytest.raises(DataError, match="shape"):
        figures(table(GRID), table(GRID), border_px=6)
    shape = {"image_shape": [60, 80]}
    inner = ((GRID > 6) & (np.array([53, 73]) > GRID)).all(1)
    scored = figures(table(GRID[inner], **shape), table(GRID), border_px=6)
    assert (scored["n_true"], scored["recall"], scored["precision"]) == (inner.sum(), 1, 1)
    # A found atom that lies inside, on a true one outside, is not held against the finder.
    moved = np.where(inner[:, None], GRID, GRID + np.array([1.5, 0]))
    scored = figures(table(moved, **shape), table(GRID), border_px=6, tolerance=2)
    assert (scored["recall"], scored["precision"]) == (1, 1)


def test_the_border_of_a_part_is_where_the_part_ends():
    shifted = GRID + np.array([200, 300])
    for scale, more in ((1.0, {}), (0.2, {"units": "angstrom", "step_angstrom": [0.2, 0.2]})):
        part = {**more, "image_shape": [60, 80], "image_start": [200 * scale, 300 * scale]}
        inner = ((GRID > 6) & (np.array([53, 73]) > GRID)).all(1)
        scored = figures(table(shifted, scale=scale, **part), table(shifted, scale=scale, **more), border_px=6)
        assert (scored["n_true"], scored["n_found"]) == (inner.sum(), inner.sum())


def test_atoms_without_a_position_are_refused():
    lost = GRID.copy()
    lost[3, 1] = np.nan
    with pytest.raises(DataError, match="1 of 48 atoms have no position"):
        figures(table(lost), table(GRID))


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_groups_are_matched_as_the_whole(seed, n, m):
    rng = np.random.default_rng(seed)
    found, true = rng.uniform(0, 10, (n, 2)), rng.uniform(0, 10, (m, 2))
    i, j = match_many(found, true, 1.5)
    a, b = match_one_to_one(found, true, 1.5)
    assert len(i) == len(a)
    assert len(set(i)) == len(set(j)) == len(i)
    distance = [np.hypot(*(found[p] - true[q]).T).sum() for p, q in ((i, j), (a, b))]
    assert distance[0] == pytest.approx(distance[1], abs=1e-9)
