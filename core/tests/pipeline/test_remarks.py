"""Remarks on what a run used: said once, of the step that made it, and not of what was mended before its use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ronchi.pipeline.remarks import warnings_of
from ronchi.result import RunResult, Status, StepResult
from ronchi.schema import fourd, maps, peaks, scores, strain
from ronchi.schema.common import variable

SCAN = (2, 8)


def make_scan(calibrated: bool = True) -> xr.Dataset:
    counts = np.ones((*SCAN, 4, 4), np.uint16)
    if not calibrated:
        return fourd.make(counts)
    return fourd.make(counts, scan_step=(5, 5), q_step=(0.04, 0.04), scan_rotation_deg=0.0)


def make_result(read: xr.Dataset, used: bool = True) -> RunResult:
    """A run that read something and, if wanted, sought disks in it."""
    steps = {"load": StepResult(step="load", kind="reader", name="any", data=read, status="done")}
    result = RunResult(config={}, out_dir=Path(), name="any", steps=steps)
    if used:
        steps["disks"] = StepResult(
            step="disks", kind="disk_detector", name="any", inputs={"data": "load"}, status="failed"
        )
    return result


REMARKS = (
    "the scan is not calibrated; all lengths on it are in px.",
    "the patterns are not calibrated; scattering vectors are in px, relative only.",
    "the rotation between scan and detector is not known; directions are those of the detector, not of the scan.",
)


def with_step(result: RunResult, kind: str, made: xr.Dataset | None, /, status: Status = "done", **inputs: str) -> str:
    """Add a step; gives its name."""
    name = f"step{len(result.steps)}"
    result.steps[name] = StepResult(step=name, kind=kind, name="any", data=made, inputs=inputs, status=status)
    return name


def image_of(scan: xr.Dataset) -> xr.Dataset:
    return maps.make({"sum": variable(("scan_y", "scan_x"), np.ones(SCAN), "counts", "sum")}, dict(scan.coords))


def peaks_of_file(**attrs: object) -> xr.Dataset:
    n = SCAN[0] * SCAN[1]
    found = peaks.make(
        counts=np.full(n, 1), qy=np.zeros(n), qx=np.linspace(-1, 1, n), scan_shape=SCAN, q_step=(0.011, 0.011),
        q_origin_px=(8, 8), q_shape=(17, 17), q_units="1/angstrom",
    )  # fmt: skip
    return found.assign_attrs(attrs)


def strain_of(valid: bool) -> xr.Dataset:
    values = {name: np.full(SCAN, 0.01 if valid else np.nan) for name in strain.COMPONENTS}
    return strain.make(
        values, values, residual=values["e_xx"], n_used=np.full(SCAN, 9), valid=np.full(SCAN, valid),
        residual_units="1/angstrom", frame="scan", reference="the whole scan", coords={},
    )  # fmt: skip


def test_calibrated_scan_gives_no_warning() -> None:
    assert warnings_of(make_result(make_scan())) == []


def test_what_is_calibrated_before_it_is_used_is_no_matter() -> None:
    result = make_result(make_scan(calibrated=False))
    assert warnings_of(result) == [f"load: {remark}" for remark in REMARKS]
    calibrated = with_step(result, "transform", make_scan(), data="load")
    result.steps["disks"].inputs = {"data": calibrated}
    assert warnings_of(result) == []


def test_what_was_used_is_judged_once() -> None:
    raw = make_scan(calibrated=False)
    turned = raw.assign_attrs(scan_rotation_deg=0.0)
    result = make_result(raw, used=False)
    assert warnings_of(result) == [f"load: {remark}" for remark in REMARKS], "nothing takes it but outputs"
    name = with_step(result, "transform", turned, data="load")
    assert warnings_of(result) == [f"{name}: {remark}" for remark in REMARKS[:2]]
    for kind in ("disk_detector", "descriptor_learner"):
        with_step(result, kind, None, status="failed", data=name)
    assert warnings_of(result) == [f"{name}: {remark}" for remark in REMARKS[:2]]
    with_step(result, "metric", scores.make({"psnr": 1.0}), result="load")
    assert warnings_of(result) == [f"{name}: {remark}" for remark in REMARKS[:2]], "it only compares"
    with_step(result, "transform", image_of(raw), data="load")
    both = [f"load, {name}: {remark}" for remark in REMARKS[:2]]
    assert warnings_of(result) == [*both, f"load: {REMARKS[2]}"], "a map was made before"


def test_a_rotation_that_was_found_is_not_missing() -> None:
    result = make_result(make_scan(calibrated=False), used=False)
    moved = with_step(result, "descriptor_learner", image_of(result["load"]), data="load")
    field = with_step(result, "transform", image_of(result["load"]), com=moved)
    result.steps[field].data.attrs.update(rotation_deg=30.0, rotation_resolved=1)
    assert warnings_of(result) == [f"load: {remark}" for remark in REMARKS[:2]]
    result.steps[field].data.attrs["rotation_resolved"] = 0
    assert len(warnings_of(result)) == 3, "the data do not tell it"
    result.steps[field].data.attrs["rotation_resolved"] = 1
    with_step(result, "disk_detector", None, data="load")
    assert len(warnings_of(result)) == 3, "the disks are not turned"


def test_a_transform_that_failed_has_used_nothing() -> None:
    result = make_result(make_scan(calibrated=False), used=False)
    with_step(result, "transform", None, status="failed", data="load")
    assert warnings_of(result) == []


def test_peaks_of_a_file_are_judged_as_patterns_are() -> None:
    source = "not in the file: taken from the points, which lie around zero"
    read = peaks_of_file(q_units_source=source, q_step_source="not in the file: for plots only")
    said = [f"load: {REMARKS[0]}", f"load: the unit of the scattering vectors is {source}.", f"load: {REMARKS[2]}"]
    assert warnings_of(make_result(read, used=False)) == said
    assert warnings_of(make_result(peaks_of_file(scan_rotation_deg=0.0), used=False)) == [f"load: {REMARKS[0]}"]


def test_peaks_beside_patterns_are_judged_where_they_are_used() -> None:
    result = make_result(make_scan())
    result.steps["load"].sides = {"found": peaks_of_file(scan_rotation_deg=0.0)}
    assert warnings_of(result) == []
    with_step(result, "strain_solver", None, status="failed", peaks="load.found")
    assert warnings_of(result) == [f"load.found: {REMARKS[0]}"]


def test_poor_coverage_is_a_warning() -> None:
    result = make_result(make_scan())
    name = with_step(result, "strain_solver", strain_of(valid=True), peaks="disks")
    assert warnings_of(result) == []
    result.steps[name].data = strain_of(valid=False)
    assert warnings_of(result) == [f"{name}: only 0 % of the positions could be fitted."]
