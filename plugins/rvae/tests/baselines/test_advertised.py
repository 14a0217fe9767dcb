"""What the package tells of these learners, without their code."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import ronchi
from ronchi.errors import ConfigError
from ronchi.manager import get_manager
from ronchi_rvae.plugin_pixels import ronchi_descriptor_learners


def test_advertised_and_found(quick):
    specs = list(ronchi_descriptor_learners())
    assert [spec.name for spec in specs] == list(quick)
    assert {spec.name for spec in specs} <= set(ronchi.algorithms("descriptor_learner"))
    for spec in specs:
        assert spec.create().name == spec.name
        for name, field in spec.params.model_fields.items():
            assert field.description, name


def test_advertising_imports_nothing_heavy():
    code = (
        "import sys, ronchi_rvae.plugin_pixels; print(sorted({'numpy', 'torch', 'xarray', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("jrvae", {"n_classes": 1}),
        ("spatial-vae", {"prior": "flat"}),
        ("spatial-vae", {"starts": 0}),
        ("spatial-vae", {"angle_prior_rad": 0}),
        ("vae", {"likelihood": "poisson", "counts": True}),
        ("conv-ae", {"held_out": 1.0}),
    ],
)
def test_bad_parameters_are_refused(name: str, params: dict[str, Any]):
    with pytest.raises(ConfigError):
        get_manager().create("descriptor_learner", name, params)
