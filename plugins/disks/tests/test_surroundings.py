"""What is beside a disk: halos, rings, shadows and other disks neither move it nor pass for one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from ronchi_disks.disk_model import model_of_radius
from ronchi_disks.likelihood import NOT_REFINED, OVERLAP, SMOOTH, fit_disks

Array = NDArray[np.float64]


def on_a_halo(
    scene: SimpleNamespace, n: int, counts: float, peak: float, seed: int
) -> tuple[NDArray[np.uint16], Array]:
    """Frames of a ring of 8 disks around a beam whose halo falls off by e in 15 px, and where they are."""
    rng, angle = np.random.default_rng(seed), 0.2 + np.arange(8) * np.pi / 4
    y, x = np.mgrid[:100, :100] - 50.0
    halo = 0.5 + peak * np.exp(-np.hypot(y, x) / 15)
    truth = 50 + 24 * np.stack([np.sin(angle), np.cos(angle)], 1) + rng.uniform(-0.5, 0.5, (n, 8, 2))
    frames = [halo + sum(counts / 78.5 * scene.disk((100, 100), c, 5.0) for c in places) for places in truth]
    return rng.poisson(frames).astype(np.uint16), truth


def test_a_halo_does_not_pull_disks_inwards(scene: SimpleNamespace) -> None:
    frames, truth = on_a_halo(scene, 20, counts=1000, peak=60, seed=15)
    outwards = (truth - 50).reshape(-1, 2) / np.hypot(*(truth - 50).reshape(-1, 2).T)[:, None]
    fits, error = scene.fit_scan(frames, truth, np.random.default_rng(16))
    flat, ignored = scene.fit_scan(frames, truth, np.random.default_rng(16), background_slope=0.0)
    inwards = -(ignored * outwards).sum(1)[flat.flags & NOT_REFINED == 0]
    assert inwards.mean() > 0.3  # px: more than a percent of the distance of the disks
    assert (fits.flags & NOT_REFINED != 0).mean() < 0.03
    assert abs(np.mean((error * outwards).sum(1))) < 0.06  # seed 15; 160 disks know it to 0.012 px
    z = error / np.sqrt(np.stack([fits.var_yy, fits.var_xx], axis=1))
    assert 0.85 < np.sqrt((z**2).mean()) < 1.2


def smooth_light(kind: str) -> Array:
    """Patterns without a disk, some electrons a pixel."""
    y, x = np.mgrid[:128, :128] - 64.0
    rho = np.hypot(y, x)
    return {
        "ring of an amorphous film": 5 + 20 * np.exp(-((rho - 35) ** 2) / 72),
        "narrow ring": 5 + 20 * np.exp(-((rho - 35) ** 2) / 18),
        "shadow of an annular detector": np.where(rho < 50, 5.0, 0.2),
    }[kind]


@pytest.mark.parametrize("kind", ["ring of an amorphous film", "narrow ring", "shadow of an annular detector"])
def test_rings_and_shadows_are_no_disks(kind: str) -> None:
    rng, angle = np.random.default_rng(22), np.linspace(0, 2 * np.pi, 16, endpoint=False)
    frames = rng.poisson(smooth_light(kind), (10, 128, 128)).astype(np.uint16)
    radius = 46.0 if kind.startswith("shadow") else 35.0
    places = 64 + radius * np.stack([np.sin(angle), np.cos(angle)], 1)
    places = np.tile(places, (10, 1)) + rng.uniform(-1, 1, (160, 2))
    fits = fit_disks(frames, np.full(10, 16), places[:, 0], places[:, 1], model_of_radius(5.0))
    # Where the fit comes to an end at all.
    told, believed = (fits.flags & SMOOTH != 0).sum(), (fits.flags & NOT_REFINED == 0).sum()
    assert told > (1 if kind.startswith("shadow") else 3) * believed


@pytest.mark.parametrize(("radius", "counts"), [(2.0, 60), (3.0, 60), (5.0, 60), (8.0, 150)])
def test_faint_disks_are_not_taken_for_bends_of_the_background(
    scene: SimpleNamespace, radius: float, counts: float
) -> None:
    rng = np.random.default_rng(23)
    size = int(2 * radius) + 15
    truth = size / 2 + rng.uniform(-0.5, 0.5, (400, 2))
    frames = rng.poisson([0.3 + counts / (np.pi * radius**2) * scene.disk((size, size), c, radius) for c in truth])
    fits = scene.one_each(frames, truth, radius)
    assert (fits.flags & SMOOTH != 0).mean() < 0.01


def test_learning_that_the_background_is_flat_costs_little(scene: SimpleNamespace) -> None:
    frames, truth = scene.scan(np.random.default_rng(17), slope=0.0, n=40, counts=300)
    frames = frames + np.random.default_rng(18).poisson(3.0, frames.shape).astype(np.uint16)
    rms = {}
    for spread in (0.0, None, 1.0):
        _, error = scene.fit_scan(frames, truth, np.random.default_rng(19), background_slope=spread)
        rms[spread] = float(np.sqrt((error**2).mean()))
    assert rms[None] < 1.08 * rms[0.0]  # seed 17
    assert rms[1.0] > 1.1 * rms[0.0]


@pytest.mark.parametrize(("radius", "spacing"), [(2.0, 5.2), (2.5, 5.5), (3.0, 6.6)])
def test_small_disks_that_all_but_touch_are_refined(scene: SimpleNamespace, radius: float, spacing: float) -> None:
    """Without the pixels of their neighbours too few are left of each, until those are known."""
    rng = np.random.default_rng(20)
    sites = 10 + spacing * np.stack(np.meshgrid(*[np.arange(10)] * 2, indexing="ij"), -1).reshape(-1, 2)
    truth = sites + rng.uniform(-0.2, 0.2, sites.shape)
    size = int(20 + 9 * spacing)
    height = 1000 / (np.pi * radius**2)
    frame = rng.poisson(0.2 + sum(height * scene.disk((size, size), c, radius) for c in truth))
    y, x = (truth + rng.uniform(-0.2, 0.2, truth.shape)).T
    fits = fit_disks(frame[None], np.array([len(truth)]), y, x, model_of_radius(radius))
    assert (fits.flags & NOT_REFINED != 0).mean() < 0.02
    z = scene.error_of(fits, truth) / np.sqrt(np.stack([fits.var_yy, fits.var_xx], axis=1))
    assert 0.8 < np.sqrt((z**2).mean()) < 1.25  # seed 20; 200 errors know it to 5 %


@pytest.mark.parametrize("distance", [1.3, 1.7, 2.4])
def test_overlapping_disks_are_told_apart(scene: SimpleNamespace, distance: float) -> None:
    truth = np.array([[20.3, 18.1], [20.3 + 0.6 * 5 * distance, 18.1 + 0.8 * 5 * distance]])
    frame = 2 + 300 * scene.disk((50, 50), truth[0], 5.0) + 120 * scene.disk((50, 50), truth[1], 5.0)
    y, x = (truth + np.array([[0.3, -0.2], [-0.2, 0.3]])).T
    fits = fit_disks(frame[None], np.array([2]), y, x, model_of_radius(5.0), slope=0.0)
    assert (fits.flags == OVERLAP).all()
    assert np.abs(scene.error_of(fits, truth)).max() < 0.03  # px
    assert fits.intensity[0] / fits.intensity[1] == pytest.approx(2.5, rel=0.03)


@pytest.mark.parametrize(
    ("radius", "spacing", "counts"),
    [(5.0, 8.0, 700), (5.0, 8.0, 7000), (3.0, 5.5, 700)],
    ids=["faint", "bright", "small"],
)
def test_a_lattice_of_disks_that_cover_each_other_is_told_apart(
    scene: SimpleNamespace, radius: float, spacing: float, counts: float
) -> None:
    """What one disk is off by goes on to the next; without the pixels of its neighbours little of it is left."""
    rng = np.random.default_rng(3)
    sites = 12.0 + spacing * np.stack(np.meshgrid(np.arange(10), np.arange(10), indexing="ij"), -1).reshape(-1, 2)
    truth = sites + rng.uniform(-0.3, 0.3, (4, 100, 2))
    size = (int(9 * spacing) + 25,) * 2
    height = counts / (np.pi * radius**2)
    light = [0.5 + sum(height * scene.disk(size, place, radius) for place in places) for places in truth]
    start = (truth + rng.uniform(-0.4, 0.4, truth.shape)).reshape(-1, 2)
    frames = rng.poisson(light).astype(np.uint16)
    fits = fit_disks(frames, np.full(4, 100), start[:, 0], start[:, 1], model_of_radius(radius))
    held = fits.flags & NOT_REFINED == 0
    assert held.mean() > 0.97
    error = scene.error_of(fits, truth.reshape(-1, 2))[held]
    z = error / np.sqrt(np.stack([fits.var_yy, fits.var_xx], axis=1)[held])
    assert np.sqrt((z**2).mean()) < 1.3
