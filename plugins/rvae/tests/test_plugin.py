"""What the plugin advertises."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ronchi
from ronchi.errors import ConfigError
from ronchi.manager import get_manager
from ronchi_rvae.params import PolarEmParams, PolarInvariantsParams, RrvaeParams, RvaeParams
from ronchi_rvae.plugin import ronchi_descriptor_learners

NAMES = ("polar-invariants", "polar-em", "rvae", "rrvae")


def test_advertised():
    specs = {spec.name: spec for spec in ronchi_descriptor_learners()}
    assert set(NAMES) <= set(specs)
    for name in NAMES:
        spec = specs[name]
        assert spec.output == "descriptors/1"
        assert spec.sides["model"] == "model/1"
        learner = spec.create()
        assert learner.name == name
        assert isinstance(learner.params, spec.params)


def test_advertising_imports_nothing_heavy():
    heavy = "{'numpy', 'numba', 'xarray', 'scipy', 'torch'}"
    code = f"import sys, ronchi_rvae.plugin; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_the_manager_finds_it(name):
    assert name in ronchi.algorithms("descriptor_learner")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("polar-em", {"n_classes": 0}),
        ("polar-em", {"n_classes": "many"}),
        ("polar-em", {"band_limit": 4.0}),
        ("polar-em", {"max_shift_px": -1.0}),
        ("rvae", {"likelihood": "cauchy"}),
        ("rrvae", {"max_shift_px": 0.5}),
        ("polar-invariants", {"radius_px": 0.0}),
    ],
)
def test_bad_parameters_are_refused(name: str, params: dict):
    with pytest.raises(ConfigError):
        get_manager().create("descriptor_learner", name, params)


@pytest.mark.parametrize("params", [PolarEmParams, PolarInvariantsParams, RrvaeParams, RvaeParams])
def test_every_parameter_is_described(params):
    for name, field in params.model_fields.items():
        assert field.description, name
