"""What the plugin advertises, and the shape of what it returns."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ronchi.schema import lattice as lattice_schema
from ronchi.schema import strain as strain_schema
from ronchi_lattice.params import LatticeParams
from ronchi_lattice.plugin import ronchi_strain_solvers
from ronchi_lattice.solver import LatticeSolver


def test_advertised():
    (spec,) = ronchi_strain_solvers()
    assert (spec.name, spec.output, dict(spec.sides)) == ("lattice", "strain/1", {"lattice": "lattice/1"})
    assert isinstance(spec.create(), LatticeSolver)


def test_advertising_imports_nothing_heavy():
    code = "import sys, ronchi_lattice.plugin; print(sorted({'numpy', 'numba', 'xarray', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_manager_finds_it_and_checks_its_parameters():
    from ronchi.errors import RonchiError
    from ronchi.manager import get_manager

    manager = get_manager()
    solver = manager.create("strain_solver", "lattice", {"reference": {"scan_x": [300, 380]}})
    assert solver.params.reference.scan_x == (300, 380)
    with pytest.raises(RonchiError, match="refrence"):
        manager.create("strain_solver", "lattice", {"refrence": {}})


def test_every_parameter_is_described():
    for name, field in LatticeParams.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize("basis", [{"g1": [0, 1]}, {"g1": [0, 1], "g2": [0, 2]}, {"g1": [0, 0], "g2": [0, 2]}])
def test_a_basis_must_span_the_plane(basis):
    with pytest.raises(ValueError, match=r"g2|parallel"):
        LatticeParams(basis=basis)


def test_result_follows_the_schemas_and_says_its_conventions(strained_scan, solve):
    strain, lattice = solve(strained_scan(np.eye(2), sigma=1e-3, attrs={"beam_energy_eV": 2e5}))
    strain_schema.validate(strain)
    lattice_schema.validate(lattice)
    assert strain.attrs["sign_convention"] == strain_schema.SIGN_CONVENTION
    assert strain.attrs["beam_energy_eV"] == 2e5
    assert strain["residual"].attrs["units"] == "1/angstrom"
    residual = float(strain["residual"].mean())
    assert residual == pytest.approx(1e-3 * np.sqrt(2), rel=0.1)


def test_two_runs_are_equal_bit_for_bit(strained_scan, solve):
    peaks = strained_scan(np.diag([1.01, 1]), sigma=1e-3, missing=0.2)
    first, second = solve(peaks)[0], solve(peaks)[0]
    assert first.identical(second)
