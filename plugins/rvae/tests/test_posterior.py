"""How sure an angle is: what is stated, against what happens."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.builtin.motifs import draw_atoms
from ronchi_rvae.certainty import over_shifts
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.em import Mixture, expectation
from ronchi_rvae.poses import SCAN_ALL
from ronchi_rvae.posterior import best_poses
from ronchi_rvae.search import Search, fit_mixture
from ronchi_rvae.shifts import ShiftGrid

SIGMA_PX = 0.29


def basis_of(reach_px: float) -> DiscBasis:
    return DiscBasis((25, 25), (12.0, 12.0), min(12.0, 12.5 - reach_px), 2.0, ShiftGrid(reach_px))


@pytest.mark.parametrize("axis", [0, 1])
def test_slopes_are_what_a_shift_changes(draw, axis: int) -> None:
    basis = basis_of(0.5)
    step = np.array([0.05, 0.0])[:: 1 if axis == 0 else -1]
    still, ahead, behind = (basis.describe(draw(shift=tuple(s * step))[None])[0, 4] for s in (0, 1, -1))
    expected = (ahead - behind) / 0.1
    found = basis.shift_slopes(still[None])[axis, 0]
    assert np.linalg.norm(found - expected) < 0.06 * np.linalg.norm(expected)


@pytest.mark.parametrize("reach_px", [0.0, 0.5])
def test_stated_errors_of_sharp_angles_are_the_real_ones(reach_px: float) -> None:
    """Where the centre is not known either, the angle of atoms on one side of it is less sure, here by half."""
    basis, rng, n, noise = basis_of(reach_px), np.random.default_rng(0), 1000, 0.1
    true = rng.uniform(0, 2 * np.pi, n)
    shift_px = np.clip(rng.normal(0, 0.1, (n, 2)), -reach_px, reach_px)
    images = corner(true, shift_px) + rng.normal(0, noise, (n, 25, 25)).astype(np.float32)
    template = basis.describe(corner(np.zeros(1), np.zeros((1, 2))))[:, len(basis.shifts.nodes_px) // 2]
    mixture = Mixture(template, np.ones(1), noise**2, SIGMA_PX, np.ones(1, np.int64))
    pose = best_poses(basis, mixture, expectation(basis, basis.describe(images), mixture, start=SCAN_ALL))
    wrong = np.angle(np.exp(1j * (pose.angle - true)))
    stated = np.sqrt(-2 * np.log(pose.resultant))
    assert np.sqrt(np.mean((wrong / stated) ** 2)) == pytest.approx(1, abs=0.1)


def test_several_angles_that_noise_leaves_open_are_as_likely_as_stated() -> None:
    """Each has a best shift of its own: at that of the likeliest angle, the others would seem less likely."""
    basis, rng, n, noise = basis_of(0.5), np.random.default_rng(0), 2000, 1.5
    true = rng.uniform(0, 2 * np.pi, n)
    shift_px = rng.uniform(-0.5, 0.5, (n, 2))
    images = corner(true, shift_px) + rng.normal(0, noise, (n, 25, 25)).astype(np.float32)
    template = basis.describe(corner(np.zeros(1), np.zeros((1, 2))))[:, 4]
    mixture = Mixture(template, np.ones(1), noise**2, SIGMA_PX, np.ones(1, np.int64))
    described = basis.describe(images)
    alone = expectation(basis, described, mixture, start=SCAN_ALL)
    over = over_shifts(basis, described, mixture, alone)
    agreed = np.cos(alone.angle[:, 0] - true).mean()
    assert agreed < 0.9
    stated_alone, stated = (
        (found.moments[:, 0, 1] * np.exp(-1j * found.angle[:, 0])).real.mean() for found in (alone, over)
    )
    assert stated == pytest.approx(agreed, abs=0.02)
    assert stated_alone > stated + 0.01


def test_classes_that_noise_leaves_open_are_as_likely_as_stated() -> None:
    """At its best shift noise looks more like atoms than it does over all shifts, and more surely so."""
    basis, rng, n, noise = basis_of(1.2), np.random.default_rng(0), 3000, 1.5
    true = rng.integers(2, size=n)
    atoms = corner(rng.uniform(0, 2 * np.pi, n), rng.uniform(-1.2, 1.2, (n, 2)))
    images = true[:, None, None] * atoms + rng.normal(0, noise, (n, 25, 25)).astype(np.float32)
    template = basis.describe(corner(np.zeros(1), np.zeros((1, 2))))[:, 12]
    templates, share = np.concatenate([0 * template, template]), np.full(2, 0.5)
    mixture = Mixture(templates, share, noise**2, 1.2 / np.sqrt(3), np.array([0, 1], np.int64))
    described = basis.describe(images)
    alone = expectation(basis, described, mixture, start=SCAN_ALL)
    over = over_shifts(basis, described, mixture, alone)
    right_alone, right = (np.mean(found.chance.argmax(axis=1) == true) for found in (alone, over))
    stated_alone, stated = (found.chance.max(axis=1).mean() for found in (alone, over))
    assert stated == pytest.approx(right, abs=0.02)
    assert stated_alone > right_alone + 0.015
    assert right > right_alone


@pytest.mark.parametrize(("reach_px", "noise"), [(0.0, 1.5), (0.5, 1.5), (0.5, 1.0)])
def test_fitted_templates_state_the_certainty_that_angles_have(reach_px: float, noise: float) -> None:
    """Of 2000 images; with the noise of the best poses, and its share of the templates, 0.06 to 0.08 more."""
    basis, rng, n = basis_of(reach_px), np.random.default_rng(3), 2000
    true = rng.uniform(0, 2 * np.pi, n)
    shift_px = rng.uniform(-reach_px, reach_px, (n, 2))
    described = basis.describe(corner(true, shift_px) + rng.normal(0, noise, (n, 25, 25)).astype(np.float32))
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(1, 8))
    found = expectation(basis, described, mixture, start=SCAN_ALL)
    pose = best_poses(basis, mixture, over_shifts(basis, described, mixture, found))
    agreed = abs(np.exp(1j * (pose.angle - true)).mean())
    assert pose.resultant.mean() == pytest.approx(agreed, abs=0.035)
    assert np.sqrt(mixture.variance) == pytest.approx(noise, rel=0.005)


@pytest.mark.parametrize(("n", "reach_px"), [(300, 0.5), (1000, 0.5), (1000, 0.0)])
def test_a_template_of_noise_has_no_angles(n: int, reach_px: float) -> None:
    """It is what noise makes of it, and is taken to be nothing; left as it is, it stated 0.5 to 0.7."""
    basis = basis_of(reach_px)
    described = basis.describe(np.random.default_rng(4).normal(size=(n, 25, 25)).astype(np.float32))
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(1, 8))
    found = expectation(basis, described, mixture, start=SCAN_ALL)
    pose = best_poses(basis, mixture, over_shifts(basis, described, mixture, found))
    assert pose.resultant.mean() < 0.3


def test_noise_beside_structure_is_one_class() -> None:
    basis, rng, n = basis_of(0.5), np.random.default_rng(5), 1500
    atoms = corner(rng.uniform(0, 2 * np.pi, n), rng.uniform(-0.5, 0.5, (n, 2)))
    images = np.concatenate([2 * atoms, 0 * atoms]) + rng.normal(size=(2 * n, 25, 25)).astype(np.float32)
    described = basis.describe(images)
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(None, 8))
    assert np.sort(mixture.share) == pytest.approx([0.5, 0.5], abs=0.01)
    found = expectation(basis, described, mixture, start=SCAN_ALL)
    pose = best_poses(basis, mixture, over_shifts(basis, described, mixture, found))
    assert pose.resultant[:n].mean() > 0.95
    assert pose.resultant[n:].mean() < 0.3


def corner(angle: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Images (n, 25, 25) of atoms at (y, x) = (0, 6), (5, 5) and (6, 0) px from the centre, turned, then shifted."""
    y, x = np.array([[0.0, 6.0], [5.0, 5.0], [6.0, 0.0]]).T
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    where = np.stack([s * x + c * y, c * x - s * y], -1) + shift_px[:, None]
    return np.stack([draw_atoms(each[None], np.ones(3), 1.4, (25, 25))[0] for each in where]).astype(np.float32)
