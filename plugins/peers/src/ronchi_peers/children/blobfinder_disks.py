"""LiberTEM-blobfinder 0.6, in its environment: peaks of the mean pattern, then `process_frames_fast` around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from wire import Arrays, Verbs, serve


def start(told: Mapping[str, Any], arrays: Arrays) -> Verbs:
    """Find the peaks of the mean pattern."""
    from libertem_blobfinder.common import patterns
    from libertem_blobfinder.common.correlation import get_peaks, process_frames_fast

    makers = {
        "background-subtraction": patterns.BackgroundSubtraction,
        "radial-gradient": patterns.RadialGradient,
        "radial-gradient-background-subtraction": patterns.RadialGradientBackgroundSubtraction,
    }
    pattern = makers[told["pattern"]](radius=told["radius_px"], search=told["search_px"])
    peaks = get_peaks(arrays["mean"], pattern, told["num_peaks"])

    def detect(arrays: Arrays) -> Arrays:
        frames = arrays["frames"]
        _, refined, heights, elevations = process_frames_fast(
            pattern, frames, peaks, upsample=told["upsample"] or False
        )
        kept = np.isfinite(refined).all(-1) & (elevations >= told["min_elevation"])
        y, x = refined[kept].T
        return {"counts": kept.sum(1), "y": y, "x": x, "intensity": heights[kept]}

    return {"detect": detect}


if __name__ == "__main__":
    serve("libertem-blobfinder", start)
