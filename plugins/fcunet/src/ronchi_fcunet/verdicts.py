"""Why the network's candidates are disks, or are not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import PeakBatch

__all__ = ["REASONS", "verdicts"]

REASONS = ("accepted", "improbable", "over-cap")
"""Verdicts on a candidate; their index is the code."""


def verdicts(seen: PeakBatch, probable: PeakBatch, accepted: PeakBatch) -> dict[str, Any]:
    """List what was ``seen`` of a block; the threshold leaves what is ``probable`` of it, the cap what is ``accepted``.

    Returns
    -------
    candidates : dict of arrays
        See `ronchi_fcunet.detector.Fcunet.explain`.
    """
    reason = np.full(len(seen.qy_px), REASONS.index("improbable"), np.uint8)
    reason[_among(seen, probable)] = REASONS.index("over-cap")
    reason[_among(seen, accepted)] = 0
    return {
        "counts": seen.counts,
        "qy_px": seen.qy_px,
        "qx_px": seen.qx_px,
        "intensity": seen.intensity,
        "score": seen.score,
        "reason": reason,
        "reasons": REASONS,
    }


def _among(peaks: PeakBatch, others: PeakBatch) -> NDArray[np.bool_]:
    """Which peaks are also among others of the same patterns: of one network, they are in the very same places."""
    known = set(_places(others))
    return np.array([place in known for place in _places(peaks)], np.bool_)


def _places(peaks: PeakBatch) -> list[tuple[float, ...]]:
    pattern = np.repeat(np.arange(len(peaks.counts)), peaks.counts)
    return [tuple(place) for place in np.stack([pattern, peaks.qy_px, peaks.qx_px], 1).tolist()]
