"""What a file says about beam and pixel sizes, in ronchi's units; what cannot be true is left out and named."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ronchi.optics import implausible
from ronchi_rosettasciio.formats import Format
from ronchi_rosettasciio.layout import Layout
from ronchi_rosettasciio.signals import Axis, Signal
from ronchi_rosettasciio.units import q_step

__all__ = ["BEAM", "Calibration", "beam", "calibrate"]

Pair = tuple[float, float]


BEAM = ("beam_energy_eV", "camera_length_m", "semiangle_mrad")
"""What is known of the beam, each of which has plausible values."""


@dataclass
class Calibration:
    """Steps (y, x) in angstrom and 1/angstrom, None where unknown; the pixel of q = 0; what was refused and why."""

    step: Pair | None = None
    q: Pair | None = None
    centre_px: Pair | None = None
    refused: list[str] = field(default_factory=list)


def beam(signal: Signal, form: Format) -> dict[str, Any]:
    """Beam and instrument, as attributes of a data set; only what is given and can be true.

    Returns
    -------
    dict
        Any of ``beam_energy_eV``, ``camera_length_m``, ``semiangle_mrad``, ``stated_scan_rotation_deg``,
        ``instrument``; and ``refused``, what cannot be true and is no placeholder for what is not known.
    """
    tem = _sub(_sub(signal.metadata, "Acquisition_instrument"), "TEM")
    found: dict[str, Any] = {}
    energy = _first(tem, ("beam_energy",), 1e3)
    length = _first(tem, ("camera_length",), 1.0 if form.name in ("blo", "prz") else 1e-3)
    angle = _first(tem, ("convergence_angle",), 1.0)
    rotation = _first(tem, ("rotation",), 1.0) if form.name != "blo" else None
    own = _own(signal, form)
    found["beam_energy_eV"] = own.get("energy_ev", energy)
    found["camera_length_m"] = own.get("camera_length_m", length)
    found["semiangle_mrad"] = angle
    refused = []
    for name in BEAM:
        why = implausible(found[name], name) if found[name] is not None else ""
        if why:
            # Cameras write a millimetre where no camera length was set: it says nothing.
            refused += [f"{name}: {why}"] if found[name] > 0 and name != "camera_length_m" else []
            found[name] = None
    found["refused"] = refused or None
    # The angle between scan and pattern, not that of the scan to the microscope's axes, is what would be needed.
    stated = own.get("scan_rotation_deg", rotation)
    if stated is not None and math.isfinite(stated):
        found["stated_scan_rotation_deg"] = stated
    name = tem.get("microscope")
    found["instrument"] = str(name) if isinstance(name, str) and name else None
    return {key: value for key, value in found.items() if value is not None}


def _own(signal: Signal, form: Format) -> dict[str, float]:
    """What only the file's own header says, by format."""
    if form.name == "blo":
        header = _sub(signal.original, "blockfile_header")
        return _numbers(scan_rotation_deg=(header.get("Scan_rotation"), 1e-2))
    if form.name == "mrc":
        header = _sub(signal.original, "de_metadata")
        return _numbers(
            energy_ev=(header.get("Instrument Accelerating Voltage (V)"), 1.0),
            camera_length_m=(header.get("Instrument Project Camera Length (centimeters)"), 1e-2),
        )
    if form.name == "emi":
        # RosettaSciIO 0.15 looks for "High_tension_kV", as no file has it.
        said = _sub(_sub(signal.original, "ObjectInfo"), "ExperimentalDescription")
        return _numbers(energy_ev=(said.get("High tension_kV"), 1e3))
    if form.name == "empad":
        measured = _sub(_sub(signal.original, "root"), "iom_measurements")
        optics, source, column = (_sub(measured, name) for name in ("optics", "source", "column"))
        return _numbers(
            energy_ev=(measured.get("high_voltage", source.get("get_voltage")), 1.0),
            camera_length_m=(measured.get("nominal_camera_length", optics.get("get_cameralength")), 1.0),
            scan_rotation_deg=(measured.get("scan_rotation", column.get("get_scanrotation")), 1.0),
        )
    return {}


def _numbers(**given: tuple[Any, float]) -> dict[str, float]:
    read = {}
    for name, (value, factor) in given.items():
        try:
            read[name] = float(value) * factor
        except (TypeError, ValueError):
            continue
    return {name: value for name, value in read.items() if math.isfinite(value)}


