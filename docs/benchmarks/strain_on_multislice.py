"""RMS strain error on files with truth, with one set of defaults: detection, lattice fit, score.

usage: strain_on_multislice.py FILE.nc … [--detector NAME] [--set detector.x=value] [--set solver.x=value]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import yaml

import ronchi

COMPONENTS = ("e_xx", "e_yy", "e_xy", "theta")


def row(path: Path, detector: str, settings: dict[str, dict[str, object]]) -> str:
    """Detect, fit and score one file; percent, and degrees for theta."""
    data, truth = ronchi.read(path), ronchi.read(path, side="truth")
    if data["intensity"].dtype.kind == "f":
        data["intensity"] = data["intensity"] * 1e6
    ronchi.detect(data.isel(scan_y=[0], scan_x=[0]), detector, **settings["detector"])
    start = time.perf_counter()
    peaks = ronchi.detect(data, detector, **settings["detector"])
    seconds = time.perf_counter() - start
    substrate = data["scan_x"].values[(truth["is_substrate"].values > 0)[0]]
    reference = {"scan_x": [float(substrate.min()) + 15, float(substrate.max()) + 1]}
    strain = ronchi.strain(peaks, "lattice", reference=reference, **settings["solver"])
    cells = []
    for distance in (0, 8):
        scores = ronchi.score(
            strain, truth, "strain-rmse", probe_average=True, min_interface_distance_angstrom=distance
        )
        cells.append([scores[f"rms_{name}"] * (57.29578 if name == "theta" else 100) for name in COMPONENTS])
    figures = " | ".join(f"{every:.3f} / {inner:.3f}" for every, inner in zip(*cells, strict=True))
    n = peaks.sizes["pos"]
    cost = f"{peaks.sizes['peak'] / n:.1f} | {1e3 * seconds / n:.2f}"
    return f"| {path.stem} | {figures} | {scores['coverage']:.3f} | {cost} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--detector", default="crosscorr")
    parser.add_argument("--set", action="append", default=[], help="detector.NAME=VALUE or solver.NAME=VALUE")
    args = parser.parse_args()
    settings: dict[str, dict[str, object]] = {"detector": {}, "solver": {}}
    for text in args.set:
        key, _, value = text.partition("=")
        owner, _, name = key.partition(".")
        settings[owner][name] = yaml.safe_load(value)
    print("all / inner: without 8 angstrom around interfaces; e_xx against the truth averaged over the probe\n")
    print("| file | e_xx % | e_yy % | e_xy % | theta deg | coverage | peaks a pattern | ms a pattern |")
    print("|---" * 8 + "|")
    for path in args.files:
        print(row(path, args.detector, settings), flush=True)


if __name__ == "__main__":
    main()
