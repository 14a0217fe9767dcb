"""Angles, tiles, defects and pairs on scans of graphene that no setting was chosen on.

Every set has a microscope, rotations, places and defects of its own; `ronchi-simulate` makes it once into the folder
given. The learners run as the documentation says, with nothing fitted to a set: the disc is the bright disk and half a
pixel of its rim, the band limit that of a probe of 2 A.

    python plugins/rvae/benchmarks/graphene_held_out.py --folder made
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from graphene_measures import (
    angle_figures,
    defect_auc,
    pair_errors_deg,
    rim_phase_rad,
    tile_errors_deg,
    tile_rotations,
)

import ronchi
from ronchi.api import Context
from ronchi.optics import disk_radius
from ronchi_rvae.params import PolarEmParams, RrvaeParams
from ronchi_rvae.polar_em import PolarEm
from ronchi_rvae.rvae import Rrvae

Params = dict[str, Any]

SETS: dict[str, Params] = {
    "A": {"rotation_deg": ((3, 21), (36, 48)), "defects": (("none", "vacancy"), ("none", "silicon"))},
    "B": {
        "rotation_deg": ((10, 27), (52, 15)),
        "defects": (("silicon", "none"), ("vacancy", "none")),
        "beam_energy_eV": 60e3,
        "semiangle_mrad": 30.0,
        "defocus_angstrom": 0.0,
        "dose_e": 3e4,
    },
    "C": {
        "rotation_deg": ((2, 17), (34, 50)),
        "defects": (("vacancy", "none"), ("none", "silicon")),
        "beam_energy_eV": 70e3,
        "semiangle_mrad": 28.0,
        "defocus_angstrom": 15.0,
        "dose_e": 2e4,
    },
    "D": {
        "rotation_deg": ((12, 37), (25, 1)),
        "defects": (("silicon", "none"), ("vacancy", "none")),
        "semiangle_mrad": 30.0,
        "dose_e": 1e5,
        "scan_step_angstrom": (0.3, 0.3),
    },
    "E": {
        "rotation_deg": ((8, 43), (28, 57)),
        "defects": (("none", "none"), ("silicon-4", "vacancy")),
        "beam_energy_eV": 60e3,
        "semiangle_mrad": 25.0,
        "defocus_angstrom": -15.0,
    },
    "F": {
        "rotation_deg": ((20, 33), (9, 51)),
        "defects": (("none", "none"), ("vacancy", "silicon")),
        "beam_energy_eV": 60e3,
        "semiangle_mrad": 32.0,
        "defocus_angstrom": -30.0,
        "dose_e": 6e4,
    },
    "G": {
        "rotation_deg": ((55, 3), (14, 40)),
        "defects": (("silicon-4", "none"), ("none", "silicon")),
        "defocus_angstrom": 40.0,
        "dose_e": 1e5,
    },
}
"""Changes of the parameters of ``graphene4d``. F and G are out of focus by more than a quarter of a wave."""
MICROSCOPE = ("beam_energy_eV", "semiangle_mrad", "defocus_angstrom")
"""Parameters of a set that its pairs share."""
TURNS_DEG = (0.0, 17.0, 45.0, 73.0, 121.0, 164.0, 200.0, 301.0)
PAIRS: dict[str, str] = {f"pairs {name}": name for name in ("A", "B", "C", "E", "F")}
"""Pairs by the microscope of a set."""
BAND_LIMIT = 0.4
"""rad/px: 2 pi times a probe of 2 A times a pixel of 1/30 per angstrom."""

FREE_OF_NOISE = 1.0
"""rad/px: without noise fine detail does no harm."""


def made(name: str, simulator: str, params: Params, folder: Path, seed: int) -> tuple[xr.Dataset, xr.Dataset]:
    """A simulated set and its truth, from the folder if it is there."""
    path = folder / f"{name.replace(' ', '-')}.nc"
    if not path.exists():
        steps = {"scan": {"simulator": simulator, "params": params}}
        outputs = {"scan": {"from": "scan", "path": path.name}}
        # One name for all sets: a folder belongs to the pipelines of one name.
        pipeline = {"schema": "ronchi.pipeline/1", "name": "held-out", "seed": seed, "steps": steps, "outputs": outputs}
        ronchi.run(pipeline, folder, progress=False)
    return ronchi.read(path).load(), ronchi.read(path, side="truth").load()


def disc(scan: xr.Dataset) -> Params:
    """Settings that follow from the microscope."""
    step = float(scan["qx"][1] - scan["qx"][0])
    radius_px = disk_radius(scan.attrs["beam_energy_eV"], scan.attrs["semiangle_mrad"]) / step
    return {"radius_px": radius_px + 0.5, "subtract_probe": True}


def encoded(learner: Rrvae | PolarEm, scan: xr.Dataset, seed: int) -> xr.Dataset:
    """Descriptors of the scan that the learner was fitted to."""
    x = scan["intensity"].astype("float32").assign_coords(probe=scan["probe"])
    learner.fit(x, Context(rng=np.random.default_rng(seed)))
    return learner.transform(x)


def judge(name: str, scan: xr.Dataset, truth: xr.Dataset, seed: int) -> None:
    """Print a line a learner."""
    shared = disc(scan) | {"band_limit": BAND_LIMIT, "counts": True}
    tile = truth["tile"].values
    for learner in (Rrvae(RrvaeParams(epochs=60, **shared)), PolarEm(PolarEmParams(max_shift_px=0, **shared))):
        start = time.process_time()
        found = encoded(learner, scan, seed)
        seconds = time.process_time() - start
        figures = angle_figures(scan, truth, found["angle"].values)
        rotation = tile_rotations(found["angle"].values, found["z"].values, tile, 6)
        errors = " ".join(f"{error:+5.1f}" for error in tile_errors_deg(truth, rotation)[1:])
        apart = ", ".join(f"{kind} {auc:.2f}" for kind, auc in defect_auc(truth, found["nll"].values).items())
        print(
            f"{name:<3} {rim_phase_rad(scan):+6.2f} {scan.attrs['dose']:7.0e}  {learner.name:<9} {seed:4d}  "
            f"{figures['com']:.3f} {figures['nearest']:7.3f} {figures['com_nearest']:9.3f}   {errors}   "
            f"{apart:<27} {seconds:4.1f} s",
            flush=True,
        )


def main() -> None:
    """Make what is missing, judge all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the sets are, or go")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=[*SETS, *PAIRS])
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    print("set rim/rad    dose  learner   seed    com nearest  com:near   tiles, deg          AUC of nll at defects")
    for number, (name, params) in enumerate(SETS.items()):
        if name in asked.sets:
            scan, truth = made(name, "graphene4d", params, asked.folder, 100 + number)
            for seed in range(asked.seeds):
                judge(name, scan, truth, seed)
    print("\npairs    learner    median  largest error of an angle, deg")
    for number, (name, microscope) in enumerate(PAIRS.items()):
        if name in asked.sets:
            shared = {key: value for key, value in SETS[microscope].items() if key in MICROSCOPE}
            turned = {"n_places": 6, "turns_deg": TURNS_DEG, "dose_e": None}
            scan, truth = made(name, "graphene-pairs", shared | turned, asked.folder, 200 + number)
            seen = disc(scan) | {"band_limit": FREE_OF_NOISE}
            for learner in (Rrvae(RrvaeParams(epochs=60, **seen)), PolarEm(PolarEmParams(max_shift_px=0, **seen))):
                errors = pair_errors_deg(truth, encoded(learner, scan, 0)["angle"].values)
                print(f"{name:<8} {learner.name:<9} {np.median(errors):7.3f}  {errors.max():6.3f}", flush=True)


if __name__ == "__main__":
    main()
