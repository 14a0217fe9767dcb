"""What a sample of the scan tells detectors: the mean of its patterns, and the gain of the camera from neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import ronchi
from ronchi.errors import DataError
from ronchi.pipeline.detect import geometry_of
from ronchi.schema import fourd

SHAPE = (112, 104)


def spots(
    counts: float = 3000.0, level: float = 0.5, radius: float = 5.0, spacing: float = 19.0, at: complex = 0.0
) -> NDArray[np.float64]:
    """Soft disks on a turned square lattice, moved by x + i y px."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    y, x = y - at.imag, x - at.real
    place = (x + 1j * y) * np.exp(0.2j) / spacing
    off = spacing * np.abs(place - np.round(place))
    disk = 1 / (1 + np.exp(np.clip((off - radius) / 0.35, -40, 40)))
    return np.asarray(level + counts / (np.pi * radius**2) * disk)


def recorded(
    gain: float = 1.0,
    spread_px: float = 0.0,
    read: float = 0.0,
    scan: tuple[int, int] = (8, 12),
    seed: int = 0,
    **of: float,
) -> NDArray[np.float32]:
    """Patterns of one place: electrons, spread and multiplied by the camera, and its readout noise (electrons)."""
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(spots(**of), (*scan, *SHAPE)).astype(np.float32)
    light = gaussian_filter(electrons, (0, 0, spread_px, spread_px)) if spread_px else electrons
    return (gain * (light + read * rng.normal(size=light.shape))).astype(np.float32)


def told(patterns: NDArray[np.float32], **parts: NDArray[np.float64]) -> float | None:
    return geometry_of(fourd.make(patterns, **parts)).counts_per_electron


@pytest.mark.parametrize("gain", [5.0, 20.0])
@pytest.mark.parametrize("spread_px", [0.0, 0.4, 0.6])
@pytest.mark.parametrize("read", [0.0, 1.0])
def test_the_gain_of_a_camera_shows_between_neighbours(gain: float, spread_px: float, read: float) -> None:
    """Within a pattern, light that spreads over pixels hides it: a tenth is seen at 0.6 px."""
    assert told(recorded(gain, spread_px, read)) == pytest.approx(gain, rel=0.15)


@pytest.mark.parametrize(("radius", "spacing"), [(2.0, 6.0), (4.0, 9.5), (5.0, 19.0)])
def test_counted_electrons_are_one_each_however_dense_the_disks(radius: float, spacing: float) -> None:
    assert told(recorded(radius=radius, spacing=spacing, counts=300 * radius**2)) == 1.0


def test_light_of_the_dark_is_not_taken_for_readout_noise() -> None:
    """Where it is, too little is left for the light: 16.5 counts an electron."""
    assert told(recorded(20.0, read=1.0, level=5.0)) == pytest.approx(20.0, rel=0.1)


def test_a_few_bright_pairs_are_as_few_as_they_are() -> None:
    """As if all of them told of the noise, it was seen too small: 40 % are missing, and 5 passes for 1."""
    rng = np.random.default_rng(3)
    share = np.where(np.arange(16) % 4 == 0, 1.0, 0.02)[:, None, None, None]
    light = rng.poisson(share * spots(level=2.0), (16, 4, *SHAPE))
    assert told((5.0 * light).astype(np.float32)) == pytest.approx(5.0, rel=0.15)


def test_a_scan_that_begins_in_vacuum_tells_of_the_gain_all_the_same() -> None:
    light = recorded(20.0, 0.5, scan=(24, 12))
    light[:8] *= np.hypot(*(np.mgrid[: SHAPE[0], : SHAPE[1]] - 54)) < 8
    assert told(light) == pytest.approx(20.0, rel=0.15)


def test_what_changes_from_place_to_place_is_no_noise() -> None:
    rng = np.random.default_rng(1)
    light = np.stack([spots(spacing=19.0 + shift) for shift in rng.uniform(-2, 2, 96)]).reshape(8, 12, *SHAPE)
    for gain in (1.0, 20.0):
        found = told((gain * rng.poisson(light)).astype(np.float32))
        assert found is None or found == pytest.approx(gain, rel=0.15)
    made = ronchi.simulate("disks", seed=1, scan_shape=(8, 16), slope=0.3, dose_e=1e6)
    assert geometry_of(made.data).counts_per_electron in (None, 1.0)


