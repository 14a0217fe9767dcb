"""LiberTEM on one thread, as a worker of ``reduce_speed.py``; it runs in an environment that holds LiberTEM.

A path of a scan arrives on each line of the input, the seconds that its reduction took (wall and CPU time) and its
sum of all counts leave on a line of the output. The masks come from the file named on the command line.
"""

from __future__ import annotations

import sys
import time

import libertem.api as lt
import numpy as np
from libertem.executor.inline import InlineJobExecutor
from libertem.udf.com import CoMUDF
from libertem.udf.masks import ApplyMasksUDF
from libertem.udf.sum import SumUDF
from libertem.udf.sumsigudf import SumSigUDF


def main() -> None:
    """Serve until the input ends."""
    masks = np.load(sys.argv[1]).astype(np.float32)
    height, width = masks.shape[1:]
    context = lt.Context(executor=InlineJobExecutor(inline_threads=1))
    udfs = [
        SumUDF(),
        SumSigUDF(),
        ApplyMasksUDF(mask_factories=lambda: masks, mask_count=len(masks), mask_dtype=np.float32, use_sparse=False),
        CoMUDF.with_params(cy=height / 2, cx=width / 2, r=float("inf")),
    ]
    opened = {}
    for line in sys.stdin:
        path = line.strip()
        if path not in opened:
            form = {"filetype": "npy"} if path.endswith(".npy") else {"filetype": "hdf5", "ds_path": "intensity"}
            opened[path] = context.load(path=path, **form)
        start, start_cpu = time.perf_counter(), time.process_time()
        found = context.run_udf(dataset=opened[path], udf=udfs)
        took, took_cpu = time.perf_counter() - start, time.process_time() - start_cpu
        print(took, took_cpu, float(found[1]["intensity"].data.sum(dtype=np.float64)), flush=True)


if __name__ == "__main__":
    main()
