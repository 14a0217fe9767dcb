"""Give the peaks of a position their indices (h, k), in compiled code.

A start that is 10 % or 5 degrees off names the nodes near the origin rightly, and the far ones wrongly:
the lattice is refined from the middle outwards. Parameters are in the order of `ronchi_lattice.kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["approach", "index_peaks", "seat_origin"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

_ORIGIN_CANDIDATES = 6
_TRUSTED_RADIUS = 2.2  # in longest vectors: nodes that a start 10 % off still names rightly
_KEPT = 0.75  # of the peaks that a start names: a refinement that keeps fewer has gone astray


@njit(nogil=True)
def index_peaks(
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


@njit(nogil=True)
def seat_origin(q: Floats, lo: int, hi: int, p: Floats, tolerance2: float) -> None:
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


@njit(nogil=True)
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


@njit(nogil=True)
def approach(q: Floats, lo: int, hi: int, p: Floats, tolerance: float, owner: Ints, hk: Ints, used: Any) -> None:
    """Index from the middle outwards, refining the lattice in ``p`` before each step out.

    A dim peak or two in the middle, far from their nodes, can lead that astray: then it is back to the start.
    """
    tolerance2, core2 = tolerance * tolerance, (0.35 * tolerance) ** 2
    start = p.copy()
    count = index_peaks(q, lo, hi, p, np.inf, tolerance2, owner, hk, used)
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
    named = 0
    while True:
        for _ in range(2):
            named = index_peaks(q, lo, hi, p, reach2, tolerance2, owner, hk, used)
            _coarse_fit(q, lo, hi, p, core2, hk, used)
        if reach2 >= farthest:
            break
        reach2 *= 2.0
    if named < _KEPT * count:
        p[:] = start
