"""What the plugin advertises, and its contracts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.errors import ConfigError
from ronchi.manager import get_manager
from ronchi.schema import descriptors
from ronchi.schema.common import variable
from ronchi.testing import MetricContract, TransformContract
from ronchi_movies.plugin import ronchi_metrics, ronchi_transforms


class TestTrackAtoms(TransformContract):
    algorithm = "track-atoms"
    params = ({}, {"species": "keep", "drift": "none"})


class TestRings(TransformContract):
    algorithm = "rings"


class TestDynamics(TransformContract):
    algorithm = "dynamics"
    params = ({}, {"errors": "hidden"})

    def inputs(self) -> Mapping[str, xr.Dataset]:
        rng = np.random.default_rng(0)
        columns = {"frame": np.repeat(np.arange(6), 20), "track": np.tile(np.arange(20), 6)}
        coords = {name: variable("sample", values, "1", name) for name, values in columns.items()}
        label, angle = rng.integers(0, 3, 120), rng.uniform(-3, 3, 120)
        z = rng.random((120, 2))
        return {"data": descriptors.make(z, dims=("sample",), label=label, angle=angle, n_fold=3, coords=coords)}


class TestTracks(MetricContract):
    algorithm = "tracks"

    def pair(self, error: float) -> Mapping[str, xr.Dataset]:
        atoms = super().pair(0)["truth"]
        true = np.arange(atoms.sizes["atom"]) % (atoms.sizes["atom"] // 6)
        rng = np.random.default_rng(0)
        found = np.where(rng.random(len(true)) < error, rng.permutation(true), true)
        result, truth = (atoms.assign(track=variable("atom", track, "1", "track")) for track in (found, true))
        del result.attrs["is_truth"]
        return {"result": result, "truth": truth}


def test_advertised_and_found():
    transforms, metrics = list(ronchi_transforms()), list(ronchi_metrics())
    assert {spec.name for spec in transforms} <= set(ronchi.algorithms("transform"))
    assert {spec.name for spec in metrics} <= set(ronchi.algorithms("metric"))
    for spec in (*transforms, *metrics):
        spec.create()
        for name, field in spec.params.model_fields.items():
            assert field.description, name


def test_advertising_imports_nothing_heavy():
    code = "import sys, ronchi_movies.plugin; print(sorted({'numpy', 'scipy', 'xarray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("kind", "name", "params"),
    [
        ("transform", "track-atoms", {"max_step": 0}),
        ("transform", "track-atoms", {"species": "maybe"}),
        ("transform", "rings", {"max_size": 5}),
        ("transform", "dynamics", {"confidence": 1.0}),
        ("transform", "dynamics", {"dwell_from": "birth"}),
        ("transform", "dynamics", {"errors": 0.02}),
        ("metric", "tracks", {"radius": -1}),
    ],
)
def test_bad_parameters_are_refused(kind: str, name: str, params: dict):
    with pytest.raises(ConfigError):
        get_manager().create(kind, name, params)