def _sub(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = tree.get(name)
    return found if isinstance(found, Mapping) else {}


def _first(tree: Mapping[str, Any], names: Iterable[str], factor: float) -> float | None:
    return next(iter(_numbers(**{name: (tree.get(name), factor) for name in names}).values()), None)


def calibrate(signal: Signal, form: Format, layout: Layout, attrs: Mapping[str, Any]) -> Calibration:
    """Pixel sizes of the scan and the pattern, or of an image.

    Parameters
    ----------
    attrs : mapping
        From `beam`.
    """
    result = Calibration()
    sizes = _direct_electron(_sub(signal.original, "de_metadata"))
    rows, columns = (_stated(axis, form, sizes) for axis in layout.frame)
    leading = [_stated(axis, form, sizes) for axis in layout.leading]
    frame = (rows, columns)
    if not layout.patterns:
        result.step = _lengths(frame, "image", form, result)
        return result
    if len(leading) == 2 or (leading and leading[0].unit.dimension == "length"):
        result.step = _lengths((leading[0], leading[-1]), "scan", form, result)
    result.q = _q(frame, form, attrs, result)
    result.centre_px = _centre(frame, result.q)
    return result


def _direct_electron(header: Mapping[str, Any]) -> dict[str, float]:
    """Pixel sizes by name of the axis that Direct Electron's text file states, in nm and 1/nm.

    RosettaSciIO 0.15 puts 1 in their place.
    """
    names = {
        "y": "Specimen Pixel Size Y (nanometers)",
        "x": "Specimen Pixel Size X (nanometers)",
        "ky": "Diffraction Pixel Size Y",
        "kx": "Diffraction Pixel Size X",
    }
    return _numbers(**{axis: (header.get(key), 1.0) for axis, key in names.items()})


def _stated(axis: Axis, form: Format, sizes: Mapping[str, float]) -> Axis:
    """An axis as the file itself states it, without what the library fills in."""
    if axis.name in sizes:
        return replace(axis, scale=sizes[axis.name])
    # TVIPS keeps the pixel of the camera, as a whole number of which the unit is not certain.
    if form.name == "tvips" or (form.name in ("mrc", "blo") and axis.scale == 1.0):
        return replace(axis, scale=1.0, unit_text="")
    return axis


def _lengths(pair: tuple[Axis, Axis], what: Literal["scan", "image"], form: Format, result: Calibration) -> Pair | None:
    steps = []
    for axis in pair:
        if axis.unit.dimension == "none":
            if axis.scale != 1.0:
                _refuse(result, what, axis, "it has no unit")
            return None
        step = axis.scale * axis.unit.factor
        if form.name in ("ser", "emi"):
            # The vendor's y axis points up; rows are stored from the top, as here.
            step = abs(step) if axis.name == "y" else step
        why = implausible(step, "scan_step_angstrom")
        if axis.unit.dimension != "length":
            why = f"an axis of the {what} is a length"
        if why:
            _refuse(result, what, axis, why)
            return None
        steps.append(step)
    return steps[0], steps[1]


def _q(frame: tuple[Axis, Axis], form: Format, attrs: Mapping[str, Any], result: Calibration) -> Pair | None:
    steps = []
    for axis in frame:
        if axis.unit.dimension == "none":
            if axis.scale != 1.0:
                _refuse(result, "pattern", axis, "it has no unit")
            return None
        step, why = q_step(axis.scale, axis.unit, attrs.get("beam_energy_eV"), attrs.get("camera_length_m"))
        why = why if step is None else implausible(step, "q_step_inv_angstrom")
        if why or step is None:
            _refuse(result, "pattern", axis, why)
            return None
        steps.append(step)
    return steps[0], steps[1]


def _refuse(result: Calibration, what: str, axis: Axis, why: str) -> None:
    size = " ".join(filter(None, (f"{axis.scale:.6g}", axis.unit_text)))
    result.refused.append(f"{what} step {size} ({axis.name or 'unnamed axis'}): {why}")


def _centre(frame: tuple[Axis, Axis], q: Pair | None) -> Pair | None:
    """Pixel of q = 0 from the offsets of the axes, where it lies inside the pattern."""
    centre = []
    for axis in frame:
        if q is None or not axis.offset or not axis.scale or not math.isfinite(axis.offset / axis.scale):
            return None
        pixel = -axis.offset / axis.scale
        if not 0 < pixel < axis.size - 1:
            return None
        centre.append(pixel)
    return centre[0], centre[1]
