"""The data in a report: what is calibrated, the mean pattern, and images from virtual detectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ronchi import plot
from ronchi.pipeline.remarks import is_guessed
from ronchi.plot.canvas import WIDE_RATIO, box_ratio, new_figure
from ronchi.plot.labels import unit_text
from ronchi.report.elements import Section, messages, paragraph, table
from ronchi.report.figures import Album
from ronchi.report.survey import EDGE, Looks, Survey
from ronchi.schema import fourd, peaks, schema_of

__all__ = ["calibration_table", "data_section", "draw_survey", "draw_virtual_image", "reader_remarks"]

_QUANTITIES = {
    "beam_energy_eV": ("beam energy", 1e-3, "keV"),
    "semiangle_mrad": ("convergence semiangle", 1.0, "mrad"),
    "camera_length_m": ("camera length", 1.0, "m"),
    "scan_rotation_deg": ("rotation from detector to scan", 1.0, "°"),
    "dose": ("dose", 1.0, "electrons a pattern"),
}


def data_section(name: str, data: xr.Dataset, looks: Looks, album: Album) -> Section:
    """Table of calibrations, mean pattern and virtual images of one ``fourd/1`` data set."""
    title = str(data.attrs.get("title", ""))
    body = (paragraph(title) if title else "") + reader_remarks(data) + calibration_table(data)
    look = looks(name)
    if look is None:
        return Section(f"Data: {name}", body + messages([looks.errors[name]], "error"))
    alt, caption = "Mean diffraction pattern", "Mean pattern"
    if look.images:
        alt += ", and images over the scan: " + ", ".join(look.images)
        caption += ", and images over the scan from virtual detectors. " + (
            f"The circle is the edge between bright and dark field, at {EDGE:g} radii of the direct beam."
            if look.circle
            else "Bright and dark field need the size of the disk: give beam energy and semiangle, or a probe."
        )
    drawn = album.add(f"{name}-overview", lambda: draw_survey(data, look), alt, caption)
    return Section(f"Data: {name}", body + drawn)


def reader_remarks(data: xr.Dataset) -> str:
    """What the reader did not believe of its file, and what it had to assume or leave out; empty for most."""
    refused, notes = (str(data.attrs.get(name, "")) for name in ("calibration_refused", "notes"))
    body = messages([f"The file states what was not believed: {refused}"]) if refused else ""
    return body + (paragraph(f"On reading: {notes}.") if notes else "")


def calibration_table(data: xr.Dataset) -> str:
    """What is known about the axes of patterns or peaks and about the microscope, and what is not."""
    of_peaks = schema_of(data) == peaks.NAME
    rows: list[tuple[Any, ...]] = [
        _row_of_peaks(data, dim, axis) if of_peaks and dim in ("qy", "qx") else _row_of_axis(data, dim)
        for dim, axis in zip(fourd.DIMS, (0, 1, 0, 1), strict=True)
        if dim in data.variables
    ]
    for attr, (words, factor, units) in _QUANTITIES.items():
        if attr in data.attrs:
            rows.append((words, "", f"{float(data.attrs[attr]) * factor:.6g} {units}", "given"))
        else:
            rows.append((words, "", "—", "not given"))
    for variable, words in (
        ("probe", "probe over vacuum"),
        ("bad_pixel", "bad pixels"),
        ("valid", "positions recorded"),
    ):
        if variable in data:
            count = int(np.count_nonzero(data[variable].values))
            rows.append((words, "" if variable == "probe" else str(count), "", "given"))
    return table(("quantity", "size", "step or value", "calibration"), rows, "Axes and calibrations")


def _row_of_axis(data: xr.Dataset, dim: str) -> tuple[str, ...]:
    values, units = data[dim].values, str(data[dim].attrs["units"])
    n = len(values)
    step = f"{(values[-1] - values[0]) / (n - 1):.4g} {unit_text(units)}" if n > 1 else "—"
    known = "not calibrated: relative" if units == "pixel" else "calibrated" if n > 1 else "one position: no step"
    return dim, f"{n} points" if n > 1 else "1 point", step, known


def _row_of_peaks(data: xr.Dataset, dim: str, axis: int) -> tuple[str, ...]:
    """Peaks have places instead of an axis, and the pixel of the patterns that they were found in as attributes."""
    units, attrs = str(data[dim].attrs["units"]), data.attrs
    step = f"{attrs['q_step'][axis]:.4g} {unit_text(units)}"
    if units == "pixel":
        known = "not calibrated: relative"
    elif source := attrs.get("q_units_source"):
        known = f"{unit_text(units)}: {source}"
    else:
        known = "calibrated"
    return dim, "", "—" if is_guessed(attrs.get("q_step_source")) else step, known


def draw_survey(data: xr.Dataset, look: Survey) -> Any:
    """Mean pattern beside the virtual images; below each other where the scan is long."""
    ratio = box_ratio(data["scan_y"], data["scan_x"])
    wide = ratio >= WIDE_RATIO
    n = len(look.images)
    if wide:
        heights = (3.6, n * (7.6 / ratio + 0.65))
        figure = new_figure(9.0, sum(heights))
        top, bottom = np.array(figure.subfigures(2, 1, height_ratios=heights))
        pattern_ax, axes = top.add_subplot(), [bottom.add_subplot(n, 1, number + 1) for number in range(n)]
    else:
        figure = new_figure(3.6 * (n + 1), 3.7)
        pattern_ax, *axes = (figure.add_subplot(1, n + 1, number + 1) for number in range(n + 1))
    bad = data["bad_pixel"].values if "bad_pixel" in data else None
    circles = [look.circle] if look.circle else []
    plot.pattern(look.mean_pattern, ax=pattern_ax, title="Mean pattern", bad_pixel=bad, circles=circles)
    for ax, (title, image) in zip(axes, look.images.items(), strict=True):
        draw_virtual_image(title, image, ax)
    return figure


def draw_virtual_image(title: str, image: xr.DataArray, ax: Any = None) -> Any:
    """Draw an image of a `Survey`, with its detector in the second line of the title."""
    ax = plot.scan_image(image, ax=ax, cmap="gray", title=title)
    ax.set_title(f"{ax.get_title(loc='left')}\n{image.attrs['detector']}", fontsize="medium", loc="left")
    return ax
