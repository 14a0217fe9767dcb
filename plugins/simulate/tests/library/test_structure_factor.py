"""Structure-factor images, against a direct transform, the paper's properties, and images made by other code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.signal.windows import tukey

from ronchi_simulate.library.crystals import Crystal
from ronchi_simulate.library.orientation import beam_along
from ronchi_simulate.library.reflections import Reflections, reflections
from ronchi_simulate.library.structure_factor import structure_factor_image, tukey_transform

FCC = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
STEP = 0.0217


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_the_window_is_tukeys(alpha: float) -> None:
    side, q = 46.08, np.linspace(-0.3, 0.3, 61)
    x = np.linspace(-side / 2, side / 2, 40001)
    window = tukey(len(x), alpha)
    window[[0, -1]] /= 2
    direct = (window * np.cos(2 * np.pi * q[:, None] * x)).sum(axis=1) / window.sum()
    # The trapezium rule over 40000 steps: 1e-7.
    np.testing.assert_allclose(tukey_transform(q, side, alpha), direct, atol=1e-6)


def test_the_window_has_no_pole() -> None:
    side, alpha = 40.0, 0.5
    at = np.array([1 / (alpha * side)])
    near = tukey_transform(at + 1e-5, side, alpha)
    np.testing.assert_allclose(tukey_transform(at, side, alpha), near, atol=1e-3)


def one(q: tuple[float, float], excitation: float = 0.0, factor: complex = 2 - 1j, height: float = 0.0) -> Reflections:
    return Reflections(
        np.array([[1, 0, 0]], np.int16), np.array([q]), np.array([excitation]), np.array([height]), np.array([factor])
    )


def test_a_point_on_a_pixel_has_the_modulus_of_its_structure_factor() -> None:
    image = structure_factor_image(one((10 * STEP, -7 * STEP)), pattern_shape=(64, 64), q_step_inv_angstrom=STEP)
    assert np.unravel_index(image.argmax(), image.shape) == (42, 25)
    assert image.max() == pytest.approx(5**0.5, rel=1e-6)


def test_points_fade_away_from_the_ewald_sphere() -> None:
    shape = {"pattern_shape": (32, 32), "q_step_inv_angstrom": STEP, "sigma_inv_angstrom": 0.05}
    on, off = (structure_factor_image(one((0.0, 0.0), s), **shape).max() for s in (0.0, 0.05))
    assert off / on == pytest.approx(np.exp(-0.5), rel=1e-6)


def test_points_fade_away_from_the_plane_instead_where_that_is_asked_for() -> None:
    shape = {"pattern_shape": (32, 32), "q_step_inv_angstrom": STEP, "weighed_from": "plane"}
    points = [one((0.0, 0.0), 0.1, height=0.0), one((0.0, 0.0), 0.0, height=0.05)]
    on, off = (structure_factor_image(point, **shape).max() for point in points)
    assert on == pytest.approx(5**0.5, rel=1e-6)
    assert off / on == pytest.approx(np.exp(-0.5), rel=1e-6)


def test_centroids_of_peaks_are_the_points() -> None:
    q = (11.3 * STEP, -6.8 * STEP)
    image = structure_factor_image(one(q), pattern_shape=(64, 64), q_step_inv_angstrom=STEP).astype(float)
    rows, columns = np.indices(image.shape)
    square = image**2
    centroid = [(square * axis).sum() / square.sum() for axis in (rows, columns)]
    # What the window's tails leave beyond the edge moves it by less than 0.01 px.
    np.testing.assert_allclose(centroid, [43.3, 25.2], atol=0.01)


def test_it_is_the_transform_of_the_windowed_potential() -> None:
    """Against a transform on a grid, of the potential near the middle plane in a window of side 1 / q_step."""
    crystal = Crystal("A_cF4_225_a", "Ni", np.eye(3) * 3.524, FCC, np.full(4, 28))
    rotation = beam_along(crystal, (0, 0, 1), in_plane_deg=13)
    points = reflections(crystal, rotation, beam_energy_eV=200e3, q_max=1.3, u_angstrom=0.08)
    n, step = 128, STEP
    x = (np.arange(2 * n) - n) / (2 * n * step)
    window = tukey(2 * n + 1, 0.5)[: 2 * n]
    weight = points.structure_factor_V * np.exp(-(points.excitation_error**2) / (2 * 0.05**2))
    rows, columns = (np.exp(2j * np.pi * x[:, None] * points.q_inv_angstrom[:, axis]) for axis in (0, 1))
    potential = (rows * weight) @ columns.T * np.outer(window, window)
    spectrum = np.fft.fftshift(np.fft.fft2(potential)) / window.sum() ** 2
    direct = np.abs(spectrum)[n // 2 : n // 2 + n, n // 2 : n // 2 + n]
    image = structure_factor_image(points, pattern_shape=(n, n), q_step_inv_angstrom=step)
    inner = slice(8, -8)
    # The grid aliases what the window's tails have beyond it.
    np.testing.assert_allclose(image[inner, inner], direct[inner, inner], atol=2e-3 * direct.max())


CUBIC = {
    0: ("Ni", 3.524, [(28, f) for f in FCC]),
    2: ("Mo", 3.147, [(42, f) for f in np.array([(0, 0, 0), (0.5, 0.5, 0.5)])]),
    4: ("LiF", 4.026, [(3, f) for f in FCC] + [(9, f + np.array([0.5, 0, 0])) for f in FCC]),
    13: ("Ge", 5.658, [(32, f) for f in np.concatenate([FCC, FCC + 0.25])]),
}


@pytest.mark.parametrize("number", CUBIC)
def test_points_and_images_agree_with_those_made_by_other_code(number: int, shared_data: Path) -> None:
    """That code weighs by the distance from the plane."""
    formula, a, sites = CUBIC[number]
    crystal = Crystal("", formula, np.eye(3) * a, np.array([f for _, f in sites]), np.array([z for z, _ in sites]))
    with xr.open_dataset(shared_data / "sim" / "bragg_single.nc") as file:
        data = file.isel(pattern=number).load()
    assert str(data["material"].values).startswith(formula)
    energy = float(data["voltage"])
    points = reflections(
        crystal,
        data["orientation"].values,
        beam_energy_eV=energy,
        q_max=4.0,
        distance_max=0.5,
        near="plane",
        u_angstrom=float(data["dw_rms"]),
    )
    count = int(data["n_peaks"])
    listed = np.stack([data[name].values[:count] for name in ("peak_qy", "peak_qx", "peak_gz")], axis=1)
    height = points.height_inv_angstrom
    mine = np.column_stack([points.q_inv_angstrom, height])
    nearest = np.array([((mine - row) ** 2).sum(axis=1).argmin() for row in listed])
    np.testing.assert_allclose(mine[nearest], listed, atol=1e-5)
    amplitude = np.abs(points.structure_factor_V[nearest]) * np.exp(-(height[nearest] ** 2) / (2 * 0.05**2))
    np.testing.assert_allclose(amplitude, data["peak_amp"].values[:count], rtol=1e-4)
    image = structure_factor_image(points, pattern_shape=(256, 256), q_step_inv_angstrom=STEP, weighed_from="plane")
    theirs = data["structure_factor"].values
    # Theirs leaves out points below a hundredth of the strongest.
    assert np.corrcoef(image.ravel(), theirs.ravel())[0, 1] > 0.998
    assert np.abs(image - theirs).max() < 0.025 * theirs.max()
