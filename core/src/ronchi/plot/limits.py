"""Ranges of colour: robust for intensities, symmetric for signed quantities."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.colors import LogNorm, Normalize, PowerNorm
from numpy.typing import NDArray

__all__ = ["Scaling", "intensity_norm", "intensity_ticks", "robust_limits", "symmetric_limit"]

Scaling = float | Literal["log"]
"""Exponent of a power law (1 is linear), or ``"log"``."""
_FEWEST = 10
"""Of fewer values nobody can tell whether one lies apart."""
_ALIKE = 1e-6
"""Values that differ by less than this part of the largest are one and the same."""


def robust_limits(
    values: NDArray[Any], bad: NDArray[Any] | None = None, tail_percent: float = 0.1
) -> tuple[float, float]:
    """Range of the finite, good values without ``tail_percent`` of them at either end.

    Parameters
    ----------
    values : array
        Any shape; NaN and infinite values are ignored.
    bad : bool array of the same shape, optional
        True where a pixel is dead or hot and has no say.
    tail_percent : float
        Share of the values that may be clipped at each end; of few values, one that lies apart from all others.

    Returns
    -------
    low, high : float
        ``(0, 1)`` if nothing is left; ``high`` is always above ``low``.
    """
    good = np.isfinite(values)
    if bad is not None:
        good &= ~np.asarray(bad, bool)
    if not good.any():
        return 0.0, 1.0
    kept = values[good]
    low, high = _ends(kept, tail_percent)
    if high <= low:
        low, high = float(kept.min()), float(kept.max())
    return (low, high) if high > low else (low, low + (abs(low) or 1.0))


def symmetric_limit(*arrays: NDArray[Any], tail_percent: float = 1.0) -> float:
    """Half-range that holds all but the outermost values of all arrays, rounded up to two digits.

    Parameters
    ----------
    *arrays : array
        Signed quantities that share one colour scale; NaN is ignored.
    tail_percent : float
        Share of the magnitudes that may be clipped: wild fits must not hide the rest.
    """
    magnitudes = np.concatenate([np.abs(a[np.isfinite(a)]).ravel() for a in arrays]) if arrays else np.empty(0)
    limit = _ends(magnitudes, tail_percent)[1] if len(magnitudes) else 0.0
    if limit <= 0:
        limit = float(magnitudes.max()) if len(magnitudes) and magnitudes.max() > 0 else 1.0
    digit = 10.0 ** (np.floor(np.log10(limit)) - 1)
    return float(np.ceil(limit / digit - 1e-9) * digit)


def _ends(values: NDArray[Any], tail_percent: float) -> tuple[float, float]:
    """Range of flat values without the tails.

    Of so few values that a tail is less than one of them, the outermost is left out if it is farther from the next
    than all but the two outermost are from each other: else one wild value would be the range.
    """
    low, high = (float(end) for end in np.percentile(values, (tail_percent, 100 - tail_percent)))
    if 0 < (len(values) - 1) * tail_percent < 100 and len(values) >= _FEWEST:
        first, second, *_, last_but_one, last = np.sort(values).astype(float)
        rest = last_but_one - second
        # Where all others are alike to rounding, the one is all there is to see.
        if rest > _ALIKE * max(abs(first), abs(last)):
            high = float(last_but_one) if last - last_but_one > rest else high
            low = float(second) if second - first > rest else low
    return low, high


def intensity_norm(values: NDArray[Any], scaling: Scaling, bad: NDArray[Any] | None = None) -> tuple[Any, str]:
    """Norm of an intensity image with robust limits, and the words that name its scaling.

    Parameters
    ----------
    values : array
        Intensities; zeros and negative values are drawn as the darkest colour.
    scaling : float or "log"
        Exponent, or the logarithm.
    bad : bool array, optional
        Pixels that have no say in the limits.

    Returns
    -------
    norm : matplotlib.colors.Normalize
    name : str
        ``"display gamma 0.25"``, ``"log scale"``, or ``""`` for a linear scale.
    """
    low, high = robust_limits(values, bad)
    if scaling == "log":
        positive = np.where(values > 0, values, np.nan)
        floor, high = robust_limits(positive, bad)
        return LogNorm(floor or 0.1, high, clip=True), "log scale"
    if scaling == 1:
        return Normalize(low, high, clip=True), ""
    return PowerNorm(scaling, max(low, 0.0), high if high > 0 else 1.0, clip=True), f"display gamma {scaling:g}"


def intensity_ticks(norm: Any, values: NDArray[Any]) -> list[float] | None:
    """Ticks of a colour bar: 0, decades and the top for a power law, well apart; else matplotlib's choice (None).

    A decade below the smallest positive value is left out: there is no hundredth of a peak.
    """
    positive = values[np.isfinite(values) & (values > 0)]
    if not isinstance(norm, PowerNorm) or not len(positive):
        return None
    decades = 10.0 ** np.arange(np.floor(np.log10(norm.vmax or 1.0)), -12, -1)
    digit = 10.0 ** (np.floor(np.log10(norm.vmax or 1.0)) - 1)
    ticks = [float(np.floor((norm.vmax or 1.0) / digit * (1 + 1e-9)) * digit)]
    for value in decades[decades >= max(norm.vmin or 0.0, positive.min() * (1 - 1e-9))]:
        place = float(norm(value))
        if place < 0.08:
            break
        if float(norm(ticks[-1])) - place >= 0.08:
            ticks.append(float(value))
        elif len(ticks) > 1:
            break
    return [*ticks, 0.0] if norm.vmin == 0 else ticks
