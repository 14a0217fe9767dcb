"""py4DSTEM 0.14, in its environment: `find_Bragg_disks` on frames."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from wire import Arrays, Verbs, serve

os.environ["MPLBACKEND"] = "Agg"


def start(told: Mapping[str, Any], arrays: Arrays) -> Verbs:
    """Make the kernel."""
    warnings.simplefilter("ignore")
    import py4DSTEM

    probe = py4DSTEM.Probe(arrays["probe"])
    probe.get_kernel(origin=tuple(told["centre_px"]), **told["kernel"])

    def detect(arrays: Arrays) -> Arrays:
        frames = arrays["frames"]
        cube = py4DSTEM.DataCube(frames[None])
        # Its progress bars would fill the log.
        with contextlib.redirect_stderr(io.StringIO()):
            found = cube.find_Bragg_disks(template=probe.kernel, **told["find"])
        lists = [found.raw[0, n] for n in range(len(frames))]
        # Its x is the row axis.
        columns = {"y": "qx", "x": "qy", "intensity": "intensity"}
        return {
            "counts": np.array([len(each.data) for each in lists]),
            **{name: np.concatenate([each.data[theirs] for each in lists]) for name, theirs in columns.items()},
        }

    return {"detect": detect}


if __name__ == "__main__":
    serve("py4dstem", start)
