"""pyxem 0.21, in its environment: `template_match_disk`, local maxima, `subpixel_refine`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wire import Arrays, Verbs, serve

os.environ["MPLBACKEND"] = "Agg"


def start(told: Mapping[str, Any], arrays: Arrays) -> Verbs:
    """Import it; there is nothing to be prepared."""
    warnings.simplefilter("ignore")
    import dask
    import hyperspy.api as hs
    from pyxem.signals import Diffraction2D

    hs.preferences.General.show_progressbar = False
    hs.set_log_level("ERROR")
    dask.config.set(scheduler="synchronous")

    def detect(arrays: Arrays) -> Arrays:
        frames = arrays["frames"]
        signal = Diffraction2D(frames[:, None])
        matched = signal.template_match_disk(disk_r=told["disk_r"], lazy_output=False)
        found = matched.get_diffraction_vectors(method="local_max", **told["find"])
        lists = [_finite(found.data[n, 0]) for n in range(len(frames))]
        # It fails to refine where no pattern has more than one disk: those stay at their pixels.
        if told["refine"] and max(map(len, lists), default=0) > 1:
            by_template = told["refine"]["method"] == "cross-correlation"
            refined = found.subpixel_refine(signal if by_template else matched, **told["refine"])
            lists = [_finite(refined.data[n, 0]) for n in range(len(frames))]
        table = np.concatenate(lists)
        # Its first column is the row axis.
        return {
            "counts": np.array([len(each) for each in lists]),
            "y": table[:, 0],
            "x": table[:, 1],
            "intensity": table[:, 2],
        }

    return {"detect": detect}


def _finite(vectors: Any) -> NDArray[np.float64]:
    # It has one row of NaN where it has found nothing.
    table = np.asarray(vectors, float).reshape(-1, 3)
    return table[np.isfinite(table).all(1)]


if __name__ == "__main__":
    serve("pyxem", start)
