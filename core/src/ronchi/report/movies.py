"""Sections of a report on movies: atoms on the frames, tracks, rings, dynamics, and a film to step through."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from ronchi import plot
from ronchi.plot.film import film
from ronchi.plot.labels import unit_text
from ronchi.report.elements import key_figures, slider, table
from ronchi.report.figures import Album, plain_style, png_bytes
from ronchi.result import RunResult, StepResult
from ronchi.schema import descriptors, images, schema_of

__all__ = ["atoms_figures", "dynamics_figures", "film_figure", "movie_of"]

_FILM_DPI = 100


def movie_of(result: RunResult, step: StepResult) -> xr.Dataset | None:
    """``images/1`` that a step was made of, through all steps in between; None if there is none."""
    for reference in step.inputs.values():
        name = reference.partition(".")[0]
        before = result.steps.get(name)
        if before is None or before.data is None:
            continue
        if schema_of(before.data) == images.NAME:
            return before.data
        found = movie_of(result, before)
        if found is not None:
            return found
    return None


def atoms_figures(result: RunResult, step: StepResult, album: Album) -> str:
    """Figures of ``atoms/1``: on frames, tracks and rings, without what the steps before have shown already."""
    atoms, name = step.data, step.step
    assert atoms is not None
    if not atoms.sizes["atom"]:
        return ""
    frames, counts = np.unique(atoms["frame"].values, return_counts=True)
    numbers = [("atoms", str(atoms.sizes["atom"])), ("frames", str(len(frames))), ("a frame", f"{counts.mean():.4g}")]
    if "track" in atoms:
        tracks = np.unique(atoms["track"].values)
        numbers.append(("tracks", str(int((tracks >= 0).sum()))))
    if "bond_cutoff" in atoms.attrs:
        units = unit_text(atoms["x"].attrs.get("units", "pixel"))
        numbers.append(("longest bond", f"{float(atoms.attrs['bond_cutoff']):.3g} {units}"))
    body = key_figures(numbers)
    drawn = [
        before.data
        for before in (result.steps.get(reference) for reference in step.inputs.values())
        if before is not None and before.data is not None and schema_of(before.data) == "atoms/1"
    ]
    if "rings" in atoms:
        words = "Atoms by the rings that they are on"
        body += album.add(f"{name}-rings", partial(plot.atom_rings, atoms), words, f"{words}.")
    if not drawn:
        movie = movie_of(result, step)
        words = "Atoms by species, on frames of the movie" if movie is not None else "Atoms by species, frame by frame"
        body += album.add(f"{name}-frames", partial(plot.atom_frames, atoms, movie), words, f"{words}.")
    if "track" in atoms and not any("track" in before for before in drawn):
        words = "Motion of the sheet, numbers of atoms, lengths of the tracks"
        body += album.add(f"{name}-tracks", partial(plot.track_summary, atoms), words, f"{words}.")
    for side, data in step.sides.items():
        if schema_of(data) == "dynamics/1":
            body += dynamics_figures(f"{name}-{side}", data, album)
    return body


def dynamics_figures(name: str, data: xr.Dataset, album: Album) -> str:
    """Figures of ``dynamics/1``: those of the parts that are there."""
    confidence = data.attrs.get("confidence")
    band = f", with intervals of {100 * float(confidence):g} %" if confidence else ""
    drawn = (
        ("latent_counts", "latents", plot.latents_in_time, "Distribution of each descriptor against the frame"),
        ("angle_counts", "angles", plot.angles_in_time, "Distribution of the angle, over all frames and against them"),
        ("fraction", "fractions", plot.fractions_in_time, f"Part of the atoms in each class{band}"),
        ("transition", "transitions", plot.transition_matrix, f"Transitions from one frame to the next{band}"),
        ("survival", "dwell", plot.dwell_curves, f"Times in a class (Kaplan-Meier){band}"),
        ("ring_counts", "rings", plot.rings_in_time, "Numbers of rings against the frame"),
    )  # fmt: skip
    body = ""
    for variable, stem, draw, words in drawn:
        if variable in data:
            body += album.add(f"{name}-{stem}", partial(draw, data), words, f"{words}.")
    if "ring_counts" in data:
        body += _ring_table(data)
    return body


def film_figure(result: RunResult, step: StepResult) -> str:
    """Frames to step through, with atoms coloured by the first descriptor and by the angle.

    Nothing for one frame, and for what was made of other descriptors, which have shown them.
    """
    data = step.data
    assert data is not None
    placed = {"frame", "position_y", "position_x"} <= set(data.coords) and data["z"].dims == ("sample", "component")
    before = result.steps.get(step.inputs.get("data", ""))
    again = before is not None and before.data is not None and schema_of(before.data) == descriptors.NAME
    if not placed or again or len(np.unique(data["frame"].values)) < 2:
        return ""
    movie = movie_of(result, step)
    if movie is not None and movie["x"].attrs.get("units") != data["position_x"].attrs.get("units"):
        movie = None
    made = film(data, movie)
    with plain_style():
        legend = png_bytes(made.draw_legend(), _FILM_DPI)
    what = "Atoms frame by frame" if movie is None else "Frames of the movie"
    panels = ", ".join(made.panels)
    caption = f"{what}; from left to right: {panels}; each is {made.width} wide. "
    caption += "Move the slider, or use the arrow keys on it."
    return slider(made.pictures, [f"frame {number}" for number in made.frames], legend, what, caption)


def _ring_table(data: xr.Dataset) -> str:
    counts = data["ring_counts"].values
    last = len(counts) - 1
    rows = [
        (f"{size}", str(counts[0, k]), str(counts[last, k]), f"{counts[:, k].mean():.4g}")
        for k, size in enumerate(data["ring_size"].values.tolist())
        if counts[:, k].any()
    ]
    return table(("atoms of a ring", "first frame", "last frame", "mean"), rows, "Rings") if rows else ""
