"""Sections of a report by what a step has made: peaks, strain, descriptors, atoms, dynamics, maps, anything else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import xarray as xr

from ronchi import plot
from ronchi.plot.labels import unit_text
from ronchi.plot.strain import DISPLAY, displayed
from ronchi.report.data import calibration_table, draw_virtual_image, reader_remarks
from ronchi.report.descriptors import crops_figures, decoded_figures, descriptor_figures
from ronchi.report.elements import Section, paragraph, table
from ronchi.report.figures import Album
from ronchi.report.frame import frame_table
from ronchi.report.library import library_body
from ronchi.report.movies import atoms_figures, dynamics_figures, film_figure
from ronchi.report.scores import strain_scores
from ronchi.report.survey import Looks
from ronchi.result import RunResult, StepResult
from ronchi.schema import schema_of
from ronchi.schema.strain import COMPONENTS

__all__ = ["result_section", "truth_of"]

_MOST_MAPS = 12
_OF_COM = ("com_y", "com_x", "field_y", "field_x", "magnitude", "angle", "divergence", "curl", "phase")
"""What the figure of the centre of mass shows."""


def result_section(result: RunResult, step: StepResult, album: Album, looks: Looks) -> Section:
    """Draw the result of one step.

    Parameters
    ----------
    looks : Looks
        Surveys of the scans, for images to mark positions on.
    """
    assert step.data is not None
    schema = schema_of(step.data)
    if schema == "peaks/1":
        body = _peaks(result, step, album, looks)
    elif schema == "strain/1":
        body = _strain(result, step, album)
    elif {"com_y", "com_x"} <= set(step.data.data_vars):
        body = frame_table(step.data) + _com(step, album) + _maps(step, album, without=_OF_COM)
    elif schema == "descriptors/1":
        body = descriptor_figures(step, album) + film_figure(result, step) + _maps(step, album, without=("label",))
    elif schema == "decoded/1":
        body = decoded_figures(f"{step.step}-images", step.step, step.data, album) + _maps(step, album)
    elif schema == "library/1":
        body = library_body(step.step, step.data, album)
    elif schema == "atoms/1":
        body = atoms_figures(result, step, album) + _maps(step, album)
    elif schema == "dynamics/1":
        body = dynamics_figures(step.step, step.data, album) + _maps(step, album)
    elif schema == "crops/1":
        body = crops_figures(step, album) + _maps(step, album)
    else:
        body = _maps(step, album)
    said = paragraph(_by(step)) + (reader_remarks(step.data) if step.kind == "reader" else "")
    return Section(f"{step.kind.replace('_', ' ').capitalize()}: {step.step}", said + body)


def truth_of(result: RunResult, step: StepResult) -> xr.Dataset | None:
    """Strain on the scan of a step that it is scored against, else any side output ``truth``."""
    assert step.data is not None
    scored = [s.inputs.get("truth", "") for s in result.steps.values() if s.inputs.get("result") == step.step]
    for reference in [*scored, *(f"{name}.truth" for name, s in result.steps.items() if "truth" in s.sides)]:
        try:
            found = result[reference]
        except KeyError:
            continue
        same_scan = all(found.sizes.get(dim) == step.data.sizes[dim] for dim in ("scan_y", "scan_x"))
        if same_scan and set(COMPONENTS) <= set(found.data_vars):
            return found
    return None


def _by(step: StepResult) -> str:
    source = f" ({step.dist} {step.version})" if step.dist else ""
    return f"Made by {step.name}{source}" + (f": {step.summary}" if step.summary else ".")


def _peaks(result: RunResult, step: StepResult, album: Album, looks: Looks) -> str:
    peaks = step.data
    assert peaks is not None
    # Peaks from a file have no section of patterns that would say it.
    body = "" if step.kind == "disk_detector" else calibration_table(peaks)
    body += _patterns(result, step, album, looks)
    solved = next((s for s in result.steps.values() if s.inputs.get("peaks") == step.step), None)
    lattice = solved.sides.get("lattice") if solved else None
    body += album.add(
        f"{step.step}-vectors",
        lambda: plot.vector_map(peaks, lattice=lattice, bins_per_px=_bins_per_px(peaks)).figure,
        "Two-dimensional histogram of all scattering vectors"
        + (" with the lattice basis as arrows" if lattice is not None else ""),
        "All detected peaks of all positions"
        + ("." if lattice is None else "; arrows: median basis of the fitted lattice."),
    )
    return body


def _patterns(result: RunResult, step: StepResult, album: Album, looks: Looks) -> str:
    """Some patterns with their peaks, and where on the scan they are."""
    source = step.inputs.get("data", "")
    look = looks(source)
    if look is None:
        return ""
    data, peaks = result[source], step.data
    height, width = data.sizes["scan_y"], data.sizes["scan_x"]
    chosen = plot.spread_positions((height, width), 9 if 1 / 3 < height / width < 3 else 8)
    body = ""
    if look.images:
        first = next(iter(look.images.items()))
        body += album.add(
            f"{step.step}-positions",
            lambda: plot.mark_positions(draw_virtual_image(*first), data, chosen).figure,
            f"Image of the scan with {len(chosen)} numbered positions",
            "Where the patterns below come from.",
        )
    return body + album.add(
        f"{step.step}-patterns",
        lambda: plot.mosaic(data, chosen, peaks=peaks),
        f"Diffraction patterns of {len(chosen)} positions with rings around the detected disks",
        "Patterns at these positions; rings mark the detected disks.",
    )


def _bins_per_px(peaks: xr.Dataset) -> int:
    """Finer bins than the pixels of a small detector: peaks are known to a fraction of a pixel."""
    return max(1, 256 // max(1, int(max(peaks.attrs["q_shape"]))))


def _strain(result: RunResult, step: StepResult, album: Album) -> str:
    strain = step.data
    assert strain is not None
    lattice, truth = step.sides.get("lattice"), truth_of(result, step)
    other = "" if truth is None else "the truth" if truth.attrs.get("is_truth") else "what it is compared with"
    along = "Profiles along the longer axis of the scan, with one standard error"
    given = step.params.get("reference") or {}
    ranges = {name: given[name] for name in ("scan_y", "scan_x", "rows", "columns") if given.get(name)}
    body = ""
    n_lattices = int(strain.attrs.get("n_lattices", 1))
    if n_lattices > 1:
        body += paragraph(f"The result holds {n_lattices} lattices a position; drawn is the first.")
    body += _strain_table(strain)
    if strain["e_xx"].size > 1:
        body += album.add(
            f"{step.step}-maps",
            lambda: plot.strain_maps(strain, reference=ranges or None),
            "Maps of the strain components e_xx, e_yy, e_xy and of the lattice rotation theta",
            "Strain and rotation on symmetric scales; the three strains share one. Grey: no fit.",
        )
        body += strain_scores(result, step)
        body += album.add(
            f"{step.step}-profiles",
            lambda: plot.strain_profiles(strain, truth=truth),
            "Profiles of the strain components along the scan" + (f", with {other}" if other else ""),
            along + (f" and {other}." if other else "."),
        )
        body += album.add(
            f"{step.step}-histograms",
            lambda: plot.strain_histograms(strain),
            "Histograms of the strain components over the fitted positions",
            "Distributions over the fitted positions; the coloured line is the median.",
        )
        body += album.add(
            f"{step.step}-quality",
            lambda: plot.strain_quality(strain, lattice=lattice),
            "Maps of the residual, of the number of peaks used, and of the standard error",
            "Where the fit is to be trusted.",
        )
    return body + (_reasons(lattice) if lattice is not None else "")


def _strain_table(strain: xr.Dataset) -> str:
    rows = []
    plain = {"e_xx": "ε_xx", "e_yy": "ε_yy", "e_xy": "ε_xy", "theta": "θ"}
    for name in COMPONENTS:
        values, errors = displayed(strain, name), displayed(strain, f"se_{name}")
        fitted = np.isfinite(values)
        unit = unit_text(DISPLAY[name][1])
        if not fitted.any():
            rows.append((f"{plain[name]} [{unit}]", "—", "—", "—"))
            continue
        low, middle, high = np.percentile(values[fitted], (5, 50, 95))
        error = np.median(errors[np.isfinite(errors)]) if np.isfinite(errors).any() else np.nan
        rows.append((f"{plain[name]} [{unit}]", f"{middle:+z.4f}", f"{low:+z.4f} to {high:+z.4f}", f"{error:.4f}"))
    n, total = int(np.isfinite(strain["e_xx"].values).sum()), strain["e_xx"].size
    caption = (
        f"{n} of {total} positions fitted; {strain.attrs.get('frame', 'unknown')} frame; "
        f"relative to {strain.attrs.get('reference', 'an unstated reference')}"
    )
    return table(("component", "median", "5 % to 95 %", "median standard error"), rows, caption)


def _reasons(lattice: xr.Dataset) -> str:
    """How many positions were fitted, and why the others were not."""
    if "reason" not in lattice or "flag_meanings" not in lattice["reason"].attrs:
        return ""
    reason = lattice["reason"]
    words = str(reason.attrs["flag_meanings"]).split()
    codes = np.atleast_1d(reason.attrs.get("flag_values", np.arange(len(words))))
    counts = [
        (word.replace("_", " "), int((reason.values == code).sum())) for code, word in zip(codes, words, strict=True)
    ]
    return table(
        ("outcome of the fit", "positions"), [row for row in counts if row[1]], "Why a position has a fit or none"
    )


def _com(step: StepResult, album: Album) -> str:
    com = step.data
    assert com is not None
    what, axes = ("field", "scan") if "field_y" in com else ("centre of mass", "detector")
    return album.add(
        f"{step.step}-com",
        lambda: plot.com_maps(com),
        f"Maps of the {what}: x, y, magnitude and direction",
        f"{what.capitalize()} relative to its median over the scan, along the axes of the {axes}.",
    )


def _maps(step: StepResult, album: Album, without: Sequence[str] = ()) -> str:
    """Whatever lies over the scan or the detector is drawn; all variables are listed."""
    data = _components_apart(step.data)
    over_scan = [name for name, v in data.data_vars.items() if v.dims == ("scan_y", "scan_x") and name not in without]
    over_detector = [name for name, v in data.data_vars.items() if v.dims == ("qy", "qx")]
    body = ""
    for start in range(0, min(len(over_scan), _MOST_MAPS), 4):
        names = [str(name) for name in over_scan[start : start + 4]]
        body += album.add(
            f"{step.step}-maps-{start // 4 + 1}" if len(over_scan) > 4 else f"{step.step}-maps",
            partial(plot.scan_images, data, names),
            f"Maps over the scan: {', '.join(names)}",
            f"Maps over the scan: {', '.join(names)}.",
        )
    for name in over_detector:
        words = f"Pattern: {name}"
        body += album.add(f"{step.step}-{name}", partial(_draw_pattern, data[name]), words, f"{words}.")
    rows = [
        (
            name,
            v.attrs.get("long_name", ""),
            unit_text(str(v.attrs.get("units", ""))),
            " × ".join(map(str, v.shape)) or "1",
        )
        for name, v in data.data_vars.items()
    ]
    return body + table(("variable", "what", "unit", "size"), rows, "Variables of the result")


def _draw_pattern(image: xr.DataArray) -> object:
    return plot.pattern(image).figure


def _components_apart(data: xr.Dataset | None) -> xr.Dataset:
    """Descriptors over a scan as one map a component."""
    assert data is not None
    if "z" not in data or data["z"].dims != ("scan_y", "scan_x", "component"):
        return data
    apart = {
        str(name): data["z"].isel(component=i, drop=True).assign_attrs(long_name=f"descriptor {name}")
        for i, name in enumerate(data["component"].values)
    }
    others = data.drop_vars(["z", "component"])
    return others.drop_vars(list(others.data_vars)).assign({**apart, **others.data_vars})
