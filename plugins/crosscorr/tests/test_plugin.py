"""The plugin is light to list, and its parameters explain themselves."""

from __future__ import annotations

import subprocess
import sys

import pydantic
import pytest

from ronchi_crosscorr.params import CrossCorrParams
from ronchi_crosscorr.plugin import ronchi_disk_detectors


def test_listing_imports_neither_numpy_nor_torch() -> None:
    code = (
        "import sys, ronchi_crosscorr.plugin as p; p.ronchi_disk_detectors();"
        "print([m for m in ('numpy', 'torch', 'numba', 'scipy', 'xarray') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_spec_creates_the_detector() -> None:
    (spec,) = ronchi_disk_detectors()
    assert spec.name == "crosscorr"
    detector = spec.create(CrossCorrParams(mode="hybrid"))
    assert callable(detector.prepare)
    assert callable(detector.detect)
    assert callable(detector.explain)


def test_every_parameter_is_described_and_every_length_has_a_unit() -> None:
    for name, field in CrossCorrParams.model_fields.items():
        assert field.description, name
        if field.annotation in (float, float | None):
            assert field.json_schema_extra is not None, name
            assert field.json_schema_extra["unit"], name


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_snr": -1},
        {"mode": "fast"},
        {"sigma": 2},
        {"min_relative": 1.0},
        {"g1": (3, 20), "g2": (20, -3)},
        {"origin": (64, 64)},
        {"origin": (64, 64), "g1": (3, 20), "g2": (6, 40)},
        {"origin": (64, 64), "g1": (0, 0), "g2": (6, 40)},
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        CrossCorrParams(**wrong)
