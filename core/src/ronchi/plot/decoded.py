"""Small images in rows and grids: crops, mean images, components, and grids over a latent space."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import DataError
from ronchi.plot.canvas import colormap, extent_of, new_figure
from ronchi.plot.labels import unit_text
from ronchi.plot.limits import robust_limits, symmetric_limit
from ronchi.plot.scalebar import add_scale_bar

__all__ = ["crop_gallery", "decoded_images", "manifold_grid"]

_MOST_IMAGES = 24
_PER_ROW = 8
_MOST_NAMES = 6


def crop_gallery(crops: xr.Dataset, *, n: int = _MOST_IMAGES, figure: Any = None) -> Any:
    """Draw evenly spread crops on one scale; pixels outside of the window in grey.

    Parameters
    ----------
    crops : xarray.Dataset
        ``crops/1``, may be lazy: only the chosen crops are made.
    n : int
        At most so many.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        Each crop is titled with its frame and atom; the first has a scale bar.
    """
    total = crops.sizes["sample"]
    chosen = np.unique(np.linspace(0, total - 1, min(n, total)).astype(int))
    images = crops["intensity"].isel(sample=chosen).astype(float).compute()
    if "bad_pixel" in crops:
        images = images.where(crops["bad_pixel"] == 0)
    titles = [
        f"frame {f}, atom {a}" for f, a in zip(*(crops[k].values[chosen] for k in ("frame", "atom")), strict=True)
    ]
    return _rows_of_images(images, titles, robust_limits(images.values), "inferno", figure)


def decoded_images(decoded: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw the images of classes or components, each with its weight.

    Parameters
    ----------
    decoded : xarray.Dataset
        ``decoded/1`` whose images are numbered by one dimension. Classes share one scale, components have each
        their own, about 0 if any is negative. Images of one row, such as means of descriptors, are drawn as bars.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        Each image is titled with its number and weight; the first has a scale bar where the pixels have a size.

    Raises
    ------
    DataError
        The images are numbered by more than one dimension.
    """
    image = decoded["image"]
    if image.ndim != 3:
        raise DataError(f"the images have dims {image.dims}: draw them as a grid", where="decoded images")
    dim = str(image.dims[0])
    image = image[:_MOST_IMAGES]
    values = _without_outside(image.values)
    labels = image[dim].values
    weight = decoded["weight"].values if "weight" in decoded else None
    titles = [
        f"{dim} {labels[i]}" + ("" if weight is None else f", {100 * float(weight[i]):.3g} %")
        for i in range(len(values))
    ]
    if image.shape[1] == 1:
        return _bars(image, titles, figure)
    finite = values[np.isfinite(values)]
    # The sign of a component is arbitrary: one that is negative everywhere needs the scale about 0 too.
    signed = len(finite) > 0 and finite.min() < 0
    if dim == "component":
        values = values / np.array([symmetric_limit(each, tail_percent=0.1) for each in values])[:, None, None]
        limits, cmap = ((-1.0, 1.0), "RdBu_r") if signed else ((0.0, 1.0), "inferno")
        return _rows_of_images(image.copy(data=values), titles, limits, cmap, figure)
    return _rows_of_images(image.copy(data=values), titles, robust_limits(values), "inferno", figure)


def _without_outside(images: NDArray[Any]) -> NDArray[np.float64]:
    """Images (..., ny, nx) with NaN where all are 0: outside of the window, which would else stretch the colours."""
    values = images.astype(np.float64)
    values[..., (values == 0).all(axis=tuple(range(values.ndim - 2)))] = np.nan
    return values


def _rows_of_images(
    images: xr.DataArray, titles: list[str], limits: tuple[float, float], cmap: str, figure: Any
) -> Any:
    y, x = (images[dim] for dim in images.dims[1:])
    columns = min(len(images), _PER_ROW)
    rows = -(-len(images) // columns)
    ratio = min(4.0, max(0.25, images.shape[2] / images.shape[1]))
    figure = figure or new_figure(1.25 * columns + 0.1, rows * (1.25 / ratio + 0.3))
    for number, (image, title) in enumerate(zip(images.values, titles, strict=True)):
        ax = figure.add_subplot(rows, columns, number + 1)
        ax.imshow(
            image, cmap=colormap(cmap), vmin=limits[0], vmax=limits[1], interpolation="none", extent=extent_of(y, x)
        )
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize="xx-small", pad=2)
        if number == 0 and "units" in x.attrs:
            add_scale_bar(ax, str(x.attrs["units"]))
    return figure


def _bars(images: xr.DataArray, titles: list[str], figure: Any) -> Any:
    """Rows of values (images, 1, values) as bars on one scale, with the names of the values."""
    rows, names = images.values[:, 0].astype(float), images[images.dims[2]]
    columns = min(len(rows), _PER_ROW // 2)
    figure = figure or new_figure(2.5 * columns, -(-len(rows) // columns) * 1.9)
    axes = figure.subplots(-(-len(rows) // columns), columns, sharey=True, squeeze=False).ravel()
    for ax, row, title in zip(axes, rows, titles, strict=False):
        ax.bar(np.arange(len(row)), row, color="0.45")
        ax.axhline(0, color="0.2", linewidth=0.6)
        ax.set_title(title, fontsize="xx-small", pad=2)
        ax.tick_params(labelsize="xx-small")
        few = names.dtype.kind not in "iuf" and len(row) <= _MOST_NAMES
        ax.set_xticks(np.arange(len(row)) if few else [], [str(name) for name in names.values] if few else [])
    for ax in axes[len(rows) :]:
        ax.set_axis_off()
    if images.dims[0] != "component":  # those are directions
        axes[0].set_ylabel(unit_text(str(images.attrs.get("units", ""))), fontsize="x-small")
    return figure


def manifold_grid(decoded: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw a grid over two latents as one picture, with their values at the axes.

    Parameters
    ----------
    decoded : xarray.Dataset
        ``decoded/1`` of the transform ``manifold``: (row latent, column latent, y, x).
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes, with a few values of the latents at its sides.

    Raises
    ------
    DataError
        The images are not numbered by two dimensions.
    """
    image = decoded["image"]
    if image.ndim != 4:
        raise DataError(f"the images have dims {image.dims}: draw them in a row", where="manifold grid")
    row, column = (str(dim) for dim in image.dims[:2])
    n_rows, n_columns, height, width = image.shape
    values = _without_outside(image.values)
    # Values grow upwards, as on any axis.
    tiled = values[::-1].transpose(0, 2, 1, 3).reshape(n_rows * height, n_columns * width)
    low, high = robust_limits(values)
    size = 5.2
    figure = figure or new_figure(size + 0.5, size * n_rows * height / (n_columns * width) + 0.6)
    ax = figure.subplots()
    ax.imshow(
        tiled, cmap=colormap("inferno"), vmin=low, vmax=high, interpolation="none", extent=(0, n_columns, 0, n_rows),
        aspect=height / width,
    )  # fmt: skip
    for set_ticks, set_label, dim, n in (
        (ax.set_xticks, ax.set_xlabel, column, n_columns),
        (ax.set_yticks, ax.set_ylabel, row, n_rows),
    ):
        at = np.unique(np.linspace(0, n - 1, min(n, 5)).astype(int))
        named = decoded[dim].values if dim in decoded.coords else np.arange(n)
        set_ticks(at + 0.5, [f"{float(named[i]):.2g}" for i in at], fontsize="x-small")
        set_label(dim if n > 1 else "", fontsize="small")
    return figure
