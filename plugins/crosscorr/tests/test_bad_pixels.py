"""Bad pixels and beam stops hide disks, but make none and move none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ronchi.api import DataError


def test_nan_under_the_mask_is_allowed_and_gaps_make_no_disks(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(7)
    sites = scene.lattice(shape, 21.0, 9)
    frame = rng.poisson(scene.disks(shape, sites, 5.0, 3000.0, 1.0)).astype(np.float32)
    bad = np.zeros(shape, bool)
    bad[62:65] = True
    bad[:, 40:42] = True
    bad[10, 100] = True
    frame[bad] = np.nan
    batch = scene.make_detector(shape, scene.probe(shape, 5.0), bad_pixel=bad).detect(frame[None])
    error, _missed, false = scene.pair(scene.positions(batch), sites)
    assert false == 0
    clear = batch.flags & 8 == 0
    assert 0 < clear.sum() < len(clear)
    assert len(error) >= 0.8 * len(sites)


def test_a_mask_of_another_shape_is_refused(scene: SimpleNamespace) -> None:
    with pytest.raises(DataError, match=r"mask has shape \(64, 64\)"):
        scene.make_detector((96, 96), scene.probe((96, 96), 4.0), bad_pixel=np.zeros((64, 64), bool))


def test_a_beam_stop_does_not_erase_the_probe_of_another_recording(scene: SimpleNamespace) -> None:
    shape = (96, 96)
    bad = np.zeros(shape, bool)
    bad[36:60, 36:60] = True
    sites = np.array([[20.3, 21.1], [70.8, 30.2]])
    frame = np.where(bad, 0.0, scene.disks(shape, sites, 4.0, 1e4, 0.5))
    detector = scene.make_detector(shape, scene.probe(shape, 4.0), bad_pixel=bad)
    assert abs(detector.shape.radius_px - 4.0) < 0.05
    assert detector.detect(frame[None]).counts.tolist() == [2]


@pytest.mark.parametrize("value", [0.0, 1e7, np.nan])
@pytest.mark.parametrize("source", ["probe", "mean_pattern"])
def test_bad_pixels_of_the_probe_do_not_spoil_the_template(scene: SimpleNamespace, value: float, source: str) -> None:
    shape = (128, 128)
    sites = scene.lattice(shape, 21.0, 9)
    bad = np.zeros(shape, bool)
    bad[65, 66] = bad[62] = bad[20, 20] = True
    frame = np.random.default_rng(21).poisson(scene.disks(shape, sites, 5.0, 3000.0, 0.5))
    broken = np.where(bad, value, scene.probe(shape, 5.0))
    probe, more = (broken, {}) if source == "probe" else (None, {"mean_pattern": broken})
    batch = scene.make_detector(shape, probe, bad_pixel=bad, **more).detect(frame[None])
    error, missed, false = scene.pair(scene.positions(batch), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.1  # seed 21; 0.05 with a whole probe, 0.5 and more if it is spoilt


@pytest.mark.parametrize("mask", ["corners", "quadrant", "third"])
def test_a_large_mask_leaves_errors_honest_and_makes_no_disks(scene: SimpleNamespace, mask: str) -> None:
    shape = (128, 128)
    y, x = np.mgrid[:128, :128]
    bad = {"corners": np.hypot(y - 64, x - 64) > 62, "quadrant": (y < 64) & (x < 64), "third": x < 44}[mask]
    sites = scene.lattice(shape, 24.0, 12)
    clear = sites[[not bad[np.hypot(y - cy, x - cx) < 10].any() for cy, cx in sites]]
    noisy = np.random.default_rng(30).poisson(scene.disks(shape, sites, 5.0, 1000.0, 1.0), (10, *shape))
    noisy[:, bad] = 0
    detector = scene.make_detector(shape, scene.probe((100, 100), 5.0), bad_pixel=bad)
    batch = detector.detect(noisy.astype(np.uint16))
    found, variance = scene.positions(batch), np.stack([batch.var_yy, batch.var_xx], 1)
    distance = np.hypot(*(found[:, None] - clear).transpose(2, 0, 1))
    own = distance.min(1) < 2
    assert own.sum() == 10 * len(clear)
    z = (found - clear[distance.argmin(1)])[own] / np.sqrt(variance[own])
    assert 0.8 < np.sqrt((z**2).mean()) < 1.2  # seed 30; 200 errors and more
    plain = np.random.default_rng(31).poisson(1.0, (10, *shape))
    plain[:, bad] = 0
    assert detector.detect(plain.astype(np.uint16)).counts.sum() <= 3


@pytest.mark.parametrize("width", [3, 8, 20, 60])
@pytest.mark.parametrize("radius", [5.0, 8.0])
def test_a_disk_of_which_a_beam_stop_hides_a_fifth_is_found_where_it_is(
    scene: SimpleNamespace, width: int, radius: float
) -> None:
    shape, site = (128, 128), np.array([[60.3, 40.2]])
    left = round(40.2 + 0.5 * radius)
    bad = np.zeros(shape, bool)
    bad[:, left : left + width] = True
    frames = np.random.default_rng(33).poisson(scene.disks(shape, site, radius, 5000.0, 0.5), (10, *shape))
    frames[:, bad] = 0
    batch = scene.make_detector(shape, scene.probe((100, 100), radius), bad_pixel=bad).detect(frames)
    own = np.hypot(*(scene.positions(batch) - site).T) < 1
    assert own.sum() == 10
    assert (~own).sum() <= 2
    z = (scene.positions(batch) - site)[own] / np.sqrt(np.stack([batch.var_yy, batch.var_xx], 1))[own]
    assert 0.6 < np.sqrt((z**2).mean()) < 1.4  # seed 33; 20 errors


def test_hot_pixels_under_the_mask_are_no_disks(scene: SimpleNamespace) -> None:
    shape, rng = (96, 96), np.random.default_rng(8)
    sites = scene.lattice(shape, 20.0, 8)
    bad = rng.random(shape) < 0.01
    frame = rng.poisson(scene.disks(shape, sites, 4.0, 3000.0, 1.0)).astype(np.uint16)
    frame[bad] = 65535
    batch = scene.make_detector(shape, scene.probe(shape, 4.0), bad_pixel=bad).detect(frame[None])
    error, missed, false = scene.pair(scene.positions(batch), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.15
