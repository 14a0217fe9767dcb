"""Fit the lattice of each position, in compiled code.

The model is linear: a peak of indices (h, k) lies at ``origin + h g1 + k g2``. Its six parameters are kept
in the order ``(origin_y, g1_y, g2_y, origin_x, g1_x, g2_x)``. Robust weights follow Tukey's biweight on the
Mahalanobis distance (Beaton & Tukey 1974, doi:10.1080/00401706.1974.10489171).
"""

from __future__ import annotations

from math import lgamma
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.cholesky import factor, invert, solve
from ronchi.compiled import njit
from ronchi_lattice.indexing import approach, index_peaks, seat_origin

__all__ = ["COLLINEAR", "FITTED", "NOT_CONVERGED", "NO_PEAKS", "OUTLIERS", "TOO_FEW", "fit_positions"]

FITTED, NO_PEAKS, TOO_FEW, COLLINEAR, NOT_CONVERGED, OUTLIERS = 0, 1, 2, 3, 4, 5

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

_PARAMETERS = 6
_LEAST = 1e-14  # share of a parameter's information that the others must leave
_MAX_ITERATIONS = 25
_SETTLING = 2  # iterations in which indices and local scale may change; then they are kept, so that it converges
_MEDIAN_SQUARE = 1.3863  # median of chi-squared with two degrees of freedom
_LOG_FALSE_ALARMS = np.log(0.001)
"""A lattice that one pattern in a hundred of random peaks would show is no lattice. The fit chooses its peaks and where
it begins, and peaks of a ring lie where nodes do: up to ten times as many as the estimate says show one."""

_DENSER = 1.5
"""No crystal strains so far: what has cells smaller by this than usual is a lattice with empty nodes."""

_LEAST_FILLED = 0.4
"""Of the nodes among the peaks used, where these are but a part of the pattern's: a lattice that has every fifth node
in common with another one is given a fifth of its peaks."""


@njit(nogil=True)
def _gather(q: Floats, precision: Floats, typical: float, lo: int, hi: int, hk: Ints, used: Any, x: Floats) -> int:
    """Copy the used peaks into the rows y, x, h, k, precision yy, yx, xx, slack of ``x`` (8, m); returns how many.

    A bright peak is no outlier for lying farther off than its own small error, if a typical peak lies there too:
    its slack is the ratio of the two variances. The direct beam is by far the brightest disk: it gets no more
    weight than the others have on average.
    """
    m, direct, trace = 0, -1, 0.0
    for i in range(lo, hi):
        if not used[i - lo]:
            continue
        x[0, m], x[1, m] = q[i, 0], q[i, 1]
        x[2, m], x[3, m] = hk[i, 0], hk[i, 1]
        x[4, m], x[5, m], x[6, m] = precision[i, 0], precision[i, 1], precision[i, 2]
        x[7, m] = max(1.0, (precision[i, 0] + precision[i, 2]) / typical)
        if hk[i, 0] == 0 and hk[i, 1] == 0:
            direct = m
        else:
            trace += precision[i, 0] + precision[i, 2]
        m += 1
    if direct >= 0 and m > 1:
        cap = min(1.0, trace / (m - 1) / (x[4, direct] + x[6, direct]))
        for c in range(4, 7):
            x[c, direct] *= cap
    return m


