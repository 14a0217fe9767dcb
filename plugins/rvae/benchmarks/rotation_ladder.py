"""Angle, class and invariance against truth, over ranges of rotation: the ladder of learners on held-out crops.

Four classes of 25 x 25 crops from coordinates (pristine, one neighbour missing, silicon, Stone-Wales atom), shifted
by up to half a pixel, with noise of half an atom's peak. Angles are scored modulo the symmetry of the true class,
with one offset a class. ``truth`` are the noise-free templates, given away: the ceiling. Pin it to one core:

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 taskset -c 1 python plugins/rvae/benchmarks/rotation_ladder.py
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from ronchi.api import Context
from ronchi.builtin.motifs import simulate_motifs
from ronchi_rvae.em import Mixture
from ronchi_rvae.invariants import PolarInvariants
from ronchi_rvae.params import PolarEmParams, PolarInvariantsParams, RvaeParams
from ronchi_rvae.polar_em import PolarEm
from ronchi_rvae.rvae import Rvae
from ronchi_rvae.shifts import interpolate

FOLDS = (3, 1, 3, 1)
"""True symmetry of the classes."""
HEADER = "learner           range  seed    ARI  ARI(z)   " + "  ".join(
    f"R/MAE {c:<6}" for c in ("i", "ii", "iii", "iv")
)


def angle_scores(true: NDArray[Any], found: NDArray[Any], fold: int) -> tuple[float, float]:
    """Resultant, and mean absolute error in degrees after one offset, modulo 2 pi / ``fold``."""
    phase = np.exp(1j * fold * (found - true))
    mean = phase.mean()
    errors = np.angle(phase * np.conj(mean)) / fold
    return float(abs(mean)), float(np.rad2deg(np.abs(errors).mean()))


def explained(z: NDArray[Any], angle: NDArray[Any]) -> float:
    """Share of the variance of ``z`` that harmonics 1 to 6 of the true angle explain, on the other half."""
    waves = [wave(k * angle) for k in range(1, 7) for wave in (np.cos, np.sin)]
    design = np.stack([np.ones_like(angle), *waves], 1)
    half = len(z) // 2
    weights = np.linalg.lstsq(design[:half], z[:half], rcond=None)[0]
    residual = z[half:] - design[half:] @ weights
    return float(1 - residual.var(axis=0).sum() / z[half:].var(axis=0).sum())


def given_templates(noise: float, rng: np.random.Generator, fit: xr.DataArray) -> PolarEm:
    """A mixture of the true templates, which no data were fitted for."""
    clean = simulate_motifs(rng, n_samples=2000, noise="none")
    truth = clean.sides["truth"]
    learner = PolarEm(PolarEmParams(n_classes=1, passes=1, max_samples=50))
    learner.fit(fit, Context(rng=rng))
    described = learner.basis.describe(clean.data["intensity"].values / learner._intensity.scale)
    centred = interpolate(described, truth["shift"].values, learner.basis.shifts)
    upright = centred * np.exp(1j * truth["angle"].values[:, None] * learner.basis.order)
    label = truth["label"].values
    templates = np.stack([upright[label == k].mean(0) for k in range(4)]).astype(np.complex64)
    variance = (noise / learner._intensity.scale) ** 2
    learner.mixture = Mixture(templates, np.full(4, 0.25), variance, learner.mixture.shift_sigma_px, np.array(FOLDS))
    return learner


def score(encoded: xr.Dataset, truth: xr.Dataset) -> dict[str, Any]:
    """Figures of one learner on held-out crops."""
    label, angle = truth["label"].values, truth["angle"].values
    z = encoded["z"].values.astype(float)
    mixed = GaussianMixture(4, n_init=5, random_state=0).fit_predict(z)
    figures: dict[str, Any] = {"ari_z": adjusted_rand_score(label, mixed), "r2": explained(z, angle)}
    figures["ari"] = adjusted_rand_score(label, encoded["label"].values) if "label" in encoded else np.nan
    figures["angle"] = [
        angle_scores(angle[label == k], encoded["angle"].values[label == k], fold)
        if "angle" in encoded
        else (np.nan,) * 2
        for k, fold in enumerate(FOLDS)
    ]
    if "shift" in encoded:
        figures["shift"] = float(np.sqrt(((encoded["shift"] - truth["shift"]) ** 2).mean()))
    return figures


def run(range_deg: float, seed: int, n: int, noise: float) -> dict[str, dict[str, Any]]:
    """Fit all learners to one set and score them on another."""
    options = {"noise_sigma": noise, "angle_range_deg": range_deg}
    fit = simulate_motifs(np.random.default_rng([seed, 0]), n_samples=n, **options).data["intensity"]
    held_out = simulate_motifs(np.random.default_rng([seed, 1]), n_samples=n // 2, **options)
    makers = {
        "truth": lambda: given_templates(noise, np.random.default_rng(seed), fit),
        "polar-invariants": lambda: PolarInvariants(PolarInvariantsParams(n_components=8)),
        "polar-em": lambda: PolarEm(PolarEmParams()),
        "rvae": lambda: Rvae(RvaeParams()),
    }
    made = {}
    for name, make in makers.items():
        learner = make()
        start = time.process_time()
        if name != "truth":
            learner.fit(fit, Context(rng=np.random.default_rng(seed)))
        middle = time.process_time()
        encoded = learner.transform(held_out.data["intensity"])
        made[name] = score(encoded, held_out.sides["truth"])
        made[name] |= {"fit_s": middle - start, "encode_s": time.process_time() - middle}
        made[name]["classes"] = learner.mixture.size if hasattr(learner, "mixture") else 0
    return made


def line(name: str, range_deg: float, seed: str, figures: dict[str, Any]) -> str:
    """One row of the table."""
    angles = "  ".join(f"{r:.4f}/{mae:5.2f}" for r, mae in figures["angle"])
    return (
        f"{name:<17} {range_deg:5.0f}  {seed:>4}  {figures['ari']:.4f}  {figures['ari_z']:.4f}  {angles}  "
        f"K {figures['classes']:g}  R2 {figures['r2']:+.4f}  shift {figures.get('shift', np.nan):.3f} px  "
        f"fit {figures['fit_s']:5.1f} s  encode {figures['encode_s']:4.1f} s"
    )


def average(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean of every figure over seeds."""
    return {key: np.mean([row[key] for row in rows], axis=0) for key in rows[0]}


