"""What the plugin advertises."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ronchi
from ronchi.errors import ConfigError
from ronchi.manager import get_manager
from ronchi_com.com import CentreOfMass
from ronchi_com.dpc import Dpc
from ronchi_com.params import ComParams, DpcParams
from ronchi_com.plugin import ronchi_descriptor_learners, ronchi_transforms


def test_advertised():
    (com,), (dpc,) = ronchi_descriptor_learners(), ronchi_transforms()
    assert (com.name, dict(com.inputs), com.output) == ("com", {"data": "fourd/1"}, "descriptors/1")
    assert (dpc.name, dict(dpc.inputs), dpc.output) == ("dpc", {"data": "descriptors/1"}, "descriptors/1")
    assert isinstance(com.create(), CentreOfMass)
    assert isinstance(dpc.create(), Dpc)


def test_advertising_imports_nothing_heavy():
    code = "import sys, ronchi_com.plugin; print(sorted({'numpy', 'numba', 'xarray', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_manager_finds_both():
    assert "com" in ronchi.algorithms("descriptor_learner")
    assert "dpc" in ronchi.algorithms("transform")
    dpc = get_manager().create("transform", "dpc", {"rotation": 12.5, "flip": True})
    assert (dpc.params.rotation, dpc.params.flip) == (12.5, True)


@pytest.mark.parametrize(
    ("kind", "name", "params"),
    [
        ("transform", "dpc", {"rotation": "guess"}),
        ("transform", "dpc", {"rotation": float("nan")}),
        ("transform", "dpc", {"flip": "maybe"}),
        ("descriptor_learner", "com", {"outer_radius": 0.2, "inner_radius": 0.3}),
        ("descriptor_learner", "com", {"descan": "cubic"}),
        ("descriptor_learner", "com", {"outer_radius": -1.0}),
    ],
)
def test_bad_parameters_are_refused(kind: str, name: str, params: dict):
    with pytest.raises(ConfigError):
        get_manager().create(kind, name, params)


@pytest.mark.parametrize("params", [ComParams, DpcParams])
def test_every_parameter_is_described(params):
    for name, field in params.model_fields.items():
        assert field.description, name
