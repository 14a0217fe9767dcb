"""Hot and dead pixels: found in the mean and variance of a sample, marked, and filled."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from ronchi.api import Context
from ronchi.builtin.filling import bad_mask, fill_lazily, is_filled
from ronchi.builtin.params_transforms import BadPixelsParams
from ronchi.builtin.patterns import mean_and_variance
from ronchi.errors import DataError
from ronchi.schema import fourd
from ronchi.schema.common import variable

__all__ = ["BadPixels", "find_bad"]

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
        """Mark pixels; those that the data already mark stay marked, and if those are filled, all are.

        Where they are, ``bad_pixel`` has the attribute ``filled``: see `ronchi.bad_pixels.left_out`.

        Raises
        ------
        DataError
            A known pixel lies outside the pattern, all pixels are bad, or a valid pattern holds NaN in a good pixel.
        """
        shape = (data.sizes["qy"], data.sizes["qx"])
        bad = bad_mask(data)
        for y, x in self.params.known:
            if not (0 <= y < shape[0] and 0 <= x < shape[1]):
                raise DataError(
                    f"the known bad pixel ({y}, {x}) lies outside the pattern of {shape}", fix="(row, column)"
                )
            bad[y, x] = True
        if self.params.find:
            mean, variance, n = mean_and_variance(_marked(data, bad), self.params.n_sample, ctx.progress)
            found = find_bad(mean, variance, n, self.params.threshold)
            ctx.log.info("bad pixels: %d known, %d found in %d patterns", bad.sum(), (found & ~bad).sum(), n)
            bad |= found
        if bad.all():
            raise DataError("every pixel is bad", where="bad_pixel", fix="check `known` and the mask in the data")
        marked = _marked(data, bad)
        # One attribute tells of all: of filled pixels beside others that are not, it would be wrong.
        if self.params.fill or is_filled(data):
            marked["intensity"] = fill_lazily(data["intensity"], bad)
            marked["bad_pixel"].attrs["filled"] = 1
        return fourd.validate(marked)


def _marked(data: xr.Dataset, bad: Mask) -> xr.Dataset:
    return data.assign(bad_pixel=variable(("qy", "qx"), bad.astype("i1"), "1", "1 where the detector is bad"))


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