def draw(table: dict[tuple[str, float], list[dict[str, Any]]], ranges: list[float], path: Path) -> None:
    """Resultant of the hardest class and ARI over the range of rotation; bars from the worst to the best seed."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), constrained_layout=True)
    pick = {
        "resultant, one neighbour missing": lambda row: row["angle"][1][0],
        "mean error of the angle, all classes [deg]": lambda row: np.mean([mae for _, mae in row["angle"]]),
        "ARI": lambda row: row["ari"],
    }
    for axis, (title, value) in zip(axes, pick.items(), strict=True):
        for name in ("truth", "polar-em", "rvae"):
            values = np.array([[value(row) for row in table[name, r]] for r in ranges])
            middle = values.mean(axis=1)
            spread = np.abs(np.stack([values.min(axis=1), values.max(axis=1)]) - middle)
            axis.errorbar(ranges, middle, spread, marker="o", capsize=3, label=name)
        axis.set(xlabel="range of rotation [deg]", title=title, xscale="log", xticks=ranges)
        axis.set_xticklabels([f"±{r:g}" for r in ranges])
        axis.minorticks_off()
    axes[0].legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=10000)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--ranges", type=float, nargs="+", default=[180.0, 90.0, 45.0, 10.0])
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args()
    table: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    print(HEADER, flush=True)
    for range_deg in asked.ranges:
        for seed in range(asked.seeds):
            for name, figures in run(range_deg, seed, asked.samples, asked.noise).items():
                table[name, range_deg].append(figures)
                print(line(name, range_deg, str(seed), figures), flush=True)
    print("\nmeans over seeds")
    for (name, range_deg), rows in table.items():
        print(line(name, range_deg, "mean", average(rows)))
    if asked.figure:
        draw(table, sorted(asked.ranges), asked.figure)


if __name__ == "__main__":
    main()
