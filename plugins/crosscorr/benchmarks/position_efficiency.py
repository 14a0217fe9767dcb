"""Position error of detected disks against the Cramer-Rao bound, over dose and radius; ``--refine`` chooses the method.

The bound of a disk with a logistic edge S = 1 / (1 + exp((r - R) / a)) and N counts is sigma = sqrt(2 a R / N) px an
axis, for a known shape and no background. Efficiency is bound / error; disks that are not found are counted apart.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context, Geometry
from ronchi_crosscorr.detector import CrossCorr
from ronchi_crosscorr.params import CrossCorrParams

EDGE_PX = 0.5
RADII_PX = (3, 5, 10)
DOSES = (1e2, 3e2, 1e3, 1e4, 1e5)
SIZE = 128


def disk(y: NDArray[np.float64], x: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Logistic disk at distances (y, x) from its centre."""
    return np.asarray(1 / (1 + np.exp(np.clip((np.hypot(y, x) - radius) / EDGE_PX, -60, 60))))


def frames_of(
    radius: float, dose: float, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Patterns of nine separate disks with ``dose`` counts each, and their centres (n, 9, 2)."""
    grid = np.array([(y, x) for y in (24, 64, 104) for x in (24, 64, 104)], float)
    centres = grid + rng.uniform(-0.5, 0.5, (n, 9, 2))
    row, column = np.mgrid[:SIZE, :SIZE].astype(float)
    total = disk(row - 64, column - 64, radius).sum()
    frames = np.empty((n, SIZE, SIZE), np.uint32)
    for i in range(n):
        mean = sum(disk(row - y, column - x, radius) for y, x in centres[i])
        frames[i] = rng.poisson(np.asarray(mean) * dose / total)
    return frames, centres


def measure(radius: float, dose: float, n: int, params: CrossCorrParams) -> tuple[float, float, float]:
    """Share of disks found, RMS error an axis in px, and RMS of error over stated error."""
    rng = np.random.default_rng(int(dose) + int(radius))
    frames, centres = frames_of(radius, dose, n, rng)
    row, column = np.mgrid[:SIZE, :SIZE].astype(float)
    probe = (1e5 * disk(row - 64, column - 64, radius)).astype(np.float32)
    detector = CrossCorr(params)
    mean = frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    detector.prepare(Geometry(shape=(SIZE, SIZE), centre_px=(64.0, 64.0), mean_pattern=mean), probe, Context(rng=rng))
    batch = detector.detect(frames)
    starts = np.concatenate([[0], np.cumsum(batch.counts)])
    errors, scores = [], []
    for i in range(n):
        found = slice(starts[i], starts[i + 1])
        y, x = batch.qy_px[found], batch.qx_px[found]
        for cy, cx in centres[i]:
            distance = np.hypot(y - cy, x - cx)
            if len(distance) and distance.min() < 2:
                j = int(distance.argmin())
                errors += [y[j] - cy, x[j] - cx]
                scores += [
                    (y[j] - cy) / np.sqrt(batch.var_yy[found][j]),
                    (x[j] - cx) / np.sqrt(batch.var_xx[found][j]),
                ]
    rms = [float(np.sqrt(np.mean(np.square(values)))) if values else np.nan for values in (errors, scores)]
    return len(errors) / (2 * 9 * n), rms[0], rms[1]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refine", default="likelihood", choices=["parabola", "correlation", "likelihood"])
    parser.add_argument("--frames", type=int, default=60)
    args = parser.parse_args()
    params = CrossCorrParams.model_validate({"refine": args.refine})
    print("| radius px | counts a disk | bound px | error px | efficiency | error / stated error | found |")
    print("|---" * 7 + "|")
    for radius in RADII_PX:
        for dose in DOSES:
            bound = np.sqrt(2 * EDGE_PX * radius / dose)
            found, error, score = measure(radius, dose, args.frames, params)
            cells = (f"{bound:.4f}", f"{error:.4f}", f"{bound / error:.2f}", f"{score:.2f}", f"{found:.3f}")
            print(f"| {radius} | {dose:.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
