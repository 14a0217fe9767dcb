"""Fit the lattice of each position, in compiled code.

The model is linear: a peak of indices (h, k) lies at ``origin + h g1 + k g2``. Its six parameters are kept
in the order ``(origin_y, g1_y, g2_y, origin_x, g1_x, g2_x)``. Robust weights follow Tukey's biweight on the
Mahalanobis distance (Beaton & Tukey 1974, doi:10.1080/00401706.1974.10489171).
Numba caches what is compiled here by this file's date: touch it after a change in a module it calls.
"""

from __future__ import annotations

from math import lgamma
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ronchi_lattice.cholesky import factorise, invert, solve
from ronchi_lattice.indexing import approach, index_peaks, seat_origin

__all__ = ["COLLINEAR", "FITTED", "NOT_CONVERGED", "NO_PEAKS", "OUTLIERS", "TOO_FEW", "fit_positions"]

FITTED, NO_PEAKS, TOO_FEW, COLLINEAR, NOT_CONVERGED, OUTLIERS = 0, 1, 2, 3, 4, 5

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

_MAX_ITERATIONS = 25
_MEDIAN_SQUARE = 1.3863  # median of chi-squared with two degrees of freedom
_LOG_FALSE_ALARMS = np.log(0.01)  # a lattice that one pattern in a hundred of random peaks would show is no lattice


@njit(cache=True, nogil=True, error_model="numpy")
def _distances(
    q: Floats, precision: Floats, lo: int, hi: int, p: Floats, hk: Ints, used: Any, own: Floats, d2: Floats
) -> None:
    """Precision ``own`` and squared Mahalanobis distance ``d2`` of each used peak.

    The direct beam is by far the brightest disk: it gets no more weight than the others have on average.
    """
    trace, others = 0.0, 0
    for i in range(lo, hi):
        if used[i - lo] and not (hk[i, 0] == 0 and hk[i, 1] == 0):
            trace += precision[i, 0] + precision[i, 2]
            others += 1
    for i in range(lo, hi):
        j = i - lo
        if not used[j]:
            continue
        cap = 1.0
        if hk[i, 0] == 0 and hk[i, 1] == 0 and others > 0:
            cap = min(1.0, trace / others / (precision[i, 0] + precision[i, 2]))
        for c in range(3):
            own[j, c] = cap * precision[i, c]
        ry = q[i, 0] - p[0] - hk[i, 0] * p[1] - hk[i, 1] * p[2]
        rx = q[i, 1] - p[3] - hk[i, 0] * p[4] - hk[i, 1] * p[5]
        d2[j] = own[j, 0] * ry * ry + 2 * own[j, 1] * ry * rx + own[j, 2] * rx * rx


