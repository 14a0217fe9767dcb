"""How fast a scan is reduced, beside the limit of reading it and beside numpy's matrix product.

Run: ``taskset -c 1 python core/benchmarks/reduce_speed.py --positions 64 --pattern 256``. It makes a
temporary memory-mapped file and, with ``--netcdf``, the same data with one pattern a chunk. The methods
take turns within each round, so that all of them see the same machine; figures are medians over rounds.
"""

# ruff: noqa: E402  The number of threads must be set before numpy is imported.
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.builtin.masks import annulus_mask, disk_mask
from ronchi.builtin.native import open_native
from ronchi.builtin.reduce import reduce_scan
from ronchi.schema import fourd

Pattern = NDArray[np.uint16]


class PeakMemory:
    """Peak of the anonymous memory, sampled every 10 ms, above that at the start; mapped files do not count."""

    def __enter__(self) -> PeakMemory:
        self.start = self.peak = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def extra_mb(self) -> float:
        """Peak above the start in MB."""
        return self.peak - self.start

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.peak = max(self.peak, self._now())

    @staticmethod
    def _now() -> float:
        text = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("RssAnon"))


def make_file(path: Path, positions: int, pattern: int, seed: int) -> None:
    """Write Poisson patterns of about one count a pixel."""
    rng = np.random.default_rng(seed)
    out = np.lib.format.open_memmap(path, "w+", np.uint16, (positions, positions, pattern, pattern))
    for row in out:
        row[...] = rng.poisson(1.0, row.shape)
    out.flush()


def read_only(path: Path) -> None:
    """Touch every byte of the map: faults, memory and one addition."""
    np.load(path, mmap_mode="r").reshape(-1).view(np.uint64).sum()


def matrix_product(path: Path, masks: dict[str, NDArray[np.bool_]], chunk: int = 64) -> None:
    """Sum, both masks and both moments as one product a chunk in float32, plus the sum pattern."""
    stored = np.load(path, mmap_mode="r")
    frames = stored.reshape(-1, stored.shape[-2] * stored.shape[-1])
    y, x = np.indices(stored.shape[2:]).reshape(2, -1)
    weights = np.stack([np.ones(y.size), *(mask.ravel() for mask in masks.values()), y, x], 1).astype(np.float32)
    pattern = np.zeros(y.size, np.float32)
    for start in range(0, len(frames), chunk):
        part = frames[start : start + chunk].astype(np.float32)
        part @ weights
        pattern += part.sum(0)


def main() -> None:
    """Print a line a method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", type=int, default=64, help="scan of so many rows and columns")
    parser.add_argument("--pattern", type=int, default=256, help="patterns of so many pixels along a side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--netcdf", action="store_true", help="also from netCDF4, one pattern a chunk")
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Make the files, warm up, and time the methods in turns."""
    path, netcdf = folder / "scan.npy", folder / "scan.nc"
    make_file(path, options.positions, options.pattern, seed=0)
    nbytes = path.stat().st_size
    q = np.arange(options.pattern) - options.pattern / 2.0
    radius = options.pattern / 16
    masks = {
        "bf": disk_mask(q, q, (0, 0), radius),
        "adf": annulus_mask(q, q, (0, 0), 3 * radius, 7.5 * radius),
    }

    def reduce(data: xr.Dataset) -> None:
        reduce_scan(data, masks=masks, com=True)

    methods: dict[str, Callable[[], None]] = {
        "read only (limit)": lambda: read_only(path),
        "reduce_scan, memory map": lambda: reduce(fourd.make(np.load(path, mmap_mode="r"))),
        "numpy matrix product": lambda: matrix_product(path, masks),
    }
    if options.netcdf:
        chunks = (1, 1, options.pattern, options.pattern)
        fourd.make(np.load(path, mmap_mode="r")).to_netcdf(netcdf, encoding={"intensity": {"chunksizes": chunks}})
        methods["reduce_scan, netCDF4"] = lambda: reduce(open_native(netcdf).data)
    # Compiled here, so that the compiler's memory is not taken for the method's.
    reduce(fourd.make(np.ones((1, 1, options.pattern, options.pattern), np.uint16)))
    wall: dict[str, list[float]] = {name: [] for name in methods}
    cpu: dict[str, list[float]] = {name: [] for name in methods}
    memory: dict[str, float] = {}
    for turn in range(options.rounds + 1):
        for name, method in methods.items():
            with PeakMemory() as peak:
                start, start_cpu = time.perf_counter(), time.process_time()
                method()
                seconds, seconds_cpu = time.perf_counter() - start, time.process_time() - start_cpu
            # The first turn shows the memory, which is kept for the next ones, but reads cold files.
            memory[name] = max(memory.get(name, 0.0), peak.extra_mb)
            if turn > 0:
                wall[name].append(seconds)
                cpu[name].append(seconds_cpu)
    limit = statistics.median(cpu["read only (limit)"])
    print(f"{nbytes / 1e9:.2f} GB of uint16, {options.pattern} x {options.pattern} px, {options.rounds} rounds")
    for name in methods:
        took, took_cpu = statistics.median(wall[name]), statistics.median(cpu[name])
        print(
            f"{name:26s} {took:7.3f} s wall {nbytes / took / 1e9:6.2f} GB/s   {took_cpu:7.3f} s cpu"
            f" {nbytes / took_cpu / 1e9:6.2f} GB/s   {took_cpu / limit:5.1f} x limit   {memory[name]:6.1f} MB extra"
        )


if __name__ == "__main__":
    main()
