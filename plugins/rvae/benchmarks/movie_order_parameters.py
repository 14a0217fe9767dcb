"""Order parameters of a movie against truth: angle of the lattice, crystallinity and the distance to a hole.

Crops are cut around the true atoms of all frames, and learned with and without turning. From the true positions
follow, for every atom, the direction of its three neighbours (modulo 120 degrees; the sublattices of graphene are 60
degrees apart), how regular its surroundings are, and how far the next hole is. Quadratics in the descriptors are
fitted to these on the even frames and scored on the odd ones; nothing of the truth goes into the learners. Descriptors
that do not care for turns know nothing of the grain, which the angle has: AUC 0.5.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python plugins/rvae/benchmarks/movie_order_parameters.py movie.nc --out made
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import rankdata, spearmanr

import ronchi

Array = NDArray[Any]

BOND_PX = 4.73
"""Distance of neighbours: 1.42 angstrom of 0.3 angstrom."""
HOLE_PX = 7.0
"""A place so far from every atom lies in a hole; the middle of a hexagon is a bond's length away."""
NEAR_PX = 27.0
"""Atoms up to here from a hole are ranked by their distance: 8 angstrom, twice the reach of a crop."""
SEEN_PX = 12.0
"""Of an atom closer to a hole than this, a crop of 25 px shows the hole."""
DISTORTED = 0.9
"""Atoms of less crystallinity are taken for distorted: one of the nine nearest atoms missing makes it 0.89."""
FIT = {"max_samples": 6000}
LEARNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "polar_em": ("polar-em", FIT | {"n_components": 4}),
    "rvae": ("rvae", FIT | {"n_components": 4, "n_classes": 1}),
    "rvae_auto": ("rvae", FIT | {"n_components": 4}),
    "gmm": ("gmm", {"n_scores": 4, "max_classes": 8}),
}


def truth_of(atoms: xr.Dataset, shape: tuple[int, ...]) -> xr.Dataset:
    """Truth of every atom: ``bond_angle`` [rad], ``crystallinity``, ``edge_px`` beside what the file has."""
    n = atoms.sizes["atom"]
    angle, order, edge = (np.full(n, np.nan) for _ in range(3))
    grid = np.stack(np.meshgrid(*(np.arange(0.0, size) for size in shape), indexing="ij"), -1).reshape(-1, 2)
    for number in np.unique(atoms["frame"].values):
        here = np.flatnonzero(atoms["frame"].values == number)
        places = np.stack([atoms["y_px"].values, atoms["x_px"].values], 1)[here].astype(float)
        tree = cKDTree(places)
        first, second = (_orientation(tree, places, *shell) for shell in ((0.5, 1.35, 3), (1.35, 1.9, 6)))
        angle[here] = np.angle(first) / 3
        order[here] = (abs(first) + abs(second)) / 9
        empty = grid[tree.query(grid)[0] > HOLE_PX]
        edge[here] = cKDTree(empty).query(places)[0] if len(empty) else np.inf
    return atoms.assign(bond_angle=("atom", angle), crystallinity=("atom", order), edge_px=("atom", edge))


def _orientation(tree: cKDTree, places: Array, low: float, high: float, fold: int) -> Array:
    """Sum of exp(i fold angle) over the neighbours in a shell given in bonds: ``fold`` for a perfect lattice."""
    pairs = tree.query_pairs(high * BOND_PX, output_type="ndarray")
    apart = places[pairs[:, 1]] - places[pairs[:, 0]]
    pairs, apart = (v[np.hypot(*apart.T) > low * BOND_PX] for v in (pairs, apart))
    wave = np.exp(1j * fold * np.arctan2(apart[:, 0], apart[:, 1]))
    total = np.zeros(len(places), complex)
    for side, sign in ((0, 1), (1, (-1) ** fold)):
        np.add.at(total, pairs[:, side], sign * wave)
    return total


def folded_error(found: Array, true: Array, fold: int, regular: Array) -> Array:
    """Errors in degrees modulo 360 / ``fold``, after one offset, that of the ``regular`` atoms."""
    phase = np.exp(1j * fold * (found - true))
    error: Array = np.rad2deg(np.angle(phase * np.conj(phase[regular].mean()))) / fold
    return error


def taught(z: Array, true: Array, fit: Array) -> Array:
    """What a quadratic in ``z``, fitted to the samples ``fit``, takes ``true`` to be."""
    z = (z - z[fit].mean(0)) / z[fit].std(0)
    design = np.concatenate([np.ones((len(z), 1)), z, *[z[:, i:] * z[:, i : i + 1] for i in range(z.shape[1])]], 1)
    guess: Array = design @ np.linalg.lstsq(design[fit], true[fit], rcond=None)[0]
    return guess


def separation(value: Array, positive: Array) -> float:
    """Area under the ROC curve: the chance that a positive has the larger value."""
    rank = rankdata(value)
    n = int(positive.sum())
    return float((rank[positive].sum() - n * (n + 1) / 2) / (n * (len(value) - n)))


def figures(found: xr.Dataset, truth: xr.Dataset) -> list[str]:
    """Lines of numbers against truth, on the odd frames."""
    t = {name: truth[name].values[found["atom"].values] for name in truth.data_vars}
    lines = _angles(found["angle"].values.astype(float), t) if "angle" in found else []
    lines += _descriptors("z", found["z"].values.astype(float), t)
    if "nll" in found:
        lines += _descriptors("nll", found["nll"].values.astype(float)[:, None], t)
    return lines + (_classes(found["label"].values, t) if "label" in found else [])


