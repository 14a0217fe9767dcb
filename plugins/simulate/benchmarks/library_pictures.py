"""Draw samples of a library: along zone axes, off them, thick, and with overlapping disks.

python plugins/simulate/benchmarks/library_pictures.py library.zarr FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import ronchi
from ronchi import plot
from ronchi.plot.library import Sample


def main() -> None:
    """Write the four pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=25, help="patterns in a picture")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    data, rng = ronchi.read(args.library), np.random.default_rng(args.seed)
    on_zone = np.flatnonzero(data["zone_axis"].values.any(axis=1))
    off_zone = np.setdiff1d(np.arange(data.sizes["run"]), on_zone)
    every = np.arange(data.sizes["run"])
    deep, wide = data.sizes["thickness"], data.sizes["semiangle"]

    def drawn(runs: np.ndarray, depths: tuple[int, int], angles: tuple[int, int]) -> list[Sample]:
        chosen = rng.choice(runs, args.count, replace=len(runs) < args.count)
        return [(int(run), int(rng.integers(*angles)), int(rng.integers(*depths))) for run in chosen]

    kinds = {
        "on-zone": drawn(on_zone, (0, deep), (0, wide)),
        "off-zone": drawn(off_zone, (0, deep), (0, wide)),
        "thick": drawn(every, (4 * deep // 5, deep), (0, wide)),
        "overlap": drawn(every, (0, deep), (wide - 1, wide)),
    }
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, samples in kinds.items():
        path = args.folder / f"{name}.png"
        plot.library_samples(data, samples).savefig(path, dpi=100)
        print(path)


if __name__ == "__main__":
    main()
