"""The shape of probes that are no plain disks, and of disks without a probe."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from ronchi.api import DataError, Geometry
from ronchi.disk import measure_disk, probe_shape, without_bad_pixels

Array = NDArray[np.float64]
_FINE = 8


def bullseye(radius_px: float, centre: tuple[float, float], n_rings: int = 3, blur_px: float = 0.0) -> Array:
    """Open centre, opaque rings as wide as the open ones between them, and a cross that carries them; 96 x 100."""
    y, x = ((np.arange(n * _FINE)[:, None] + 0.5) / _FINE - 0.5 - c for n, c in zip((96, 100), centre, strict=True))
    rho = np.hypot(y, x.T)
    width = radius_px / (2 * n_rings + 2)
    band = np.floor(rho / width)
    is_open = (rho <= radius_px) & ((band < 2) | (band % 2 == 1))
    is_open &= ~((rho > 2 * width) & (np.minimum(abs(y), abs(x.T)) < width / 4))
    seen: Array = is_open.reshape(96, _FINE, 100, _FINE).mean((1, 3))
    return ndimage.gaussian_filter(seen, blur_px) if blur_px else seen


@pytest.mark.parametrize("n_rings", [2, 3, 4])
@pytest.mark.parametrize("radius_px", [12.3, 17.0, 31.6])
@pytest.mark.parametrize("blur_px", [0.0, 0.5])
def test_a_bullseye_is_as_large_as_its_outer_rim(radius_px: float, n_rings: int, blur_px: float) -> None:
    # Its background is 2 % of it; rings are 1.23 px wide or more.
    shape = measure_disk(1e4 * bullseye(radius_px, (46.3, 52.8), n_rings, blur_px) + 200)
    assert shape.radius_px == pytest.approx(radius_px, rel=0.02)
    assert shape.centre_px == pytest.approx((46.3, 52.8), abs=0.05)


def test_noise_and_hot_pixels_do_not_change_it() -> None:
    rng = np.random.default_rng(3)
    probe = rng.poisson(100 * bullseye(16.0, (46.3, 52.8)) + 0.5).astype(float)
    probe[[3, 80, 40], [90, 11, 40]] = 5e4
    shape = measure_disk(probe)
    assert shape.radius_px == pytest.approx(16.0, rel=0.02)
    assert shape.centre_px == pytest.approx((46.3, 52.8), abs=0.1)


@pytest.mark.parametrize("apart_px", [14.0, 16.0, 20.0])
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_hexagon_of_disks_is_no_bullseye(apart_px: float, strength: float) -> None:
    angles = np.arange(6) * np.pi / 3
    y, x = np.indices((96, 100))
    pattern = sum(
        weight / (1 + np.exp((np.hypot(y - 47 - dy, x - 51 - dx) - 6) / 0.3))
        for dy, dx, weight in [
            (0.0, 0.0, 1.0),
            *((apart_px * np.sin(a), apart_px * np.cos(a), strength) for a in angles),
        ]
    )
    # 18 to 26 px were it one.
    assert measure_disk(np.asarray(pattern)).radius_px < 6.1


def test_a_ring_alone_is_as_large_as_its_outside() -> None:
    # A probe with a beam stop in it: what is enclosed belongs to the disk.
    y, x = np.indices((96, 100))
    rho = np.hypot(y - 46.5, x - 52.0)
    shape = measure_disk(((rho > 5) & (rho < 14)).astype(float))
    assert shape.radius_px == pytest.approx(14, rel=0.03)


def geometry(mean: Array | None, energy_eV: float | None = None, semiangle_mrad: float | None = None) -> Geometry:
    shape = (64, 64) if mean is None else mean.shape
    return Geometry(
        shape=shape, q_step=(0.02, 0.02), q_units="1/angstrom", centre_px=(31.0, 33.0), mean_pattern=mean,
        beam_energy_eV=energy_eV, semiangle_mrad=semiangle_mrad,
    )  # fmt: skip


def soft_disk(radius_px: float, edge_px: float) -> Array:
    y, x = np.mgrid[:64, :64]
    return 100 / (1 + np.exp(np.clip((np.hypot(y - 31, x - 33) - radius_px) / edge_px, -50, 50)))


# 200 kV: 0.0251 angstrom; 3.2 mrad are 0.1276 / angstrom, 6.4 px of 0.02 / angstrom.
@pytest.mark.parametrize(
    ("radius_px", "edge_px", "expected"),
    [(6.2, 0.2, (6.2, 0.2)), (6.2, 1.5, (6.38, 0.35)), (4.0, 0.2, (6.38, 0.35))],
    ids=["the one that is seen", "smeared over the scan", "another disk"],
)
def test_without_a_probe_the_calibrated_disk_is_the_one_that_is_seen_if_it_is_sharp(
    radius_px: float, edge_px: float, expected: tuple[float, float], caplog: pytest.LogCaptureFixture
) -> None:
    shape = probe_shape(geometry(soft_disk(radius_px, edge_px), 200e3, 3.2), None, None, logging.getLogger("ronchi"))
    assert (shape.radius_px, shape.edge_px) == pytest.approx(expected, abs=0.03)
    assert ("check it" in caplog.text) == (radius_px == 4.0)


@pytest.mark.parametrize("edge_px", [0.2, 0.8])
@pytest.mark.parametrize("times", [0.5, 0.7, 1.0, 1.4])
@pytest.mark.parametrize("by_probe", [False, True])
def test_disks_of_another_size_than_stated_are_told_of(
    edge_px: float, times: float, by_probe: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Too small a radius makes edges pass for disks. Of a bullseye a part may be seen: a probe may be larger."""
    probe, radius_px = (soft_disk(6.2 * times, 0.3), None) if by_probe else (None, 6.2 * times)
    probe_shape(geometry(soft_disk(6.2, edge_px)), probe, radius_px, logging.getLogger("ronchi"))
    assert ("check it" in caplog.text) == (times < 1 or (times > 1 and not by_probe))


