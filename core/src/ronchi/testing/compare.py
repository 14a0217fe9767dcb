"""Where two results differ, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ronchi.api import Result

__all__ = ["difference", "result_difference"]


def result_difference(a: Result, b: Result, *, rtol: float = 0.0, atol: float = 0.0) -> str:
    """First difference of two results and their sides, ``""`` if there is none."""
    if a.sides.keys() != b.sides.keys():
        return f"the sides are {sorted(a.sides)} against {sorted(b.sides)}"
    parts: Mapping[str, tuple[xr.Dataset, xr.Dataset]] = {
        "": (a.data, b.data),
        **{side: (a.sides[side], b.sides[side]) for side in a.sides},
    }
    for side, (left, right) in parts.items():
        text = difference(left, right, rtol=rtol, atol=atol)
        if text:
            return f"side {side!r}: {text}" if side else text
    return ""


def difference(a: xr.Dataset, b: xr.Dataset, *, rtol: float = 0.0, atol: float = 0.0) -> str:
    """First variable in which two data sets differ, and by how much; ``""`` if they are equal.

    Parameters
    ----------
    rtol, atol : float
        Relative to the largest number of a variable, and absolute in its units. 0 asks for equal bits; NaN equals
        NaN.
    """
    if set(a.variables) != set(b.variables):
        only = sorted(map(str, set(a.variables) ^ set(b.variables)))
        return f"the variables {only} are in one of the two only"
    for name in a.variables:
        left, right = np.asarray(a[name].values), np.asarray(b[name].values)
        if left.shape != right.shape:
            return f"{str(name)!r} has shape {left.shape} against {right.shape}"
        if left.dtype.kind not in "biufc":
            if not np.array_equal(left, right):
                return f"{str(name)!r} is not the same"
            continue
        off = _distance(left, right)
        finite = np.abs(left[np.isfinite(left)].astype(float)) if left.dtype.kind == "f" else np.abs(left.astype(float))
        allowed = atol + rtol * float(finite.max(initial=0.0))
        if off.size and off.max() > allowed:
            place = np.unravel_index(int(np.argmax(off)), off.shape)
            at = ", ".join(f"{dim} {i}" for dim, i in zip(a[name].dims, place, strict=True))
            return f"{str(name)!r} is {left[place]} against {right[place]}" + (f" at {at}" if at else "")
    return ""


def _distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Absolute difference; 0 where both are NaN or the same infinity, infinite where only one is."""
    if left.dtype.kind == "c" or right.dtype.kind == "c":
        return np.abs(left - right)
    x, y = left.astype(float), right.astype(float)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    with np.errstate(invalid="ignore"):
        off = np.where(same, 0.0, np.abs(x - y))
    return np.where(np.isnan(off), np.inf, off)
