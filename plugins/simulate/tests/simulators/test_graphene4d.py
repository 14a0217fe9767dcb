"""Patterns of graphene against what is true of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context, Result
from ronchi.optics import disk_radius
from ronchi_simulate.params.graphene4d import Graphene4dParams
from ronchi_simulate.simulators.graphene4d import Graphene4d


def simulated(seed: int = 0, **changes: Any) -> Result:
    return Graphene4d(Graphene4dParams(**changes)).simulate(Context(rng=np.random.default_rng(seed)))


def centre_of_mass(scan: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    patterns = scan["intensity"].values.astype(float)
    total = patterns.sum((-2, -1))
    y = np.einsum("...yx,y->...", patterns, scan["qy"].values) / total
    return y, np.einsum("...yx,x->...", patterns, scan["qx"].values) / total


def dark_field(scan: xr.Dataset) -> np.ndarray:
    """(scan_y, scan_x) part of the electrons outside of the bright disk."""
    radius = disk_radius(scan.attrs["beam_energy_eV"], scan.attrs["semiangle_mrad"])
    outside = np.hypot(scan["qy"], scan["qx"]).values > 1.05 * radius
    patterns = scan["intensity"].values.astype(float)
    return patterns[..., outside].sum(-1) / patterns.sum((-2, -1))


@pytest.fixture(scope="module")
def in_focus() -> Result:
    defects = (("none", "none"), ("none", "silicon"))
    return simulated(defocus_angstrom=0.0, dose_e=None, scan_shape=(12, 12), wave_shape=(192, 192), defects=defects)


def test_fractions_of_the_beam_add_up_and_point_to_the_atoms(in_focus: Result) -> None:
    scan, truth = in_focus.data, in_focus.sides["truth"]
    total = scan["intensity"].values.sum((-2, -1), dtype=float)
    # Less what a single sheet scatters beyond 1.07 per angstrom.
    assert total.max() <= 1 + 1e-5
    assert total.min() > 0.99
    y, x = centre_of_mass(scan)
    pristine = truth["defect_type"].values == 0
    # Electrons are attracted by nuclei: along the direction to the nearest atom, without any offset.
    towards = y * truth["nn_dy"].values + x * truth["nn_dx"].values
    cosine = towards / np.hypot(y, x) / truth["nn_distance"].values
    weight = np.hypot(y, x) * pristine * (truth["nn_distance"].values > 0.25)
    assert (cosine * weight).sum() / weight.sum() > 0.85


def test_silicon_is_the_brightest_spot_of_the_dark_field(in_focus: Result) -> None:
    bright = dark_field(in_focus.data)
    place = np.unravel_index(bright.argmax(), bright.shape)
    truth = in_focus.sides["truth"]
    assert truth["defect_distance"].values[place] < 0.3
    # Carbon 6, silicon 14, and a power between 1.5 and 2 of the atomic number.
    carbon = bright[truth["defect_distance"].values > 2.5].max()
    assert 2 < bright.max() / carbon < 8


def test_counts_have_the_dose_and_come_again_with_the_seed() -> None:
    small = {"scan_shape": (4, 4), "dose_e": 2e4, "wave_shape": None}
    first, again, other = simulated(3, **small), simulated(3, **small), simulated(4, **small)
    assert first.data["intensity"].dtype.kind == "u"
    xr.testing.assert_identical(first.data, again.data)
    xr.testing.assert_identical(first.sides["truth"], again.sides["truth"])
    assert not np.array_equal(first.data["intensity"], other.data["intensity"])
    totals = first.data["intensity"].values.sum((-2, -1), dtype=float)
    # Poisson: six standard deviations, and at most 1 % that misses the detector.
    assert (abs(totals - 2e4) < 6 * np.sqrt(2e4) + 200).all()
    assert first.data.attrs["defocus_angstrom"] == 20.0


def test_a_scan_runs_across_boundaries_without_a_margin() -> None:
    made = simulated(
        scan_shape=(4, 8), rotation_deg=((0.0, 30.0),), defects=(("none", "none"),), margin_angstrom=0, wave_shape=None
    )
    truth = made.sides["truth"]
    np.testing.assert_allclose(np.diff(truth["specimen_x"].values[0]), 0.35, atol=1e-4)
    np.testing.assert_array_equal(truth["tile"].values[0], [0] * 4 + [1] * 4)


def test_the_microscope_is_that_of_the_shared_set(shared_data: Path) -> None:
    path = shared_data / "sim" / "graphene4d.nc"
    with xr.open_dataset(path) as scan, xr.open_dataset(path, group="truth") as truth:
        made = simulated(scan_shape=(20, 20))
        # The same disk but for how its rim is cut along the pixels.
        assert np.corrcoef(made.data["probe"].values.ravel(), scan["probe"].values.ravel())[0, 1] > 0.998
        pristine = truth["tile"].values < 3
        ours = dark_field(made.data)[made.sides["truth"]["tile"].values < 3].mean()
        # Means over three tiles of lattice, each at places of its own: they scatter by some percent.
        assert ours == pytest.approx(dark_field(scan)[pristine].mean(), rel=0.1)
        lengths = [np.hypot(*centre_of_mass(data)) for data in (scan, made.data)]
        assert lengths[1][pristine].mean() == pytest.approx(lengths[0][pristine].mean(), rel=0.1)