def test_disks_that_have_merged_tell_no_radius(caplog: pytest.LogCaptureFixture) -> None:
    probe_shape(geometry(soft_disk(20, 0.8)), None, 6.2, logging.getLogger("ronchi"))
    assert "check it" not in caplog.text


def test_a_stated_radius_counts_and_a_small_disk_without_a_probe_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING", "ronchi")
    log = logging.getLogger("ronchi")
    assert probe_shape(geometry(soft_disk(6.2, 0.2)), None, 6.0, log).radius_px == 6.0
    assert not caplog.text
    probe_shape(geometry(soft_disk(2.1, 0.2)), None, 2.0, log)
    assert "without a probe" in caplog.text
    caplog.clear()
    probe_shape(geometry(None), soft_disk(2.1, 0.2), None, log)
    assert not caplog.text


@pytest.mark.parametrize(("q_step", "told"), [((0.02, 0.021), False), ((0.02, 0.04), True), ((0.04, 0.02), True)])
def test_oblong_pixels_are_told_of_where_no_probe_shows_the_ellipse(
    q_step: tuple[float, float], told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "ronchi")
    log, uneven = logging.getLogger("ronchi"), replace(geometry(soft_disk(6.2, 0.2)), q_step=q_step)
    probe_shape(uneven, soft_disk(6.2, 0.2), None, log)
    assert not caplog.text
    probe_shape(uneven, None, 6.2, log)
    assert ("pixels are 2 times as long along one axis" in caplog.text) == told


def test_a_halo_is_no_disk() -> None:
    y, x = np.mgrid[:64, :64]
    halo = 1000 * np.exp(-np.hypot(y - 31, x - 33) / 6)
    with pytest.raises(DataError, match="a halo and no disk"):
        probe_shape(geometry(halo), None, None)


def crossed(gap_px: int, seed: int = 0, radius_px: float = 5.0) -> tuple[Array, NDArray[np.bool_]]:
    """A noisy probe at (48.4, 50.7) that a cross of dead pixels hides in part, and the cross."""
    y, x = np.indices((96, 100))
    expected = 200 / (1 + np.exp(np.clip((np.hypot(y - 48.4, x - 50.7) - radius_px) / 0.4, -50, 50))) + 1
    bad = (abs(y - 47.5) < gap_px / 2) | (abs(x - 49.5) < gap_px / 2)
    return np.where(bad, 0.0, np.random.default_rng(seed).poisson(expected)), bad


@pytest.mark.parametrize(("gap_px", "radius_px"), [(2, 3.0), (2, 5.0), (4, 5.0), (4, 8.0), (6, 8.0), (8, 8.0)])
def test_gaps_that_are_marked_change_no_disk(gap_px: int, radius_px: float) -> None:
    for seed in range(4):
        probe, bad = crossed(gap_px, seed, radius_px)
        found = measure_disk(probe, bad)
        assert found.radius_px == pytest.approx(radius_px, abs=0.15)
        assert found.centre_px == pytest.approx((48.4, 50.7), abs=0.15)
        alone = measure_disk(without_bad_pixels(probe, bad))
        assert alone.radius_px == pytest.approx(radius_px, abs=0.15)
        assert alone.centre_px == pytest.approx((48.4, 50.7), abs=0.15)


def test_the_shape_heeds_the_mask_of_the_geometry() -> None:
    probe, bad = crossed(4)
    probe[bad] = np.nan
    told = replace(geometry(None), shape=bad.shape, bad_pixel=bad)
    assert probe_shape(told, probe, None).centre_px == pytest.approx((48.4, 50.7), abs=0.1)
    assert probe_shape(replace(told, mean_pattern=probe), None, None).radius_px == pytest.approx(5, abs=0.15)


@pytest.mark.parametrize("stop_px", [5, 7])
def test_a_probe_recorded_without_the_beam_stop_is_seen_whole(stop_px: int) -> None:
    y, x = np.indices((96, 96))
    rho = np.hypot(y - 48.3, x - 47.6)
    probe = np.random.default_rng(0).poisson(200 / (1 + np.exp(np.clip((rho - 5) / 0.4, -50, 50))) + 1).astype(float)
    stop = (np.hypot(y - 48, x - 48) < stop_px) | ((abs(y - 48) < 2) & (x < 48))
    assert measure_disk(probe, stop) == measure_disk(probe)


def test_a_mask_elsewhere_and_a_hot_pixel_change_little() -> None:
    probe, _ = crossed(0)
    clean, bad = measure_disk(probe), np.zeros(probe.shape, bool)
    bad[48, 51] = bad[10, 10] = True
    probe[bad] = 6e4
    hot = measure_disk(probe, bad)
    assert hot.centre_px == pytest.approx(clean.centre_px, abs=0.02)
    assert hot.radius_px == pytest.approx(clean.radius_px, abs=0.02)
