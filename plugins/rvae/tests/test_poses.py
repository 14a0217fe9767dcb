"""Poses and evidence of single images against single templates."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.em import turned_back
from ronchi_rvae.poses import SCAN_ALL, SCAN_ANGLES, STAY, angle_table, fit_poses
from ronchi_rvae.shifts import ShiftGrid, interpolate


def fitted(basis, images, template, variance=0.01, start=SCAN_ALL, angle=None, **options):
    n = len(images)
    described = basis.describe(images)
    rows = np.arange(n)
    return described, fit_poses(
        basis,
        described,
        template,
        rows,
        np.zeros(n, np.int64),
        np.zeros(n) if angle is None else angle,
        np.zeros((n, 2)),
        variance=variance,
        shift_sigma_px=0.3,
        edge_signal=1.0,
        start=start,
        **options,
    )


@pytest.fixture(scope="module")
def basis() -> DiscBasis:
    return DiscBasis((25, 25), (12.0, 12.0), 12.0, 2.0, ShiftGrid(0.5))


@pytest.fixture(scope="module")
def template(basis, draw):
    return basis.describe(draw()[None])[:, 4]


def test_angle_and_shift_of_clean_images(basis, draw, template):
    rng = np.random.default_rng(0)
    angle, shift = rng.uniform(-np.pi, np.pi, 50), rng.uniform(-0.45, 0.45, (50, 2))
    images = np.stack([draw(angle=a, shift=tuple(s)) for a, s in zip(angle, shift, strict=True)])
    described, poses = fitted(basis, images, template, variance=1e-4, steps=8)
    assert np.abs(np.angle(np.exp(1j * (poses.angle - angle)))).max() < np.deg2rad(0.3)
    assert np.abs(poses.shift_px - shift).max() < 0.02
    back = turned_back(basis, described, poses.angle, poses.shift_px)
    assert np.abs(back - template).max() < 0.03 * np.abs(template).max()


@pytest.mark.parametrize("reach_px", [1.8, 3.0])
def test_large_shifts_of_clean_images(draw, reach_px):
    """One polynomial through all nodes of the grid would be off by up to 0.3 px between the outer ones."""
    basis = DiscBasis((25, 25), (12.0, 12.0), 9.5, 2.0, ShiftGrid(reach_px))
    rng = np.random.default_rng(0)
    angle, shift = rng.uniform(-np.pi, np.pi, 100), rng.uniform(-reach_px, reach_px, (100, 2))
    images = np.stack([draw(angle=a, shift=tuple(s)) for a, s in zip(angle, shift, strict=True)])
    template = basis.describe(draw()[None])[:, len(basis.shifts.nodes_px) // 2]
    described = basis.describe(images)
    every, none = np.arange(100), np.zeros(100, np.int64)
    poses = fit_poses(
        basis, described, template, every, none, np.zeros(100), np.zeros((100, 2)),
        variance=1e-4, shift_sigma_px=reach_px, edge_signal=1.0, start=SCAN_ALL, steps=8,
    )  # fmt: skip
    assert np.abs(np.angle(np.exp(1j * (poses.angle - angle)))).max() < np.deg2rad(0.1)
    assert np.abs(poses.shift_px - shift).max() < 0.03
    back = turned_back(basis, described, poses.angle, poses.shift_px)
    assert np.abs(back - template).max() < 0.03 * np.abs(template).max()


def test_nothing_near_is_better(basis, draw, template):
    rng = np.random.default_rng(1)
    images = np.stack([draw(angle=a) for a in rng.uniform(-np.pi, np.pi, 20)])
    images += rng.normal(0, 0.3, images.shape)
    described, poses = fitted(basis, images, template, variance=0.09, steps=12)

    # Energies are interpolated as such: the energy of interpolated noise would dip between the nodes.
    energy = (np.abs(described) ** 2).sum(2, keepdims=True).astype(np.complex64)

    def objective(angle, shift):
        overlap = (turned_back(basis, described, angle, shift) * np.conj(template)).real.sum(1)
        rest = 0.5 * interpolate(energy, shift, basis.shifts)[:, 0].real
        return (overlap - rest) / 0.09 - 0.5 * (shift**2).sum(1) / 0.3**2

    best = objective(poses.angle, poses.shift_px)
    for step in (-1, 1):
        for axis in range(2):
            moved = poses.shift_px + step * 0.02 * np.eye(2)[axis]
            assert (objective(poses.angle, moved) < best + 1e-2)[np.abs(moved).max(1) < 0.5].all()
        assert (objective(poses.angle + step * 0.005, poses.shift_px) < best + 1e-2).all()


@pytest.mark.parametrize("motif", ["f-glyph", "pristine"])
@pytest.mark.parametrize("noise", [2.0, 0.3, 0.1, 0.03])
def test_evidence_is_the_integral_over_the_angle(draw, motif, noise):
    """From a posterior that is wider than the grid of angles to one that is ten times sharper; levels say nothing."""
    basis = DiscBasis((25, 25), (12.0, 12.0), 12.0, 2.0, ShiftGrid(0.0))
    template = basis.describe(draw(motif)[None])[:, 0]
    rng = np.random.default_rng(2)
    image = (draw(motif, angle=1.0) + rng.normal(0, noise, (25, 25)))[None] + 0.5
    described, poses = fitted(basis, image, template, variance=noise**2)
    fine = 2 * np.pi * np.arange(36000) / 36000
    back = described[0, 0] * np.exp(1j * fine[:, None] * basis.order)
    distance = (np.abs(back - template)[:, 1:] ** 2).sum(1)
    weights = np.exp(-0.5 * (distance - distance.min()) / noise**2)
    n_angles = len(angle_table(basis.n_orders))
    expected = np.log(weights.mean() * n_angles) - 0.5 * distance.min() / noise**2
    assert poses.evidence[0] == pytest.approx(expected, abs=0.03, rel=1e-4)
    mean = (weights * np.exp(1j * fine)).sum() / weights.sum()
    assert abs(poses.moments[0, 1] - mean) < 0.02
    expected = (weights * distance).sum() / weights.sum()
    assert poses.misfit[0] == pytest.approx(expected, rel=2e-3)


def test_a_threefold_template_leaves_three_angles_open(basis, draw):
    template = basis.describe(draw("pristine")[None])[:, 4]
    _, poses = fitted(basis, draw("pristine", angle=0.3)[None], template, variance=0.05)
    assert abs(poses.moments[0, 1]) < 0.05
    assert abs(poses.moments[0, 3]) == pytest.approx(1, abs=0.05)
    assert np.angle(poses.moments[0, 3]) == pytest.approx(0.9, abs=0.02)


def test_starts(basis, draw, template):
    images = draw(angle=0.05)[None]
    near = fitted(basis, images, template, start=STAY)[1]
    far = fitted(basis, images, template, start=STAY, angle=np.array([2.0]))[1]
    scanned = fitted(basis, images, template, start=SCAN_ANGLES, angle=np.array([2.0]))[1]
    assert near.angle[0] == pytest.approx(0.05, abs=0.01)
    assert abs(far.angle[0] - 0.05) > 0.5
    assert np.angle(np.exp(1j * (scanned.angle[0] - 0.05))) == pytest.approx(0, abs=0.01)


def test_the_grid_of_angles_holds_the_symmetries():
    for n_orders in (5, 22, 63):
        n = len(angle_table(n_orders))
        assert n % 12 == 0
        assert n >= 4 * n_orders
