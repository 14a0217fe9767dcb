"""Which pixels of a window are learned, and in which unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_rvae.frames import Window
from ronchi_rvae.intensity import Intensity, check_likelihood
from ronchi_rvae.params import DiscParams
from ronchi_rvae.params_pixels import PixelParams

__all__ = ["circle_radius_px", "fitted_intensity", "used_pixels"]

_LEAST_PX = 4


def used_pixels(window: Window, params: PixelParams, where: str) -> NDArray[np.bool_]:
    """(ny, nx) pixels that are learned: good ones, inside the circle if there is one.

    Raises
    ------
    DataError
        The window is too small for the circle or for anything, or no pixel is left.
    """
    if min(window.shape) < _LEAST_PX:
        raise DataError(f"images of {window.shape} are too small: {_LEAST_PX} px at least", where=where)
    used = np.ones(window.shape, bool) if window.bad_pixel is None else ~window.bad_pixel
    if params.mask == "circle":
        y = np.arange(window.shape[0])[:, None] - window.centre_px[0]
        x = np.arange(window.shape[1]) - window.centre_px[1]
        used &= np.hypot(y, x) <= circle_radius_px(window, params, where)
    if not used.any():
        raise DataError("all pixels are bad or beyond the circle", where=where)
    return used


def circle_radius_px(window: Window, params: PixelParams, where: str) -> float:
    """Radius of the circle. Raises `DataError` unless it lies inside the window."""
    radius: float = params.radius_px or window.reach_px
    if radius > window.reach_px + 1e-6:
        what = f"a circle of {radius:g} px about {window.centre_px} does not lie inside images of {window.shape}"
        raise DataError(what, where=f"{where}: radius_px", fix=f"at most {window.reach_px:g} px")
    return radius


def fitted_intensity(
    params: PixelParams, frames: NDArray[np.float32], used: NDArray[np.bool_], where: str
) -> Intensity:
    """What is done to the values of images: counts and chances are learned as they are.

    Raises
    ------
    DataError
        Values that the likelihood does not allow, or images that are constant.
    """
    family = getattr(params, "likelihood", "gaussian")
    if family == "gaussian":
        named = {"counts": params.counts, "normalise": params.normalise}
        return Intensity.fitted(DiscParams.model_validate(named), frames, used)
    seen = frames[:, used]
    check_likelihood(family, seen, f"{where}: likelihood")
    if np.ptp(seen) == 0:
        raise DataError("the images are constant: there is nothing to learn", where=where)
    return Intensity(params.counts, params.normalise)
