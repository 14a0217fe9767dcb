"""Metrics ``ssim`` of decoded images against true ones, and ``pose-nll`` of reconstructions against the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from ronchi.api import Context
from ronchi.blocks import BLOCK_BYTES
from ronchi.builtin.params_descriptors import PoseNllParams, SsimParams
from ronchi.errors import DataError

__all__ = ["PoseNll", "Ssim", "best_rotation", "poisson_nll", "rotated", "ssim_within"]

Array = NDArray[np.float64]


def rotated(image: Array, angle: float) -> Array:
    """Image turned by ``angle`` [rad] from x towards y about the pixel ``(N // 2, N // 2)``, by cubic splines."""
    y, x = _offsets(image.shape)
    c, s = np.cos(angle), np.sin(angle)
    centre_y, centre_x = image.shape[0] // 2, image.shape[1] // 2
    turned: Array = map_coordinates(
        image, (c * y - s * x + centre_y, s * y + c * x + centre_x), order=3, mode="nearest"
    )
    return turned


def ssim_within(image: Array, true: Array, inside: NDArray[np.bool_], sigma_px: float) -> float:
    """Mean structural similarity over the pixels ``inside``, once gain and offset are fitted there.

    References
    ----------
    Wang et al., IEEE Trans. Image Process. 13, 600 (2004), doi:10.1109/TIP.2003.819861; constants 0.01 and 0.03 of
    the range of the true image.
    """
    design = np.stack([image[inside], np.ones(int(inside.sum()))], 1)
    gain, offset = np.linalg.lstsq(design, true[inside], rcond=None)[0]
    # A negative gain would praise the negative of the image.
    fitted = max(gain, 0.0) * image + (offset if gain > 0 else true[inside].mean())
    weight = gaussian_filter(inside.astype(float), sigma_px) + 1e-12

    def local(values: Array) -> Array:
        mean: Array = gaussian_filter(np.where(inside, values, 0.0), sigma_px) / weight
        return mean

    a, b = local(fitted), local(true)
    var_a, var_b, cov = local(fitted**2) - a * a, local(true**2) - b * b, local(fitted * true) - a * b
    span = float(np.ptp(true[inside]))
    c1, c2 = (0.01 * span) ** 2 + 1e-30, (0.03 * span) ** 2 + 1e-30
    ratio = (2 * a * b + c1) * (2 * cov + c2) / ((a * a + b * b + c1) * (var_a + var_b + c2))
    return float(ratio[inside].mean())


def best_rotation(image: Array, true: Array, sigma_px: float = 1.5, step_deg: float = 3.0) -> tuple[float, float]:
    """Largest `ssim_within` the circular window over rotations of ``image``, and the angle in rad.

    Pixels that are not finite in the image are left out where they are.
    """
    y, x = _offsets(image.shape)
    # A rotated image knows nothing beyond the circle within its window.
    inside = np.hypot(y, x) <= (min(image.shape) - 1) // 2
    known = np.isfinite(image)
    filled = np.where(known, image, np.mean(image[known]) if known.any() else 0.0)
    inside &= known
    if not inside.any() or not np.ptp(true[inside]) > 0:
        return np.nan, np.nan

    def similarity(angle: float) -> float:
        return ssim_within(rotated(filled, angle), true, inside, sigma_px)

    step = np.deg2rad(step_deg)
    angles = np.arange(0, 2 * np.pi, step)
    coarse = float(angles[int(np.argmax([similarity(angle) for angle in angles]))])
    fine = minimize_scalar(lambda angle: -similarity(angle), bounds=(coarse - step, coarse + step), method="bounded")
    return -float(fine.fun), float(fine.x)


def _offsets(shape: tuple[int, ...]) -> tuple[Array, Array]:
    y, x = np.meshgrid(*(np.arange(n, dtype=float) - n // 2 for n in shape), indexing="ij")
    return y, x


class Ssim:
    """Structural similarity of the best decoded image to every true one, after the best rotation."""

    def __init__(self, params: SsimParams) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score ``decoded/1`` against the ``template`` of the truth.

        Returns
        -------
        dict
            ``ssim_*`` for each true class; ``ssim_min`` and ``ssim_mean`` over the classes.

        Raises
        ------
        DataError
            The truth has no templates, or they have another size.
        """
        where, p = "ssim", self.params
        if "template" not in truth:
            raise DataError("the truth has no 'template'", where=where)
        images = result["image"].values.reshape(-1, *result["image"].shape[-2:]).astype(np.float64)
        templates = truth["template"].values.astype(np.float64)
        if images.shape[1:] != templates.shape[1:]:
            what = f"decoded images have {images.shape[1:]} pixels, templates {templates.shape[1:]}"
            raise DataError(what, where=where)
        if p.mirror:
            images = np.concatenate([images, _mirrored(images)])
        names = truth["class"].values if "class" in truth.coords else np.arange(len(templates))
        figures = {}
        for done, (name, template) in enumerate(zip(names, templates, strict=True)):
            found = [best_rotation(image, template, p.sigma_px, p.step_deg)[0] for image in images]
            figures[f"ssim_{name}"] = float(np.nanmax(found)) if np.isfinite(found).any() else np.nan
            ctx.progress(done + 1, len(templates))
        values = list(figures.values())
        return {"ssim_min": float(np.min(values)), "ssim_mean": float(np.mean(values)), **figures}


def _mirrored(images: Array) -> Array:
    """Images with y reversed about the pixel N // 2; the first row of even ones has no partner and stays."""
    first = 1 - images.shape[1] % 2
    turned = images.copy()
    turned[:, first:] = images[:, first:][:, ::-1]
    return turned


def poisson_nll(counts: Array, mean: Array) -> Array:
    """-log p of Poisson counts of a mean above 0."""
    nll: Array = mean - counts * np.log(mean) + gammaln(counts + 1)
    return nll


class PoseNll:
    """Likelihood of the data under reconstructions with their pose applied, the same for every tool.

    Objectives of different learners cannot be compared: their noise, priors and constants differ. What each takes
    a sample to be can.
    """

    def __init__(self, params: PoseNllParams) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score reconstructions against the data, both of one schema; held out, if the model was fitted to others.

        Pixels that are NaN in all reconstructions, since the learner did not learn them, do not count: mark them as
        bad in the data to compare with learners that see more.

        Returns
        -------
        dict
            ``nll_per_px``; ``rmse``, in the data's units; ``sigma``, given or most likely; ``n``, samples that count;
            ``coverage``, their part of all.

        Raises
        ------
        DataError
            There is not one reconstruction a sample.
        """
        p, data, made = self.params, truth["intensity"], result["intensity"]
        if data.shape != made.shape:
            what = f"the reconstructions have shape {made.shape}, the data {data.shape}"
            raise DataError(what, where="pose-nll", fix="take the reconstructions of the same samples")
        used = _used(truth, data.shape[-2:])
        valid = truth["valid"].values.astype(bool) if "valid" in truth else np.ones(data.shape[:-2], bool)
        squares, poisson, n, pixels = 0.0, 0.0, 0, 0
        for rows in _row_slices(data):
            values, model = (np.asarray(x[rows].values, np.float64)[..., used] for x in (data, made))
            good = valid[rows] & np.isfinite(values).all(-1) & np.isfinite(model).any(-1)
            values, model = values[good], model[good]
            learned = np.isfinite(model).any(0)
            values, model = values[:, learned], model[:, learned]
            whole = np.isfinite(model).all(-1)
            values, model = values[whole], model[whole]
            squares += float(((values - model) ** 2).sum())
            if p.likelihood == "poisson":
                poisson += float(poisson_nll(values, np.maximum(model, p.least_counts)).sum())
            n, pixels = n + len(values), pixels + values.size
        if not pixels:
            return dict.fromkeys(("nll_per_px", "rmse", "sigma"), np.nan) | {"n": 0.0, "coverage": 0.0}
        figures = {"rmse": (squares / pixels) ** 0.5, "n": float(n), "coverage": n / valid.size}
        if p.likelihood == "poisson":
            return {"nll_per_px": poisson / pixels, **figures}
        sigma = p.sigma or figures["rmse"]
        with np.errstate(divide="ignore", invalid="ignore"):
            nll = 0.5 * np.square(figures["rmse"] / np.float64(sigma)) + np.log(sigma) + 0.5 * np.log(2 * np.pi)
        return {"nll_per_px": float(nll), "sigma": sigma, **figures}


def _row_slices(x: xr.DataArray) -> Iterator[slice]:
    """Slices along the first dimension: the chunks of lazy data, else about 8 MB each."""
    step = max(1, BLOCK_BYTES // max(1, x[:1].nbytes))
    lengths = x.chunks[0] if x.chunks is not None else [min(step, len(x) - at) for at in range(0, len(x), step)]
    stops = np.cumsum(lengths).tolist()
    yield from (slice(stop - length, stop) for stop, length in zip(stops, lengths, strict=True))


def _used(data: xr.Dataset, shape: tuple[Any, ...]) -> NDArray[np.bool_]:
    if "bad_pixel" not in data:
        return np.ones(shape, bool)
    used: NDArray[np.bool_] = ~data["bad_pixel"].values.astype(bool)
    return used
