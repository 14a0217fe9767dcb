"""Finders on simulated movies with truth: ``python finders.py [--weights FILE] [--atomap PYTHON] [-o ROWS.jsonl]``.

The shared movie lies in ``RONCHI_SHARED_DATA``, or in ``../shared/data`` beside the repository; harder ones are
simulated. Speed is frames a second of processor time of one core, which other programs on the machine do not change.

``PYTHON`` is an interpreter that can import atomap. It is told the true distance of neighbours, and the best of a few
separations and thresholds on the first frame, by the truth, is what counts: it has no way to choose them alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

BOND_ANGSTROM = 1.42
TOLERANCE_ANGSTROM = 0.7
HARDER: dict[str, dict[str, Any]] = {
    "low dose": {"carbon_counts": 6.0, "contamination": 1.0, "contamination_fraction": 0.3, "line_jitter_px": 0.5},
    "lowest dose": {"carbon_counts": 3.0, "contamination": 1.5, "contamination_fraction": 0.3, "line_jitter_px": 0.5},
}
FIGURES = (
    "precision",
    "recall",
    "f1",
    "f1_worst",
    "rms_px",
    "rms_angstrom",
    "z",
    "species_accuracy",
    "species_balanced",
)


def movies(frames: int, size: int) -> Iterator[tuple[str, xr.Dataset, xr.Dataset]]:
    """Name, movie and true atoms."""
    import ronchi
    from ronchi.api import Context
    from ronchi.manager import get_manager

    root = Path(__file__).resolve().parents[3]
    path = Path(os.environ.get("RONCHI_SHARED_DATA", root.parent / "shared" / "data")) / "sim" / "graphene_movie.nc"
    if path.exists():
        yield _part("shared", ronchi.read(path), ronchi.read(path, side="truth"), frames, size)
    for name, more in HARDER.items():
        params = {
            "n_frames": 8, "image_shape": [size, size], "grain_angles_deg": [4.0, 21.0, 47.0], "n_silicon": 30,
            "drift_px": [1.2, -0.8], **more,
        }  # fmt: skip
        made = (
            get_manager().create("simulator", "graphene-movie", params).simulate(Context(rng=np.random.default_rng(7)))
        )
        yield _part(name, made.data, made.sides["truth"], frames, size)


def _part(
    name: str, movie: xr.Dataset, truth: xr.Dataset, frames: int, size: int
) -> tuple[str, xr.Dataset, xr.Dataset]:
    """The first frames, and of them the corner of that size."""
    y, x = (truth[axis if axis in truth else f"{axis}_px"].values for axis in ("y", "x"))
    kept = (truth["frame"].values < frames) & (y < size - 0.5) & (x < size - 0.5)
    part = movie.isel(frame=slice(frames), y=slice(size), x=slice(size)).compute()
    return name, part, truth.isel(atom=np.flatnonzero(kept)).compute()


def main() -> None:
    """Run all finders on all movies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--weights")
    parser.add_argument("--atomap", metavar="PYTHON")
    parser.add_argument("--gaussians", action="store_true", help="atomap's fits as well: 20 ms an atom")
    parser.add_argument("--only", nargs="+", default=["log", "atomnet", "atomnet, fit", "atomap"])
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    weights = {"weights": args.weights} if args.weights else {}
    finders: dict[str, tuple[str, dict[str, Any]]] = {
        "log": ("log", {"species_above": [2.0]}),
        "atomnet": ("atomnet", weights),
        "atomnet, fit": ("atomnet", {**weights, "position": "fit"}),
    }
    for movie, images, truth in movies(args.frames, args.size):
        for label in args.only:
            if label in finders:
                _tell(movie, label, *_run(images, *finders[label]), images, truth, args.out)
        if args.atomap and "atomap" in args.only:
            for label, refined in (("atomap, centre of mass", False), ("atomap, Gaussians", True))[
                : 1 + args.gaussians
            ]:
                _tell(movie, label, *_atomap(args.atomap, images, truth, refined), images, truth, args.out)


