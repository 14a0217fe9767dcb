"""The conformance kit over every algorithm of every installed distribution, those of third parties included.

What suits an algorithm better than the kit's examples and its defaults stands in `SETTINGS`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.catalog import scan
from ronchi.errors import RonchiError
from ronchi.kinds import KINDS
from ronchi.manager import get_manager
from ronchi.schema import descriptors
from ronchi.testing import CONTRACTS, Contract
from ronchi.testing import data as examples
from ronchi.testing.advertised import AdvertisedContract

ALL = sorted({(entry.kind, entry.name) for entry in scan().entries if entry.kind in KINDS})

SLOW = {
    *(("descriptor_learner", name) for name in ("conv-ae", "gmm", "jrvae", "polar-em", "polar-invariants", "rrvae")),
    *(("descriptor_learner", name) for name in ("rvae", "spatial-vae", "vae")),
    *(("simulator", name) for name in ("graphene-pairs", "graphene4d", "hbn", "library", "sige", "zincblende4d")),
}
"""Those that take more than a few seconds each."""

THIN = {"scan_shape": [2, 3], "pattern_shape": [64, 64], "binning": 1, "thickness_angstrom": 14.0}
TINY_LIBRARY = {"runs": 2, "variants": 1, "pattern_px": 64, "q_step_inv_angstrom": 0.06, "binning": 1}
WORKERS = "processes_give_the_same_result"


def crops_in_raw_file(self: Contract, folder: Path) -> Path:
    path = folder / "example.bin"
    path.write_bytes(np.arange(2 * 3 * 7 * 5, dtype="<u2").tobytes())
    return path


def described_atoms(self: Contract) -> Mapping[str, xr.Dataset]:
    atoms = examples.atom_images()[1]
    n = atoms.sizes["atom"]
    coords = {
        "frame": ("sample", atoms["frame"].values, {"units": "1", "long_name": "frame number"}),
        "atom": ("sample", np.arange(n), {"units": "1", "long_name": "number of the atom"}),
    }
    z = np.random.default_rng(0).random((n, 2))
    return {"data": descriptors.make(z, dims=("sample",), coords=coords), "atoms": atoms}


def described_atoms_alone(self: Contract) -> Mapping[str, xr.Dataset]:
    return {"data": described_atoms(self)["data"]}


def tracked_atoms(self: Contract, error: float) -> Mapping[str, xr.Dataset]:
    """Atoms that keep their places in six frames, and tracks of which a part is mixed up."""
    atoms = examples.atom_images()[1]
    true = np.arange(atoms.sizes["atom"]) % (atoms.sizes["atom"] // 6)
    rng = np.random.default_rng(0)
    found = np.where(rng.random(len(true)) < error, rng.permutation(true), true)
    result, truth = (
        atoms.assign(track=("atom", track, {"units": "1", "long_name": "track"})) for track in (found, true)
    )
    return {"result": result, "truth": truth.assign_attrs(is_truth=1)}


@functools.cache
def fitted() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    crops = examples.crops().data
    learned = ronchi.learn(crops, "pca", n_components=2)
    return crops, learned.data, learned.sides["model"]


@functools.cache
def small_library() -> xr.Dataset:
    return ronchi.simulate("library", **TINY_LIBRARY, beam_energies_eV=[200000], semiangles_mrad=[8.0]).data


def crystals_of_one_energy(self: Contract) -> Mapping[str, xr.Dataset]:
    return {"data": small_library()}


def model_and_crops(self: Contract) -> Mapping[str, xr.Dataset]:
    return {"data": fitted()[0], "model": fitted()[2]}


def model_and_descriptors(self: Contract) -> Mapping[str, xr.Dataset]:
    return {"data": fitted()[1], "model": fitted()[2]}


NARROW = {"epochs": 2, "hidden": 16}
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("reader", "raw"): {
        "params": ({"scan_shape": [2, 3], "frame_shape": [7, 5], "dtype": "uint16"},),
        "recognises": False,
        "write_example": crops_in_raw_file,
    },
    ("transform", "ellipse"): {"params": ({"method": "given", "ratio": 1.05, "angle_deg": 20.0},)},
    ("transform", "calibrate-images"): {"params": ({"step_angstrom": [0.2, 0.3]},)},
    ("transform", "rotation"): {"params": ({"scan_rotation_deg": 20.0},)},
    ("transform", "back-project"): {"inputs": described_atoms},
    ("transform", "dynamics"): {"inputs": described_atoms_alone},
    ("transform", "library-scan"): {"inputs": crystals_of_one_energy, "params": ({"split": "all"},)},
    ("metric", "tracks"): {"pair": tracked_atoms},
    ("transform", "reconstruct"): {"inputs": model_and_crops},
    ("transform", "manifold"): {"inputs": model_and_descriptors},
    ("metric", "peak-rmse"): {"params": ({}, {"radius_px": 4.0, "edge_px": 0.5})},
    ("metric", "ssim"): {"params": ({"step_deg": 30.0},)},
    ("simulator", "graphene-pairs"): {"params": ({"n_places": 2, "turns_deg": [0, 90], "wave_shape": None},)},
    ("descriptor_learner", "nmf"): {"params": ({"n_components": 2, "clip": True},)},
    ("descriptor_learner", "pca"): {"params": ({"n_components": 2},)},
    ("descriptor_learner", "ica"): {"params": ({"n_components": 2},)},
    ("descriptor_learner", "gmm"): {"params": ({"n_classes": 2},)},
    ("simulator", "disks"): {"params": ({"scan_shape": [2, 3], "pattern_shape": [48, 40]},)},
    ("simulator", "motifs"): {"params": ({"n_samples": 8, "n_frames": 2},)},
    ("simulator", "graphene-movie"): {
        "params": ({"n_frames": 2, "image_shape": [48, 64], "n_holes": 1, "n_silicon": 1},)
    },
    ("simulator", "hbn"): {"params": (THIN,)},
    ("simulator", "sige"): {"params": (THIN,)},
    ("simulator", "graphene4d"): {"params": ({"scan_shape": [4, 4], "wave_shape": None},)},
    ("simulator", "zincblende4d"): {"params": ({"scan_shape": [4, 4], "thickness_angstrom": 4.0},)},
    ("simulator", "library"): {
        "params": (TINY_LIBRARY | {"semiangles_mrad": [4.0, 8.0], "thickness_max_angstrom": 40.0},)
    },
    ("descriptor_learner", "polar-invariants"): {"params": ({"radius_px": 5.0, "band_limit": 1.2},)},
    ("descriptor_learner", "polar-em"): {"params": ({"radius_px": 5.0, "band_limit": 1.2, "n_classes": 2},)},
    ("descriptor_learner", "conv-ae"): {"params": ({"epochs": 2},)},
    ("descriptor_learner", "rvae"): {"params": (NARROW | {"radius_px": 5.0, "band_limit": 1.2},)},
    # In a window of 5 px, and after so few epochs, its descriptors change where samples are turned.
    ("descriptor_learner", "rrvae"): {"params": ({"epochs": 2, "radius_px": 9.0},)},
    **{("descriptor_learner", name): {"params": (NARROW,)} for name in ("jrvae", "spatial-vae", "vae")},
}


def contract_of(kind: str, name: str, **more: Any) -> type[Contract]:
    # Machines that test many things at once are slow, and a first import that is cut short spoils those that follow.
    settings = {"algorithm": name, "time_limit_s": 600.0, **SETTINGS.get((kind, name), {}), **more}
    return type("Installed", (CONTRACTS[kind],), settings)


def why_it_cannot_run_here(kind: str, name: str) -> str:
    """What an algorithm lacks in this installation: the environment of another program, or trained weights."""
    spec = get_manager().spec(kind, name)
    if "install" in spec.capabilities:
        return "it runs in an environment of its own, which its own tests make"
    if kind == "disk_detector":
        try:
            ronchi.detect(examples.disk_patterns(scan_shape=(1, 1)).data, name)
        except RonchiError as error:
            return error.what if "weights" in error.what else ""
    return ""


def only_what_is_advertised(kind: str) -> dict[str, Any]:
    running = [
        name for name in dir(CONTRACTS[kind]) if name.startswith("check_") and not hasattr(AdvertisedContract, name)
    ]
    return {**dict.fromkeys(running, None), "min_checks": 5}


@pytest.mark.parametrize(
    ("kind", "name"),
    [pytest.param(*each, marks=pytest.mark.slow if each in SLOW else (), id="-".join(each)) for each in ALL],
)
def test_every_installed_algorithm_keeps_its_contract(kind: str, name: str) -> None:
    lacking = why_it_cannot_run_here(kind, name)
    # Worker processes take seconds to start: they have a test of their own.
    off = {f"check_{WORKERS}": None} if kind == "disk_detector" else {}
    report = contract_of(kind, name, **(only_what_is_advertised(kind) if lacking else off)).report()
    print(report)
    assert report.ok, str(report)
    if lacking:
        pytest.skip(f"of {name} only what it advertises was checked: {lacking}")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for kind, name in ALL if kind == "disk_detector"])
def test_every_installed_detector_finds_the_same_in_worker_processes(name: str) -> None:
    lacking = why_it_cannot_run_here("disk_detector", name)
    if lacking:
        pytest.skip(f"{name}: {lacking}")
    contract = contract_of("disk_detector", name)
    outcomes = [contract().perform(check) for check in contract.checks() if check.name == WORKERS]
    assert outcomes
    assert [outcome.message for outcome in outcomes if outcome.status == "failed"] == []


def test_every_kind_has_a_contract_and_a_floor() -> None:
    assert set(CONTRACTS) == set(KINDS)
    for kind, contract in CONTRACTS.items():
        promised = len(contract.checks()) - 1
        assert 9 <= contract.min_checks <= promised, kind
        assert all(getattr(contract, f"check_{check.name}").__doc__ for check in contract.checks()[:-1])
