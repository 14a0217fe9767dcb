"""Elliptical distortion of the projector: the matrix, and its measurement on a ring.

q_true = A q_measured with A symmetric, of determinant 1 and in (y, x) order: areas stay, and
a rotation, which no ring can show, is left out.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.builtin.conic import RingFit, fit_conic
from ronchi.builtin.params_transforms import EllipseParams
from ronchi.builtin.patterns import mean_and_variance
from ronchi.builtin.ring_profile import sector_radii
from ronchi.errors import CalibrationError
from ronchi.schema import fourd

__all__ = ["Ellipse", "RingFit", "ellipse_matrix", "fit_conic", "fit_ring", "ring_of"]

Array = NDArray[np.float64]
N_SAMPLE = 1024
ROUNDS = 8
MIN_SHARE = 0.5
"""Share of the directions in which a ring must show."""


class Ellipse:
    """Stores the elliptical distortion in the attribute ``q_distortion``."""

    def __init__(self, params: EllipseParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context, peaks: xr.Dataset | None = None) -> xr.Dataset:
        """Measure or take over the distortion; patterns and coordinates stay as recorded.

        The attributes are ``q_distortion``, the four numbers of A row by row, and
        ``q_distortion_source``, words. An earlier distortion is replaced.

        Raises
        ------
        CalibrationError
            There is no ring to be fitted between the two radii, what there is determines no
            ellipse, as spots in only two directions do, or the matrix is singular.
        """
        p = self.params
        if p.method == "given":
            matrix = _given(p)
            words = "given by the user"
        else:
            low, high = p.ring or (0.0, 0.0)
            if p.method == "peaks":
                if peaks is None:
                    raise CalibrationError(
                        "method 'peaks' needs peaks", where="ellipse", fix="connect the input `peaks`"
                    )
                fit = _fit_peaks(peaks, low, high)
            else:
                fit = ring_of(data, (low, high), p.n_sectors)
            matrix = fit.matrix
            words = (
                f"{p.method} at {fit.radius:.5g} {fourd.q_units(data)}: ratio {fit.ratio:.5f} +- "
                f"{fit.ratio_se:.2g}, long axis at {fit.angle_deg:.2f} +- {fit.angle_se_deg:.2g} deg, "
                f"residual {fit.residual / fit.radius:.2%} of the radius, {fit.n_used} points"
            )
        ctx.log.info("%s", words)
        return data.assign_attrs(q_distortion=matrix.ravel(), q_distortion_source=words)


def ellipse_matrix(ratio: float, angle: float) -> Array:
    """Matrix that turns a ring seen as an ellipse back into a circle of equal area.

    Parameters
    ----------
    ratio : float
        Long over short axis, as seen.
    angle : float
        Direction of the long axis in rad, from x towards y.

    Returns
    -------
    (2, 2) float64
        A of q_true = A q_measured in (y, x) order; symmetric, det 1.
    """
    along = np.array([np.sin(angle), np.cos(angle)])
    projector = np.outer(along, along)
    matrix: Array = projector / np.sqrt(ratio) + (np.eye(2) - projector) * np.sqrt(ratio)
    return matrix


def _given(p: EllipseParams) -> Array:
    if p.matrix is None:
        return ellipse_matrix(float(p.ratio or 1), math.radians(p.angle_deg or 0))
    matrix = np.array(p.matrix).reshape(2, 2)
    determinant = float(np.linalg.det(matrix))
    if determinant <= 0:
        raise CalibrationError(
            f"the matrix {p.matrix} has determinant {determinant:g}", where="ellipse", fix="must be > 0"
        )
    scaled: Array = matrix / math.sqrt(determinant)
    return scaled


def ring_of(data: xr.Dataset, ring: tuple[float, float], n_sectors: int = 72) -> RingFit:
    """Fit a ring of the mean pattern of ``fourd/1`` data. Raises `CalibrationError`."""
    mean = mean_and_variance(data, N_SAMPLE).mean
    good = ~data["bad_pixel"].values.astype(bool) if "bad_pixel" in data else np.ones(mean.shape, bool)
    return fit_ring(mean, data["qy"].values, data["qx"].values, ring, good=good, n_sectors=n_sectors)


def fit_ring(
    pattern: Array,
    qy: Array,
    qx: Array,
    ring: tuple[float, float],
    *,
    good: NDArray[np.bool_] | None = None,
    n_sectors: int = 72,
) -> RingFit:
    """Fit an ellipse to a ring of a pattern.

    In each of up to ``n_sectors`` directions, `sector_radii` fits the ring's radius. The two
    radii follow the ellipse from one round to the next, so that they cut the ring evenly,
    which a fixed circle would not.

    Parameters
    ----------
    pattern : (qy, qx) float64
    qy, qx : 1-D float64
        Coordinates of rows and columns.
    ring : tuple of float
        Inner and outer radius.
    good : (qy, qx) bool, optional
        Pixels to be used.

    Raises
    ------
    CalibrationError
        No ring stands out between the radii, or too few directions show it.
    """
    low, high = ring
    pixel = math.sqrt((qy[1] - qy[0]) * (qx[1] - qx[0]))
    grid = np.stack(np.meshgrid(qy, qx, indexing="ij"), -1)
    keep = np.ones(pattern.shape, bool) if good is None else good
    keep = keep & (np.hypot(grid[..., 0], grid[..., 1]) < 2 * high)
    points, values = grid[keep], pattern[keep]
    if not 0 < low < high or high - low < 3 * pixel:
        raise CalibrationError(f"the ring {ring} is too thin for pixels of {pixel:.3g}", where="ring", fix="widen it")
    fit = RingFit(np.eye(2), (low + high) / 2, np.zeros(2), math.inf, 0)
    for turn in range(ROUNDS):
        true = (points - fit.centre) @ fit.matrix.T
        radii, variances, angles = sector_radii(
            true, values, (low, high), pixel, n_sectors, round_ring=turn == ROUNDS - 1
        )
        shown = np.isfinite(variances)
        if shown.sum() < max(6, MIN_SHARE * len(shown)):
            raise CalibrationError(
                f"only {shown.sum()} of {len(shown)} directions show a ring between {low:g} and {high:g}",
                where="ring",
                fix="look at the mean pattern: choose radii that enclose one bright ring, or, "
                "if it consists of spots, find them with a disk detector and use method `peaks`",
            )
        on_ring = np.stack([radii * np.sin(angles), radii * np.cos(angles)], 1)[shown]
        measured = on_ring @ np.linalg.inv(fit.matrix).T + fit.centre
        # A spotty ring must not hang on its few brightest grains.
        weights = np.minimum(1 / variances[shown], 3 * np.median(1 / variances[shown]))
        fit = fit_conic(measured, weights / weights.max(), variances[shown])
    return _determined(fit)


def _fit_peaks(peaks: xr.Dataset, low: float, high: float) -> RingFit:
    points = np.stack([peaks["qy"].values, peaks["qx"].values], 1)
    inside = (np.hypot(*points.T) >= low) & (np.hypot(*points.T) < high)
    if inside.sum() < 12:
        raise CalibrationError(
            f"only {inside.sum()} peaks lie between {low:g} and {high:g}", where="ring", fix="12 or more are needed"
        )
    directions = _n_diameters(points[inside])
    if directions < 3:
        raise CalibrationError(
            f"the {inside.sum()} peaks between {low:g} and {high:g} lie on {directions} diameters, "
            f"through which ellipses of any ratio pass",
            where="ring",
            fix="choose a ring with peaks on three diameters or more, another zone axis, or a sample of many grains",
        )
    return _determined(fit_conic(points[inside], np.ones(int(inside.sum()))))


def _determined(fit: RingFit) -> RingFit:
    if not math.isfinite(fit.strain_se):
        raise CalibrationError(
            "the points do not determine an ellipse: many pass through them",
            where="ring",
            fix="use a ring seen all around, or peaks on three diameters or more",
        )
    return fit


def _n_diameters(points: Array) -> int:
    """Directions, modulo a half turn and 10 deg, in which at least 2 % of the (n, 2) points lie."""
    angle = np.degrees(np.arctan2(points[:, 0], points[:, 1]))
    # A spot on the border of a bin counts twice, but not for all three borders.
    counts = [np.bincount(((angle + start) % 180 // 10).astype(int) % 18) for start in (0, 10 / 3, 20 / 3)]
    return min(int((count > 0.02 * len(points)).sum()) for count in counts)
