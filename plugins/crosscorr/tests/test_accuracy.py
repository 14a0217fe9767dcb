"""Errors are as small as counting allows, as large as they are said to be, and intensities are counts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("radius", "shape", "spacing"), [(2.0, (96, 96), 10.0), (5.0, (128, 128), 21.0), (9.0, (256, 256), 40.0)]
)
@pytest.mark.parametrize("refine", ["parabola", "correlation", "likelihood"])
def test_counting_noise_defaults_miss_nothing_and_errors_match_their_covariance(
    scene: SimpleNamespace, radius: float, shape: tuple[int, int], spacing: float, refine: str
) -> None:
    rng, n = np.random.default_rng(3), 12
    sites = scene.lattice(shape, spacing, 2 * radius)
    counts = 10 ** rng.uniform(2.2, 4, len(sites))
    clean = scene.disks(shape, sites, radius, counts, 0.1)
    batch = scene.make_detector(shape, scene.probe(shape, radius), refine=refine).detect(
        rng.poisson(clean, (n, *shape)).astype(np.uint16)
    )
    start, z = 0, []
    missed = false = 0
    for count in batch.counts:
        part = slice(start, start + count)
        error, m, f = scene.pair(scene.positions(batch)[part], sites)
        missed, false = missed + m, false + f
        if m == f == 0:
            variance = np.stack([batch.var_yy, batch.var_xx], 1)[part]
            z.append(error / np.sqrt(variance))
        start += count
    assert missed <= 0.002 * n * len(sites)
    assert false <= 0.002 * n * len(sites)
    # Seed 3, some hundreds of disks: a standard deviation of 1 is known to 5 %; the approximation is good to 30 %.
    assert 0.7 < np.concatenate(z).std() < 1.3


def test_likelihood_is_the_most_accurate_and_the_parabola_the_least(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(14)
    sites = scene.lattice(shape, 21.0, 10)
    frames = rng.poisson(scene.disks(shape, sites, 5.0, 500.0, 0.05), (20, *shape)).astype(np.uint16)
    rms = []
    for refine in ("parabola", "correlation", "likelihood"):
        batch = scene.make_detector(shape, scene.probe(shape, 5.0), refine=refine).detect(frames)
        assert (batch.counts == len(sites)).all()
        nearest = np.hypot(*(scene.positions(batch)[:, None] - sites[None]).transpose(2, 0, 1)).min(1)
        rms.append(np.sqrt((nearest**2).mean()))
    # Seed 14, some 500 disks: each rms is known to 3 %.
    assert rms[0] > rms[1] > 1.1 * rms[2]
    # Cramer-Rao bound of a disk with a logistic edge of scale a = 0.35 px on no background: 2 a r / N an axis.
    bound = np.sqrt(2 * 2 * 0.35 * 5.0 / 500.0)
    assert rms[2] < 1.25 * bound


def test_intensity_is_the_disks_counts_above_background(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(4)
    sites = scene.lattice(shape, 24.0, 12)
    counts = np.linspace(500, 5000, len(sites))
    frames = rng.poisson(scene.disks(shape, sites, 5.0, counts, 2.0), (40, *shape))
    batch = scene.make_detector(shape, scene.probe(shape, 5.0)).detect(frames)
    assert (batch.counts == len(sites)).all()
    distance = np.hypot(*(scene.positions(batch)[:, None] - sites[None]).transpose(2, 0, 1))
    nearest = distance.argmin(1)
    mean = np.array([batch.intensity[nearest == k].mean() for k in range(len(sites))])
    np.testing.assert_allclose(mean, counts, rtol=0.06)
    expected = counts / np.sqrt(counts + 2.0 * np.pi * 5.0**2)
    score = np.array([batch.score[nearest == k].mean() for k in range(len(sites))])
    # The background is measured, too: never better than the ideal, nor much worse.
    assert (score < 1.05 * expected).all()
    assert (score > 0.7 * expected).all()