@njit(nogil=True)
def _local_scale(x: Floats, m: int, p: Floats, ordered: Floats) -> float:
    """Robust standard deviation of the residuals, by their median; 1 where they are no larger than expected."""
    large = 0
    for j in range(m):
        ry = x[0, j] - p[0] - x[2, j] * p[1] - x[3, j] * p[2]
        rx = x[1, j] - p[3] - x[2, j] * p[4] - x[3, j] * p[5]
        ordered[j] = x[4, j] * ry * ry + 2 * x[5, j] * ry * rx + x[6, j] * rx * rx
        large += ordered[j] > _MEDIAN_SQUARE
    if 2 * large <= m:
        return 1.0
    ordered[:m].sort()
    return float(np.sqrt(ordered[m // 2] / _MEDIAN_SQUARE))


@njit(nogil=True, fastmath={"contract", "reassoc"})
def _normal_equations(x: Floats, m: int, p: Floats, cut2: float, weight: Floats, a: Floats, b: Floats) -> None:
    """Normal matrix ``a`` (lower triangle) and right side ``b`` of the robust step from ``p``, and its weights.

    ``cut2`` is the squared Mahalanobis distance at which the weight of a peak without slack is 0.
    """
    s0 = sh = sk = shh = shk = skk = 0.0  # weighted by the precision yy
    t0 = th = tk = thh = thk = tkk = 0.0  # by yx
    u0 = uh = uk = uhh = uhk = ukk = 0.0  # by xx
    y0 = yh = yk = x0 = xh = xk = 0.0
    for j in range(m):
        h, k = x[2, j], x[3, j]
        ry = x[0, j] - p[0] - h * p[1] - k * p[2]
        rx = x[1, j] - p[3] - h * p[4] - k * p[5]
        gy, gx = x[4, j] * ry + x[5, j] * rx, x[5, j] * ry + x[6, j] * rx
        left = max(0.0, 1.0 - (gy * ry + gx * rx) / (cut2 * x[7, j]))
        w = left * left
        weight[j] = w
        yy, yx, xx = w * x[4, j], w * x[5, j], w * x[6, j]
        hh, hk, kk = h * h, h * k, k * k
        s0, t0, u0 = s0 + yy, t0 + yx, u0 + xx
        sh, th, uh = sh + h * yy, th + h * yx, uh + h * xx
        sk, tk, uk = sk + k * yy, tk + k * yx, uk + k * xx
        shh, thh, uhh = shh + hh * yy, thh + hh * yx, uhh + hh * xx
        shk, thk, uhk = shk + hk * yy, thk + hk * yx, uhk + hk * xx
        skk, tkk, ukk = skk + kk * yy, tkk + kk * yx, ukk + kk * xx
        gy, gx = w * gy, w * gx
        y0, yh, yk = y0 + gy, yh + h * gy, yk + k * gy
        x0, xh, xk = x0 + gx, xh + h * gx, xk + k * gx
    a[0, 0], a[1, 0], a[2, 0], a[1, 1], a[2, 1], a[2, 2] = s0, sh, sk, shh, shk, skk
    a[3, 0], a[4, 0], a[5, 0], a[3, 1], a[4, 1], a[5, 1] = t0, th, tk, th, thh, thk
    a[3, 2], a[4, 2], a[5, 2] = tk, thk, tkk
    a[3, 3], a[4, 3], a[5, 3], a[4, 4], a[5, 4], a[5, 5] = u0, uh, uk, uhh, uhk, ukk
    b[0], b[1], b[2], b[3], b[4], b[5] = y0, yh, yk, x0, xh, xk


@njit(nogil=True)
def _spans_plane(x: Floats, m: int, weight: Floats) -> bool:
    """Whether the nodes used lie on more than one line."""
    s0 = sh = sk = shh = shk = skk = 0.0
    for j in range(m):
        w, h, k = weight[j], x[2, j], x[3, j]
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


@njit(nogil=True)
def _is_filled(x: Floats, m: int, weight: Floats, area: float) -> bool:
    """Whether there are peaks on most of the nodes of a circle that holds those used; ``area`` is that of a cell."""
    count, my, mx = 0, 0.0, 0.0
    for j in range(m):
        if weight[j] > 0:
            count += 1
            my += x[0, j]
            mx += x[1, j]
    my, mx, farthest2 = my / count, mx / count, 0.0
    for j in range(m):
        if weight[j] > 0:
            farthest2 = max(farthest2, (x[0, j] - my) ** 2 + (x[1, j] - mx) ** 2)
    return count >= _LEAST_FILLED * np.pi * farthest2 / area


@njit(nogil=True)
def _log_false_alarms(n: int, on_lattice: int, farthest2: float, area: float) -> float:
    """Log of how often random peaks show as good a lattice: so many of ``n``, none farther from its node.

    A contrario reasoning (Desolneux, Moisan & Morel 2000, doi:10.1023/A:1026593302236); three peaks are used up
    by the six parameters.
    """
    chance = min(1.0, np.pi * farthest2 / area)
    ways = lgamma(n + 1.0) - lgamma(on_lattice + 1.0) - lgamma(n - on_lattice + 1.0)
    return float(ways + (on_lattice - 3) * np.log(max(chance, 1e-300)))


@njit(nogil=True)
def fit_positions(
    q: Floats,
    precision: Floats,
    typical: float,
    offsets: NDArray[np.int64],
    which: NDArray[np.int64],
    start: Floats,
    usual: float,
    tolerance: Floats,
    min_peaks: int,
    min_fraction: float,
    min_part: float,
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
    typical : float
        Sum of yy and xx of a peak of typical intensity that is known as well as the model allows.
    offsets : (pos + 1,) int64
        Where the peaks of each position start.
    which : (n,) int64
        Positions to fit.
    start : (n, 6) float64
        Parameters to start from, one row for each of ``which``.
    usual : float
        Area of a cell of the scan's lattice.
    tolerance : (n,) float64
        Farthest that a peak may lie from its node, in units of ``q``, one for each of ``which``.
    min_peaks, min_fraction
        Fewest peaks used, and least share of the position's peaks.
    min_part : float
        Least share of a lattice that has peaks on most of its nodes, as those have that overlap.
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
    x, w, ordered = np.empty((8, largest)), np.empty(largest), np.empty(largest)
    a, b = np.empty((_PARAMETERS, _PARAMETERS)), np.empty(_PARAMETERS)
    gradient, p = np.empty(_PARAMETERS), np.empty(_PARAMETERS)
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
        tolerance2 = tolerance[row] ** 2
        seat_origin(q, lo, hi, p, tolerance2)
        approach(q, lo, hi, p, tolerance[row], owner, hk, used)

        converged, scale, m = False, 1.0, 0
        for iteration in range(_MAX_ITERATIONS):
            if iteration < _SETTLING:
                index_peaks(q, lo, hi, p, np.inf, tolerance2, owner, hk, used)
                m = _gather(q, precision, typical, lo, hi, hk, used, x)
                w[:m] = 1.0
                if m < min_peaks or not _spans_plane(x, m, w):
                    break
                scale = _local_scale(x, m, p, ordered)
            _normal_equations(x, m, p, (tukey * scale) ** 2, w, a, b)
            gradient[:] = b
            if not factor(a, _PARAMETERS, _LEAST):
                break
            solve(a, b, _PARAMETERS)
            for c in range(_PARAMETERS):
                p[c] += b[c]
            if np.dot(gradient, b) < 1e-3 * scale * scale:  # a step of 0.03 standard errors; the next is far smaller
                converged = True
                break

        count, square, distance, farthest2 = 0, 0.0, 0.0, 0.0
        for j in range(m):
            if w[j] > 0.0:
                count += 1
                ry = x[0, j] - p[0] - x[2, j] * p[1] - x[3, j] * p[2]
                rx = x[1, j] - p[3] - x[2, j] * p[4] - x[3, j] * p[5]
                square += ry * ry + rx * rx
                farthest2 = max(farthest2, ry * ry + rx * rx)
                distance += x[4, j] * ry * ry + 2 * x[5, j] * ry * rx + x[6, j] * rx * rx
        drift1 = np.hypot(p[1] - start[row, 1], p[4] - start[row, 4])
        drift2 = np.hypot(p[2] - start[row, 2], p[5] - start[row, 5])
        area = abs(p[1] * p[5] - p[2] * p[4])
        is_other = not 1 / _DENSER < area / usual < _DENSER
        if count < min_peaks:
            reason[n] = TOO_FEW
        elif not _spans_plane(x, m, w):
            reason[n] = COLLINEAR
        elif not converged or max(drift1, drift2) > tolerance[row] or is_other:
            reason[n] = NOT_CONVERGED
        elif count < (min_part if _is_filled(x, m, w, area) else min_fraction) * (hi - lo) or (
            count > 3 and _log_false_alarms(hi - lo, count, farthest2, area) > _LOG_FALSE_ALARMS
        ):
            reason[n] = OUTLIERS
        else:
            reason[n] = FITTED
        if reason[n] != FITTED:
            continue
        m = 0
        for i in range(lo, hi):
            if used[i - lo]:
                weight[i] = w[m]
                m += 1
        params[n], n_used[n], rms[n] = p, count, np.sqrt(square / count)
        dof = 2 * count - 6
        inflation = covariance_factor
        if dof > 0:
            chi2[n] = distance / dof
            if chi2[n] > 1.0 + 3.0 * np.sqrt(2.0 / dof):  # this position is worse than the common model error says
                inflation *= chi2[n]
        invert(a, _PARAMETERS, cov[n])
        cov[n] *= inflation
