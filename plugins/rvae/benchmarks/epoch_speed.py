"""Seconds an epoch of every learner that is trained, on the same simulated crops, beside AtomAI and pyroVED.

An epoch is timed between two calls of the learner's progress, so that reading, starting values and encoding do not
count. All take turns, round by round, so that a machine that does other work slows all of them down; seconds of the
processors do not count what others run. ``--peers`` names a Python that has AtomAI and pyroVED.

    python plugins/rvae/benchmarks/epoch_speed.py --n 1000 --size 24 --threads 1 2 --peers ~/peers/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import xarray as xr

from ronchi.api import Context
from ronchi.builtin.motifs import simulate_motifs
from ronchi.manager import get_manager

LEARNERS = ("rvae", "rrvae", "spatial-vae", "jrvae", "vae", "conv-ae")
PEERS = ("atomai", "pyroved")
Seconds = tuple[float, float]
"""By the clock, and of the processors."""


class Stopwatch:
    """Times of the epochs that a learner reports."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.ticks = epochs, dict[int, Seconds]()

    def __call__(self, done: int, total: int) -> None:
        """Take the time of an epoch that is finished; anything else starts anew."""
        if total != self.epochs:
            self.ticks.clear()
        self.ticks.setdefault(done, (time.perf_counter(), time.process_time()))

    def seconds(self) -> Seconds:
        """Medians of an epoch."""
        times = [self.ticks[k] for k in sorted(self.ticks)]
        clock, processor = np.median(np.diff(times, axis=0), axis=0)
        return float(clock), float(processor)


def of_learner(name: str, x: xr.DataArray, asked: argparse.Namespace, n_threads: int) -> Seconds:
    """Seconds an epoch of a learner of this package."""
    watch = Stopwatch(asked.epochs)
    ctx = Context(rng=np.random.default_rng(0), n_threads=n_threads, progress=watch)
    params = {"epochs": asked.epochs, "batch": asked.batch, "held_out": 0.0}
    if name in ("rvae", "rrvae"):
        params["n_classes"] = 1  # what is found before the first epoch is not timed
    get_manager().create("descriptor_learner", name, params).fit(x, ctx)
    return watch.seconds()


def of_peer(name: str, crops: Path, asked: argparse.Namespace, n_threads: int) -> Seconds:
    """Seconds an epoch of a peer, in a process of its own."""
    script = Path(__file__).with_name("epoch_speed_peers.py")
    options = {"batch": asked.batch, "threads": n_threads, "epochs": asked.peer_epochs}
    told = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(n_threads), "MKL_NUM_THREADS": str(n_threads)}
    done = subprocess.run(
        [asked.peers, "-W", "ignore", str(script), name, str(crops), *told],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
    )
    clock, processor = json.loads(done.stdout.splitlines()[-1])
    return clock, processor


def main() -> None:
    """Print a line a learner, then ratios to the peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--learners", nargs="+", default=LEARNERS, choices=LEARNERS)
    parser.add_argument("--peers", help="Python that has AtomAI and pyroVED")
    parser.add_argument("--peer-epochs", type=int, default=1)
    asked = parser.parse_args()
    x = simulate_motifs(np.random.default_rng(0), n_samples=asked.n, size_px=asked.size).data["intensity"]
    times: dict[tuple[str, int], list[Seconds]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        crops = Path(folder) / "crops.npy"
        np.save(crops, x.values)
        for _ in range(asked.rounds):
            for n_threads in asked.threads:
                for name in asked.learners:
                    times[name, n_threads].append(of_learner(name, x, asked, n_threads))
                for name in PEERS if asked.peers else ():
                    times[name, n_threads].append(of_peer(name, crops, asked, n_threads))
    print(f"{asked.n} crops of {asked.size} x {asked.size}, batch {asked.batch}; s/epoch by the clock (of processors)")
    for (name, n_threads), rounds in times.items():
        clock, processor = np.median(rounds, axis=0)
        ratios = [
            f"{peer} / {name} {np.median(np.array(times[peer, n_threads]) / rounds, axis=0).round(1)}"
            for peer in PEERS
            if name not in PEERS and (peer, n_threads) in times
        ]
        print(f"{name:12} {n_threads} threads  {clock:8.4f} ({processor:.4f})  {'  '.join(ratios)}", flush=True)


if __name__ == "__main__":
    main()
