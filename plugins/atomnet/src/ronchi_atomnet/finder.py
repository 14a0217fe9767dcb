"""The atom finder ``atomnet``."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import CalibrationError, Context
from ronchi_atomnet.errors import NORMAL_MEDIAN, fits_from_odds, spread_of_odds, stated_variance
from ronchi_atomnet.frames import Found, collect, step_of
from ronchi_atomnet.gaussians import Fit, fit_gaussians
from ronchi_atomnet.params import LARGEST_SCALE, SMALLEST_SCALE, AtomnetParams
from ronchi_atomnet.peaks import SMOOTHING_PX, find_peaks
from ronchi_atomnet.scaling import normalise, resample
from ronchi_atomnet.spacing import estimate_period
from ronchi_atomnet.tiles import by_tiles
from ronchi_atomnet.weights import Learned, load_weights
from ronchi_torch.threads import thread_limit

__all__ = ["Atomnet"]

Array = NDArray[np.float64]

_SCALE_STEPS = 0.02
"""Scales that are closer to 1 than this are 1: resampling would cost more than it gives."""
_SIGMA_OF_PERIOD = 0.19
"""Standard deviation of an atom over the distance of lattice planes, to begin with: 0.4 angstrom in graphene."""
_FURTHEST = 1.0
"""The fit may move an atom by so many standard deviations of its image; else the network's position stays."""

_OF_NOISE = 0.74
"""Median score of a frame, over that of atoms whose places are known: 0.68 to 0.72 in noise alone, at any strength and
pixel; at 0.74 a fifth of the atoms is false where noise nearly hides the sheet, at 0.8 a twentieth."""
_STRANGE = 3.0
"""Fits that are this many of their standard errors from the odds contradict them. Jitter of the scan makes up for half
of it: neither knows of that."""


class Atomnet:
    """Atom finder ``atomnet``: a network says where atoms are and which, fits say how noisy they are and how bright."""

    def __init__(self, params: AtomnetParams) -> None:
        self.params = params
        self._learned: Learned | None = None

    def find(self, images: xr.Dataset, ctx: Context) -> xr.Dataset:
        """From ``images/1`` to ``atoms/1``; ``score`` is the odds of an atom.

        Raises
        ------
        CalibrationError
            `AtomnetParams.scale` is not given, and the images have neither a scale nor a lattice, or pixels of a size
            that shows no atoms.
        DataError
            The weights cannot be used.
        """
        if self._learned is None:
            self._learned = load_weights(self.params.weights)
        learned = self._learned
        learned.network.to(ctx.device, memory_format=torch.channels_last)
        step = step_of(images)
        pixel = None if step is None else float(np.mean(step))
        with thread_limit(ctx.n_threads):
            found = collect(
                images,
                lambda frame, good: self._search(frame, good, learned, pixel, ctx),
                ctx,
                " ".join(learned.card["classes"]),
            )
        unsure = _unsure(found, float(learned.card["target_sigma_px"]))
        if len(unsure):
            ctx.log.warning(
                "in %d of %d frames, such as frame %d, most atoms have odds as the network gives them to "
                "noise alone: do not trust them unless they can be seen there, check the size of a pixel, and leave "
                "out frames that are empty",
                len(unsure), images.sizes["frame"], unsure[0],
            )  # fmt: skip
        return found

    def _search(
        self, frame: Array, good: NDArray[np.bool_], learned: Learned, pixel: float | None, ctx: Context
    ) -> Found:
        p = self.params
        image = -frame if p.dark else frame
        scale = self._scale(image, learned, pixel)
        odds = self._odds(normalise(resample(image, scale)), learned, ctx)
        threshold = p.threshold if p.threshold is not None else float(learned.card["threshold"])
        points, score, species = find_peaks(odds, threshold)
        points = points / scale
        sigma_px = max(0.6, _SIGMA_OF_PERIOD * float(learned.card["period_px"]) / scale)
        fit = fit_gaussians(image, points, sigma_px, good=good)
        near = (np.hypot(*(fit.points - points).T) <= _FURTHEST * fit.sigma_px) & (fit.height > 0)
        if p.position == "odds" or (p.position == "auto" and _agree(points, fit, near)):
            spread = spread_of_odds(score, float(learned.card["target_sigma_px"]))
            variance = stated_variance(spread, fits_from_odds(points, fit), tuple(learned.card["error_weights"]), scale)
            return Found(points, np.sqrt(variance), fit.height, score, species)
        fitted = np.where(near[:, None], fit.points, points)
        return Found(fitted, np.where(near[:, None], np.sqrt(fit.variance), np.nan), fit.height, score, species)

    def _scale(self, image: Array, learned: Learned, pixel: float | None) -> float:
        """Pixels of the network a pixel of the image."""
        if self.params.scale is not None:
            return self.params.scale
        if pixel is not None:
            scale = pixel / float(learned.card["pixel_angstrom"])
            if not SMALLEST_SCALE < scale <= LARGEST_SCALE:
                raise CalibrationError(
                    f"the images have {pixel:.3g} angstrom a pixel, at which no atoms show",
                    where="atomnet",
                    fix="check their calibration, or give `scale`",
                )
        else:
            period = estimate_period(image)
            if period is None:
                raise CalibrationError(
                    "the images have neither a scale nor a lattice that would tell it",
                    where="atomnet",
                    fix="give the images a pixel size, or give `scale`",
                )
            scale = float(learned.card["period_px"]) / period
        return 1.0 if abs(scale - 1) < _SCALE_STEPS else scale

    def _odds(self, image: NDArray[np.float32], learned: Learned, ctx: Context) -> NDArray[np.float32]:
        def said(tile: NDArray[np.float32]) -> NDArray[np.float32]:
            given = torch.from_numpy(tile)[None, None].to(ctx.device, memory_format=torch.channels_last)
            with torch.inference_mode():
                made: NDArray[np.float32] = torch.softmax(learned.network(given), 1)[0].cpu().numpy()
            return made

        return by_tiles(image, said, self.params.tile_px, learned.network.reach_px, learned.network.stride)


def _unsure(found: xr.Dataset, target_sigma_px: float) -> NDArray[np.int64]:
    """Numbers of the frames whose median score is what noise gives: a part of that of an atom whose place is known."""
    known = target_sigma_px**2 / (target_sigma_px**2 + SMOOTHING_PX**2)
    frame, score = found["frame"].values, found["score"].values
    numbers = np.unique(frame)
    medians = np.array([np.median(score[frame == number]) for number in numbers])
    return np.asarray(numbers[medians < _OF_NOISE * known], np.int64)


def _agree(points: Array, fit: Fit, near: NDArray[np.bool_]) -> bool:
    """True unless fits lie much further from the odds than their noise allows: then the network is on strange ground.

    The median is that of squares of normal numbers, of which the fits' errors are several times as large at most.
    """
    square = ((fit.points - points) ** 2 / fit.variance)[near]
    square = square[np.isfinite(square)]
    return not len(square) or float(np.median(square)) < NORMAL_MEDIAN * _STRANGE**2
