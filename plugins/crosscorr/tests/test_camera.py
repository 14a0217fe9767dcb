"""Cameras that count an electron as several, on several pixels: the scan tells their gain, a pattern hides it."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

import ronchi
from ronchi.schema import fourd

SHAPE, RADIUS = (128, 128), 6.0


@pytest.fixture(scope="module")
def recorded(scene: SimpleNamespace) -> tuple[xr.Dataset, np.ndarray]:
    """48 positions of one crystal, 20 counts an electron, light spread by 0.6 px, readout noise of half an electron."""
    rng = np.random.default_rng(7)
    sites = scene.lattice(SHAPE, 22.0, 12.0)
    counts = 10 ** rng.uniform(2.2, 3.7, len(sites))
    electrons = rng.poisson(scene.disks(SHAPE, sites, RADIUS, counts, 0.5), (6, 8, *SHAPE)).astype(np.float32)
    light = gaussian_filter(electrons, (0, 0, 0.6, 0.6))
    patterns = np.rint(20 * (light + rng.normal(0, 0.5, light.shape))).astype(np.int16)
    probe = gaussian_filter(scene.probe(SHAPE, RADIUS), 0.6)
    return fourd.make(patterns, probe=probe), sites


def test_errors_are_those_of_electrons_and_noise_is_no_disk(
    recorded: tuple[xr.Dataset, np.ndarray], scene: SimpleNamespace
) -> None:
    """By the noise of pixels alone an electron is two counts: errors three times too small, false disks."""
    data, sites = recorded
    found = ronchi.detect(data, "crosscorr")
    first = np.concatenate([[0], np.cumsum(found["n_peaks"].values)])
    y, x = found["qy"].values + 64, found["qx"].values + 64
    z, missed, false = [], 0, 0
    for a, b in pairwise(first):
        error, m, f = scene.pair(np.stack([y, x], 1)[a:b], sites)
        missed, false = missed + m, false + f
        if not f and not m:
            z.append(error / np.sqrt(np.stack([found["var_yy"].values, found["var_xx"].values], 1)[a:b]))
    assert false <= 1
    assert missed < 0.05 * 48 * len(sites)
    assert 0.85 < np.sqrt(np.mean(np.concatenate(z) ** 2)) < 1.25  # seed 7


def test_a_gain_that_is_given_is_taken(recorded: tuple[xr.Dataset, np.ndarray]) -> None:
    data, _ = recorded
    one, five = (ronchi.detect(data, "crosscorr", counts_per_electron=gain) for gain in (20.0, 100.0))
    assert five["n_peaks"].values.sum() < one["n_peaks"].values.sum()
