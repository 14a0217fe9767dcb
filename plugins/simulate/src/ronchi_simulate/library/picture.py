"""A look at a library: patterns side by side, with the reciprocal-lattice points that are true of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ronchi.schema import library as schema

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_samples"]

Sample = tuple[int, int, int]

_LEAST = 1e-7
"""Fraction of the beam in a pixel that is black."""


def draw_samples(
    data: xr.Dataset, samples: Sequence[Sample], *, columns: int = 5, points: bool = True, least_V: float = 0.2
) -> Figure:
    """Draw patterns on a logarithmic scale, each with its crystal, beam and thickness.

    Parameters
    ----------
    data : xarray.Dataset
        ``library/1``, lazy or not; only the patterns that are drawn are read.
    samples : sequence of (run, semiangle, thickness)
        By their numbers.
    columns : int
        Patterns in a row.
    points : bool
        Circle the reflections, larger and brighter with |V_g| weighed by the excitation error as in the
        structure-factor image.
    least_V : float
        Weakest weighed |V_g| that is circled.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(3 * columns, 3.25 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    edge = float(data["qx"].max())
    for axis, (run, angle, depth) in zip(axes.flat, samples, strict=False):
        one = data.isel(run=run)
        pattern = one["intensity"].isel(semiangle=angle, thickness=depth).values
        axis.imshow(np.log10(pattern + _LEAST), cmap="magma", vmin=-7, vmax=-2, extent=(-edge, edge, edge, -edge))
        if points:
            found = schema.reflections(data, run)
            sigma = float(data.attrs["sigma_inv_angstrom"])
            weighed = found["amplitude"] * np.exp(-(found["excitation_error"] ** 2) / (2 * sigma**2))
            shown = found.isel(reflection=(weighed > least_V).values)
            size = 60 * np.sqrt(weighed.values[weighed.values > least_V] / float(weighed.max()))
            axis.scatter(
                shown["reflection_qx"],
                shown["reflection_qy"],
                s=size,
                facecolors="none",
                edgecolors="c",
                linewidths=0.5,
            )
        axis.set_title(_title(one, angle, depth), fontsize=7)
    return figure


def _title(one: xr.Dataset, angle: int, depth: int) -> str:
    zone = one["zone_axis"].values
    along = "random" if not zone.any() else f"[{' '.join(map(str, zone))}]"
    beam = f"{float(one['beam_energy_eV']) / 1e3:.0f} kV, {float(one['semiangle_mrad'][angle]):.2g} mrad"
    return f"{one['formula'].item()} {along}\n{beam}, {float(one['thickness'][depth]) / 10:.0f} nm"
