"""Metrics: known errors give known figures."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.api import Context
from ronchi.builtin.disks import disk_scan
from ronchi.builtin.matching import match_one_to_one
from ronchi.builtin.metrics_peaks import Eq1, PeakF1, PeakRmse, eq1_accuracy
from ronchi.builtin.metrics_strain import StrainRmse
from ronchi.builtin.native import open_native
from ronchi.builtin.params_metrics import Eq1Params, PeakF1Params, PeakRmseParams, StrainRmseParams
from ronchi.errors import DataError
from ronchi.schema import peaks, strain
from ronchi.schema.common import variable

CTX = Context(rng=np.random.default_rng(0))


def strain_result(truth: xr.Dataset, errors: dict[str, Any], valid: Any = None, frame: str = "scan") -> xr.Dataset:
    shape = truth["e_xx"].shape
    good = np.ones(shape, bool) if valid is None else np.asarray(valid)
    values = {n: np.where(good, truth[n].values + errors.get(n, 0), np.nan) for n in strain.COMPONENTS}
    return strain.make(
        values, {n: np.full(shape, 0.01) for n in strain.COMPONENTS}, residual=np.zeros(shape), n_used=np.ones(shape),
        valid=good, residual_units="1/angstrom", frame=frame, reference="truth",
        coords={d: truth[d].variable for d in ("scan_y", "scan_x")},
    )  # fmt: skip


def strain_score(result: xr.Dataset, truth: xr.Dataset, **params: Any) -> dict[str, float]:
    return dict(StrainRmse(StrainRmseParams.model_validate(params)).score(result, truth, CTX))


@pytest.fixture
def scan_truth() -> xr.Dataset:
    return disk_scan(np.random.default_rng(0), scan_shape=(4, 16)).sides["truth"]


def test_strain_figures_of_a_known_error(scan_truth: xr.Dataset) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (4, 16))
    figures = strain_score(strain_result(scan_truth, {"e_xx": 0.002, "theta": noise}), scan_truth)
    assert figures["bias_e_xx"] == pytest.approx(0.002)
    assert figures["rms_e_xx"] == pytest.approx(0.002)
    assert figures["mad_e_xx"] == pytest.approx(0, abs=1e-9)
    assert figures["rms_e_yy"] == 0
    assert figures["rms_theta"] == pytest.approx(np.sqrt((noise**2).mean()))
    # 64 normal errors: a standard deviation is known to 9 %, its robust estimate to 15 %.
    assert figures["mad_theta"] == pytest.approx(0.01, rel=0.35)
    assert figures["z_theta"] == pytest.approx(1, rel=0.3)
    assert (figures["coverage"], figures["n"]) == (1, 64)


def test_outliers_raise_the_rms_and_not_the_robust_spread(scan_truth: xr.Dataset) -> None:
    error = np.random.default_rng(1).normal(0, 1e-3, (4, 16))
    error[0, :4] += 0.5
    figures = strain_score(strain_result(scan_truth, {"e_xy": error}), scan_truth)
    assert figures["rms_e_xy"] > 0.1
    assert figures["mad_e_xy"] < 2e-3


def test_unfit_positions_lower_the_coverage_only(scan_truth: xr.Dataset) -> None:
    valid = np.arange(64).reshape(4, 16) % 4 > 0
    figures = strain_score(strain_result(scan_truth, {}, valid), scan_truth)
    assert figures["coverage"] == 0.75
    assert figures["rms_e_xx"] == 0
    nothing = strain_score(strain_result(scan_truth, {}, valid & False), scan_truth)
    assert nothing["coverage"] == 0
    assert np.isnan(nothing["rms_e_xx"])


def test_a_cropped_result_meets_its_part_of_the_truth(scan_truth: xr.Dataset) -> None:
    result = strain_result(scan_truth, {"e_xx": 0.001}).isel(scan_x=slice(3, 9))
    assert strain_score(result, scan_truth)["rms_e_xx"] == pytest.approx(0.001)
    elsewhere = result.assign_coords(scan_x=("scan_x", result["scan_x"].values + 4, result["scan_x"].attrs))
    with pytest.raises(DataError, match="no part of"):
        strain_score(elsewhere, scan_truth)


def test_scans_of_equal_size_at_other_places_are_not_compared(scan_truth: xr.Dataset) -> None:
    half = scan_truth.isel(scan_x=slice(0, 8))
    other = strain_result(scan_truth.isel(scan_x=slice(8, 16)), {})
    with pytest.raises(DataError, match=r"no part of that of the truth: along scan_x \[angstrom\], 8 positions"):
        strain_score(other, half)
    # Without a common unit, only the order of the positions can be compared.
    pixels = {dim: (dim, np.arange(other.sizes[dim], dtype=float), {"units": "pixel"}) for dim in ("scan_y", "scan_x")}
    assert strain_score(other.assign_coords(pixels), half)["n"] == 32
    with pytest.raises(DataError, match="8 positions along scan_x in pixel, that of the truth 16 in"):
        strain_score(other.assign_coords(pixels), scan_truth)


def test_truth_without_coordinates_is_compared_by_index(scan_truth: xr.Dataset) -> None:
    bare = scan_truth.drop_vars(["scan_y", "scan_x"])
    assert strain_score(strain_result(scan_truth, {"e_xx": 0.002}), bare)["rms_e_xx"] == pytest.approx(0.002)


def test_frames_must_agree(scan_truth: xr.Dataset) -> None:
    with pytest.raises(DataError, match="detector frame"):
        strain_score(strain_result(scan_truth, {}, frame="detector"), scan_truth)


def test_away_from_interfaces_and_probe_averaged(shared_data: Path) -> None:
    with open_native(shared_data / "sim" / "sige_onzone.nc").sides["truth"] as truth:
        truth.load()
    result = strain_result(truth, {})
    assert strain_score(result, truth)["rms_e_xx"] == 0
    blurred = strain_score(result, truth, probe_average=True)
    inner = strain_score(result, truth, probe_average=True, min_interface_distance_angstrom=8)
    assert blurred["rms_e_xx"] > 1e-3
    assert inner["rms_e_xx"] < 0.3 * blurred["rms_e_xx"]
    assert inner["n"] < blurred["n"] == 80
    with pytest.raises(DataError, match="dist_interface"):
        strain_score(result, truth.drop_vars("dist_interface"), min_interface_distance_angstrom=8)


# --- peaks ----------------------------------------------------------------------------------


def found_peaks(truth: xr.Dataset, keep: Any, shift_px: Any = 0.0, extra: int = 0) -> xr.Dataset:
    """True peaks that are kept, shifted, with ``extra`` false ones far off the detector at every position."""
    edges, step = peaks.offsets(truth), truth.attrs["q_step"]
    moved = np.stack([truth["qy"].values, truth["qx"].values], 1) + np.asarray(shift_px) * step
    rows, counts = [], []
    for n in range(truth.sizes["pos"]):
        index = np.arange(edges[n], edges[n + 1])
        kept = np.concatenate([moved[index[keep[index]]], 9.0 + np.arange(extra)[:, None] * [1.0, 1.0]])
        rows.append(kept)
        counts.append(len(kept))
    points = np.concatenate(rows)
    variance = np.full(len(points), 0.01 * step[0] ** 2)
    return peaks.make(
        counts=counts, qy=points[:, 0], qx=points[:, 1], scan_shape=tuple(truth.attrs["scan_shape"]),
        q_step=tuple(step), q_units="1/angstrom", var_yy=variance, var_xx=variance,
    )  # fmt: skip


@pytest.fixture
def peaks_truth() -> xr.Dataset:
    return disk_scan(np.random.default_rng(0), scan_shape=(2, 3)).sides["truth_peaks"]


def f1(result: xr.Dataset, truth: xr.Dataset, **params: Any) -> dict[str, float]:
    return dict(PeakF1(PeakF1Params.model_validate(params)).score(result, truth, CTX))


def rmse(result: xr.Dataset, truth: xr.Dataset, **params: Any) -> dict[str, float]:
    return dict(PeakRmse(PeakRmseParams.model_validate(params)).score(result, truth, CTX))


def test_perfect_peaks_missed_peaks_and_false_ones(peaks_truth: xr.Dataset) -> None:
    everything = np.ones(peaks_truth.sizes["peak"], bool)
    perfect = f1(found_peaks(peaks_truth, everything), peaks_truth, whole_disks_only=False)
    assert perfect["f1"] == perfect["f1_worst"] == perfect["precision"] == perfect["recall"] == 1
    half = np.arange(peaks_truth.sizes["peak"]) % 2 == 0
    missed = f1(found_peaks(peaks_truth, half), peaks_truth, whole_disks_only=False)
    assert missed["recall"] == pytest.approx(half.mean())
    assert missed["precision"] == 1
    false = f1(found_peaks(peaks_truth, everything, extra=5), peaks_truth, whole_disks_only=False)
    n = peaks_truth.sizes["peak"]
    assert false["precision"] == pytest.approx(n / (n + 30))
    assert false["recall"] == 1
    none = f1(found_peaks(peaks_truth, ~everything), peaks_truth)
    assert none["f1"] == 0
    assert np.isnan(none["precision"])


def test_disks_cut_by_the_border_are_forgiven_either_way(peaks_truth: xr.Dataset) -> None:
    whole = peaks_truth["flags"].values == 0
    assert 0 < whole.sum() < len(whole)
    for keep in (whole, np.ones_like(whole)):
        figures = f1(found_peaks(peaks_truth, keep), peaks_truth)
        assert figures["f1"] == 1
        assert figures["n_true"] == whole.sum()


def test_weak_and_central_peaks_can_be_left_out(peaks_truth: xr.Dataset) -> None:
    everything = np.ones(peaks_truth.sizes["peak"], bool)
    result = found_peaks(peaks_truth, everything)
    direct = (peaks_truth["h"].values == 0) & (peaks_truth["k"].values == 0)
    figures = f1(result, peaks_truth, exclude_radius=4, whole_disks_only=False)
    assert figures["n_true"] == figures["n_found"] == (~direct).sum()
    strong = f1(result, peaks_truth, min_truth_fraction=0.1, whole_disks_only=False)
    assert strong["n_true"] < peaks_truth.sizes["peak"]
    assert strong["f1"] == 1


def test_one_found_peak_serves_one_true_peak() -> None:
    truth = peaks.make(counts=[2], qy=[0, 0], qx=[5, 6], scan_shape=(1, 1))
    result = peaks.make(counts=[1], qy=[0], qx=[5.5], scan_shape=(1, 1))
    assert f1(result, truth)["recall"] == 0.5


def test_position_errors_in_px_with_calibrated_error_bars(peaks_truth: xr.Dataset) -> None:
    rng = np.random.default_rng(0)
    shift = rng.normal((0.3, -0.2), 0.1, (peaks_truth.sizes["peak"], 2))
    everything = np.ones(len(shift), bool)
    figures = rmse(found_peaks(peaks_truth, everything, shift), peaks_truth, whole_disks_only=False)
    # 190 peaks: the mean is known to 0.007 px.
    assert figures["bias_y_px"] == pytest.approx(0.3, abs=0.03)
    assert figures["bias_x_px"] == pytest.approx(-0.2, abs=0.03)
    assert figures["rms_px"] == pytest.approx(np.sqrt((shift**2).mean()), rel=1e-6)
    centred = rmse(found_peaks(peaks_truth, everything, shift - [0.3, -0.2]), peaks_truth, whole_disks_only=False)
    assert centred["z"] == pytest.approx(1, rel=0.15)
    assert centred["recall"] == 1
    assert centred["median_px"] == pytest.approx(0.1 * np.sqrt(2 * np.log(2)), rel=0.15)
    nothing = rmse(found_peaks(peaks_truth, ~everything), peaks_truth)
    assert nothing["recall"] == 0
    assert np.isnan(nothing["rms_px"])


def test_px_are_px_on_both_axes() -> None:
    step = (0.01, 0.04)
    kwargs: dict[str, Any] = {"scan_shape": (1, 1), "q_step": step, "q_units": "1/angstrom"}
    truth = peaks.make(counts=[2], qy=[0.5, 1.0], qx=[0.5, 1.0], **kwargs)
    result = peaks.make(counts=[2], qy=[0.5, 1.015], qx=[0.56, 1.0], **kwargs)
    assert f1(result, truth, tolerance=1.6)["f1"] == 1
    assert f1(result, truth, tolerance=0.03, tolerance_unit="q")["f1"] == 0.5


def test_units_and_scans_must_agree(peaks_truth: xr.Dataset) -> None:
    other = peaks.make(counts=[1], qy=[0], qx=[0], scan_shape=(1, 1))
    with pytest.raises(DataError, match="in pixel, true ones in 1/angstrom"):
        f1(other, peaks_truth)
    with pytest.raises(DataError, match="scan of the result"):
        f1(peaks.make(counts=[1], qy=[0], qx=[0], scan_shape=(1, 1), q_units="1/angstrom"), peaks_truth)


def scan_of_peaks(first: int, n: int, shift: float = 0.0) -> xr.Dataset:
    """One peak a position, at a place that tells the position, on a row of a scan with steps of 2 angstrom."""
    coords = {
        "scan_y": variable("scan_y", [0.0], "angstrom", "y"),
        "scan_x": variable("scan_x", 2.0 * np.arange(first, first + n), "angstrom", "x"),
    }
    at = 10.0 * np.arange(first, first + n) + shift
    return peaks.make(counts=[1] * n, qy=0 * at, qx=at, scan_shape=(1, n), scan_coords=coords)


def test_peaks_of_a_cropped_scan_meet_those_at_the_same_place() -> None:
    truth = scan_of_peaks(0, 8)
    figures = rmse(scan_of_peaks(3, 4, shift=0.5), truth)
    assert figures["bias_x_px"] == pytest.approx(0.5)
    assert figures["recall"] == 1
    assert f1(scan_of_peaks(3, 4), truth)["n_true"] == 4
    with pytest.raises(DataError, match="no part of"):
        f1(scan_of_peaks(3, 8), truth)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 2**31))
def test_matching_is_one_to_one_and_as_large_as_possible(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, true = rng.uniform(0, 4, (n, 2)), rng.uniform(0, 4, (m, 2))
    i, j = match_one_to_one(found, true, 1.0)
    assert len(set(i.tolist())) == len(i) == len(j) == len(set(j.tolist()))
    assert (np.linalg.norm(found[i] - true[j], axis=1) < 1).all()
    near = np.linalg.norm(found[:, None] - true, axis=-1) < 1
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    largest = 0 if not near.size else int((maximum_bipartite_matching(csr_matrix(near.astype(int))) >= 0).sum())
    assert len(i) == largest


# --- equation (1) ---------------------------------------------------------------------------


def test_equation_1_by_hand() -> None:
    true = np.array([[0.0, 0.5], [0.5, 0.0], [0.0, -0.5]])
    weight = np.array([2.0, 1.0, 1.0])
    found = np.array([[0.0, 0.51], [0.0, 0.49], [0.9, 0.9]])
    coded, single = eq1_accuracy(found, np.array([3.0, 1.0, 1.0]), true, weight, tolerance=0.05)
    # Two found peaks share a true one: TP = 4/5 as coded; a quarter and a quarter are missed.
    assert coded == pytest.approx(0.8 / 1.5)
    # One to one, one of them is false; both are as near, so either may be.
    assert single in (pytest.approx(0.6 / 1.5), pytest.approx(0.2 / 1.5))
    assert eq1_accuracy(np.empty((0, 2)), np.empty(0), true, weight, tolerance=0.05) == (0, 0)
    assert eq1_accuracy(true, weight, true, weight, tolerance=0.05) == (1, 1)


@pytest.fixture
def reference(shared_data: Path) -> ModuleType:
    path = shared_data.parent / "peers" / "eq1.py"
    if not path.is_file():
        pytest.skip(f"no reference for equation (1) at {path}")
    spec = importlib.util.spec_from_file_location("eq1_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_equation_1_agrees_with_the_reference_on_crystals(shared_data: Path, reference: ModuleType) -> None:
    rng = np.random.default_rng(0)
    file = shared_data / "sim" / "bragg_single.nc"
    true_lists = list(reference.truths(file))
    found_lists = []
    for true in true_lists:
        kept = true[rng.random(len(true)) < 0.7]
        noise = np.c_[rng.uniform(-2, 2, (15, 2)), rng.uniform(0, kept[:, 2].max(), 15)]
        moved = kept + np.c_[rng.normal(0, 0.02, (len(kept), 2)), np.zeros(len(kept))]
        found_lists.append(np.concatenate([moved, noise]))
    expected = np.array([reference.score(f, t) for f, t in zip(found_lists, true_lists, strict=True)])

    def as_peaks(lists: list[Any], units: str) -> xr.Dataset:
        flat = np.concatenate(lists)
        intensity = flat[:, 2] ** 2 if units == "counts" else flat[:, 2]
        ds = peaks.make(
            counts=[len(rows) for rows in lists], qy=flat[:, 1], qx=flat[:, 0], intensity=intensity,
            scan_shape=(1, len(lists)), q_units="1/angstrom",
        )  # fmt: skip
        ds["intensity"] = variable("peak", intensity, units, "intensity")
        return ds

    figures = Eq1(Eq1Params.model_validate({})).score(as_peaks(found_lists, "counts"), as_peaks(true_lists, "V"), CTX)
    assert figures["n"] == 20
    assert figures["accuracy"] == pytest.approx(expected[:, 0].mean(), abs=1e-6)
    assert figures["accuracy_median"] == pytest.approx(np.median(expected[:, 0]), abs=1e-6)
    assert figures["accuracy_one_to_one"] == pytest.approx(expected[:, 1].mean(), abs=1e-6)


def test_equation_1_needs_calibrated_peaks() -> None:
    ds = peaks.make(counts=[1], qy=[0], qx=[5], scan_shape=(1, 1))
    with pytest.raises(DataError, match="1/angstrom"):
        Eq1(Eq1Params.model_validate({})).score(ds, ds, CTX)
