"""What scatters about a symmetric template, of which several angles are as likely."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.builtin.motifs import draw_atoms
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.em import Mixture, expectation
from ronchi_rvae.moves import scatter
from ronchi_rvae.poses import SCAN_ALL
from ronchi_rvae.shifts import ShiftGrid


@pytest.mark.parametrize(("radius_px", "fold"), [(10.0, 3), (12.0, 2), (12.0, 4), (12.0, 6)])
def test_angles_of_a_symmetric_class_that_are_known_scatter_no_more_than_noise(radius_px: float, fold: int) -> None:
    """The highest order is no multiple of the symmetry: its moment is 0, and the excess was 5 to 7."""
    basis = DiscBasis((25, 25), (12.0, 12.0), radius_px, 2.0, ShiftGrid(0.0))
    assert (basis.n_orders - 1) % fold
    rng, noise = np.random.default_rng(0), 0.5
    images = ring(rng.uniform(0, 2 * np.pi, 1000), fold) + rng.normal(0, noise, (1000, 25, 25)).astype(np.float32)
    template = basis.describe(ring(np.zeros(1), fold))[:, 0]
    mixture = Mixture(template, np.ones(1), noise**2, 0.02, np.ones(1, np.int64))
    described = basis.describe(images)
    found = expectation(basis, described, mixture, start=SCAN_ALL)
    assert np.abs(found.moments[:, 0, fold]).mean() > 0.95
    assert scatter(basis, described, mixture, found, 0).excess < 1.2


def ring(angle: np.ndarray, fold: int) -> np.ndarray:
    """Images (n, 25, 25) of ``fold`` atoms 6 px from the centre, turned."""
    turned = angle[:, None] + 2 * np.pi * np.arange(fold) / fold
    where = 6 * np.stack([np.sin(turned), np.cos(turned)], -1)
    return np.stack([draw_atoms(each[None], np.ones(fold), 1.4, (25, 25))[0] for each in where]).astype(np.float32)