@njit(cache=True, nogil=True, error_model="numpy")
def _local_scale(n: int, d2: Floats, used: Any, ordered: Floats) -> float:
    """Robust standard deviation of the residuals, by their median; 1 where they are no larger than expected."""
    count, large = 0, 0
    for j in range(n):
        if used[j]:
            ordered[count] = d2[j]
            count += 1
            large += d2[j] > _MEDIAN_SQUARE
    if 2 * large <= count:
        return 1.0
    ordered[:count].sort()
    return np.sqrt(ordered[count // 2] / _MEDIAN_SQUARE)


@njit(cache=True, nogil=True, error_model="numpy")
def _weighted_normal_equations(
    q: Floats, lo: int, hi: int, p: Floats, hk: Ints, own: Floats, weight: Any, a: Floats, b: Floats
) -> None:
    """Normal matrix ``a`` (lower triangle) and right side ``b`` of the step from ``p``."""
    a[:] = 0.0
    b[:] = 0.0
    for i in range(lo, hi):
        w = weight[i]
        if w == 0.0:
            continue
        h, k = float(hk[i, 0]), float(hk[i, 1])
        ry = q[i, 0] - p[0] - h * p[1] - k * p[2]
        rx = q[i, 1] - p[3] - h * p[4] - k * p[5]
        yy, yx, xx = w * own[i - lo, 0], w * own[i - lo, 1], w * own[i - lo, 2]
        sy, sx = yy * ry + yx * rx, yx * ry + xx * rx
        b[0] += sy
        b[1] += h * sy
        b[2] += k * sy
        b[3] += sx
        b[4] += h * sx
        b[5] += k * sx
        hh, hk_, kk = h * h, h * k, k * k
        a[0, 0] += yy
        a[1, 0] += h * yy
        a[2, 0] += k * yy
        a[1, 1] += hh * yy
        a[2, 1] += hk_ * yy
        a[2, 2] += kk * yy
        a[3, 0] += yx
        a[4, 0] += h * yx
        a[5, 0] += k * yx
        a[4, 1] += hh * yx
        a[5, 1] += hk_ * yx
        a[5, 2] += kk * yx
        a[3, 3] += xx
        a[4, 3] += h * xx
        a[5, 3] += k * xx
        a[4, 4] += hh * xx
        a[5, 4] += hk_ * xx
        a[5, 5] += kk * xx
    a[3, 1], a[3, 2], a[4, 2] = a[4, 0], a[5, 0], a[5, 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _spans_plane(lo: int, hi: int, hk: Ints, weight: Any) -> bool:
    """Whether the nodes used lie on more than one line."""
    s0 = sh = sk = shh = shk = skk = 0.0
    for i in range(lo, hi):
        w, h, k = weight[i], float(hk[i, 0]), float(hk[i, 1])
        s0 += w
        sh += w * h
        sk += w * k
        shh += w * h * h
        shk += w * h * k
        skk += w * k * k
    if s0 <= 0:
        return False
    chh, chk, ckk = shh - sh * sh / s0, shk - sh * sk / s0, skk - sk * sk / s0
    return chh * ckk - chk * chk > 1e-4 * (chh + ckk) ** 2


@njit(cache=True, nogil=True, error_model="numpy")
def _log_false_alarms(n: int, on_lattice: int, farthest2: float, area: float) -> float:
    """Log of how often random peaks show as good a lattice: so many of ``n``, none farther from its node.

    A contrario reasoning (Desolneux, Moisan & Morel 2000, doi:10.1023/A:1026593302236); three peaks are used up
    by the six parameters.
    """
    chance = min(1.0, np.pi * farthest2 / area)
    ways = lgamma(n + 1.0) - lgamma(on_lattice + 1.0) - lgamma(n - on_lattice + 1.0)
    return ways + (on_lattice - 3) * np.log(max(chance, 1e-300))


@njit(cache=True, nogil=True, error_model="numpy")
def fit_positions(
    q: Floats,
    precision: Floats,
    offsets: NDArray[np.int64],
    which: NDArray[np.int64],
    start: Floats,
    tolerance: float,
    min_peaks: int,
    min_fraction: float,
    tukey: float,
    covariance_factor: float,
    params: Floats,
    cov: Floats,
    chi2: Floats,
    rms: Floats,
    n_used: Ints,
    reason: NDArray[np.uint8],
    hk: Ints,
    weight: NDArray[np.float32],
) -> None:
    """Fit the positions ``which``; the last eight arguments are written to.

    Parameters
    ----------
    q : (peak, 2) float64
        Peak positions (y, x), all finite.
    precision : (peak, 3) float64
        Inverse covariance of each peak: yy, yx, xx.
    offsets : (pos + 1,) int64
        Where the peaks of each position start.
    which : (n,) int64
        Positions to fit.
    start : (n, 6) float64
        Parameters to start from, one row for each of ``which``.
    tolerance : float
        Farthest that a peak may lie from its node, in units of ``q``.
    min_peaks, min_fraction
        Fewest peaks used, and least share of the position's peaks.
    tukey : float
        Distance, in standard deviations, at which the weight is 0.
    covariance_factor : float
        Turns the inverse normal matrix into the covariance of the biweight estimate.
    params, cov, chi2, rms, n_used, reason
        Per position, see `ronchi_lattice.fit.Fits`; NaN where ``reason`` is not `FITTED`.
    hk, weight
        Per peak: indices, and robust weight (0 where unused).
    """
    largest = 1
    for n in which:
        largest = max(largest, offsets[n + 1] - offsets[n])
    used = np.empty(largest, np.bool_)
    own, d2, ordered = np.empty((largest, 3)), np.empty(largest), np.empty(largest)
    a, b, gradient, p = np.empty((6, 6)), np.empty(6), np.empty(6), np.empty(6)
    owner = np.full((255, 255), -1, np.int32)

    for row in range(len(which)):
        n = which[row]
        lo, hi = offsets[n], offsets[n + 1]
        params[n], cov[n], chi2[n], rms[n], n_used[n] = np.nan, np.nan, np.nan, np.nan, 0
        for i in range(lo, hi):
            weight[i] = 0.0
        if hi - lo < min_peaks:
            reason[n] = NO_PEAKS if hi == lo else TOO_FEW
            continue
        p[:] = start[row]
        seat_origin(q, lo, hi, p, tolerance * tolerance)
        approach(q, lo, hi, p, tolerance, owner, hk, used)

        converged, scale = False, 1.0
        for iteration in range(_MAX_ITERATIONS):
            count = index_peaks(q, lo, hi, p, np.inf, tolerance * tolerance, owner, hk, used)
            if count < min_peaks:
                break
            _distances(q, precision, lo, hi, p, hk, used, own, d2)
            if iteration < 3:  # then kept, so that the weights can settle
                scale = _local_scale(hi - lo, d2, used, ordered)
            for i in range(lo, hi):
                t = d2[i - lo] / (tukey * scale) ** 2
                weight[i] = (1.0 - t) ** 2 if used[i - lo] and t < 1.0 else 0.0
            _weighted_normal_equations(q, lo, hi, p, hk, own, weight, a, b)
            gradient[:] = b
            if not _spans_plane(lo, hi, hk, weight) or not factorise(a):
                break
            solve(a, b)
            for c in range(6):
                p[c] += b[c]
            if np.dot(gradient, b) < 1e-3 * scale * scale:  # a step of 0.03 standard errors; the next is far smaller
                converged = True
                break

        count, square, distance, farthest2 = 0, 0.0, 0.0, 0.0
        for i in range(lo, hi):
            if weight[i] > 0.0:
                count += 1
                ry = q[i, 0] - p[0] - hk[i, 0] * p[1] - hk[i, 1] * p[2]
                rx = q[i, 1] - p[3] - hk[i, 0] * p[4] - hk[i, 1] * p[5]
                square += ry * ry + rx * rx
                farthest2 = max(farthest2, ry * ry + rx * rx)
                j = i - lo
                distance += own[j, 0] * ry * ry + 2 * own[j, 1] * ry * rx + own[j, 2] * rx * rx
        drift1 = np.hypot(p[1] - start[row, 1], p[4] - start[row, 4])
        drift2 = np.hypot(p[2] - start[row, 2], p[5] - start[row, 5])
        area = abs(p[1] * p[5] - p[2] * p[4])
        if count < min_peaks:
            reason[n] = TOO_FEW
        elif not _spans_plane(lo, hi, hk, weight):
            reason[n] = COLLINEAR
        elif not converged or max(drift1, drift2) > tolerance:
            reason[n] = NOT_CONVERGED
        elif count < min_fraction * (hi - lo) or (
            count > 3 and _log_false_alarms(hi - lo, count, farthest2, area) > _LOG_FALSE_ALARMS
        ):
            reason[n] = OUTLIERS
        else:
            reason[n] = FITTED
        if reason[n] != FITTED:
            for i in range(lo, hi):
                weight[i] = 0.0
            continue
        params[n], n_used[n], rms[n] = p, count, np.sqrt(square / count)
        dof = 2 * count - 6
        inflation = covariance_factor
        if dof > 0:
            chi2[n] = distance / dof
            if chi2[n] > 1.0 + 3.0 * np.sqrt(2.0 / dof):  # this position is worse than the common model error says
                inflation *= chi2[n]
        invert(a, inflation, cov[n])
