"""In which frame a field from centres of mass is given, where that comes from, and how sure it is."""

from __future__ import annotations

import math

import xarray as xr

from ronchi.report.elements import table

__all__ = ["frame_rows", "frame_table"]

_SOURCES = {
    "fit": "fitted: the curl of the field is least",
    "given": "given as a parameter",
    "scan_rotation_deg": "given with the data (scan_rotation_deg)",
}


def frame_rows(data: xr.Dataset) -> list[tuple[str, str]]:
    """Quantity and value in words, of a result that has the attribute ``rotation_deg``; else empty."""
    attrs = data.attrs
    if "rotation_deg" not in attrs:
        return []
    rotation, sd = (float(attrs.get(name, math.nan)) for name in ("rotation_deg", "rotation_sd_deg"))
    spread = f" ± {sd:.2g}" if math.isfinite(sd) else ""
    source = str(attrs.get("rotation_source", "not stated"))
    rows = [("rotation from detector to scan", f"{rotation:.2f}{spread}°"), ("it is", _SOURCES.get(source, source))]
    for name, words, yes, no in (
        ("rotation_resolved", "rotation resolved", "yes", "no: the data do not tell it"),
        ("sign_resolved", "sign of the field resolved", "yes", "no: it may be turned by 180°, which inverts the phase"),
    ):
        if name in attrs:
            rows.append((words, yes if int(attrs[name]) else no))
    if "flipped" in attrs:
        sure = "" if int(attrs.get("flip_resolved", 1)) else ", not resolved"
        rows.append(("axes of the detector flipped", ("yes" if int(attrs["flipped"]) else "no") + sure))
    if "phase" in data:
        words = "of the wave behind the sample: its gradient is 2π times the deflection, highest where the beam goes to"
        rows.append(("phase", words))
    return rows


def frame_table(data: xr.Dataset) -> str:
    """`frame_rows` as HTML."""
    rows = frame_rows(data)
    return table(("quantity", "value"), rows, "Frame of the field") if rows else ""
