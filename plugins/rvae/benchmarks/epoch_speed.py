"""Seconds an epoch of every learner that is trained, on the same simulated crops.

An epoch is timed between two calls of the learner's progress, so that reading, starting values and encoding do not
count; ``fit s`` is the whole fit, with what the learner does before its first epoch.

    python plugins/rvae/benchmarks/epoch_speed.py --n 1000 --size 24 --threads 1 2
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from ronchi.api import Context
from ronchi.builtin.motifs import simulate_motifs
from ronchi.manager import get_manager

LEARNERS = ("rvae", "rrvae", "spatial-vae", "jrvae", "vae", "conv-ae")


class Stopwatch:
    """Times of the epochs that a learner reports."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.ticks = epochs, dict[int, tuple[float, float]]()

    def __call__(self, done: int, total: int) -> None:
        """Take the time of an epoch that is finished; anything else starts anew."""
        if total != self.epochs:
            self.ticks.clear()
        self.ticks.setdefault(done, (time.perf_counter(), time.process_time()))

    def seconds(self) -> tuple[float, float]:
        """Medians of an epoch, s: by the clock, and of all processors, which does not count what others run."""
        times = [self.ticks[k] for k in sorted(self.ticks)]
        clock, processor = np.median(np.diff(times, axis=0), axis=0)
        return float(clock), float(processor)


def main() -> None:
    """Print a line a learner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--learners", nargs="+", default=LEARNERS, choices=LEARNERS)
    args = parser.parse_args()
    x = simulate_motifs(np.random.default_rng(0), n_samples=args.n, size_px=args.size).data["intensity"]
    print(f"{args.n} crops of {args.size} x {args.size}, batch {args.batch}")
    for n_threads in args.threads:
        for name in args.learners:
            watch = Stopwatch(args.epochs)
            ctx = Context(rng=np.random.default_rng(0), n_threads=n_threads, progress=watch)
            params = {"epochs": args.epochs, "batch": args.batch}
            learner = get_manager().create("descriptor_learner", name, params)
            start = time.perf_counter()
            learner.fit(x, ctx)
            total = time.perf_counter() - start
            clock, processor = watch.seconds()
            print(
                f"{name:12} {n_threads} threads  {clock:8.4f} s/epoch ({processor:.4f} s of processors)  "
                f"fit {total:6.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
