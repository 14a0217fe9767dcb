"""How fast a scan is reduced, beside the limit of reading it and beside numpy's matrix product.

Run, on one thread, for numpy reads the number when it is imported: ``OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 taskset -c 1 python core/benchmarks/reduce_speed.py``. It makes a
temporary memory-mapped file and, with ``--netcdf``, the same data with one pattern a chunk. With ``--peer``,
the interpreter of an environment that holds LiberTEM, its inline executor on one thread does the same on the
same files. The methods take turns within each round, so that all of them see the same machine; figures are
medians and minima over rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.builtin.masks import annulus_mask, disk_mask
from ronchi.builtin.native import open_native
from ronchi.builtin.reduce import reduce_scan
from ronchi.schema import fourd

Method = Callable[[], tuple[float, float, float]]

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


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


def make_file(path: Path, positions: int, pattern: int, dtype: np.dtype[Any], seed: int) -> None:
    """Write Poisson patterns of about one count a pixel."""
    rng = np.random.default_rng(seed)
    out = np.lib.format.open_memmap(path, "w+", dtype, (positions, positions, pattern, pattern))
    for row in out:
        row[...] = rng.poisson(1.0, row.shape)
    out.flush()


def read_only(path: Path) -> float:
    """Touch every byte of the map: faults, memory and one addition."""
    return float(np.load(path, mmap_mode="r").reshape(-1).view(np.uint64).sum())


def matrix_product(path: Path, masks: dict[str, NDArray[np.bool_]], chunk: int = 64) -> float:
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
    return float(pattern.sum())


class Peer:
    """LiberTEM in its own environment: a process that reduces the files which it is told."""

    def __init__(self, python: Path, masks: dict[str, NDArray[np.bool_]], folder: Path) -> None:
        np.save(folder / "masks.npy", np.stack(list(masks.values())))
        worker = Path(__file__).with_name("reduce_peer.py")
        self.process = subprocess.Popen(
            [python, "-W", "ignore", worker, folder / "masks.npy"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def reduce(self, path: Path) -> tuple[float, float, float]:
        """Wall and CPU seconds of a reduction, and the sum of all counts."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(path, file=self.process.stdin, flush=True)
        wall, cpu, total = (float(word) for word in self.process.stdout.readline().split())
        return wall, cpu, total

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def main() -> None:
    """Print a line a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positions", type=int, default=64, help="scan of so many rows and columns")
    parser.add_argument("--pattern", type=int, default=256, help="patterns of so many pixels along a side")
    parser.add_argument("--dtype", default="u2", help="type of the counts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--netcdf", action="store_true", help="also from netCDF4, one pattern a chunk")
    parser.add_argument("--peer", type=Path, help="interpreter of an environment that holds LiberTEM")
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    options = parser.parse_args()
    if unset := [name for name in THREADS if os.environ.get(name) != "1"]:
        parser.error(f"set {' and '.join(f'{name}=1' for name in unset)}: the methods are compared on one thread")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Make the files, warm up, and time the methods in turns."""
    path, netcdf = folder / "scan.npy", folder / "scan.nc"
    make_file(path, options.positions, options.pattern, np.dtype(options.dtype), seed=0)
    q = np.arange(options.pattern) - options.pattern / 2.0
    radius = options.pattern / 16
    masks = {
        "bf": disk_mask(q, q, (0, 0), radius),
        "adf": annulus_mask(q, q, (0, 0), 3 * radius, 7.5 * radius),
    }
    methods: dict[str, Method] = {
        "read only (limit)": timed(lambda: read_only(path)),
        "reduce_scan, memory map": timed(lambda: reduce(fourd.make(np.load(path, mmap_mode="r")), masks)),
        "numpy matrix product": timed(lambda: matrix_product(path, masks)),
    }
    if options.netcdf:
        chunks = (1, 1, options.pattern, options.pattern)
        fourd.make(np.load(path, mmap_mode="r")).to_netcdf(netcdf, encoding={"intensity": {"chunksizes": chunks}})
        scan = open_native(netcdf).data
        methods["reduce_scan, netCDF4"] = timed(lambda: reduce(scan, masks))
    if options.peer:
        peer = Peer(options.peer, masks, folder)
        methods["LiberTEM, memory map"] = lambda: peer.reduce(path)
        if options.netcdf:
            methods["LiberTEM, netCDF4"] = lambda: peer.reduce(netcdf)
    # Compiled here, so that the compiler's memory is not taken for the method's.
    reduce(fourd.make(np.ones((1, 1, options.pattern, options.pattern), options.dtype)), masks)
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    totals: dict[str, float] = {}
    memory: dict[str, float] = {}
    for turn in range(options.rounds + 1):
        for name, method in methods.items():
            with PeakMemory() as peak:
                wall, cpu, totals[name] = method()
            # The first turn shows the memory, which is kept for the next ones, but reads cold files.
            memory[name] = max(memory.get(name, 0.0), peak.extra_mb)
            if turn > 0:
                rounds[name].append((wall, cpu))
    if options.peer:
        peer.close()
    show(path.stat().st_size, options, rounds, memory)
    reduced = [total for name, total in totals.items() if name.startswith(("reduce_scan", "LiberTEM"))]
    print("sums of all counts, largest relative difference:", np.ptp(reduced) / max(reduced))


def timed(method: Callable[[], float]) -> Method:
    """Make a method tell its wall and CPU seconds beside its result."""

    def run() -> tuple[float, float, float]:
        start, start_cpu = time.perf_counter(), time.process_time()
        total = method()
        return time.perf_counter() - start, time.process_time() - start_cpu, total

    return run


def reduce(data: xr.Dataset, masks: dict[str, NDArray[np.bool_]]) -> float:
    """Sum image, mean pattern, virtual images and centre of mass; the sum of all counts."""
    return float(reduce_scan(data, masks=masks, com=True)["sum"].sum())


def show(
    nbytes: int, options: argparse.Namespace, rounds: dict[str, list[tuple[float, float]]], memory: dict[str, float]
) -> None:
    """Print medians and minima, and the ratios to the peer on the same file."""
    size = f"{options.pattern} x {options.pattern} px"
    print(f"{nbytes / 1e9:.2f} GB of {options.dtype}, {size}, {options.rounds} rounds; median (minimum)")
    for name, taken in rounds.items():
        wall, cpu = np.transpose(taken)
        text = " ".join(
            f"{statistics.median(t):7.3f} ({t.min():6.3f}) s {kind}" for kind, t in (("wall", wall), ("cpu", cpu))
        )
        # The peer's memory is its own process's, and not seen from here.
        extra = "" if name.startswith("LiberTEM") else f"   {memory[name]:6.1f} MB extra"
        print(f"{name:26s} {text}   {nbytes / statistics.median(wall) / 1e9:5.2f} GB/s{extra}")
    for form in ("memory map", "netCDF4"):
        if f"LiberTEM, {form}" in rounds and f"reduce_scan, {form}" in rounds:
            peer, own = (np.array(rounds[f"{tool}, {form}"]) for tool in ("LiberTEM", "reduce_scan"))
            wall, cpu = np.median(peer, 0) / np.median(own, 0)
            least_wall, least_cpu = peer.min(0) / own.min(0)
            print(
                f"LiberTEM / reduce_scan, {form}: wall {wall:.2f} ({least_wall:.2f}), cpu {cpu:.2f} ({least_cpu:.2f})"
            )


if __name__ == "__main__":
    main()
