"""Elliptical distortion of the projector: the matrix, and its measurement on a ring.

q_true = A q_measured with A symmetric, of determinant 1 and in (y, x) order: areas stay, and
a rotation, which no ring can show, is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.builtin.params_transforms import EllipseParams
from ronchi.builtin.patterns import mean_and_variance
from ronchi.errors import CalibrationError
from ronchi.schema import fourd

__all__ = ["Ellipse", "RingFit", "ellipse_matrix", "fit_conic", "fit_ring", "ring_of"]

Array = NDArray[np.float64]
N_SAMPLE = 1024


@dataclass(frozen=True)
class RingFit:
    """A ring seen as an ellipse.

    Parameters
    ----------
    matrix : (2, 2) float64
        A of q_true = A (q_measured - centre).
    radius : float
        Of the corrected ring, in the units of q.
    centre : (2,) float64
        Of the ellipse as seen, (y, x) in the units of q.
    residual : float
        Robust standard deviation of the measured radii from the ellipse.
    n_used : int
        Directions or peaks in the fit.
    """

    matrix: Array
    radius: float
    centre: Array
    residual: float
    n_used: int

    @property
    def ratio(self) -> float:
        """Long over short axis."""
        low, high = np.linalg.eigvalsh(self.matrix)
        return float(high / low)

    @property
    def angle_deg(self) -> float:
        """Direction of the long axis in [0, 180), from x towards y."""
        vector = np.linalg.eigh(self.matrix)[1][:, 0]
        return math.degrees(math.atan2(vector[0], vector[1])) % 180


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
            There is no ring to be fitted between the two radii, or the matrix is singular.
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
                f"{p.method} at {fit.radius:.5g} {fourd.q_units(data)}: ratio {fit.ratio:.5f}, long axis at "
                f"{fit.angle_deg:.2f} deg, residual {fit.residual / fit.radius:.2%} of the radius, {fit.n_used} points"
            )
        ctx.log.info("ellipse: %s", words)
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

    In each of ``n_sectors`` directions the ring's radius is the centroid of what rises above
    a straight background between the two radii. The two radii follow the ellipse from one
    round to the next, so that they cut the ring evenly, which a fixed circle would not.

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
        The radii hold no pixels, or too few directions show a ring.
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
    for _ in range(8):
        true = (points - fit.centre) @ fit.matrix.T
        radii, weights, angles = _sector_radii(true, values, (low, high), pixel, n_sectors)
        if (weights > 0).sum() < 8:
            raise CalibrationError(
                f"only {(weights > 0).sum()} of {n_sectors} directions show a ring between {low:g} and {high:g}",
                where="ring",
                fix="look at the mean pattern and choose radii that enclose one bright ring",
            )
        on_ring = np.stack([radii * np.sin(angles), radii * np.cos(angles)], 1)[weights > 0]
        measured = on_ring @ np.linalg.inv(fit.matrix).T + fit.centre
        fit = fit_conic(measured, weights[weights > 0])
    return fit


def _sector_radii(
    points: Array, values: Array, ring: tuple[float, float], pixel: float, n_sectors: int
) -> tuple[Array, Array, Array]:
    """Radius, weight (0 where no ring shows) and direction of the ring in every sector."""
    low, high = ring
    radius = np.hypot(points[:, 0], points[:, 1])
    n_rings = max(6, round((high - low) / pixel))
    inside = (radius >= low) & (radius < high)
    sector = ((np.arctan2(points[inside, 0], points[inside, 1]) / (2 * np.pi)) % 1 * n_sectors).astype(int) % n_sectors
    shell = ((radius[inside] - low) / (high - low) * n_rings).astype(int)
    index = sector * n_rings + np.minimum(shell, n_rings - 1)

    def binned(weights: Array | None) -> Array:
        sums = np.bincount(index, weights, n_sectors * n_rings).reshape(n_sectors, n_rings)
        return sums.astype(float)

    count = binned(None)
    brightness = binned(values[inside])
    profile = np.divide(brightness, count, out=np.zeros_like(count), where=count > 0)
    where = np.divide(binned(radius[inside]), count, out=np.full_like(count, (low + high) / 2), where=count > 0)
    edge = max(1, n_rings // 6)
    inner, outer = (
        brightness[:, part].sum(1, keepdims=True) / np.maximum(count[:, part].sum(1, keepdims=True), 1)
        for part in (slice(None, edge), slice(-edge, None))
    )
    rise = profile - (inner + (outer - inner) * (where - low) / (high - low))
    net = rise.clip(0)
    total = net.sum(1)
    radii = np.divide((net * where).sum(1), total, out=np.zeros(n_sectors), where=total > 0)
    complete = (count > 0).all(1) & (total > 0) & (net.max(1) > 3 * np.median(np.abs(rise), 1))
    # A spotty ring must not hang on its few brightest grains.
    cap = 3 * np.median(total[complete]) if complete.any() else 0.0
    weights = np.where(complete, np.minimum(total, cap), 0.0)
    return radii, weights, (np.arange(n_sectors) + 0.5) * 2 * np.pi / n_sectors


def _fit_peaks(peaks: xr.Dataset, low: float, high: float) -> RingFit:
    points = np.stack([peaks["qy"].values, peaks["qx"].values], 1)
    inside = (np.hypot(*points.T) >= low) & (np.hypot(*points.T) < high)
    if inside.sum() < 12:
        raise CalibrationError(
            f"only {inside.sum()} peaks lie between {low:g} and {high:g}", where="ring", fix="12 or more are needed"
        )
    return fit_conic(points[inside], np.ones(int(inside.sum())))


def fit_conic(points: Array, weights: Array) -> RingFit:
    """Fit an ellipse with a free centre to (n, 2) points (y, x); Tukey's biweight on the radial residuals.

    Raises
    ------
    CalibrationError
        The points lie on no ellipse: they do not surround the origin.
    """
    scale = float(np.sqrt((points**2).sum(1).mean()))
    y, x = points.T / scale
    design = np.stack([y * y, 2 * y * x, x * x, y, x], 1)
    robust = np.ones(len(points))
    for _ in range(10):
        root = np.sqrt(weights * robust)
        solution, _, rank, _ = np.linalg.lstsq(design * root[:, None], root, rcond=None)
        form = np.array([[solution[0], solution[1]], [solution[1], solution[2]]])
        if rank < 5 or np.linalg.eigvalsh(form).min() <= 0:
            raise CalibrationError("the points lie on no ellipse", where="ring", fix="use a ring seen all around")
        centre = -0.5 * np.linalg.solve(form, solution[3:])
        form = form / (1 + centre @ form @ centre)
        matrix, radius = _root_of(form)
        residual = np.hypot(*((np.stack([y, x], 1) - centre) @ matrix.T).T) - radius
        spread = float(1.4826 * np.median(np.abs(residual)))
        robust = np.maximum(1e-12, 1 - (residual / max(4.685 * spread, 1e-12)) ** 2).clip(0) ** 2
    used = int((robust > 0.01).sum())
    return RingFit(matrix, radius * scale, centre * scale, spread * scale, used)


def _root_of(form: Array) -> tuple[Array, float]:
    """Symmetric A of det 1 and r with |A x| = r where x^T form x = 1."""
    values, vectors = np.linalg.eigh(form)
    determinant = float(values.prod())
    matrix: Any = (vectors * np.sqrt(values)) @ vectors.T / determinant**0.25
    return matrix, determinant**-0.25