@pytest.mark.parametrize(
    ("spread_px", "seed", "changed"),
    [
        (0.0, 5, lambda k, rng: {"at": 0.3 * (k % 2)}),
        (0.8, 2, lambda k, rng: {"spacing": 19 + 0.1 * rng.normal()}),
        (0.6, 2, lambda k, rng: {"at": 0.2 * k}),
        (0.8, 2, lambda k, rng: {"at": 0.2 * k}),
    ],
    ids=["to and fro", "outwards", "on", "on, where more light spreads"],
)
def test_disks_that_move_a_little_raise_no_gain(
    spread_px: float, seed: int, changed: Callable[[int, np.random.Generator], dict[str, Any]]
) -> None:
    """By a tenth of a pixel or two: without one check or another 20 counts an electron pass for 35 to 45."""
    rng = np.random.default_rng(seed)
    light = rng.poisson([spots(**changed(k, rng)) for k in range(96)]).astype(np.float32)
    found = told((20 * gaussian_filter(light, (0, spread_px, spread_px))).reshape(8, 12, *SHAPE))
    assert found is None or found == pytest.approx(20.0, rel=0.15)


def test_small_disks_in_the_dark_that_change_everywhere_raise_no_gain() -> None:
    """As those of a tilted crystal of changing thickness: between neighbours alone they seem 3.7 counts an electron."""
    rng = np.random.default_rng(13)
    y, x = np.mgrid[:96, :96]
    at = 14.3 * np.arange(-3, 4)
    place = [(row, column) for row in at for column in at]
    disks = np.stack(
        [1 / (1 + np.exp(np.clip((np.hypot(y - 47.7 - a, x - 48.2 - b) - 2) / 0.2, -40, 40))) for a, b in place]
    )
    mean = np.exp(rng.normal(0, 1, len(place))) * np.exp(-np.hypot(*np.array(place).T) / 15)
    light = np.stack([np.tensordot(mean * np.exp(rng.normal(0, 2.5, len(place))), disks, 1) for _ in range(40)]) + 0.002
    electrons = rng.poisson(1e4 * light / light.sum((1, 2), keepdims=True))
    assert told(electrons.astype(np.float32).reshape(1, 40, 96, 96)) == 1.0


def test_bad_pixels_and_places_without_a_pattern_have_no_say() -> None:
    patterns = recorded(20.0, 0.5)
    clean = told(patterns)
    bad = np.zeros(SHAPE, np.int8)
    bad[40:48] = bad[:, 30] = 1
    valid = np.ones((8, 12), np.int8)
    valid[:, 5] = valid[3] = 0
    patterns[..., bad > 0] = 65535 * np.random.default_rng(2).random((8, 12, int(bad.sum())))
    patterns[valid == 0] = 1e6
    assert told(patterns, bad_pixel=bad, valid=valid) == pytest.approx(clean, rel=0.15)


@pytest.mark.parametrize(
    "patterns",
    [
        recorded(scan=(2, 3)),
        np.zeros((8, 12, *SHAPE), np.float32),
        np.full((8, 12, *SHAPE), 3.0, np.float32),
        recorded()[..., :20, :20],
        recorded()[..., :5, :5],
        recorded() + 100,
        recorded(scan=(96, 1)),
        recorded() * np.float32(1e30),
        recorded(0.3),
    ],
    ids=["few", "dark", "no noise", "small", "tiny", "offset", "no neighbours", "huge", "other units"],
)
def test_where_it_does_not_show_nothing_is_said(patterns: NDArray[np.float32]) -> None:
    assert told(patterns) is None


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8", ">u2"])
def test_the_mean_is_that_of_the_patterns_whatever_their_type(dtype: str) -> None:
    patterns = np.minimum(recorded(scan=(4, 8)), 255).astype(dtype)
    np.testing.assert_allclose(
        geometry_of(fourd.make(patterns)).mean_pattern, patterns.astype("f8").mean((0, 1)), rtol=1e-6
    )


def test_a_pattern_with_nan_is_named() -> None:
    patterns = recorded(scan=(2, 4))
    patterns[1, 2, 3, 4] = np.nan
    with pytest.raises(DataError, match=r"scan_y 1, scan_x 2 .*first at pixel \(3, 4\)"):
        geometry_of(fourd.make(patterns))
