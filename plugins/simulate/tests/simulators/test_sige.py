"""Patterns of the multilayer: where disks are, and where the tilt sends the electrons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ronchi
from ronchi.api import Context, Result
from ronchi.schema import strain
from ronchi_simulate.params.sige import Layer, SigeParams
from ronchi_simulate.simulators.sige import Sige

A = 5.6034
Q_STEP = 0.03154811
THIN = {
    "scan_shape": (1, 1),
    "thickness_angstrom": 8.0,
    "pattern_shape": (64, 64),
    "binning": 2,
    "dose_e": None,
    "scan_start_angstrom": (0.0, 60.0),
}


def simulate(seed: int = 0, **changes: Any) -> Result:
    params = SigeParams.model_validate(THIN | changes)
    return Sige(params).simulate(Context(rng=np.random.default_rng(seed)))


def centroid_px(pattern: NDArray[np.float32], at: tuple[float, float]) -> NDArray[np.float64]:
    """Centre of mass (y, x) of the disk near a pixel."""
    y, x = np.indices(pattern.shape)
    weight = np.where(np.hypot(y - at[0], x - at[1]) < 4.5, pattern, 0)
    return np.array([(weight * y).sum(), (weight * x).sum()]) / weight.sum()


def test_a_layer_strained_along_x_has_its_disks_closer_along_x() -> None:
    at = {e: 4 / A / (1 + e) / Q_STEP for e in (-0.04, 0.0, 0.04)}
    for e, distance in at.items():
        layer = Layer(thickness_angstrom=200.0, germanium=0.0, strain=e)
        pattern = simulate(layers=(layer,)).data["intensity"].values[0, 0]
        # 400 to the right and 0 2 -2 below; the disks of a thin crystal are even but for 0.1 px of their feet.
        right = centroid_px(pattern, (32, 32 + distance)) - 32
        below = centroid_px(pattern, (32 + np.sqrt(8) / A / Q_STEP, 32)) - 32
        assert right == pytest.approx([0, distance], abs=0.1)
        assert below == pytest.approx([np.sqrt(8) / A / Q_STEP, 0], abs=0.1)


@pytest.mark.parametrize("direction", [0.0, 90.0, 225.0])
def test_electrons_gather_on_the_circle_of_laue_where_the_zone_axis_leans(direction: float) -> None:
    made = simulate(thickness_angstrom=60.0, tilt_magnitude_deg=(1.0, 1.0), tilt_direction_deg=(direction, direction))
    pattern = made.data["intensity"].values[0, 0].astype(float)
    y, x = (np.indices(pattern.shape) - 32) * Q_STEP
    centre = np.deg2rad(1.0) / 0.025079 * np.array([np.sin(np.deg2rad(direction)), np.cos(np.deg2rad(direction))])
    # Of reflections as far from the beam, those near the circle are brighter than those on the other side.
    shift = np.array([(pattern * y).sum(), (pattern * x).sum()])
    assert shift @ centre / np.linalg.norm(shift) / np.linalg.norm(centre) > 0.9
    truth = made.sides["truth"]
    lean = np.array([truth["tilt_y"].item(), truth["tilt_x"].item()])
    assert lean @ centre / np.linalg.norm(centre) == pytest.approx(1.0, rel=1e-6)


def test_what_comes_back_keeps_to_its_schemas() -> None:
    made = simulate(dose_e=1e4, scan_shape=(2, 2))
    assert made.data["intensity"].dtype == np.uint16
    # What is missing fell beside the detector.
    assert made.data["intensity"].values.sum((2, 3)) == pytest.approx(1e4, rel=0.06)
    assert made.data["probe"].values.sum() == pytest.approx(1e4, rel=1e-5)
    strain.validate(made.sides["truth"])


def test_the_same_seed_makes_the_same_scan_and_another_one_another_alloy_and_noise() -> None:
    first, again, other = (simulate(seed, dose_e=1e4).data["intensity"].values for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_it_is_found_by_its_name() -> None:
    assert {"sige", "hbn"} <= set(ronchi.algorithms("simulator"))


def test_mean_atoms_scatter_as_the_mean_of_the_drawn_ones() -> None:
    """Of thin crystals, waves add up atom by atom: the disks of many draws are around those of the mean atom."""
    alloy = {"layers": (Layer(thickness_angstrom=200.0, germanium=0.5, strain=0.0),), "thickness_angstrom": 8.0}
    mean = simulate(alloy="mean", **alloy).data["intensity"].values[0, 0].astype(float)
    drawn = np.mean([simulate(seed, **alloy).data["intensity"].values[0, 0] for seed in range(8)], axis=0)
    inside = mean > 1e-5
    # Four periods deep and as wide as the probe, a draw is 10 % off; eight of them 4 %. Seeds 0 to 7.
    assert drawn[inside].sum() == pytest.approx(mean[inside].sum(), rel=2e-3)
    np.testing.assert_allclose(drawn[mean > 1e-4], mean[mean > 1e-4], rtol=0.15)
    # Between the disks of the mean there is next to nothing, and in the alloy its diffuse scattering.
    between = mean < 1e-7
    assert drawn[between].sum() > 3 * mean[between].sum()
