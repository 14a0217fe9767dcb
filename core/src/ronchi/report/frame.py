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

_SIGNS = {
    "atoms": "assumed: the sample is atoms or particles, which draw the beam. Pores, holes or a window of vacuum would "
    "turn it by 180°, which inverts the phase, and nothing in the data shows that",
    "unknown": "not known: the field may be turned by 180°, which inverts the phase",
    "given": "given with the rotation",
    "scan_rotation_deg": "given with the rotation",
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
    if "rotation_resolved" in attrs:
        rows.append(("rotation resolved", "yes" if int(attrs["rotation_resolved"]) else "no: the data do not tell it"))
    if "sign_resolved" in attrs:
        # Results of other versions do not say what the sign rests on.
        source = str(attrs.get("sign_source", "not stated" if int(attrs["sign_resolved"]) else "unknown"))
        rows.append(("sign of the field", _SIGNS.get(source, source)))
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
