"""Sections of a report on descriptors: maps, distributions, classes, decoded images, training curves."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from ronchi import plot
from ronchi.report.elements import table
from ronchi.report.figures import Album
from ronchi.result import StepResult
from ronchi.schema import schema_of
from ronchi.schema.descriptors import usual_fold

__all__ = ["crops_figures", "decoded_figures", "descriptor_figures"]

_MOST_ATOM_MAPS = 3
_CURVES = {"epoch", "n_classes"}


def descriptor_figures(step: StepResult, album: Album) -> str:
    """Figures of ``descriptors/1`` and its sides, beside its maps over a scan."""
    data = step.data
    assert data is not None
    body = ""
    placed = {"frame", "position_y", "position_x"} <= set(data.coords)
    on_scan = data["z"].dims == ("scan_y", "scan_x", "component")
    if placed:
        for name in map(str, data["component"].values[:_MOST_ATOM_MAPS]):
            words = f"Descriptor {name} on the atoms"
            body += album.add(f"{step.step}-{name}", partial(plot.atom_maps, data, name), words, f"{words}.")
    if "angle" in data and placed:
        n_fold = usual_fold(data)
        words = f"Angle on the atoms, modulo {360 / n_fold:g}° ({n_fold}-fold)"
        body += album.add(f"{step.step}-angle", partial(plot.angle_map, data), words, f"{words}, in cyclic colours.")
    if "label" in data and (placed or on_scan):
        body += album.add(
            f"{step.step}-classes",
            partial(plot.class_map, data),
            "Map of the classes",
            f"Class of every {'atom' if placed else 'position'}.",
        )
    if np.isfinite(data["z"].values).any():
        along = " against the frame" if "frame" in data.coords else ""
        body += album.add(
            f"{step.step}-histograms",
            partial(plot.latent_histograms, data),
            f"Histograms of the descriptors{along}",
            f"Distribution of each descriptor{along}.",
        )
    if any(len(v.dims) == 1 and v.dims[0] in _CURVES for v in data.data_vars.values()):
        body += album.add(
            f"{step.step}-training", partial(plot.training_curves, data), "Training curves", "What the fit followed."
        )
    if "label" in data:
        body += _class_table(data)
    for name, side in step.sides.items():
        if schema_of(side) == "decoded/1":
            body += decoded_figures(f"{step.step}-{name}", name, side, album)
    return body


def decoded_figures(stem: str, name: str, data: xr.Dataset, album: Album) -> str:
    """Figure of ``decoded/1``: a row of images, or of what a class means for each descriptor, or a grid."""
    if data["image"].ndim == 4:
        row, column = data["image"].dims[:2]
        words = f"Images decoded over the latents {column} and {row}"
        return album.add(stem, partial(plot.manifold_grid, data), words, f"{words}.")
    if data["image"].ndim == 3:
        words = f"{'Decoded images' if data['image'].shape[1] > 1 else 'Values of each descriptor'}: {name}"
        return album.add(stem, partial(plot.decoded_images, data), words, f"{words}.")
    return ""


def crops_figures(step: StepResult, album: Album) -> str:
    """Some crops, evenly spread."""
    data = step.data
    assert data is not None
    return album.add(
        f"{step.step}-crops",
        partial(plot.crop_gallery, data),
        "Some of the crops",
        f"Some of {data.sizes['sample']} crops; grey: outside of the window.",
    )


def _class_table(data: xr.Dataset) -> str:
    label = data["label"].values
    n = max(1, label.size)
    rows = [
        (str(k), str(int((label == k).sum())), f"{100 * float((label == k).sum()) / n:.1f}") for k in np.unique(label)
    ]
    return table(("class", "samples", "%"), rows, "Sizes of the classes; -1: no class")
