"""Angle, class and invariance against truth, over ranges of rotation: the ladder of learners on held-out crops.

Four classes of 25 x 25 crops from coordinates (pristine, one neighbour missing, silicon, Stone-Wales atom), shifted
by up to half a pixel, with noise of half an atom's peak. Angles are scored modulo the symmetry of the true class,
with one offset a class. ``truth`` are the noise-free templates, given away: the ceiling. With ``--rows`` the figures
are kept in a file of JSON lines, and what it holds is not run again; ``rotation_peers.py`` adds those of other
packages and ``rotation_figure.py`` draws them. Pin it to one core:

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 taskset -c 1 python plugins/rvae/benchmarks/rotation_ladder.py
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
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
Row = dict[str, Any]
"""Figures of one learner on one set."""
Made = tuple[xr.DataArray, xr.DataArray, xr.Dataset]
"""Crops to fit, crops held out, and the truth of these."""


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


def simulated(range_deg: float, seed: int, n: int, noise: float) -> Made:
    """Crops to fit, and half as many to score on."""
    options: dict[str, Any] = {"noise_sigma": noise, "angle_range_deg": range_deg}
    fit = simulate_motifs(np.random.default_rng([seed, 0]), n_samples=n, **options)
    held_out = simulate_motifs(np.random.default_rng([seed, 1]), n_samples=n // 2, **options)
    return fit.data["intensity"], held_out.data["intensity"], held_out.sides["truth"]


def score(encoded: xr.Dataset, truth: xr.Dataset) -> Row:
    """Figures of one learner on held-out crops; NaN for what it does not give."""
    label, angle = truth["label"].values, truth["angle"].values
    z = encoded["z"].values.astype(float)
    mixed = GaussianMixture(4, n_init=5, random_state=0).fit_predict(z)
    row: Row = {"ari_z": adjusted_rand_score(label, mixed), "r2": explained(z, angle)}
    row["ari"] = adjusted_rand_score(label, encoded["label"].values) if "label" in encoded else np.nan
    angles = [
        angle_scores(angle[label == k], encoded["angle"].values[label == k], fold)
        if "angle" in encoded
        else (np.nan,) * 2
        for k, fold in enumerate(FOLDS)
    ]
    row["resultant"], row["mae_deg"] = (list(column) for column in zip(*angles, strict=True))
    error = encoded["shift"] - truth["shift"] if "shift" in encoded else np.nan
    row["shift_px"] = float(np.sqrt(np.mean(np.square(error))))
    return row


def run(range_deg: float, seed: int, n: int, noise: float, wanted: Callable[[str], bool]) -> list[Row]:
    """Fit the wanted learners to one set and score them on another."""
    fit, held_out, truth = simulated(range_deg, seed, n, noise)
    makers = {
        "truth": lambda: given_templates(noise, np.random.default_rng(seed), fit),
        "polar-invariants": lambda: PolarInvariants(PolarInvariantsParams(n_components=8)),
        "polar-em": lambda: PolarEm(PolarEmParams()),
        "rvae": lambda: Rvae(RvaeParams()),
    }
    rows = []
    for name in filter(wanted, makers):
        learner = makers[name]()
        start = time.process_time()
        if name != "truth":
            learner.fit(fit, Context(rng=np.random.default_rng(seed)))
        middle = time.process_time()
        encoded = learner.transform(held_out)
        row = {"learner": name, "range_deg": range_deg, "seed": seed, **score(encoded, truth)}
        row |= {"fit_s": middle - start, "encode_s": time.process_time() - middle}
        row["classes"] = learner.mixture.size if hasattr(learner, "mixture") else 0
        rows.append(row)
    return rows


def line(row: Row) -> str:
    """One row of the table."""
    angles = "  ".join(f"{r:.4f}/{mae:5.2f}" for r, mae in zip(row["resultant"], row["mae_deg"], strict=True))
    return (
        f"{row['learner']:<17} {row['range_deg']:5.0f}  {row['seed']:>4}  {row['ari']:.4f}  {row['ari_z']:.4f}  "
        f"{angles}  K {row['classes']:g}  R2 {row['r2']:+.4f}  shift {row['shift_px']:.3f} px  "
        f"fit {row['fit_s']:5.1f} s  encode {row['encode_s']:4.1f} s"
    )


def read(path: Path) -> list[Row]:
    """Rows of earlier runs; ``null`` is what a learner does not give."""
    if not path.exists():
        return []
    return [json.loads(text.replace("null", "NaN")) for text in path.read_text().splitlines()]


def keep(path: Path, row: Row) -> None:
    """Put a row into a file, in the place of what the same learner had there; numbers rounded to what they mean."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(v) for v in value]
        if not isinstance(value, float):
            return value
        return round(value, 5) if np.isfinite(value) else None

    own = ("learner", "range_deg", "seed")
    others = [other for other in read(path) if any(other[key] != row[key] for key in own)]
    rows = [{key: plain(value) for key, value in each.items()} for each in (*others, row)]
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))


def average(rows: list[Row]) -> Row:
    """Mean of every figure over seeds."""
    constant = {"learner": rows[0]["learner"], "range_deg": rows[0]["range_deg"], "seed": "mean"}
    return {key: constant[key] if key in constant else np.mean([row[key] for row in rows], axis=0) for key in rows[0]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=10000)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--ranges", type=float, nargs="+", default=[180.0, 90.0, 45.0, 10.0])
    parser.add_argument("--rows", type=Path)
    asked = parser.parse_args()
    table: dict[tuple[str, float], list[Row]] = defaultdict(list)
    for row in read(asked.rows) if asked.rows else []:
        table[row["learner"], row["range_deg"]].append(row)
    print(HEADER, flush=True)
    for range_deg in asked.ranges:
        for seed in range(asked.seeds):

            def wanted(name: str, range_deg: float = range_deg, seed: int = seed) -> bool:
                return all(row["seed"] != seed for row in table[name, range_deg])

            for row in run(range_deg, seed, asked.samples, asked.noise, wanted):
                if asked.rows:
                    keep(asked.rows, row)
                table[row["learner"], range_deg].append(row)
                print(line(row), flush=True)
    print("\nmeans over seeds")
    for rows in table.values():
        print(line(average(rows)))


if __name__ == "__main__":
    main()