def _angles(angle: Array, t: dict[str, Array]) -> list[str]:
    odd = t["frame"] % 2 == 1
    regular = odd & (t["species"] == 0) & (t["crystallinity"] > DISTORTED) & (t["edge_px"] > NEAR_PX)
    site = abs(folded_error(angle, t["bond_angle"], 3, regular))
    lattice = abs(folded_error(angle, np.deg2rad(t["angle"]), 6, regular))
    lines = [
        f"angle, {name} atoms ({chosen.sum()}): of the neighbours, mod 120, MAE {site[chosen].mean():.2f}, median "
        f"{np.median(site[chosen]):.2f} deg, right sublattice {(site[chosen] < 30).mean():.4f};  of the lattice, "
        f"mod 60, MAE {lattice[chosen].mean():.2f} deg"
        for name, chosen in (("regular", regular), ("all", odd), ("distorted", odd & (t["crystallinity"] < DISTORTED)))
    ]
    grains = [t["grain"] == g for g in (0, 1)]
    mean = np.angle([np.exp(6j * angle[regular & grain]).mean() for grain in grains]) / 6
    true = t["angle"][grains[1]][0] - t["angle"][grains[0]][0]
    right = abs(np.angle(np.exp(6j * (angle[:, None] - mean)))).argmin(1) == t["grain"]
    lines.append(
        f"misorientation {np.rad2deg(mean[1] - mean[0]) % 60:.2f} deg (true {true:.2f});  grain by the angle: right "
        f"for {right[regular].mean():.4f} of regular, {right[odd].mean():.4f} of all atoms"
    )
    return lines


def _descriptors(name: str, values: Array, t: dict[str, Array]) -> list[str]:
    kept = np.isfinite(values).all(1)
    values, t = values[kept], {key: v[kept] for key, v in t.items()}
    odd = t["frame"] % 2 == 1
    near = odd & (t["edge_px"] < NEAR_PX)
    distorted = t["crystallinity"][odd] < DISTORTED

    def guess(true: Array) -> Array:
        return taught(values, true.astype(float), ~odd)[odd]

    order, true = guess(t["crystallinity"]), t["crystallinity"][odd]
    alone = max(separation(abs(v - np.median(v)), distorted) for v in values[odd].T)
    close = max(abs(spearmanr(v[near], t["edge_px"][near]).statistic) for v in values.T)
    at_edge, far = (t["near_edge"][odd] == 1) & (t["edge_px"][odd] < SEEN_PX), t["edge_px"][odd] > NEAR_PX
    edges = guess(np.minimum(t["edge_px"], NEAR_PX))
    edge = separation(-edges[at_edge | far], at_edge[at_edge | far])
    silicon, grain = (separation(guess(t[key]), t[key][odd] == 1) for key in ("species", "grain"))
    line = (
        f"{name:<3} crystallinity: R2 {1 - ((true - order) ** 2).mean() / true.var():.3f}, AUC of distorted "
        f"{separation(-order, distorted):.3f}, of the best alone {alone:.3f};  edge: AUC against far {edge:.3f}, |rho| "
        f"with the distance of the best alone {close:.3f};  silicon: AUC {silicon:.3f};  grain: AUC {grain:.3f}"
    )
    return [line]


def _classes(label: Array, t: dict[str, Array]) -> list[str]:
    lines = []
    for k in np.unique(label):
        mine = label == k
        lines.append(
            f"class {k}: {mine.sum():5d} atoms, crystallinity {t['crystallinity'][mine].mean():.3f}, near_edge "
            f"{t['near_edge'][mine].mean():.3f}, silicon {(t['species'][mine] == 1).mean():.3f}, "
            f"not 3 neighbours {(t['coordination'][mine] != 3).mean():.3f}, grain 1 {t['grain'][mine].mean():.3f}"
        )
    return lines


def main() -> None:
    """Run the pipeline, write its report, print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("movie", type=Path, help="images/1 with the true atoms beside them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--size", type=int, default=25)
    parser.add_argument("--normalise", default="none", choices=("none", "mean", "contrast"))
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), choices=LEARNERS)
    asked = parser.parse_args()
    steps: dict[str, Any] = {
        "load": {"reader": "native", "params": {"path": str(asked.movie.resolve())}},
        "crops": {"transform": "crops", "data": "load", "atoms": "load.truth", "params": {"size_px": asked.size}},
    }
    for step in asked.learners:
        name, params = LEARNERS[step]
        if name != "gmm":
            params = params | {"normalise": asked.normalise}
        steps[step] = {"descriptor_learner": name, "data": "crops", "params": params}
    pipeline = {
        "schema": "ronchi.pipeline/1",
        "name": "movie",
        "seed": 1,
        "steps": steps,
        "outputs": {"report": {"path": "report.html"}}
        | {step: {"from": step, "path": f"{step}.nc"} for step in asked.learners},
    }
    start = time.process_time()
    made = ronchi.run(pipeline, asked.out, progress=False)
    print(f"{made['crops'].sizes['sample']} crops, {time.process_time() - start:.0f} s of processors")
    truth = truth_of(made["load.truth"].load(), made["load"]["intensity"].shape[1:])
    for step in asked.learners:
        print(f"\n{step}: {steps[step]['params']}, {made.steps[step].seconds:.0f} s")
        print("\n".join(f"  {line}" for line in figures(made[step].load(), truth)))


if __name__ == "__main__":
    main()
