"""The detector finds disks where they are, whatever the data look like."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ronchi.api import Context, DataError, Geometry

SHAPES = [(128, 128), (96, 96), (127, 101), (130, 97), (64, 160)]


def positions(batch: Any) -> np.ndarray:
    return np.stack([batch.qy_px, batch.qx_px], 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("refine", ["parabola", "correlation", "likelihood"])
def test_noise_free_disks_are_found_without_bias_on_even_and_odd_frames(
    scene: SimpleNamespace, shape: tuple[int, int], refine: str
) -> None:
    sites = scene.lattice(shape, 17.3, 7)
    frame = scene.disks(shape, sites, 4.0, 1e5, background=1.0)
    detector = scene.make_detector(shape, scene.probe(shape, 4.0), refine=refine)
    error, missed, false = scene.pair(positions(detector.detect(frame[None])), sites)
    assert (missed, false) == (0, 0)
    assert np.abs(error.mean(0)).max() < 0.02
    assert np.sqrt((error**2).sum(1).mean()) < {"parabola": 0.1, "correlation": 0.05, "likelihood": 0.02}[refine]


@pytest.mark.parametrize("centre", [(64.0, 64.0), (63.6, 64.3), (20.2, 90.7)])
def test_place_of_the_probe_in_its_frame_does_not_shift_the_answer(
    scene: SimpleNamespace, centre: tuple[float, float]
) -> None:
    shape = (128, 128)
    sites = scene.lattice(shape, 21.0, 9)
    frame = scene.disks(shape, sites, 5.0, 1e6, background=0.5)
    batch = scene.make_detector(shape, scene.probe(shape, 5.0, centre)).detect(frame[None])
    error, missed, false = scene.pair(positions(batch), sites)
    assert (missed, false) == (0, 0)
    assert np.abs(error.mean(0)).max() < 0.02


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">i4", ">f4", ">f8"])
@pytest.mark.parametrize("radius", [4.0, 9.0])
def test_answer_does_not_depend_on_the_type_of_the_data(scene: SimpleNamespace, dtype: str, radius: float) -> None:
    shape, rng = (128, 126), np.random.default_rng(1)
    sites = scene.lattice(shape, 4.4 * radius, 2 * radius)
    frames = np.minimum(rng.poisson(np.stack([scene.disks(shape, sites, radius, 60 * radius**2, 1.0)] * 3)), 255)
    detector = scene.make_detector(shape, scene.probe(shape, radius), counts_per_electron=1.0)
    expected, found = detector.detect(frames.astype("f4")), detector.detect(frames.astype(dtype))
    assert expected.counts.sum() == 3 * len(sites)
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_allclose(positions(found), positions(expected), atol=1e-4)


def test_dark_subtracted_counts_below_zero_are_fine(scene: SimpleNamespace) -> None:
    shape, rng = (96, 96), np.random.default_rng(2)
    sites = scene.lattice(shape, 15.0, 7)
    clean = scene.disks(shape, sites, 4.0, 5000.0)
    frame = np.rint(rng.poisson(clean) + rng.normal(0, 3, shape)).astype(np.int16)
    assert frame.min() < 0
    detector = scene.make_detector(shape, scene.probe(shape, 4.0))
    error, missed, false = scene.pair(positions(detector.detect(frame[None])), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.2


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
        error, m, f = scene.pair(positions(batch)[part], sites)
        missed, false = missed + m, false + f
        if m == f == 0:
            variance = np.stack([batch.var_yy, batch.var_xx], 1)[part]
            z.append(error / np.sqrt(variance))
        start += count
    assert missed <= 0.002 * n * len(sites)
    assert false <= 0.002 * n * len(sites)
    # Seed 3, some hundreds of disks: a standard deviation of 1 is known to 5 %; the approximation is good to 30 %.
    assert 0.7 < np.concatenate(z).std() < 1.3


@pytest.mark.parametrize("radius", [3.0, 5.0, 12.0])
def test_disks_that_all_but_touch_are_found(scene: SimpleNamespace, radius: float) -> None:
    """Nine tenths of the background ring lie in neighbours; their light is neither background nor noise."""
    shape = (int(22 * radius),) * 2
    sites = scene.lattice(shape, 2.2 * radius, radius + 2)
    frames = np.random.default_rng(20).poisson(scene.disks(shape, sites, radius, 3000.0, 0.5), (4, *shape))
    batch = scene.make_detector(shape, scene.probe(shape, radius)).detect(frames.astype(np.uint16))
    found = positions(batch)[: batch.counts[0]]
    error, missed, false = scene.pair(found, sites)
    assert false == 0
    assert missed <= 0.02 * len(sites)
    assert np.sqrt((error**2).sum(1).mean()) < 0.02 * radius


def test_likelihood_is_the_most_accurate_and_the_parabola_the_least(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(14)
    sites = scene.lattice(shape, 21.0, 10)
    frames = rng.poisson(scene.disks(shape, sites, 5.0, 500.0, 0.05), (20, *shape)).astype(np.uint16)
    rms = []
    for refine in ("parabola", "correlation", "likelihood"):
        batch = scene.make_detector(shape, scene.probe(shape, 5.0), refine=refine).detect(frames)
        assert (batch.counts == len(sites)).all()
        nearest = np.hypot(*(positions(batch)[:, None] - sites[None]).transpose(2, 0, 1)).min(1)
        rms.append(np.sqrt((nearest**2).mean()))
    # Seed 14, some 500 disks: each rms is known to 3 %.
    assert rms[0] > rms[1] > 1.1 * rms[2]
    # Cramer-Rao bound of a disk with a logistic edge of scale a = 0.35 px on no background: 2 a r / N an axis.
    bound = np.sqrt(2 * 2 * 0.35 * 5.0 / 500.0)
    assert rms[2] < 1.25 * bound


def test_disks_beyond_the_cap_are_left_out_with_a_warning(
    scene: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    def warned() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    shape = (96, 96)
    sites = scene.lattice(shape, 15.0, 7)
    frames = np.stack([scene.disks(shape, sites, 4.0, np.linspace(1e4, 5e4, len(sites)))] * 2)
    scene.make_detector(shape, scene.probe(shape, 4.0), max_peaks=len(sites) + 1).detect(frames)
    assert not warned()
    detector = scene.make_detector(shape, scene.probe(shape, 4.0), max_peaks=10)
    batch = detector.detect(frames)
    detector.detect(frames)
    assert batch.counts.tolist() == [10, 10]
    assert batch.intensity.min() > 5e4 - 4e4 * 12 / len(sites)
    (message,) = warned()
    assert "max_peaks = 10" in message


def test_intensity_is_the_disks_counts_above_background(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(4)
    sites = scene.lattice(shape, 24.0, 12)
    counts = np.linspace(500, 5000, len(sites))
    frames = rng.poisson(scene.disks(shape, sites, 5.0, counts, 2.0), (40, *shape))
    batch = scene.make_detector(shape, scene.probe(shape, 5.0)).detect(frames)
    assert (batch.counts == len(sites)).all()
    distance = np.hypot(*(positions(batch)[:, None] - sites[None]).transpose(2, 0, 1))
    nearest = distance.argmin(1)
    mean = np.array([batch.intensity[nearest == k].mean() for k in range(len(sites))])
    np.testing.assert_allclose(mean, counts, rtol=0.06)
    expected = counts / np.sqrt(counts + 2.0 * np.pi * 5.0**2)
    score = np.array([batch.score[nearest == k].mean() for k in range(len(sites))])
    # The background is measured, too: never better than the ideal, nor much worse.
    assert (score < 1.05 * expected).all()
    assert (score > 0.7 * expected).all()


def test_answer_does_not_depend_on_the_size_of_the_block(scene: SimpleNamespace) -> None:
    shape, rng = (96, 96), np.random.default_rng(5)
    frames = rng.poisson(scene.disks(shape, scene.lattice(shape, 14.0, 6), 3.0, 400.0, 0.2), (23, *shape)).astype(
        np.uint16
    )
    detector = scene.make_detector(shape, scene.probe(shape, 3.0))
    whole = detector.detect(frames)
    parts = [detector.detect(frames[i : i + 7]) for i in range(0, 23, 7)]
    np.testing.assert_array_equal(whole.counts, np.concatenate([p.counts for p in parts]))
    for name in ("qy_px", "qx_px", "intensity", "score", "var_yy", "flags"):
        np.testing.assert_array_equal(getattr(whole, name), np.concatenate([getattr(p, name) for p in parts]))


def test_no_patterns_give_no_peaks(scene: SimpleNamespace) -> None:
    batch = scene.make_detector((64, 64), scene.probe((64, 64), 3.0)).detect(np.empty((0, 64, 64), np.uint8))
    assert batch.counts.shape == (0,)
    assert batch.qy_px.shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("radius", [3.0, 9.0])
def test_nan_is_refused_naming_the_frame(scene: SimpleNamespace, value: float, radius: float) -> None:
    frames = np.ones((30, 64, 64), np.float32)
    frames[21, 3, 60] = value
    with pytest.raises(DataError, match="frame 21"):
        scene.make_detector((64, 64), scene.probe((64, 64), radius)).detect(frames)


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
    error, _missed, false = scene.pair(positions(batch), sites)
    assert false == 0
    clear = batch.flags & 8 == 0
    assert 0 < clear.sum() < len(clear)
    assert len(error) >= 0.8 * len(sites)


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
    error, missed, false = scene.pair(positions(batch), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.1  # seed 21; 0.05 with a whole probe, 0.5 and more if it is spoilt


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
    found, variance = positions(batch), np.stack([batch.var_yy, batch.var_xx], 1)
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
    own = np.hypot(*(positions(batch) - site).T) < 1
    assert own.sum() == 10
    assert (~own).sum() <= 2
    z = (positions(batch) - site)[own] / np.sqrt(np.stack([batch.var_yy, batch.var_xx], 1))[own]
    assert 0.6 < np.sqrt((z**2).mean()) < 1.4  # seed 33; 20 errors


@pytest.mark.parametrize(("size", "radius"), [(127, 9.0), (256, 13.0), (256, 14.0)])
def test_rows_that_fill_no_block_of_the_search_make_no_disks(scene: SimpleNamespace, size: int, radius: float) -> None:
    shape, rng = (size, size), np.random.default_rng(32)
    detector = scene.make_detector(shape, scene.probe(shape, radius))
    assert detector.detect(rng.poisson(50.0, (5, *shape)).astype(np.uint16)).counts.sum() <= 1
    # One that just keeps its distance from the edge is found all the same.
    last = np.array([[size - 1.5 - radius, size - 1.5 - radius]])
    frames = rng.poisson(scene.disks(shape, last, radius, 40000.0, 5.0), (3, *shape))
    found = positions(detector.detect(frames.astype(np.uint16)))
    assert len(found) == 3
    assert np.abs(found - last).max() < 0.2


def test_hot_pixels_under_the_mask_are_no_disks(scene: SimpleNamespace) -> None:
    shape, rng = (96, 96), np.random.default_rng(8)
    sites = scene.lattice(shape, 20.0, 8)
    bad = rng.random(shape) < 0.01
    frame = rng.poisson(scene.disks(shape, sites, 4.0, 3000.0, 1.0)).astype(np.uint16)
    frame[bad] = 65535
    batch = scene.make_detector(shape, scene.probe(shape, 4.0), bad_pixel=bad).detect(frame[None])
    error, missed, false = scene.pair(positions(batch), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.15


def test_a_disk_at_one_edge_neither_appears_nor_pulls_at_the_other(scene: SimpleNamespace) -> None:
    shape = (96, 96)
    inner = np.array([[48.2, 87.7]])
    cut = np.array([[48.2, -1.0]])
    detector = scene.make_detector(shape, scene.probe(shape, 4.0))
    alone = detector.detect(scene.disks(shape, inner, 4.0, 1e4, 0.1)[None])
    both = detector.detect((scene.disks(shape, inner, 4.0, 1e4, 0.1) + scene.disks(shape, cut, 4.0, 1e6))[None])
    assert alone.counts.tolist() == both.counts.tolist() == [1]
    np.testing.assert_allclose(positions(both), positions(alone), atol=0.02)


def test_half_disks_at_the_edge_are_found_on_request_without_ghosts(scene: SimpleNamespace) -> None:
    shape = (96, 96)
    site = np.array([[48.0, 1.0]])
    frame = scene.disks(shape, site, 4.0, 1e5)[None]
    probe = scene.probe(shape, 4.0)
    assert scene.make_detector(shape, probe).detect(frame).counts.sum() == 0
    found = positions(scene.make_detector(shape, probe, edge=0.2).detect(frame))
    assert len(found) == 1
    assert np.hypot(*(found - site)[0]) < 1.5


@pytest.mark.parametrize(("mode", "low_pass", "tolerance_px"), [("phase", 0.4, 2.0), ("hybrid", 0.2, 0.2)])
def test_other_correlations_find_the_same_disks(
    scene: SimpleNamespace, mode: str, low_pass: float, tolerance_px: float
) -> None:
    shape, rng = (128, 128), np.random.default_rng(9)
    sites = scene.lattice(shape, 21.0, 9)
    frames = rng.poisson(scene.disks(shape, sites, 5.0, 4000.0, 0.1), (4, *shape))
    batch = scene.make_detector(shape, scene.probe(shape, 5.0), mode=mode, low_pass=low_pass).detect(frames)
    distance = np.hypot(*(positions(batch)[:, None] - sites[None]).transpose(2, 0, 1)).min(1)
    assert (batch.counts >= 0.9 * len(sites)).all()
    assert (batch.counts <= len(sites)).all()
    assert np.sqrt((distance**2).mean()) < tolerance_px


@pytest.mark.parametrize("template", ["measured", "disk", "edge", "radial-gradient"])
@pytest.mark.parametrize("high_pass", [0.0, 3.0])
def test_every_template_finds_the_disks_where_they_are(scene: SimpleNamespace, template: str, high_pass: float) -> None:
    shape, rng = (128, 127), np.random.default_rng(10)
    sites = scene.lattice(shape, 21.0, 10)
    frame = rng.poisson(scene.disks(shape, sites, 5.0, 1e4, 0.1))
    detector = scene.make_detector(shape, scene.probe(shape, 5.0), template=template, high_pass=high_pass)
    error, missed, false = scene.pair(positions(detector.detect(frame[None])), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.15


def test_candidates_are_all_accounted_for(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(11)
    sites = scene.lattice(shape, 21.0, 2)
    frames = rng.poisson(scene.disks(shape, sites, 5.0, 10 ** rng.uniform(1, 4, len(sites)), 0.3), (5, *shape))
    detector = scene.make_detector(
        shape, scene.probe(shape, 5.0), max_peaks=12, min_relative=0.01, refine="correlation"
    )
    found, told = detector.detect(frames), detector.explain(frames)
    assert told["counts"].sum() == len(told["reason"]) == len(told["qy_px"])
    names = np.array(detector.reason_names)[told["reason"]]
    assert (names == "accepted").sum() == found.counts.sum()
    accepted = told["reason"] == 0
    np.testing.assert_array_equal(told["qy_px"][accepted], found.qy_px)
    assert {"accepted", "edge", "weak", "over-cap"} <= set(names)


def test_without_a_probe_the_radius_comes_from_the_mean_pattern(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(12)
    sites = scene.lattice(shape, 21.0, 9)
    counts = np.where(np.hypot(*(sites - 64).T) < 5, 1e5, 3e3)
    clean = scene.disks(shape, sites, 5.0, counts, 0.1)
    detector = scene.make_detector(shape, mean_pattern=clean.astype(np.float32))
    assert abs(detector.shape.radius_px - 5.0) < 0.2
    error, missed, false = scene.pair(positions(detector.detect(rng.poisson(clean)[None])), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.2


def test_calibration_alone_gives_the_radius(scene: SimpleNamespace) -> None:
    geometry = Geometry(
        shape=(96, 96), centre_px=(48, 48), q_step=(0.0315, 0.0315), q_units="1/angstrom",
        beam_energy_eV=200e3, semiangle_mrad=1.7,
    )  # fmt: skip
    detector = scene.make_detector((96, 96), scene.probe((96, 96), 3.0))
    detector.prepare(geometry, None, Context(rng=np.random.default_rng(0)))
    assert abs(detector.shape.radius_px - 2.15) < 0.02


def test_unknown_or_impossible_radius_is_refused(scene: SimpleNamespace) -> None:
    with pytest.raises(DataError, match="size of the disks is unknown"):
        scene.make_detector((64, 64))
    with pytest.raises(DataError, match="does not fit"):
        scene.make_detector((64, 64), probe_radius_px=40.0)
    with pytest.raises(DataError, match="constant"):
        scene.make_detector((64, 64), np.ones((64, 64), np.float32))
    with pytest.raises(DataError, match="measured"):
        scene.make_detector((64, 64), template="measured", probe_radius_px=4.0)


def test_frames_are_not_written_to(scene: SimpleNamespace) -> None:
    frames = np.random.default_rng(13).poisson(3.0, (4, 64, 64)).astype(np.float32)
    frames.setflags(write=False)
    scene.make_detector((64, 64), scene.probe((64, 64), 3.0)).detect(frames)


def test_patterns_of_another_shape_are_refused(scene: SimpleNamespace) -> None:
    with pytest.raises(DataError, match="prepared for"):
        scene.make_detector((64, 64), scene.probe((64, 64), 3.0)).detect(np.ones((2, 64, 65)))
