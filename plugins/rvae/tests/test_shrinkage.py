"""Templates of a few images, and of images without noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.search import Search, fit_mixture
from ronchi_rvae.shifts import ShiftGrid


def basis_of(reach_px: float) -> DiscBasis:
    return DiscBasis((25, 25), (12.0, 12.0), 10.0, 2.0, ShiftGrid(reach_px))


def length(coefficients: np.ndarray) -> np.ndarray:
    return np.linalg.norm(coefficients[..., 1:], axis=-1)


@pytest.mark.parametrize("reach_px", [0.0, 0.5])
@pytest.mark.parametrize("level", [1.0, 1e5])
def test_templates_of_images_without_noise_are_these_images(
    draw: Callable[..., np.ndarray], reach_px: float, level: float
) -> None:
    """As of simulated patterns that repeat. Rounding is all that scatters: it made them 1e11 times as large."""
    basis = basis_of(reach_px)
    images = level * np.stack([draw("f-glyph"), draw("missing-neighbour")])
    described = basis.describe(np.repeat(images, 25, axis=0))
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(2, 8))
    middle = described.shape[1] // 2
    assert np.sort(length(mixture.templates)) == pytest.approx(np.sort(length(described[[0, 25], middle])), rel=0.02)


@pytest.mark.parametrize("reach_px", [0.0, 0.5])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_templates_of_a_few_images_are_no_larger_than_these(
    draw: Callable[..., np.ndarray], reach_px: float, n: int
) -> None:
    basis, rng = basis_of(reach_px), np.random.default_rng(1)
    clean = np.stack([draw("f-glyph", rng.uniform(0, 2 * np.pi)) for _ in range(n)])
    described = basis.describe(clean + rng.normal(0, 0.1, clean.shape).astype(np.float32))
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(1, 8))
    largest = length(described[:, described.shape[1] // 2]).max()
    assert 0.5 * largest < length(mixture.templates)[0] < 1.05 * largest
