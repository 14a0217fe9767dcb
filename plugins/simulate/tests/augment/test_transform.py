"""The transform: one instrument a scan, each position's own noise, lazy, and the peaks follow."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

import ronchi
from ronchi.api import Context, DataError, Result
from ronchi.apply import apply
from ronchi.builtin.disks import disk_scan
from ronchi.schema import fourd, peaks
from ronchi_simulate.augment.transform import Augment
from ronchi_simulate.params.augment import AugmentParams


def scan(**changes: Any) -> Result:
    """Six noise-free patterns of 20000 electrons with their truth."""
    told = {"scan_shape": (2, 3), "pattern_shape": (80, 72), "noise": False, "background_fraction": 0.0, "e_xx": 0.0}
    return disk_scan(np.random.default_rng(0), **{**told, **changes})


def augmented(made: Result, seed: int = 1, **params: Any) -> Result:
    transform = Augment(AugmentParams.model_validate(params))
    given = made.data
    return transform.apply(data=given, peaks=made.sides["truth_peaks"], ctx=Context(rng=np.random.default_rng(seed)))


def test_it_is_lazy_and_reading_twice_gives_the_same() -> None:
    made = scan()
    result = augmented(made)
    assert result.data["intensity"].chunks is not None
    assert result.data["intensity"].dtype == np.float32
    first, again = result.data["intensity"].values, augmented(made).data["intensity"].values
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, augmented(made, seed=2).data["intensity"].values)


def test_blocks_do_not_matter() -> None:
    made = scan()
    whole = augmented(made).data["intensity"].values
    chunked = Result(made.data.chunk({"scan_y": 1, "scan_x": 2}), made.sides)
    np.testing.assert_array_equal(augmented(chunked).data["intensity"].values, whole)


def test_nothing_changes_without_effects_and_nothing_is_edited() -> None:
    made = scan()
    kept = made.data["intensity"].values.copy()
    result = augmented(made, effects=())
    np.testing.assert_array_equal(result.data["intensity"].values, kept)
    np.testing.assert_array_equal(result.data["probe"].values, made.data["probe"].values)
    augmented(made).data.load()
    np.testing.assert_array_equal(made.data["intensity"].values, kept)


def test_peaks_follow_the_patterns_with_the_jitter_of_each() -> None:
    made = scan()
    result = augmented(made, effects=["ellipse", "scale", "shift", "jitter"], jitter_px=0.8)
    y, x = np.indices((80, 72))
    offsets = []
    for row in range(2):
        for column in range(3):
            at = peaks.at(result.sides["peaks"], row, column)
            direct = (at["h"].values == 0) & (at["k"].values == 0)
            py, px = (values[direct][0] for values in peaks.pixels(at))
            frame = result.data["intensity"].values[row, column].astype(float)
            near = np.hypot(y - py, x - px) < 7.5
            assert (frame * near * y).sum() / (frame * near).sum() == pytest.approx(py, abs=0.02)
            assert (frame * near * x).sum() / (frame * near).sum() == pytest.approx(px, abs=0.02)
            offsets.append((py, px))
    assert np.std(offsets, axis=0) == pytest.approx([0.8, 0.8], rel=0.7)  # six draws, seed 1


def test_covariances_follow_the_distortion_and_an_old_one_is_forgotten() -> None:
    """The scatter of a cloud of peaks is what they state, before and after."""
    made = scan(scan_shape=(1, 1))
    cloud = np.random.default_rng(5).multivariate_normal([0.1, -0.2], [[9e-4, -3e-4], [-3e-4, 4e-4]], 4000)
    given = peaks.make(
        counts=[4000], qy=cloud[:, 0], qx=cloud[:, 1], scan_shape=(1, 1), q_step=(0.02, 0.02), q_origin_px=(40, 36),
        q_shape=(80, 72), q_units="1/angstrom", attrs={"q_distortion": np.eye(2).ravel()},
        var_yy=np.full(4000, 9e-4), var_yx=np.full(4000, -3e-4), var_xx=np.full(4000, 4e-4),
    )  # fmt: skip
    moved = augmented(Result(made.data, {"truth_peaks": given}), effects=["ellipse"], ellipse_ratio=(1.5, 1.5))
    found = moved.sides["peaks"]
    stated = [float(found[name][0]) for name in ("var_yy", "var_yx", "var_xx")]
    scatter = np.cov(found["qy"].values, found["qx"].values)
    np.testing.assert_allclose(stated, scatter.ravel()[[0, 1, 3]], atol=0.05 * np.trace(scatter))  # 4000 peaks: 2 %
    assert abs(stated[0] / 9e-4 - 1) > 0.1
    assert not any(name.startswith("q_distortion") for name in found.attrs)


def test_peaks_say_which_disks_the_border_cuts_and_which_a_gap_hides() -> None:
    made = scan(scan_shape=(3, 4))
    result = augmented(made, effects=["ellipse", "shift", "gap"], ellipse_ratio=(1.3, 1.3), gap_probability=1)
    told, found = json.loads(result.data.attrs["augmented"]), result.sides["peaks"]
    angle = np.linspace(0, 2 * np.pi, 60)
    radius = fourd.disk_radius_px(made.data)
    rim = radius * np.array(told["matrix"]) @ np.stack([np.sin(angle), np.cos(angle)])
    hidden = np.pad(result.data["bad_pixel"].values.astype(bool), 40)
    flags, places = found["flags"].values, np.stack(peaks.pixels(found), 1)
    for flag, place in zip(flags, places, strict=True):
        at = place + rim.T
        beyond = ((at < -0.5) | (at > np.array([79.5, 71.5]))).any()
        assert not beyond or flag & 1
        # The rim alone of 60 points, and it may pass between pixels.
        if hidden[tuple(np.rint(place[:, None] + 0.9 * rim).astype(int) + 40)].any():
            assert flag & 8
    assert 0.05 < np.mean(flags & 1 > 0) < 0.5
    assert 0.05 < np.mean(flags & 8 > 0) < 0.7


def test_peaks_that_left_the_detector_are_gone() -> None:
    made = scan()
    result = augmented(made, effects=["shift", "scale"], shift_px=20, scale=(1.3, 1.3))
    at, before = result.sides["peaks"], made.sides["truth_peaks"]
    assert at.sizes["peak"] < before.sizes["peak"]
    assert int(at["n_peaks"].sum()) == at.sizes["peak"]
    rows, columns = peaks.pixels(at)
    assert ((rows > -0.5) & (rows < 79.5) & (columns > -0.5) & (columns < 71.5)).all()
    empty = before.isel(peak=slice(0, 0)).assign(n_peaks=before["n_peaks"] * 0)
    moved = augmented(Result(made.data, {"truth_peaks": empty}), effects=["shift"]).sides["peaks"]
    assert moved.sizes["peak"] == 0


def test_dose_contrast_and_calibration() -> None:
    made = scan(scan_shape=(4, 4))
    dim = made.data.assign(intensity=made.data["intensity"] * np.linspace(0.5, 1.5, 16).reshape(4, 4)[..., None, None])
    dim["intensity"].attrs = made.data["intensity"].attrs
    dim["intensity"] = dim["intensity"].astype(np.float32)
    result = augmented(Result(dim, made.sides), effects=["dose"], dose_e=(1e5, 1e5))
    counts = result.data["intensity"].sum(("qy", "qx")).values
    np.testing.assert_array_equal(counts, counts.round())
    assert counts.mean() == pytest.approx(1e5, rel=0.005)  # 16 patterns of 1e5: 0.08 %
    assert counts.max() / counts.min() == pytest.approx(3, rel=0.05)
    assert result.data.attrs["dose"] == pytest.approx(1e5)
    assert fourd.q_step(result.data) == fourd.q_step(made.data)
    ratio = float(result.data["probe"].sum() / made.data["probe"].sum())
    assert ratio == pytest.approx(1e5 / float(made.data["intensity"].sum(("qy", "qx")).mean()), rel=0.01)


def test_bad_pixels_are_the_same_all_over_the_scan_and_marked() -> None:
    result = augmented(
        scan(), effects=["gap", "hot", "dead", "dose"], gap_probability=1, hot_fraction=(2e-3, 2e-3), dose_e=(1e6, 1e6)
    )
    bad = result.data["bad_pixel"].values.astype(bool)
    clean = augmented(scan(), effects=["dose"], dose_e=(1e6, 1e6)).data["intensity"].values
    frames = result.data["intensity"].values
    assert 0 < bad.sum() < 0.2 * bad.size
    assert (frames[..., bad] == 0).all((0, 1)).sum() > 72
    hot = (frames[..., bad].min((0, 1)) > 0.1 * clean.mean((0, 1)).max()).sum()
    assert 8 <= hot <= round(2e-3 * 80 * 72)


def test_what_was_drawn_is_told_and_old_distortion_is_not() -> None:
    made = scan()
    data = made.data.assign_attrs(q_distortion=np.eye(2).ravel(), q_distortion_source="before")
    result = augmented(Result(data, made.sides), effects=["ellipse", "dose"], ellipse_ratio=(1.08, 1.08))
    told = json.loads(result.data.attrs["augmented"])
    low, high = np.linalg.eigvalsh(told["matrix"])
    assert high / low == pytest.approx(1.08, abs=1e-5)
    assert told["dose_e"] == pytest.approx(result.data.attrs["dose"], rel=1e-6)
    assert not any(name.startswith("q_distortion") for name in result.data.attrs)
    assert "dose_e" not in json.loads(augmented(made, effects=[]).data.attrs["augmented"])


def test_the_catalog_lends_the_same_object_to_training() -> None:
    from ronchi.manager import get_manager

    lent = get_manager().create("transform", "augment", {"effects": ["dose"], "dose_e": [1e3, 1e3]})
    made = lent.augment_batch({"pattern": torch.rand(2, 16, 16)}, seeds=[1, 2])
    assert made["dose_e"].tolist() == [1e3, 1e3]


def test_as_a_step() -> None:
    made = scan()
    result = apply("transform", "augment", {}, {"data": made.data, "peaks": made.sides["truth_peaks"]}, seed=3)
    assert result.data["intensity"].dims == fourd.DIMS
    assert result.sides["peaks"].attrs["is_truth"] == 1
    assert "augment" in ronchi.algorithms("transform")


def test_what_it_cannot_do_is_refused() -> None:
    made = scan()
    with pytest.raises(DataError, match="probe"):
        augmented(Result(made.data.drop_vars("probe"), made.sides))
    with pytest.raises(DataError, match="bad pixels"):
        augmented(augmented(made, gap_probability=1) and Result(augmented(made, gap_probability=1).data, made.sides))
    with pytest.raises(DataError, match="no counts"):
        augmented(Result(made.data.assign(intensity=made.data["intensity"] * np.float32(0)).assign(
            intensity=lambda d: d["intensity"].assign_attrs(made.data["intensity"].attrs)), made.sides))  # fmt: skip
    dark = made.data["intensity"].astype(np.float32).copy(deep=True)
    dark[1, 1, 3, 3] = -2.0
    darkened = Result(made.data.assign(intensity=dark), made.sides)
    with pytest.raises(DataError, match="negative or missing values"):
        augmented(darkened).data["intensity"].load()
    assert np.isfinite(augmented(darkened, effects=("shift",)).data["intensity"]).all()
