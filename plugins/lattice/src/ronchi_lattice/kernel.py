"""Index the peaks of each position and fit its lattice, in compiled code.

The model is linear: a peak of indices (h, k) lies at ``origin + h g1 + k g2``. Its six parameters are kept
in the order ``(origin_y, g1_y, g2_y, origin_x, g1_x, g2_x)``. Robust weights follow Tukey's biweight on the
Mahalanobis distance (Beaton & Tukey 1974, doi:10.1080/00401706.1974.10489171).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["COLLINEAR", "FITTED", "NOT_CONVERGED", "NO_PEAKS", "OUTLIERS", "TOO_FEW", "fit_positions"]

FITTED, NO_PEAKS, TOO_FEW, COLLINEAR, NOT_CONVERGED, OUTLIERS = 0, 1, 2, 3, 4, 5

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

_MAX_ITERATIONS = 25
_ORIGIN_CANDIDATES = 6
_TRUSTED_RADIUS = 2.2  # in longest vectors: a start that is 10 % wrong still names these nodes rightly
_MEDIAN_SQUARE = 1.3863  # median of chi-squared with two degrees of freedom
_LARGEST_RMS = 0.4  # of the index tolerance; peaks at random within the tolerance give 0.71


@njit(cache=True, nogil=True, error_model="numpy")
def _index_peaks(
    q: Floats, lo: int, hi: int, p: Floats, radius2: float, tolerance2: float, owner: Ints, hk: Ints, used: Any
) -> int:
    """Name each peak by its nearest node, at most one peak a node; returns how many got one.

    ``owner`` (m, m) is all -1 before and after the call.
    """
    half = owner.shape[0] // 2
    det = p[1] * p[5] - p[2] * p[4]
    i00, i01, i10, i11 = p[5] / det, -p[2] / det, -p[4] / det, p[1] / det
    count = 0
    for i in range(lo, hi):
        used[i - lo] = False
        dy, dx = q[i, 0] - p[0], q[i, 1] - p[3]
        if not dy * dy + dx * dx <= radius2:
            continue
        h, k = round(i00 * dy + i01 * dx), round(i10 * dy + i11 * dx)
        ry, rx = dy - h * p[1] - k * p[2], dx - h * p[4] - k * p[5]
        distance2 = ry * ry + rx * rx
        if distance2 > tolerance2 or abs(h) > half or abs(k) > half:
            continue
        rival = owner[h + half, k + half]
        if rival >= 0:
            sy = q[rival, 0] - p[0] - h * p[1] - k * p[2]
            sx = q[rival, 1] - p[3] - h * p[4] - k * p[5]
            if sy * sy + sx * sx <= distance2:
                continue
            used[rival - lo] = False
            count -= 1
        owner[h + half, k + half] = i
        hk[i, 0], hk[i, 1] = h, k
        used[i - lo] = True
        count += 1
    for i in range(lo, hi):
        if used[i - lo]:
            owner[hk[i, 0] + half, hk[i, 1] + half] = -1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _seat_origin(q: Floats, lo: int, hi: int, p: Floats, tolerance2: float) -> None:
    """Move the origin to the peak near it on which most of its neighbours agree.

    No single peak is trusted: the direct beam may be missing or displaced.
    """
    reach2 = _TRUSTED_RADIUS**2 * max(p[1] ** 2 + p[4] ** 2, p[2] ** 2 + p[5] ** 2)
    det = p[1] * p[5] - p[2] * p[4]
    i00, i01, i10, i11 = p[5] / det, -p[2] / det, -p[4] / det, p[1] / det
    prior_y, prior_x, nearest, best_vote = p[0], p[3], -1.0, -1.0
    for _ in range(min(_ORIGIN_CANDIDATES, hi - lo)):
        seat, closest = -1, np.inf
        for i in range(lo, hi):
            distance2 = (q[i, 0] - prior_y) ** 2 + (q[i, 1] - prior_x) ** 2
            if nearest < distance2 < closest:
                seat, closest = i, distance2
        if seat < 0:
            break
        nearest = closest
        near, agree = 0, 0
        for i in range(lo, hi):
            dy, dx = q[i, 0] - q[seat, 0], q[i, 1] - q[seat, 1]
            if i == seat or not dy * dy + dx * dx <= reach2:
                continue
            near += 1
            h, k = round(i00 * dy + i01 * dx), round(i10 * dy + i11 * dx)
            ry, rx = dy - h * p[1] - k * p[2], dx - h * p[4] - k * p[5]
            agree += ry * ry + rx * rx <= tolerance2
        if agree > best_vote:
            best_vote = float(agree)
            dy, dx = prior_y - q[seat, 0], prior_x - q[seat, 1]
            h, k = round(i00 * dy + i01 * dx), round(i10 * dy + i11 * dx)
            p[0], p[3] = q[seat, 0] + h * p[1] + k * p[2], q[seat, 1] + h * p[4] + k * p[5]
        if agree >= 0.9 * near and near > 0:
            break


@njit(cache=True, nogil=True, error_model="numpy")
def _coarse_fit(q: Floats, lo: int, hi: int, p: Floats, core2: float, hk: Ints, used: Any) -> bool:
    """One step with equal Cauchy weights of width sqrt(core2); False, and no step, if it is not determined."""
    s0 = sh = sk = shh = shk = skk = 0.0
    y0 = yh = yk = x0 = xh = xk = 0.0
    for i in range(lo, hi):
        if not used[i - lo]:
            continue
        h, k = float(hk[i, 0]), float(hk[i, 1])
        ry = q[i, 0] - p[0] - h * p[1] - k * p[2]
        rx = q[i, 1] - p[3] - h * p[4] - k * p[5]
        w = 1.0 / (1.0 + (ry * ry + rx * rx) / core2)
        s0 += w
        sh += w * h
        sk += w * k
        shh += w * h * h
        shk += w * h * k
        skk += w * k * k
        y0 += w * ry
        yh += w * h * ry
        yk += w * k * ry
        x0 += w * rx
        xh += w * h * rx
        xk += w * k * rx
    if s0 < 1.5:
        return False
    # Centre the indices: the two vectors decouple from the origin.
    mh, mk = sh / s0, sk / s0
    chh, chk, ckk = shh - mh * sh, shk - mh * sk, skk - mk * sk
    det = chh * ckk - chk * chk
    if not det > 1e-3 * (chh + ckk) ** 2:
        return False
    yh, yk, xh, xk = yh - mh * y0, yk - mk * y0, xh - mh * x0, xk - mk * x0
    d1y, d2y = (ckk * yh - chk * yk) / det, (chh * yk - chk * yh) / det
    d1x, d2x = (ckk * xh - chk * xk) / det, (chh * xk - chk * xh) / det
    p[0] += y0 / s0 - mh * d1y - mk * d2y
    p[1] += d1y
    p[2] += d2y
    p[3] += x0 / s0 - mh * d1x - mk * d2x
    p[4] += d1x
    p[5] += d2x
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _approach(q: Floats, lo: int, hi: int, p: Floats, tolerance: float, owner: Ints, hk: Ints, used: Any) -> None:
    """Index from the middle outwards, refining the lattice before each step out.

    A start that is 10 % or 5 degrees off names the near nodes rightly, and the far ones wrongly.
    """
    tolerance2, core2 = tolerance * tolerance, (0.35 * tolerance) ** 2
    count = _index_peaks(q, lo, hi, p, np.inf, tolerance2, owner, hk, used)
    if count >= 0.9 * (hi - lo):
        scatter = 0.0
        for i in range(lo, hi):
            if used[i - lo]:
                ry = q[i, 0] - p[0] - hk[i, 0] * p[1] - hk[i, 1] * p[2]
                rx = q[i, 1] - p[3] - hk[i, 0] * p[4] - hk[i, 1] * p[5]
                scatter += ry * ry + rx * rx
        if scatter <= core2 * count:
            _coarse_fit(q, lo, hi, p, core2, hk, used)
            return
    farthest = 0.0
    for i in range(lo, hi):
        farthest = max(farthest, (q[i, 0] - p[0]) ** 2 + (q[i, 1] - p[3]) ** 2)
    reach2 = 1.7**2 * max(p[1] ** 2 + p[4] ** 2, p[2] ** 2 + p[5] ** 2)
    while True:
        for _ in range(2):
            _index_peaks(q, lo, hi, p, reach2, tolerance2, owner, hk, used)
            _coarse_fit(q, lo, hi, p, core2, hk, used)
        if reach2 >= farthest:
            return
        reach2 *= 2.0


@njit(cache=True, nogil=True, error_model="numpy")
def _cholesky(a: Floats) -> bool:
    """Factor the 6 x 6 matrix in place, lower triangle; False unless it is positive definite."""
    for j in range(6):
        for i in range(j, 6):
            s = a[i, j]
            for k in range(j):
                s -= a[i, k] * a[j, k]
            if i == j:
                if not s > 1e-14 * abs(a[j, j]):
                    return False
                a[j, j] = np.sqrt(s)
            else:
                a[i, j] = s / a[j, j]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(factor: Floats, x: Floats) -> None:
    """Solve in place with the factor of `_cholesky`."""
    for i in range(6):
        for k in range(i):
            x[i] -= factor[i, k] * x[k]
        x[i] /= factor[i, i]
    for i in range(5, -1, -1):
        for k in range(i + 1, 6):
            x[i] -= factor[k, i] * x[k]
        x[i] /= factor[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(factor: Floats, scale: float, inverse: Floats) -> None:
    """Write ``scale`` times the inverse of the matrix that `_cholesky` factored; ``factor`` is used up."""
    for j in range(6):
        factor[j, j] = 1.0 / factor[j, j]
        for i in range(j + 1, 6):
            s = 0.0
            for k in range(j, i):
                s -= factor[i, k] * factor[k, j]
            factor[i, j] = s / factor[i, i]
    for i in range(6):
        for j in range(i + 1):
            s = 0.0
            for k in range(i, 6):
                s += factor[k, i] * factor[k, j]
            inverse[i, j] = inverse[j, i] = scale * s


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
        _seat_origin(q, lo, hi, p, tolerance * tolerance)
        _approach(q, lo, hi, p, tolerance, owner, hk, used)

        converged, scale = False, 1.0
        for iteration in range(_MAX_ITERATIONS):
            count = _index_peaks(q, lo, hi, p, np.inf, tolerance * tolerance, owner, hk, used)
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
            if not _spans_plane(lo, hi, hk, weight) or not _cholesky(a):
                break
            _solve(a, b)
            for c in range(6):
                p[c] += b[c]
            if np.dot(gradient, b) < 1e-3 * scale * scale:  # a step of 0.03 standard errors; the next is far smaller
                converged = True
                break

        count, square, distance = 0, 0.0, 0.0
        for i in range(lo, hi):
            if weight[i] > 0.0:
                count += 1
                ry = q[i, 0] - p[0] - hk[i, 0] * p[1] - hk[i, 1] * p[2]
                rx = q[i, 1] - p[3] - hk[i, 0] * p[4] - hk[i, 1] * p[5]
                square += ry * ry + rx * rx
                j = i - lo
                distance += own[j, 0] * ry * ry + 2 * own[j, 1] * ry * rx + own[j, 2] * rx * rx
        area0 = start[row, 1] * start[row, 5] - start[row, 2] * start[row, 4]
        area = p[1] * p[5] - p[2] * p[4]
        if count < min_peaks:
            reason[n] = TOO_FEW
        elif not _spans_plane(lo, hi, hk, weight):
            reason[n] = COLLINEAR
        elif not converged or not 0.6 < area / area0 < 1.6:
            reason[n] = NOT_CONVERGED
        elif count < min_fraction * (hi - lo) or square > count * (_LARGEST_RMS * tolerance) ** 2:
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
        _invert(a, inflation, cov[n])
