"""Order parameters of a movie against truth: the comparison of figure 5 of Kalinin et al. 2021, with numbers.

Crops are cut around true atoms of all frames with a small and a large window, and learned with and without turning.
From the true positions follow, for every atom, the direction of its three neighbours (modulo 120 degrees; the
sublattices of graphene are 60 degrees apart), how regular its surroundings are, and how far the next hole is. Nothing
of the truth goes into the learners; quadratics in the descriptors are fitted to it on the even frames and scored on
the odd ones.

    OMP_NUM_THREADS=1 python plugins/movies/benchmarks/order_parameters.py movie.nc --picture made.png
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import rankdata, spearmanr

import ronchi
from ronchi import plot
from ronchi.api import Result
from ronchi.apply import apply
from ronchi.builtin.metrics_images import best_rotation, ssim_within
from ronchi.pipeline.encode import load_learner
from ronchi.plot.canvas import new_figure
from ronchi.schema import atoms as atoms_schema

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
ORDERED = 0.97
"""Above this, ranks of crystallinity are those of thermal displacements."""
N_IMAGES = 6
"""Components that are decoded and compared with each other."""
LEARNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gmm": ("gmm", {"n_scores": 4, "n_classes": N_IMAGES}),
    "conv-ae": ("conv-ae", {}),
    "vae": ("vae", {}),
    "rvae": ("rvae", {"n_classes": 1}),
    "rvae, 6 latents": ("rvae", {"n_classes": 1, "n_components": 6}),
}
DRAWN = tuple(name for name in LEARNERS if "," not in name)
COLUMNS = {
    "sublattice": "{:.3f}", "MAE deg": "{:.1f}", "resultant": "{:.3f}", "grain": "{:.3f}", "R2 z of angle": "{:.3f}",
    "cryst. rho": "{:.2f}", "misfit rho": "{:.2f}", "cryst. R2": "{:.2f}", "edge rho": "{:.2f}", "edge AUC": "{:.2f}",
    "SSIM": "{:.2f}", "SSIM turned": "{:.2f}", "NLL/px": "{:.3f}", "s": "{:.0f}",
}  # fmt: skip


def truth_of(atoms: xr.Dataset, shape: tuple[int, ...]) -> xr.Dataset:
    """Truth of every atom: ``bond_angle`` [rad], ``crystallinity``, ``edge_px`` beside what the file has."""
    n = atoms.sizes["atom"]
    angle, order, edge = (np.full(n, np.nan) for _ in range(3))
    grid = np.stack(np.meshgrid(*(np.arange(0.0, size) for size in shape), indexing="ij"), -1).reshape(-1, 2)
    for number in np.unique(atoms["frame"].values):
        here = np.flatnonzero(atoms["frame"].values == number)
        places = np.stack([atoms["y"].values, atoms["x"].values], 1)[here].astype(float)
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


def figures(made: Result, truth: xr.Dataset, crops: xr.Dataset) -> dict[str, float]:
    """Numbers against truth: of the angle on regular atoms, of the descriptors on odd frames; see `COLUMNS`."""
    found = made.data
    t = {name: truth[name].values[found["atom"].values] for name in truth.data_vars if truth[name].dims == ("atom",)}
    odd = t["frame"] % 2 == 1
    regular = odd & (t["species"] == 0) & (t["crystallinity"] > DISTORTED) & (t["edge_px"] > NEAR_PX)
    line = _angles(found, t, regular) if "angle" in found else {}
    line |= _descriptors(found["z"].values.astype(float), t, odd)
    if "nll" in found:
        disordered = odd & (t["crystallinity"] < ORDERED)
        line["misfit rho"] = abs(spearmanr(found["nll"].values[disordered], t["crystallinity"][disordered]).statistic)
    named = truth.assign(turn=("atom", truth["bond_angle"].values, {"units": "rad"}))
    asked = {"angle": "turn", "n_fold": 3, "most_samples": 1000}
    scored = apply("metric", "latent-invariance", asked, {"result": found, "truth": named}).data
    line["R2 z of angle"] = float(scored["r2_max"])
    line["SSIM"], line["SSIM turned"] = alike(components(made))
    some = crops.isel(sample=np.linspace(0, crops.sizes["sample"] - 1, 600).astype(int)).compute()
    again = apply("transform", "reconstruct", {}, {"data": some, "model": made.sides["model"]}).data
    line["NLL/px"] = float(apply("metric", "pose-nll", {}, {"result": again, "truth": some}).data["nll_per_px"])
    return line


def _angles(found: xr.Dataset, t: dict[str, Array], regular: Array) -> dict[str, float]:
    angle = found["angle"].values.astype(float)
    site = abs(folded_error(angle, t["bond_angle"], 3, regular))[regular]
    grains = [t["grain"] == g for g in (0, 1)]
    mean = np.angle([np.exp(6j * angle[regular & grain]).mean() for grain in grains]) / 6
    right = abs(np.angle(np.exp(6j * (angle[:, None] - mean)))).argmin(1) == t["grain"]
    return {
        "sublattice": float((site < 30).mean()),
        "MAE deg": float(site.mean()),
        "resultant": float(abs(np.exp(3j * (angle - t["bond_angle"]))[regular].mean())),
        "grain": float(right[regular].mean()),
    }


def _descriptors(values: Array, t: dict[str, Array], odd: Array) -> dict[str, float]:
    near, true = odd & (t["edge_px"] < NEAR_PX), t["crystallinity"]
    disordered = odd & (true < ORDERED)
    order = taught(values, true, ~odd)[odd]
    edges = taught(values, np.minimum(t["edge_px"], NEAR_PX), ~odd)
    at_edge, far = odd & (t["near_edge"] == 1) & (t["edge_px"] < SEEN_PX), odd & (t["edge_px"] > NEAR_PX)
    return {
        "cryst. rho": max(abs(spearmanr(v[disordered], true[disordered]).statistic) for v in values.T),
        "cryst. R2": float(1 - ((true[odd] - order) ** 2).mean() / true[odd].var()),
        "edge rho": max(abs(spearmanr(v[near], t["edge_px"][near]).statistic) for v in values.T),
        "edge AUC": separation(-edges[at_edge | far], at_edge[at_edge | far]),
    }


def components(made: Result) -> Array:
    """(k, y, x) images: means of classes; for latents what is decoded at the centres of a mixture over them."""
    if "label" in made.data and int(made.data["label"].max()) > 0:
        return made.sides["means"]["image"].values.astype(float)
    centres = ronchi.learn(made.data, "gmm", n_classes=N_IMAGES).sides["means"]["image"].values
    learner = load_learner(made.sides["model"])
    return np.asarray(learner.decode(centres.reshape(len(centres), -1)), float)


def alike(images: Array) -> tuple[float, float]:
    """Mean structural similarity of all pairs: as they are, and after the best rotation of one of the two."""
    inside = np.isfinite(images).all(0)
    filled = np.where(np.isfinite(images), images, 0.0)
    pairs = list(itertools.combinations(range(len(images)), 2))
    plain = [ssim_within(filled[i], filled[j], inside, 1.5) for i, j in pairs]
    turned = [best_rotation(images[i], filled[j], step_deg=6.0)[0] for i, j in pairs]
    return float(np.mean(plain)), float(np.mean(turned))


def draw(made: dict[tuple[int, str], Result], movie: xr.Dataset, atoms: xr.Dataset) -> Any:
    """One row a window: what each learner decodes; then angle and descriptors of rvae on the last frame.

    Parameters
    ----------
    made : mapping
        Window and learner to what it gave.
    movie, atoms : xarray.Dataset
        Images, and all true atoms of their last frame.
    """
    sizes = list(dict.fromkeys(size for size, _ in made))
    figure = new_figure(17.0, 3.3 * len(sizes))
    parts = np.atleast_2d(figure.subfigures(len(sizes), len(DRAWN) + 3))
    for row, size in zip(parts, sizes, strict=True):
        for part, name in zip(row, DRAWN, strict=False):
            result = made[size, name]
            if "manifold" in result.sides:
                inputs = {"model": result.sides["model"], "data": result.data}
                plot.manifold_grid(apply("transform", "manifold", {"n": 5}, inputs).data, figure=part)
            else:
                _tiles(part, components(result))
            part.suptitle(f"{name}, {size} px", fontsize="medium")
        crops = apply("transform", "crops", {"size_px": size}, {"data": movie, "atoms": atoms}).data
        found = ronchi.encode(crops, "rvae", model=made[size, "rvae"].sides["model"])
        plot.angle_map(found, n_fold=3, figure=row[len(DRAWN)])
        for part, name in zip(row[len(DRAWN) + 1 :], map(str, found["component"].values), strict=False):
            plot.atom_maps(found, name, figure=part)
    return figure


def _tiles(part: Any, images: Array) -> None:
    axes = part.subplots(3, 2).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, image in zip(axes, images, strict=False):
        ax.imshow(image, cmap="inferno", vmin=np.nanmin(images), vmax=np.nanmax(images))


def read_atoms(movie: Path) -> xr.Dataset:
    """True atoms of a movie, with positions in px under the names of ``atoms/1``."""
    truth = ronchi.read(movie, side="truth").load()
    truth = truth.rename({f"{axis}_px": axis for axis in ("y", "x") if f"{axis}_px" in truth})
    given = {name: truth[name].values for name in ("frame", "y", "x", "species")}
    kept = {name: truth[name] for name in truth.data_vars if name not in given and truth[name].dims == ("atom",)}
    return atoms_schema.make(**given).assign(kept).assign_attrs(is_truth=1)


def cell(lines: list[dict[str, float]], key: str) -> str:
    """Mean of a column over the fits, and its range if it has one."""
    if key not in lines[0]:
        return "–"
    values, form = [line[key] for line in lines], COLUMNS[key].format
    low, high = form(min(values)), form(max(values))
    return form(np.mean(values)) + (f" ({low} to {high})" if low != high else "")


def main() -> None:
    """Learn, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("movie", type=Path, help="images/1 with the true atoms beside them")
    parser.add_argument("--sizes", type=int, nargs="+", default=[17, 33], help="windows, in px")
    parser.add_argument("--every", type=int, default=3, help="take one atom of so many")
    parser.add_argument("--samples", type=int, default=4000, help="crops that networks learn from")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=1, help="fits of each; means and ranges are printed")
    parser.add_argument("--picture", type=Path, help="PNG to write")
    asked = parser.parse_args()
    movie, truth = ronchi.read(asked.movie), read_atoms(asked.movie)
    truth = truth_of(truth, movie["intensity"].shape[1:]).isel(atom=slice(None, None, asked.every))
    print("| window, learner | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 1))
    made = {}
    for size, (name, (learner, params)) in itertools.product(asked.sizes, LEARNERS.items()):
        crops = apply("transform", "crops", {"size_px": size}, {"data": movie, "atoms": truth}).data
        given = dict(params)
        if name != "gmm":
            given |= {"max_samples": asked.samples, "epochs": asked.epochs}
        lines = []
        for seed in range(asked.seeds):
            start = time.process_time()
            fitted = apply("descriptor_learner", learner, given, {"data": crops}, seed=seed)
            lines.append({"s": time.process_time() - start} | figures(fitted, truth, crops))
            made.setdefault((size, name), fitted)
        print(f"| {size} px, {name} | " + " | ".join(cell(lines, key) for key in COLUMNS) + " |", flush=True)
    if asked.picture:
        atoms = read_atoms(asked.movie)
        last = atoms.isel(atom=atoms["frame"].values == int(atoms["frame"].max()))
        draw(made, movie, last).savefig(asked.picture, dpi=100)


if __name__ == "__main__":
    main()
