"""The detector finds disks where they are, whatever the data look like."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from ronchi.api import DataError

SHAPES = [(128, 128), (96, 96), (127, 101), (130, 97), (64, 160)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("refine", ["parabola", "correlation", "likelihood"])
def test_noise_free_disks_are_found_without_bias_on_even_and_odd_frames(
    scene: SimpleNamespace, shape: tuple[int, int], refine: str
) -> None:
    sites = scene.lattice(shape, 17.3, 7)
    frame = scene.disks(shape, sites, 4.0, 1e5, background=1.0)
    detector = scene.make_detector(shape, scene.probe(shape, 4.0), refine=refine)
    error, missed, false = scene.pair(scene.positions(detector.detect(frame[None])), sites)
    assert (missed, false) == (0, 0)
    assert np.abs(error.mean(0)).max() < 0.02
    assert np.sqrt((error**2).sum(1).mean()) < {"parabola": 0.1, "correlation": 0.05, "likelihood": 0.02}[refine]


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
    np.testing.assert_allclose(scene.positions(found), scene.positions(expected), atol=1e-4)


def test_dark_subtracted_counts_below_zero_are_fine(scene: SimpleNamespace) -> None:
    shape, rng = (96, 96), np.random.default_rng(2)
    sites = scene.lattice(shape, 15.0, 7)
    clean = scene.disks(shape, sites, 4.0, 5000.0)
    frame = np.rint(rng.poisson(clean) + rng.normal(0, 3, shape)).astype(np.int16)
    assert frame.min() < 0
    detector = scene.make_detector(shape, scene.probe(shape, 4.0))
    error, missed, false = scene.pair(scene.positions(detector.detect(frame[None])), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.2


@pytest.mark.parametrize("radius", [3.0, 5.0, 12.0])
def test_disks_that_all_but_touch_are_found(scene: SimpleNamespace, radius: float) -> None:
    """Nine tenths of the background ring lie in neighbours; their light is neither background nor noise."""
    shape = (int(22 * radius),) * 2
    sites = scene.lattice(shape, 2.2 * radius, radius + 2)
    frames = np.random.default_rng(20).poisson(scene.disks(shape, sites, radius, 3000.0, 0.5), (4, *shape))
    batch = scene.make_detector(shape, scene.probe(shape, radius)).detect(frames.astype(np.uint16))
    found = scene.positions(batch)[: batch.counts[0]]
    error, missed, false = scene.pair(found, sites)
    assert false == 0
    assert missed <= 0.02 * len(sites)
    assert np.sqrt((error**2).sum(1).mean()) < 0.02 * radius


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


@pytest.mark.parametrize(("size", "radius"), [(127, 9.0), (256, 13.0), (256, 14.0)])
def test_rows_that_fill_no_block_of_the_search_make_no_disks(scene: SimpleNamespace, size: int, radius: float) -> None:
    shape, rng = (size, size), np.random.default_rng(32)
    detector = scene.make_detector(shape, scene.probe(shape, radius))
    assert detector.detect(rng.poisson(50.0, (5, *shape)).astype(np.uint16)).counts.sum() <= 1
    # One that just keeps its distance from the edge is found all the same.
    last = np.array([[size - 1.5 - radius, size - 1.5 - radius]])
    frames = rng.poisson(scene.disks(shape, last, radius, 40000.0, 5.0), (3, *shape))
    found = scene.positions(detector.detect(frames.astype(np.uint16)))
    assert len(found) == 3
    assert np.abs(found - last).max() < 0.2


def test_a_disk_at_one_edge_neither_appears_nor_pulls_at_the_other(scene: SimpleNamespace) -> None:
    shape = (96, 96)
    inner = np.array([[48.2, 87.7]])
    cut = np.array([[48.2, -1.0]])
    detector = scene.make_detector(shape, scene.probe(shape, 4.0))
    alone = detector.detect(scene.disks(shape, inner, 4.0, 1e4, 0.1)[None])
    both = detector.detect((scene.disks(shape, inner, 4.0, 1e4, 0.1) + scene.disks(shape, cut, 4.0, 1e6))[None])
    assert alone.counts.tolist() == both.counts.tolist() == [1]
    np.testing.assert_allclose(scene.positions(both), scene.positions(alone), atol=0.02)


def test_half_disks_at_the_edge_are_found_on_request_without_ghosts(scene: SimpleNamespace) -> None:
    shape = (96, 96)
    site = np.array([[48.0, 1.0]])
    frame = scene.disks(shape, site, 4.0, 1e5)[None]
    probe = scene.probe(shape, 4.0)
    assert scene.make_detector(shape, probe).detect(frame).counts.sum() == 0
    found = scene.positions(scene.make_detector(shape, probe, edge=0.2).detect(frame))
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
    distance = np.hypot(*(scene.positions(batch)[:, None] - sites[None]).transpose(2, 0, 1)).min(1)
    assert (batch.counts >= 0.9 * len(sites)).all()
    assert (batch.counts <= len(sites)).all()
    assert np.sqrt((distance**2).mean()) < tolerance_px


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


def test_frames_are_not_written_to(scene: SimpleNamespace) -> None:
    frames = np.random.default_rng(13).poisson(3.0, (4, 64, 64)).astype(np.float32)
    frames.setflags(write=False)
    scene.make_detector((64, 64), scene.probe((64, 64), 3.0)).detect(frames)


def test_patterns_of_another_shape_are_refused(scene: SimpleNamespace) -> None:
    with pytest.raises(DataError, match="prepared for"):
        scene.make_detector((64, 64), scene.probe((64, 64), 3.0)).detect(np.ones((2, 64, 65)))