def _run(images: xr.Dataset, name: str, params: dict[str, Any]) -> tuple[xr.Dataset, float]:
    from ronchi.api import Context
    from ronchi.manager import get_manager

    finder = get_manager().create("atom_finder", name, params)
    finder.find(images.isel(frame=slice(1), y=slice(64), x=slice(64)), Context(rng=np.random.default_rng(0)))
    began = time.process_time()
    found = finder.find(images, Context(rng=np.random.default_rng(0)))
    return found, time.process_time() - began


def _tell(
    movie: str, label: str, found: xr.Dataset, seconds: float, images: xr.Dataset, truth: xr.Dataset, out: Path | None
) -> None:
    frames = images.sizes["frame"]
    row = {"movie": movie, "finder": label, "frames": frames, "frames_s": frames / seconds, **_score(found, truth)}
    print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{v}" for k, v in row.items()), flush=True)
    if out is not None:
        with out.open("a") as file:
            file.write(json.dumps({k: None if v != v else v for k, v in row.items()}) + "\n")  # noqa: PLR0124 - NaN


def _score(found: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    from ronchi.api import Context
    from ronchi.manager import get_manager

    params = {"tolerance": TOLERANCE_ANGSTROM, "tolerance_unit": "angstrom", "border_px": 2.0}
    made = get_manager().create("metric", "atoms", params).score(found, truth, Context(rng=np.random.default_rng(0)))
    return {name: float(made[name]) for name in FIGURES}


def _atomap(python: str, images: xr.Dataset, truth: xr.Dataset, refined: bool) -> tuple[xr.Dataset, float]:
    """What atomap finds with the settings that do best on the first frame."""
    from ronchi.schema import atoms

    step = float(images["y"][1] - images["y"][0])
    bond_px = BOND_ANGSTROM / step
    first, of_first = images.isel(frame=slice(1)), truth.isel(atom=np.flatnonzero(truth["frame"].values == 0))

    def found(part: xr.Dataset, separation: float, threshold: float, refined: bool) -> tuple[xr.Dataset, float]:
        rows, seconds = _child(python, part["intensity"].values, separation, threshold, refined)
        table = atoms.make(
            frame=rows[:, 0], y=rows[:, 1] * step, x=rows[:, 2] * step, units="angstrom", step_angstrom=[step, step],
            image_shape=[part.sizes["y"], part.sizes["x"]],
        )  # fmt: skip
        return table, seconds

    settings = [(share * bond_px, threshold) for share in (0.5, 0.65, 0.8) for threshold in (0.02, 0.2)]
    best = max(settings, key=lambda each: _score(found(first, *each, False)[0], of_first)["f1"])
    return found(images, *best, refined)


def _child(python: str, frames: Any, separation: float, threshold: float, refined: bool) -> tuple[Any, float]:
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, frames=frames, separation=separation, threshold=threshold, refined=refined)
        subprocess.run([python, __file__, "--child", str(given), str(made)], check=True, stderr=subprocess.DEVNULL)
        with np.load(made) as held:
            return held["rows"], float(held["seconds"])


def _be_atomap(given: str, made: str) -> None:
    import atomap.api as am
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    with np.load(given) as held:
        frames, separation = held["frames"].astype(np.float64), max(1, round(float(held["separation"])))
        threshold, refined = float(held["threshold"]), bool(held["refined"])
    began, rows = time.process_time(), []
    for number, frame in enumerate(frames):
        places = am.get_atom_positions(hs.signals.Signal2D(frame), separation=separation, threshold_rel=threshold)
        lattice = am.Sublattice(places, image=frame)
        lattice.find_nearest_neighbors()
        lattice.refine_atom_positions_using_center_of_mass(show_progressbar=False)
        if refined:
            lattice.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
        rows.append(np.column_stack([np.full(len(lattice.y_position), number), lattice.y_position, lattice.x_position]))
    np.savez(made, rows=np.concatenate(rows), seconds=time.process_time() - began)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _be_atomap(*sys.argv[2:4])
    else:
        main()
