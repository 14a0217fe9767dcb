"""Diffraction patterns of graphene with known rotations."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context
from ronchi_rvae.params import PolarEmParams, RrvaeParams
from ronchi_rvae.polar_em import PolarEm
from ronchi_rvae.rvae import Rrvae

PROBE_RADIUS_PX = 20.0
"""27 mrad at 80 kV: 19.4 px."""
BAND_LIMIT = 0.4
"""rad/px: the probe lights up less than 2 A of the specimen, so nothing is finer than 2 pi * 2 A * 0.0333 / (A px)."""


def patterns(path: Path) -> tuple[xr.DataArray, xr.Dataset]:
    with xr.open_dataset(path) as ds, xr.open_dataset(path, group="truth") as truth:
        return ds["intensity"].load().astype("float32").assign_coords(probe=ds["probe"].load()), truth.load()


def circular(found: np.ndarray, true: np.ndarray, weight: np.ndarray) -> float:
    """Weighted resultant of the difference, which one offset does not change."""
    return float(abs((weight * np.exp(1j * (found - true))).sum()) / weight.sum())


def test_pairs_of_turned_objects(shared_data: Path):
    x, truth = patterns(shared_data / "sim" / "graphene_pairs.nc")
    params = PolarEmParams(max_shift_px=0, n_classes=6, radius_px=15, band_limit=1.0, subtract_probe=True)
    learner = PolarEm(params)
    learner.fit(x, Context(rng=np.random.default_rng(0)))
    angle = learner.transform(x)["angle"].values
    true = np.deg2rad(truth["rotation"].values)
    error = np.angle(np.exp(1j * ((angle - angle[:, :1]) - (true - true[:, :1]))))[:, 1:]
    # Noise-free; what is left is that the pixels do not turn.
    assert np.rad2deg(np.median(np.abs(error))) < 0.02
    assert np.rad2deg(np.abs(error)).max() < 0.2


def test_angle_follows_the_nearest_atom(shared_data: Path):
    x, truth = patterns(shared_data / "sim" / "graphene4d.nc")
    params = RrvaeParams(radius_px=PROBE_RADIUS_PX, band_limit=BAND_LIMIT, counts=True, subtract_probe=True, epochs=60)
    learner = Rrvae(params)
    learner.fit(x, Context(rng=np.random.default_rng(0)))
    angle = learner.transform(x)["angle"].values
    qy, qx = np.meshgrid(x["qy"], x["qx"], indexing="ij")
    total = x.values.sum((-1, -2))
    com_y, com_x = (x.values * qy).sum((-1, -2)) / total, (x.values * qx).sum((-1, -2)) / total
    dipole = np.hypot(com_y, com_x)
    assert circular(angle, np.arctan2(com_y, com_x), dipole) > 0.95
    away = truth["nn_distance"].values > 0.25
    nearest = np.arctan2(truth["nn_dy"].values, truth["nn_dx"].values)
    assert circular(angle, nearest, dipole * away) > 0.85


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What the benchmarks judge by."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    return importlib.import_module("graphene_measures")


def test_tiles_and_the_defect(shared_data: Path, measures: ModuleType):
    x, truth = patterns(shared_data / "sim" / "graphene4d.nc")
    params = PolarEmParams(
        max_shift_px=0, radius_px=PROBE_RADIUS_PX, band_limit=BAND_LIMIT, counts=True, subtract_probe=True
    )
    learner = PolarEm(params)
    learner.fit(x, Context(rng=np.random.default_rng(0)))
    made = learner.transform(x)
    rotation = measures.tile_rotations(made["angle"].values, made["z"].values, truth["tile"].values, 6)
    error = measures.tile_errors_deg(truth, rotation)
    # 100 positions a tile; the last holds the substitution, which is no lattice.
    assert np.abs(error[1:3]).max() < 4
    assert abs(error[3]) < 6
    near = (truth["defect_distance"].values < 0.8) & (truth["defect_type"].values > 0)
    inside = [near[made["label"].values == k].mean() for k in range(learner.mixture.size)]
    best = int(np.argmax(inside))
    # One class holds patterns on the silicon atom and no others.
    assert inside[best] == 1
    assert (made["label"].values[near] == best).mean() > 0.4
