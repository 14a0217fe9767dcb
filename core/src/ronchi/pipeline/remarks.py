"""What a run should be read with: warnings of its steps, and what its calibrations and coverage call for."""

from __future__ import annotations

import numpy as np

from ronchi.pipeline.result import RunResult
from ronchi.schema import fourd, schema_of

__all__ = ["warnings_of"]


def warnings_of(result: RunResult) -> list[str]:
    """Warnings of the run, and what the calibrations and the coverage of the results call for."""
    found = [*result.warnings]
    for name, step in result.steps.items():
        data = step.data
        if data is None:
            continue
        if schema_of(data) == fourd.NAME and step.kind in ("reader", "simulator"):
            if fourd.scan_units(data) == "pixel":
                found.append(f"{name}: the scan is not calibrated; all lengths on it are in px.")
            if fourd.q_units(data) == "pixel":
                found.append(f"{name}: the patterns are not calibrated; scattering vectors are in px, relative only.")
            if "scan_rotation_deg" not in data.attrs:
                found.append(
                    f"{name}: the rotation between scan and detector is not known; "
                    "directions are those of the detector, not of the scan."
                )
        if schema_of(data) == "strain/1" and "valid" in data:
            share = float(np.mean(data["valid"].values != 0))
            if share < 0.5:
                found.append(f"{name}: only {100 * share:.0f} % of the positions could be fitted.")
    return found
