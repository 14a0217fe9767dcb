"""How the chunks of a zarr store serve single patterns, the image of one detector pixel, and a pass over all.

Run with ``python core/benchmarks/zarr_layouts.py [SCAN_ROWS]``. Times are medians, on files that the system has cached:
what is measured is the work of reading, not the disk.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

DETECTOR = (128, 128)
SCAN_COLUMNS = 128
LAYOUTS: dict[str, tuple[tuple[int, int, int, int], tuple[int, int] | None]] = {
    "whole patterns, 1 MB": ((1, 32, *DETECTOR), None),
    "whole patterns, 1 MB, shards of 8 rows": ((1, 32, *DETECTOR), (8, SCAN_COLUMNS)),
    "4 x 4 patterns, 32 x 32 px, shards of 8 rows": ((4, 4, 32, 32), (8, SCAN_COLUMNS)),
    "8 x 8 patterns, 32 x 32 px, shards of 8 rows": ((8, 8, 32, 32), (8, SCAN_COLUMNS)),
    "8 x 8 patterns, 64 x 64 px, shards of 8 rows": ((8, 8, 64, 64), (8, SCAN_COLUMNS)),
    "8 x 16 patterns, 64 x 64 px, shards of 8 rows": ((8, 16, 64, 64), (8, SCAN_COLUMNS)),
    "8 x 32 patterns, 32 x 32 px, shards of 8 rows": ((8, 32, 32, 32), (8, SCAN_COLUMNS)),
}
"""Shape of an inner chunk, and rows and columns of a shard."""


def patterns(rows: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Poisson counts of a few disks: most pixels hold 0 or 1, as on a counting detector."""
    y, x = np.mgrid[: DETECTOR[0], : DETECTOR[1]]
    mean = np.full(DETECTOR, 0.3)
    for qy in range(-2, 3):
        for qx in range(-2, 3):
            distance = np.hypot(y - 64 - 24 * qy, x - 64 - 24 * qx)
            mean += 30 / (1 + qy**2 + qx**2) * (distance < 5)
    return rng.poisson(mean, (rows, SCAN_COLUMNS, *DETECTOR)).astype("u2")


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(
    path: Path, values: NDArray[np.uint16], inner: tuple[int, int, int, int], shard: tuple[int, int] | None
) -> str:
    """Write with one layout, read in three ways, and give a row of the table."""
    shards = None if shard is None else (*shard, *DETECTOR)
    group = zarr.open_group(path, mode="w", zarr_format=3)
    array = group.create_array(
        "a", shape=values.shape, dtype=values.dtype, chunks=inner, shards=shards, compressors=ZstdCodec(level=1)
    )
    rows = shard[0] if shard else 1
    start = time.perf_counter()
    for row in range(0, len(values), rows):
        array[row : row + rows] = values[row : row + rows]
    written = time.perf_counter() - start
    array = zarr.open_group(path, mode="r")["a"]
    rng = np.random.default_rng(1)
    one = seconds(lambda: array[int(rng.integers(len(values))), int(rng.integers(SCAN_COLUMNS))], 15)
    image = seconds(lambda: array[:, :, int(rng.integers(128)), int(rng.integers(128))], 3)
    whole = seconds(lambda: [array[row : row + rows].sum() for row in range(0, len(values), rows)], 1)
    files = sum(1 for file in path.rglob("*") if file.is_file())
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return f"{written:7.2f} {whole:7.2f} {1e3 * one:9.1f} {1e3 * image:9.0f} {size / 1e6:7.0f} {files:6d}"


def main() -> None:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    values = patterns(rows, np.random.default_rng(0))
    print(f"scan {rows} x {SCAN_COLUMNS}, patterns {DETECTOR[0]} x {DETECTOR[1]}, uint16: {values.nbytes / 1e6:.0f} MB")
    print(f"{'layout':<48} write s  pass s  pattern ms  pixel ms   MB  files")
    folder = Path(tempfile.mkdtemp())
    try:
        for name, (inner, shard) in LAYOUTS.items():
            print(f"{name:<48} {measure(folder / 'a.zarr', values, inner, shard)}", flush=True)
            shutil.rmtree(folder / "a.zarr")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
