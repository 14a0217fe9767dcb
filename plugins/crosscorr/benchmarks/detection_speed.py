"""Speed and accuracy of the detector, beside one pair of Fourier transforms of the same patterns.

Patterns are made from a seed: a strained, rotated lattice of soft disks with Poisson noise. The rounds are
interleaved, so that a machine that slows down slows all of them. Pin it to one core to compare with others:

    OMP_NUM_THREADS=1 taskset -c 1 python plugins/crosscorr/benchmarks/detection_speed.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ronchi.api import Context, Geometry, PeakBatch
from ronchi_crosscorr.detector import CrossCorr
from ronchi_crosscorr.params import CrossCorrParams

CASES = {"96, r 2": (96, 2.0, 10.0, 2e4), "128, r 5": (128, 5.0, 21.0, 2e4), "256, r 9": (256, 9.0, 40.0, 6e4)}
"""Name to size of a pattern [px], radius of a disk [px], spacing of the lattice [px], electrons in a pattern."""


def make_patterns(
    size: int, radius: float, spacing: float, dose: float, *, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint16], NDArray[np.float64], NDArray[np.float32]]:
    """Patterns (n, size, size), the places of their disks (n, k, 2), and a probe."""
    angle = np.deg2rad(12.0)
    g = spacing * np.array([[np.cos(angle), np.sin(angle)], [-1.1 * np.sin(angle), 1.1 * np.cos(angle)]])
    index = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 2, indexing="ij"), -1).reshape(-1, 2)
    index = index[(np.abs(index @ g) < size / 2 - radius - 4 - 0.03 * size).all(1)]
    strain = np.eye(2) + rng.normal(0, 0.01, (n, 2, 2))
    origin = size / 2 + rng.uniform(-0.8, 0.8, (n, 1, 2))
    places = origin + index @ g @ strain
    envelope = np.exp(-((np.hypot(*(index @ g).T) / (0.33 * size)) ** 2))
    counts = envelope * np.exp(rng.normal(0, 0.35, (n, len(index))))
    counts[:, (index == 0).all(1)] = 2.5
    y, x = np.mgrid[:size, :size].astype(np.float32)

    def disk(place: NDArray[np.float64]) -> NDArray[Any]:
        return 1 / (1 + np.exp(np.clip((np.hypot(y - place[0], x - place[1]) - radius) / 0.35, -40, 40)))

    background = 0.02 * np.exp(-((y - size / 2) ** 2 + (x - size / 2) ** 2) / (2 * (0.3 * size) ** 2))
    frames = np.empty((n, size, size), np.uint16)
    for i in range(n):
        mean = background + sum(c * disk(p) for p, c in zip(places[i], counts[i], strict=True))
        frames[i] = rng.poisson(mean * dose / mean.sum())
    return frames, places, (5000 * disk(np.full(2, size / 2))).astype(np.float32)


def prepared(refine: str, probe: NDArray[np.float32]) -> CrossCorr:
    """Make a detector with default settings but for the refinement."""
    detector = CrossCorr(CrossCorrParams(refine=refine))
    centre = (probe.shape[0] / 2, probe.shape[1] / 2)
    geometry = Geometry(shape=(probe.shape[0], probe.shape[1]), centre_px=centre)
    detector.prepare(geometry, probe, Context(rng=np.random.default_rng(0)))
    return detector


def errors(batch: PeakBatch, places: NDArray[np.float64], size: int, margin: float) -> tuple[float, float, float]:
    """Rms error [px] of the peaks within 3 px of a disk, missed disks [%] and false peaks [%]."""
    ends = np.cumsum(batch.counts)
    square, matched, missed, false, true = 0.0, 0, 0, 0, 0
    for end, count, sites in zip(ends, batch.counts, places, strict=True):
        found = np.stack([batch.qy_px, batch.qx_px], 1)[end - count : end]
        inside = ((sites > margin) & (sites < size - 1 - margin)).all(1)
        true += int(inside.sum())
        distance = np.hypot(*(found[:, None] - sites[None]).transpose(2, 0, 1)) if count else np.empty((0, len(sites)))
        near = distance.min(1) < 3 if count else np.empty(0, bool)
        square += float((distance.min(1)[near] ** 2).sum()) if count else 0.0
        matched += int(near.sum())
        false += int((~near).sum())
        missed += int((inside & ~(distance < 3).any(0)).sum())
    return float(np.sqrt(square / max(matched, 1))), 100 * missed / true, 100 * false / max(matched + false, 1)


def main() -> None:
    """Print one table a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patterns", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, (size, radius, spacing, dose) in CASES.items():
        frames, places, probe = make_patterns(
            size, radius, spacing, dose, n=options.patterns, rng=np.random.default_rng(options.seed)
        )
        detectors = {refine: prepared(refine, probe) for refine in ("parabola", "correlation", "likelihood")}
        few = torch.rand(4 if size < 200 else 2, size, size)

        def transforms(few: torch.Tensor = few, size: int = size) -> None:
            for _ in range(options.patterns // len(few)):
                torch.fft.irfft2(torch.fft.rfft2(few), s=(size, size))

        work: dict[str, Callable[[], Any]] = {"rfft2 + irfft2": transforms}
        for refine, detector in detectors.items():
            work[refine] = lambda detector=detector, frames=frames: detector.detect(frames)
            detector.detect(frames[:4])
        seconds: dict[str, list[float]] = {label: [] for label in work}
        for _ in range(options.rounds):
            for label, job in work.items():
                start = time.perf_counter()
                job()
                seconds[label].append((time.perf_counter() - start) / options.patterns)
        print(f"\n{name}: {places.shape[1]} disks, {dose:.0f} electrons, {options.patterns} patterns, one thread")
        print(f"{'':16}{'us/pattern':>12}{'/ FFT pair':>12}{'rms px':>9}{'missed %':>10}{'false %':>9}")
        base = np.array(seconds["rfft2 + irfft2"])
        for label, times in seconds.items():
            line = f"{label:16}{1e6 * np.median(times):12.1f}{np.median(times / base):12.2f}"
            if label in detectors:
                rms, missed, false = errors(detectors[label].detect(frames), places, size, radius + 1)
                line += f"{rms:9.4f}{missed:10.3f}{false:9.3f}"
            print(line)


if __name__ == "__main__":
    main()
