"""Disks are told from what lies between them: nothing, noise, or the halo of a bright beam."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import cKDTree

import ronchi


def positions(batch: Any) -> np.ndarray:
    return np.stack([batch.qy_px, batch.qx_px], 1)


def test_disks_of_two_dozen_electrons_are_found_where_there_is_little_background(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(7)
    sites = scene.lattice(shape, 24.0, 12)
    frames = rng.poisson(scene.disks(shape, sites, 5.0, 22.0, 0.005), (40, *shape)).astype(np.uint8)
    batch = scene.make_detector(shape, scene.probe(shape, 5.0)).detect(frames)
    nearest = np.hypot(*(positions(batch)[:, None] - sites[None]).transpose(2, 0, 1)).min(1)
    assert (nearest < 4).sum() > 0.9 * 40 * len(sites)
    assert (nearest >= 4).sum() <= 2


@pytest.mark.parametrize("value", [0, 1, 1000, -3])
def test_constant_pattern_has_no_disks(scene: SimpleNamespace, value: int) -> None:
    detector = scene.make_detector((96, 90), scene.probe((96, 90), 4.0))
    batch = detector.detect(np.full((3, 96, 90), value, np.int16))
    assert batch.counts.tolist() == [0, 0, 0]
    assert len(batch.qy_px) == 0


@pytest.mark.parametrize(("min_snr", "most"), [(6.0, 0), (5.0, 3)])
def test_pure_noise_has_no_disks(scene: SimpleNamespace, min_snr: float, most: int) -> None:
    detector = scene.make_detector((128, 128), scene.probe((128, 128), 4.0), min_snr=min_snr)
    for mean in (0.02, 1.0, 50.0):
        frames = np.random.default_rng(6).poisson(mean, (20, 128, 128)).astype(np.uint16)
        # Of 20 patterns: 0.1 and 0.6 are expected.
        assert detector.detect(frames).counts.sum() <= most, mean


def test_a_halo_around_the_beam_hides_no_faint_disk_far_from_it(scene: SimpleNamespace) -> None:
    """Two disks of 150 electrons where a tenth of an electron a pixel is all there is besides, 20 times."""
    shape, rng = (160, 160), np.random.default_rng(7)
    y, x = np.mgrid[:160, :160]
    halo = 40 / (1 + ((y - 80) ** 2 + (x - 80) ** 2) / 6.0**2) ** 2
    faint = np.array([[30.0, 40.0], [120.0, 130.0]])
    sites = np.concatenate([[[80.0, 80.0]], faint])
    clean = scene.disks(shape, sites[:1], 3.0, 2e5, background=0.1) + scene.disks(shape, faint, 3.0, 150.0) + halo
    batch = scene.make_detector(shape, scene.probe(shape, 3.0)).detect(rng.poisson(np.stack([clean] * 20)))
    ends = np.cumsum(batch.counts)
    for begin, end in zip(ends - batch.counts, ends, strict=True):
        _, missed, false = scene.pair(positions(batch)[begin:end], sites)
        assert (missed, false) == (0, 0)


def _with_pattern(peaks: xr.Dataset) -> np.ndarray:
    """(peak, 3): place in the list of patterns, far apart, and centre in px of 0.02 1/angstrom."""
    number = np.repeat(np.arange(peaks.sizes["pos"]), peaks["n_peaks"].values)
    return np.stack([1000 * number, peaks["qy"].values / 0.02, peaks["qx"].values / 0.02], 1)


def test_light_elsewhere_is_not_expected_around_faint_disks() -> None:
    """A glow around the beam, and disks that fall off with their order: the faint ones stand in the dark."""
    made = ronchi.simulate(
        "disks", seed=4, scan_shape=(4, 8), pattern_shape=(96, 112), radius_px=5.0, edge_px=0.5, slope=0.3, dose_e=10000
    )
    truth, found = made.sides["truth_peaks"], ronchi.detect(made.data, "crosscorr")
    electrons = truth["intensity"].values
    faint = (truth["flags"].values == 0) & (electrons > 20) & (electrons < 50)
    near = cKDTree(_with_pattern(found)).query(_with_pattern(truth)[faint])[0]
    assert len(near) > 50
    assert (near < 4).mean() > 0.7


@pytest.mark.parametrize("radius", [3.0, 8.0])
def test_where_a_fit_strays_from_a_bright_ring_there_is_no_disk(
    scene: SimpleNamespace, radius: float, caplog: pytest.LogCaptureFixture
) -> None:
    """They were kept where the search saw them: a dozen a pattern."""
    shape, rng = (192, 192), np.random.default_rng(0)
    rho = np.hypot(*(np.mgrid[:192, :192] - 96))
    ring = 3e4 * (0.2 + np.exp(-((rho - 55) ** 2) / 288))
    detector = scene.make_detector(shape, scene.probe(shape, radius))
    with caplog.at_level("WARNING", "ronchi"):
        bare = detector.detect(rng.poisson(ring, (3, *shape)).astype(np.float32))
    assert bare.counts.mean() < 4
    # Who has a wrong radius loses disks: the user is told.
    assert "dropped" in caplog.text
    assert f"disks of {radius:.1f} px" in caplog.text


def test_the_ring_of_an_amorphous_film_is_no_chain_of_disks(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(5)
    rho = np.hypot(*(np.mgrid[:128, :128] - 64))
    ring = 5 + 20 * np.exp(-((rho - 35) ** 2) / 72)
    detector = scene.make_detector(shape, scene.probe(shape, 5.0))
    bare = detector.detect(rng.poisson(ring, (10, *shape)).astype(np.uint16))
    told = detector.explain(rng.poisson(ring, (3, *shape)).astype(np.uint16))
    assert bare.counts.mean() < 5  # of some 16 that stand out of the noise
    assert (told["reason"] == told["reasons"].index("smooth")).sum() > 15
    # Disks on it are.
    angle = np.arange(6) * np.pi / 3
    sites = 64 + 35 * np.stack([np.sin(angle), np.cos(angle)], 1)
    frames = rng.poisson(ring + scene.disks(shape, sites, 5.0, 1500.0), (10, *shape)).astype(np.uint16)
    found = detector.detect(frames)
    first = np.concatenate([[0], np.cumsum(found.counts)])
    for a, b in pairwise(first):
        own = np.stack([found.qy_px, found.qx_px], 1)[a:b]
        assert (np.hypot(*(own[:, None] - sites).transpose(2, 0, 1)).min(0) < 2).all()
