"""Descriptors of the atoms of one real image: maxima are found, crops cut around them and learned, a report written.

There is no truth. What can be said is how regular the maxima are, what the angles repeat, and what the report shows.

    python plugins/rvae/benchmarks/image_descriptors.py image.dm3 --sigma 4 --apart 14 --size 51 --out made
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

import ronchi
from ronchi.schema import atoms

BACKGROUND = 4.0
"""Width of the background that is subtracted before maxima are looked for, in units of the width of an atom."""
REGULAR = 0.9
"""Resultant of the directions of neighbours, 1 in a perfect lattice."""


def maxima(image: NDArray[Any], sigma_px: float, apart_px: float, least: float) -> xr.Dataset:
    """Atoms at the maxima of a smoothed image, to parts of a pixel.

    Parameters
    ----------
    image : (ny, nx) array
    sigma_px : float
        Width of the smoothing: that of an atom.
    apart_px : float
        A maximum is the largest value within so much along y and x.
    least : float
        Least height, in standard deviations of the smoothed image above its local mean.
    """
    smooth = gaussian_filter(image.astype(float), sigma_px)
    smooth -= gaussian_filter(smooth, BACKGROUND * sigma_px)
    highest = maximum_filter(smooth, 2 * int(apart_px) + 1) == smooth
    y, x = np.nonzero(highest[1:-1, 1:-1] & (smooth[1:-1, 1:-1] > least * smooth.std()))
    y, x = y + 1, x + 1
    parts = []
    for before, after in ((smooth[y - 1, x], smooth[y + 1, x]), (smooth[y, x - 1], smooth[y, x + 1])):
        curvature = before - 2 * smooth[y, x] + after
        parts.append(0.5 * (before - after) / np.where(curvature < 0, curvature, -np.inf))
    return atoms.make(frame=np.zeros(len(y)), y=y + parts[0], x=x + parts[1], score=smooth[y, x])


def figures(name: str, found: xr.Dataset, fold: int) -> list[str]:
    """Lines on one learner: its classes, and its angles beside those of the directions of the nearest maxima."""
    label = found["label"].values
    shares = ", ".join(f"{k}: {(label == k).sum()}" for k in range(int(label.max()) + 1))
    places = np.stack([found["position_y"].values, found["position_x"].values], 1)
    nearest = cKDTree(places).query(places, fold + 1)[1][:, 1:]
    apart = places[nearest] - places[:, None]
    wave = np.exp(1j * fold * np.arctan2(apart[..., 0], apart[..., 1])).mean(axis=1)
    angle = np.nan_to_num(found["angle"].values.astype(float))
    phase = np.exp(1j * fold * angle) * np.conj(wave / abs(wave))
    error = abs(np.rad2deg(np.angle(phase * np.conj(phase[abs(wave) > REGULAR].mean())))) / fold
    inside = abs(wave) > REGULAR
    lines = [f"{name}: classes {shares}; symmetry {found['class_n_fold'].values.tolist()}"]
    lines.append(
        f"  modulo {360 / fold:g} deg, off the directions of the {fold} nearest maxima: "
        f"median {np.median(error):.1f} deg; {np.median(error[inside]):.1f} deg where regular ({inside.sum()})"
    )
    for n in (fold, 2 * fold):
        whole = np.exp(1j * n * angle)
        agreed = abs(whole.mean()), (whole * np.conj(whole[nearest[:, 0]])).mean().real
        lines.append(f"  resultant modulo {360 / n:g} deg {agreed[0]:.3f}, of nearest atoms {agreed[1]:+.3f}")
    return lines


def main() -> None:
    """Find, cut, learn, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sigma", type=float, required=True, help="width of an atom, px")
    parser.add_argument("--apart", type=float, required=True, help="least distance of atoms, px")
    parser.add_argument("--least", type=float, default=0.0, help="least height, standard deviations")
    parser.add_argument("--size", type=int, required=True, help="size of crops, px")
    parser.add_argument("--fold", type=int, default=3, help="neighbours of an atom, and the symmetry of its site")
    parser.add_argument("--normalise", default="contrast", choices=("none", "mean", "contrast"))
    parser.add_argument("--learners", nargs="+", default=("polar-em", "rvae"))
    parser.add_argument("--classes", default="auto")
    asked = parser.parse_args()
    image = ronchi.read(asked.image)
    found = maxima(image["intensity"].values[0], asked.sigma, asked.apart, asked.least)
    asked.out.mkdir(parents=True, exist_ok=True)
    where = asked.out / "atoms.nc"
    ronchi.write(found, where)
    y, x = found["y"].values, found["x"].values
    near = cKDTree(np.stack([y, x], 1)).query(np.stack([y, x], 1), 2)[0][:, 1]
    low, middle, high = np.percentile(near, (5, 50, 95))
    print(f"{len(y)} maxima, nearest {middle:.1f} px away (5 % below {low:.1f}, 5 % beyond {high:.1f})")
    steps: dict[str, Any] = {
        "load": {"reader": "auto", "params": {"path": str(asked.image.resolve())}},
        "atoms": {"reader": "native", "params": {"path": str(where.resolve())}},
        "crops": {"transform": "crops", "data": "load", "atoms": "atoms", "params": {"size_px": asked.size}},
    }
    # An atom of this width has nothing finer.
    shared = {"band_limit": min(2.0, 3.0 / asked.sigma), "normalise": asked.normalise, "max_shift_px": 1.0}
    classes = asked.classes if asked.classes == "auto" else int(asked.classes)
    for name in asked.learners:
        params = shared | {"n_classes": classes if name == "polar-em" else 1}
        steps[name.replace("-", "_")] = {"descriptor_learner": name, "data": "crops", "params": params}
    pipeline = {
        "schema": "ronchi.pipeline/1",
        "name": asked.image.stem,
        "seed": 1,
        "steps": steps,
        "outputs": {"report": {"path": "report.html"}}
        | {step: {"from": step, "path": f"{step}.nc"} for step in list(steps)[3:]},
    }
    start = time.process_time()
    made = ronchi.run(pipeline, asked.out, progress=False)
    print(f"{made['crops'].sizes['sample']} crops, {time.process_time() - start:.0f} s of processors")
    for step in list(steps)[3:]:
        drawn = ronchi.plot.angle_map(made[step], n_fold=asked.fold)
        drawn.savefig(asked.out / f"angle_{step}.png", dpi=120)
        print("\n".join(figures(step, made[step].load(), asked.fold)))


if __name__ == "__main__":
    main()
