"""Samples of a diffraction library side by side, with the reciprocal-lattice points that are true of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ronchi.schema import library as schema

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Sample", "library_samples", "spread_samples"]

Sample = tuple[int, int, int]
"""Numbers of a run, a semiangle and a thickness."""

_LEAST = 1e-7
"""Fraction of the beam in a pixel that is black."""


def spread_samples(data: xr.Dataset, columns: int = 5, rows: int = 5) -> list[Sample]:
    """Samples all over a library: runs from the first to the last, a row a semiangle, thicker from column to column."""
    runs = np.rint(np.linspace(0, data.sizes["run"] - 1, columns * rows)).astype(int)
    depths = np.rint(np.linspace(0, data.sizes["thickness"] - 1, columns)).astype(int)
    return [
        (int(run), number // columns % data.sizes["semiangle"], int(depths[number % columns]))
        for number, run in enumerate(runs)
    ]


def library_samples(
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
        Circle the reflections, larger with |V_g| weighed as in the structure-factor image.
    least_V : float
        Weakest weighed |V_g| that is circled.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(2 * columns, 2.35 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    edge = float(data["qx"].max())
    for axis, (run, angle, depth) in zip(axes.flat, samples, strict=False):
        one = data.isel(run=run)
        pattern = one["intensity"].isel(semiangle=angle, thickness=depth).values
        axis.imshow(np.log10(pattern + _LEAST), cmap="magma", vmin=-7, vmax=-2, extent=(-edge, edge, edge, -edge))
        axis.set(xlim=(-edge, edge), ylim=(edge, -edge))
        if points:
            _circle(axis, schema.reflections(data, run), least_V)
        axis.set_title(_title(one, angle, depth), fontsize=7)
    return figure


def _circle(axis: object, found: xr.Dataset, least_V: float) -> None:
    weighed = found["weighed_amplitude"].values
    shown = weighed > least_V
    if shown.any():
        size = 30 * np.sqrt(weighed[shown] / weighed.max())
        x, y = (found[name].values[shown] for name in ("reflection_qx", "reflection_qy"))
        axis.scatter(x, y, s=size, facecolors="none", edgecolors="c", linewidths=0.5)  # type: ignore[attr-defined]


def _title(one: xr.Dataset, angle: int, depth: int) -> str:
    crystal = str(one["formula"].item())
    if "zone_axis" in one:
        zone = one["zone_axis"].values
        crystal += f" [{' '.join(map(str, zone))}]" if zone.any() else " random"
    beam = f"{float(one['beam_energy_eV']) / 1e3:.0f} kV, {float(one['semiangle_mrad'][angle]):.2g} mrad"
    return f"{crystal}\n{beam}, {float(one['thickness'][depth]) / 10:.3g} nm"
