"""Turning, noise and masks in the coefficients of a disc."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.api import DataError
from ronchi_rvae.disc import DiscBasis, disc_harmonics
from ronchi_rvae.shifts import ShiftGrid, interpolate


@pytest.fixture(scope="module")
def basis() -> DiscBasis:
    return DiscBasis((25, 25), (12.0, 12.0), 12.0, 2.0, ShiftGrid(0.5))


def middle(basis: DiscBasis, image: np.ndarray) -> np.ndarray:
    return basis.describe(image[None])[0, len(basis.shifts.nodes_px) // 2]


@pytest.mark.parametrize("radius", [5.0, 12.0, 30.0])
def test_number_of_harmonics_follows_weyl(radius):
    order, wave = disc_harmonics(radius, 2.0)
    dof = 2 * len(order) - (order == 0).sum()
    # Area and rim of the disc (Weyl 1911 with the term of Ivrii), to 5 % of the count and 3.
    assert dof == pytest.approx((radius * 2.0) ** 2 / 4 + radius, rel=0.05, abs=3)
    assert (np.diff(order) >= 0).all()
    assert wave.max() <= 2.0


@given(angle=st.floats(-np.pi, np.pi))
@settings(max_examples=20, deadline=None)
def test_a_turn_of_the_atoms_multiplies_by_a_phase(basis, draw, angle):
    still, turned = middle(basis, draw()), middle(basis, draw(angle=angle))
    expected = still * np.exp(-1j * basis.order * angle)
    assert np.abs(turned - expected).max() < 0.03 * np.abs(still).max()


@given(y=st.floats(-0.5, 0.5), x=st.floats(-0.5, 0.5))
@settings(max_examples=20, deadline=None)
def test_an_image_described_about_its_shift_is_as_if_it_were_centred(basis, draw, y, x):
    described = basis.describe(draw(shift=(y, x))[None])
    about = interpolate(described, np.array([[y, x]]), basis.shifts)[0]
    still = middle(basis, draw())
    assert np.abs(about - still).max() < 0.03 * np.abs(still).max()


@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_images_undo_the_description(basis, draw, angle):
    image = draw(angle=angle)
    made = basis.images(middle(basis, image)[None])[0]
    y, x = np.mgrid[:25, :25] - 12
    inside = np.hypot(y, x) < 11.5
    # Atoms of 1.3 px, 2.7 px apart: 4 % of the peak lies beyond the band limit.
    assert np.abs(made - image)[inside].max() < 0.05 * image.max()
    assert (made[np.hypot(y, x) > 12.6] == 0).all()


def test_white_noise_stays_white(basis):
    noise = np.random.default_rng(0).normal(0, 0.5, (3000, 25, 25))
    numbers = basis.as_real(basis.describe(noise)[:, 4])
    covariance = np.cov(numbers.T)
    # Pixels cut by the rim count in part, and their noise less; elsewhere 0.25 as in the pixels.
    assert np.diag(covariance).mean() == pytest.approx(0.25, rel=0.08)
    spread = np.abs(covariance - np.diag(np.diag(covariance)))
    assert spread.max() < 0.06


def test_real_numbers_and_back(basis, draw):
    coefficients = basis.describe(draw()[None])[:, 4]
    assert np.allclose(basis.from_real(basis.as_real(coefficients)), coefficients, atol=1e-6)
    drawn, weight = basis.sampled_real()
    image = basis.images(coefficients)[0]
    assert np.allclose((basis.as_real(coefficients) @ drawn)[0], image[image != 0], atol=1e-4)
    assert weight.sum() == pytest.approx(np.pi * 12**2, rel=0.01)


def test_bad_pixels_do_not_matter(draw):
    bad = np.zeros((25, 25), bool)
    bad[[3, 12, 20], [10, 12, 14]] = True
    whole = DiscBasis((25, 25), (12.0, 12.0), 12.0, 1.7, ShiftGrid(0.0))
    masked = DiscBasis((25, 25), (12.0, 12.0), 12.0, 1.7, ShiftGrid(0.0), bad)
    image = whole.images(whole.describe(draw()[None])[:, 0])[0]
    spoilt = np.where(bad, 1e3, image)
    assert np.abs(masked.describe(spoilt[None]) - whole.describe(image[None])).max() < 1e-2


def test_a_masked_half_is_refused():
    bad = np.zeros((25, 25), bool)
    bad[:, :12] = True
    with pytest.raises(DataError, match="do not determine"):
        DiscBasis((25, 25), (12.0, 12.0), 12.0, 2.0, ShiftGrid(0.0), bad).describe(np.zeros((1, 25, 25)))


@pytest.mark.parametrize(("reach", "side"), [(0.0, 1), (0.5, 3), (0.6, 3), (1.0, 5), (2.0, 9)])
def test_shift_grid(reach, side):
    grid = ShiftGrid(reach)
    assert grid.side == side
    assert len(grid.nodes_px) == side**2
    assert max(max(map(abs, node)) for node in grid.nodes_px) == pytest.approx(reach)
