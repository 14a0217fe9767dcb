"""An ellipse with a free centre through points, and how well they determine it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.errors import CalibrationError

__all__ = ["RingFit", "fit_conic"]

Array = NDArray[np.float64]
MIN_EIGENVALUE = 1e-3
"""Of the normal equations; 1 for a whole ring, 0 for spots on two diameters. A quarter of a ring has 1e-5."""
_LEAST_SLOPE = 0.4
"""Of Tukey's psi on average: 0.76 for normal residuals. Of eight it may come out next to nothing."""


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
    strain_se : float
        Standard error of the strain in ``matrix``, in the direction known worst, from the
        scatter of the points as if they were independent; infinite where they determine none.
    """

    matrix: Array
    radius: float
    centre: Array
    residual: float
    n_used: int
    strain_se: float = math.inf

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

    @property
    def ratio_se(self) -> float:
        """Standard error of ``ratio``, which is exp(2 strain)."""
        return 2 * self.ratio * self.strain_se

    @property
    def angle_se_deg(self) -> float:
        """Standard error of ``angle_deg``; 52 deg, that of any direction, where the ring is round."""
        angle = math.degrees(self.strain_se / max(math.log(self.ratio), 1e-300))
        return min(angle, 180 / math.sqrt(12))


def fit_conic(points: Array, weights: Array, variances: Array | None = None) -> RingFit:
    """Fit an ellipse with a free centre to (n, 2) points (y, x); Tukey's biweight on the radial residuals.

    The standard error comes from the scatter about the ellipse, and is at least what the (n,) ``variances`` of the
    radii, where they are known, make of it: of eight points that five numbers are fitted to, little scatter is left.

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
        # Through five points there is always an ellipse: the five smallest residuals tell nothing.
        spread = float(1.4826 * np.median(np.sort(np.abs(residual))[min(5, len(points) - 1) :]))
        robust = np.maximum(1e-12, 1 - (residual / max(4.685 * spread, 1e-12)) ** 2).clip(0) ** 2
    used = int((robust > 0.01).sum())
    round_points = (np.stack([y, x], 1) - centre) @ matrix.T
    # Tukey's weights hold on to outliers less than what they let pass says: the covariance of an M-estimate has the
    # mean slope of psi(u) = u (1 - u^2)^2 in it (Huber and Ronchetti, Robust Statistics, 2009, chapter 7).
    u = (residual / max(4.685 * spread, 1e-12)) ** 2
    slope = np.where(u < 1, (1 - u) * (1 - 5 * u), 0)
    held = max(float(np.average(slope, weights=weights)), _LEAST_SLOPE)
    doubt = float(np.average(robust, weights=weights)) / held
    angle = np.arctan2(*round_points.T)
    strain_se = doubt * _strain_se(angle, (residual / radius) ** 2, weights * robust, max(len(angle) - 5, 1))
    if variances is not None:
        expected = _strain_se(angle, variances / (radius * scale) ** 2, weights * robust, len(angle))
        strain_se = max(strain_se, expected)
    return RingFit(matrix, radius * scale, centre * scale, spread * scale, used, strain_se)


def _strain_se(angle: Array, variance: Array, weights: Array, freedom: int) -> float:
    """Standard error of the strain from (n,) variances of radii, in radii^2; infinite if any ellipse of many would do.

    Squared residuals are such variances of ``freedom`` n - 5.
    """
    # Radius, centre and strain change a radius by these, which are orthonormal over a whole ring.
    rows = [np.ones_like(angle), *(math.sqrt(2) * f(n * angle) for n in (1, 2) for f in (np.cos, np.sin))]
    design = np.stack(rows, 1)
    weights = weights / weights.sum()
    normal = (design * weights[:, None]).T @ design
    weakest = float(np.linalg.eigvalsh(normal)[0])
    if weakest < MIN_EIGENVALUE:
        return math.inf
    inverse = np.linalg.inv(normal)
    meat = (design * (weights**2 * variance)[:, None]).T @ design
    covariance = inverse @ meat @ inverse * len(angle) / freedom
    # A strain e moves the radius by e cos 2 phi, of which the column is sqrt(2) times as large.
    return math.sqrt(2 * float(np.linalg.eigvalsh(covariance[3:, 3:])[-1]))


def _root_of(form: Array) -> tuple[Array, float]:
    """Symmetric A of det 1 and r with |A x| = r where x^T form x = 1."""
    values, vectors = np.linalg.eigh(form)
    determinant = float(values.prod())
    matrix: Any = (vectors * np.sqrt(values)) @ vectors.T / determinant**0.25
    return matrix, determinant**-0.25
