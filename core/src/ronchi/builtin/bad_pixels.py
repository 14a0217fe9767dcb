"""Hot and dead pixels: found in the mean and variance of a sample, marked, and filled."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from ronchi.api import Context
from ronchi.blocks import count_positions
from ronchi.builtin.chunking import as_dask
from ronchi.builtin.params_transforms import BadPixelsParams
from ronchi.builtin.patterns import mean_and_variance
from ronchi.errors import DataError
from ronchi.schema import fourd
from ronchi.schema.common import variable

__all__ = ["BadPixels", "fill_bad", "find_bad"]

Mask = NDArray[np.bool_]
_RING = np.ones((5, 5), bool)
_RING[2, 2] = False
_NEAR = np.ones((3, 3), bool)
_NEAR[1, 1] = False


class BadPixels:
    """Marks bad pixels in the variable ``bad_pixel``, and fills them if asked to."""

    def __init__(self, params: BadPixelsParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Mark pixels; those that the data already mark stay marked.

        Raises
        ------
        DataError
            A known pixel lies outside the pattern, all pixels are bad, or a pattern holds NaN.
        """
        intensity = data["intensity"]
        shape = (data.sizes["qy"], data.sizes["qx"])
        bad = data["bad_pixel"].values.astype(bool) if "bad_pixel" in data else np.zeros(shape, bool)
        for y, x in self.params.known:
            if not (0 <= y < shape[0] and 0 <= x < shape[1]):
                raise DataError(
                    f"the known bad pixel ({y}, {x}) lies outside the pattern of {shape}", fix="(row, column)"
                )
            bad[y, x] = True
        if self.params.find:
            n = min(self.params.n_sample, count_positions(intensity))
            mean, variance = mean_and_variance(intensity, n, ctx.progress)
            found = find_bad(mean, variance, n, self.params.threshold)
            ctx.log.info("bad pixels: %d known, %d found in %d patterns", bad.sum(), (found & ~bad).sum(), n)
            bad |= found
        if bad.all():
            raise DataError("every pixel is bad", where="bad_pixel", fix="check `known` and the mask in the data")
        marked = data.assign(bad_pixel=variable(("qy", "qx"), bad.astype("i1"), "1", "1 where the detector is bad"))
        if self.params.fill and bad.any():
            lazy = as_dask(intensity)
            filled = lazy.data.map_blocks(fill_bad, bad, dtype=intensity.dtype, meta=lazy.data._meta)
            marked["intensity"] = lazy.dims, filled, intensity.attrs
        return fourd.validate(marked)


def find_bad(mean: NDArray[np.float64], variance: NDArray[np.float64], n: int, threshold: float) -> Mask:
    """Find pixels that stand out from their neighbours more than a disk's edge or the counts allow.

    A pixel is hot if it exceeds both the median of its 5 x 5 surroundings and the second
    brightest of its 8 neighbours by ``threshold`` standard errors and 2.5-fold; dead if it
    lies as far, and below a fifth, under both the median and the third darkest. Looking past
    the most extreme neighbours finds pairs of hot and small groups of dead pixels. A dead
    pixel in the dark is not found: it makes no difference there. Spots of a single pixel
    look hot: raise the threshold.

    Parameters
    ----------
    mean, variance : (qy, qx) float64
        Of ``n`` patterns.
    n : int
    threshold : float

    Returns
    -------
    (qy, qx) bool
    """
    around = ndimage.median_filter(mean, footprint=_RING, mode="mirror")
    # In a dark corner a sample has no variance to speak of: never believe less than Poisson's, nor than one count's.
    expected = np.maximum(ndimage.median_filter(variance, footprint=_RING, mode="mirror"), np.maximum(around, 1.0 / n))
    error = threshold * np.sqrt(expected / n)
    # Mirrored at the border, a hot neighbour would count twice.
    bright = ndimage.rank_filter(mean, rank=-2, footprint=_NEAR, mode="constant", cval=-np.inf)
    top = np.maximum(around, bright)
    hot = (mean > top + error) & (mean > 2.5 * top)
    # Reflected, the dark wedge beside a disk that the border cuts stays a wedge.
    dark = ndimage.rank_filter(np.where(hot, around, mean), rank=2, footprint=_NEAR, mode="reflect")
    bottom = np.minimum(around, dark)
    found: Mask = hot | ((mean < bottom - error) & (mean < 0.2 * bottom))
    return found


def fill_bad(frames: NDArray[Any], bad: Mask) -> NDArray[Any]:
    """Replace bad pixels by the median of the good ones around, in the stored type.

    Parameters
    ----------
    frames : (..., qy, qx) array
        Never written to.
    bad : (qy, qx) bool
        Windows of 5 x 5 grow by 2 until they hold a good pixel.

    Returns
    -------
    (..., qy, qx) array
    """
    filled = frames.copy()
    for y, x in np.argwhere(bad):
        reach = 2
        while True:
            window = (slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1))
            good = ~bad[window]
            if good.any() or reach > max(bad.shape):
                break
            reach += 1
        median = np.median(frames[(..., *window)][..., good], axis=-1)
        filled[..., y, x] = np.rint(median) if frames.dtype.kind in "iu" else median
    return filled
