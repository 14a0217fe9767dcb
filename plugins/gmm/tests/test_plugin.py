"""What the plugin advertises."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ronchi
from ronchi.errors import ConfigError
from ronchi.manager import get_manager
from ronchi_gmm.plugin import ronchi_descriptor_learners


def test_advertised_and_found():
    specs = list(ronchi_descriptor_learners())
    assert [spec.name for spec in specs] == ["gmm", "kmeans", "pca", "nmf", "ica"]
    assert {spec.name for spec in specs} <= set(ronchi.algorithms("descriptor_learner"))
    for spec in specs:
        assert (dict(spec.inputs)["model?"], spec.sides["model"]) == ("model/1", "model/1")
        assert spec.create().name == spec.name
        for name, field in spec.params.model_fields.items():
            assert field.description, name


def test_advertising_imports_nothing_heavy():
    code = "import sys, ronchi_gmm.plugin; print(sorted({'numpy', 'sklearn', 'xarray', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("gmm", {"n_classes": 0}),
        ("gmm", {"n_classes": "aic"}),
        ("gmm", {"covariance": "round"}),
        ("nmf", {"loss": "l1"}),
        ("pca", {"n_components": 0}),
        ("kmeans", {"memory_mb": 0}),
    ],
)
def test_bad_parameters_are_refused(name: str, params: dict):
    with pytest.raises(ConfigError):
        get_manager().create("descriptor_learner", name, params)
