"""Equation (1) of Munshi et al. (2022) on single patterns of many crystals, each with its own probe.

The file has ``counts`` and ``probe`` (pattern, qy, qx) with calibrated axes, ``semiangle`` [mrad] and ``voltage`` [V]
of each pattern, and its reflections: ``peak_qy``, ``peak_qx`` [1/angstrom], ``peak_amp`` and ``peak_visible``
(pattern, peak). Detectors are given as ``NAME`` or ``NAME:{"parameter": value}``::

    python equation_one.py patterns.nc crosscorr 'fcunet:{"weights": "compact"}'
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import ronchi
from ronchi.builtin.metrics_peaks import eq1_accuracy
from ronchi.schema import fourd

TOLERANCE, BEAM, LEAST_TRUE = 0.05, 0.08, 0.05
"""Of the paper: two radii in 1/angstrom, and the least amplitude over the largest."""


def patterns(file: xr.Dataset) -> Iterator[tuple[xr.Dataset, NDArray[Any], NDArray[Any]]]:
    """Each pattern as a scan of one position, its reflections (m, 2) and their amplitudes (m,)."""
    step = float(file["qy"][1] - file["qy"][0])
    for n in range(file.sizes["pattern"]):
        one = file.isel(pattern=n)
        scan = fourd.make(
            one["counts"].values.astype(np.float32)[None, None],
            q_step=(step, step),
            probe=one["probe"].values.astype(np.float32),
            beam_energy_eV=float(one["voltage"]),
            semiangle_mrad=float(one["semiangle"]),
        )
        places = np.stack([one["peak_qy"].values, one["peak_qx"].values], 1).astype(float)
        amplitude = np.abs(one["peak_amp"].values.astype(float))
        kept = (one["peak_visible"].values > 0) & np.isfinite(places).all(1) & (np.hypot(*places.T) > BEAM)
        places, amplitude = places[kept], amplitude[kept]
        strong = amplitude > LEAST_TRUE * amplitude.max()
        yield scan, places[strong], amplitude[strong]


def accuracy(
    scan: xr.Dataset, places: NDArray[Any], amplitude: NDArray[Any], name: str, params: dict[str, Any]
) -> tuple[float, float, float]:
    """Accuracy as coded and one to one, and seconds."""
    start = time.perf_counter()
    peaks = ronchi.detect(scan, name, **params)
    seconds = time.perf_counter() - start
    found = np.stack([peaks["qy"].values, peaks["qx"].values], 1)
    outside = np.hypot(*found.T) > BEAM
    weight = np.sqrt(peaks["intensity"].values.clip(0))[outside]
    return *eq1_accuracy(found[outside], weight, places, amplitude, tolerance=TOLERANCE), seconds


def main() -> None:
    """Print a line a detector."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("detector", nargs="+")
    parser.add_argument("--each", action="store_true", help="a line a pattern")
    given = parser.parse_args()
    file = xr.open_dataset(given.file)
    for detector in given.detector:
        name, _, text = detector.partition(":")
        made = np.array([accuracy(*pattern, name, json.loads(text or "{}")) for pattern in patterns(file)])
        if given.each:
            told = [file[key].values for key in ("material", "zone", "semiangle", "thickness") if key in file]
            for n, row in enumerate(made):
                what = [str(column[n]) for column in told]
                print(f"  {row[0]:.3f}  {row[1]:.3f}  {' '.join(what)}")
        (coded, single), (coded_median, single_median) = made[:, :2].mean(0), np.median(made[:, :2], 0)
        print(
            f"{detector}: as coded {coded:.3f} (median {coded_median:.3f}), one to one {single:.3f} "
            f"(median {single_median:.3f}), n {len(made)}, {1e3 * np.median(made[:, 2]):.0f} ms with set-up"
        )


if __name__ == "__main__":
    main()
