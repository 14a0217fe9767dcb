"""What a run should be read with: warnings of its steps, and what its calibrations and coverage call for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from ronchi.result import RunResult, StepResult
from ronchi.schema import fourd, peaks, schema_of

__all__ = ["is_guessed", "measurements", "warnings_of"]

_MEASURED = (fourd.NAME, peaks.NAME)


def warnings_of(result: RunResult) -> list[str]:
    """Warnings of the run, and what the calibrations and the coverage of the results call for."""
    names: dict[str, list[str]] = {}
    for name in measurements(result):
        for remark in _missing(result[name], turned=_is_turned(result, name)):
            names.setdefault(remark, []).append(name)
    found = [*result.warnings, *(f"{', '.join(where)}: {remark}" for remark, where in names.items())]
    for name, step in result.steps.items():
        if step.data is not None and schema_of(step.data) == "strain/1" and "valid" in step.data:
            share = float(np.mean(step.data["valid"].values != 0))
            if share < 0.5:
                found.append(f"{name}: only {100 * share:.0f} % of the positions could be fitted.")
    return found


def measurements(result: RunResult) -> list[str]:
    """References to the patterns, and to the peaks from files, that something was made of, or that are all there is.

    What a transform takes to calibrate it, or to change it otherwise, is judged by what comes out.
    """
    used: dict[str, bool] = {}
    for step in result.steps.values():
        # A metric only compares.
        for reference in step.inputs.values() if step.kind != "metric" else ():
            used[reference] = used.get(reference, False) or not _hands_on(step)
    return [
        reference
        for name, step in result.steps.items()
        for reference, data in _made(name, step)
        # What a reader brings beside its data counts where it is used.
        if used.get(reference, reference == name) and schema_of(data) in _MEASURED
    ]


def is_guessed(source: object) -> bool:
    """An attribute such as ``q_units_source`` says that a calibration is not in the file that it was read with."""
    return str(source).startswith("not in the file")


def _made(name: str, step: StepResult) -> Iterator[tuple[str, xr.Dataset]]:
    # What is known of a detector's peaks is what is known of its patterns.
    if step.data is not None and step.kind != "disk_detector":
        yield name, step.data
        yield from ((f"{name}.{side}", data) for side, data in step.sides.items())


def _hands_on(step: StepResult) -> bool:
    """What comes out is patterns or peaks again; of a transform that failed nobody knows."""
    return step.kind == "transform" and (step.data is None or schema_of(step.data) in _MEASURED)


def _is_turned(result: RunResult, reference: str) -> bool:
    """All that is made of it comes to a step that has found the rotation between scan and detector."""
    takers = [step for step in result.steps.values() if reference in step.inputs.values() and step.kind != "metric"]
    return bool(takers) and all(_knows_rotation(step) or _is_turned(result, step.step) for step in takers)


def _knows_rotation(step: StepResult) -> bool:
    attrs = {} if step.data is None else step.data.attrs
    return "rotation_deg" in attrs and bool(int(attrs.get("rotation_resolved", 1)))


def _missing(data: xr.Dataset, *, turned: bool) -> Iterator[str]:
    """What is not known of patterns or peaks, and matters."""
    if "scan_x" not in data.coords or fourd.scan_units(data) == "pixel":
        yield "the scan is not calibrated; all lengths on it are in px."
    if fourd.q_units(data) == "pixel":
        yield "the patterns are not calibrated; scattering vectors are in px, relative only."
    source = data.attrs.get("q_units_source")
    if is_guessed(source):
        yield f"the unit of the scattering vectors is {source}."
    if "scan_rotation_deg" not in data.attrs and not turned:
        yield (
            "the rotation between scan and detector is not known; "
            "directions are those of the detector, not of the scan."
        )
