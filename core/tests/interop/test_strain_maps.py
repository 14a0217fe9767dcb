"""Signs and axes of other programs, checked against their own formulas on exact vectors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import polar

from ronchi import interop
from ronchi.errors import SchemaError
from ronchi.schema import strain
from ronchi.schema.common import variable

G_REF = np.array([[0.25, 0.03], [-0.02, 0.24]])
"""Rows g1, g2, components (x, y)."""


def theirs_py4dstem(F):
    """Its formula: vectors are (row, column), beta maps g_ref to g."""
    reference, measured = G_REF[:, ::-1], (G_REF @ np.linalg.inv(F))[:, ::-1]
    beta = np.linalg.lstsq(reference, measured, rcond=None)[0].T
    return {
        "e_xx": 1 - beta[0, 0],
        "e_yy": 1 - beta[1, 1],
        "e_xy": -(beta[0, 1] + beta[1, 0]) / 2,
        "theta": (beta[0, 1] - beta[1, 0]) / 2,
    }


def theirs_pyxem(F):
    """Its formula: vectors are rows (column, row), right polar decomposition of the least-squares map."""
    L = np.linalg.lstsq(G_REF, G_REF @ np.linalg.inv(F), rcond=None)[0]
    R, U = polar(L, side="right")
    return {"e11": 1 / U[0, 0] - 1, "e22": 1 / U[1, 1] - 1, "e12": U[0, 1], "theta": -np.arcsin(R[1, 0])}


def ours(F):
    """``strain/1`` of one position, from F in (x, y) by our definition; F^-T is applied to the rows above."""
    theta = np.arctan2(F[1, 0] - F[0, 1], F[0, 0] + F[1, 1])
    c, s = np.cos(theta), np.sin(theta)
    U = np.array([[c, s], [-s, c]]) @ F
    values = {"e_xx": U[0, 0] - 1, "e_yy": U[1, 1] - 1, "e_xy": U[0, 1], "theta": theta}
    return dataset({name: np.full((1, 1), value) for name, value in values.items()})


def dataset(components):
    shape = next(iter(components.values())).shape
    valid = np.isfinite(components["e_xx"])
    return strain.make(
        components, dict.fromkeys(components, np.full(shape, np.nan)), residual=np.zeros(shape),
        n_used=np.ones(shape, int), valid=valid, residual_units="pixel", frame="detector", reference="test",
        coords={dim: variable(dim, np.arange(n, dtype=float), "pixel", dim)
                for dim, n in zip(("scan_y", "scan_x"), shape, strict=True)},
    )  # fmt: skip


SMALL = 1e-4
CASES = {
    "stretch to the right": np.array([[1 + SMALL, 0], [0, 1]]),
    "stretch downwards": np.array([[1, 0], [0, 1 + SMALL]]),
    "shear": np.array([[1, SMALL], [SMALL, 1]]),
    "turn from right to down": np.array([[np.cos(SMALL), -np.sin(SMALL)], [np.sin(SMALL), np.cos(SMALL)]]),
    "all": np.eye(2) + SMALL * np.array([[1.0, 0.2], [0.9, -0.6]]),
}


@pytest.mark.parametrize("F", CASES.values(), ids=CASES.keys())
def test_signs_and_axes_agree_with_their_formulas(F):
    """At a strain of 1e-4 all measures agree to its square, 1e-8: any other sign or axis is off by 1e-4."""
    for convert, formula in ((interop.to_py4dstem, theirs_py4dstem), (interop.to_pyxem, theirs_pyxem)):
        converted = convert(ours(F))
        for name, value in formula(F).items():
            assert converted[name].item() == pytest.approx(value, abs=5e-8), (formula.__name__, name)


def test_their_finite_strain_errors_are_not_reproduced():
    F = np.diag([1.05, 1.0])
    assert theirs_py4dstem(F)["e_yy"] == pytest.approx(0.047619, abs=1e-6)
    assert interop.to_py4dstem(ours(F))["e_yy"].item() == pytest.approx(0.05, abs=1e-12)
    turn = np.array([[np.cos(0.0873), -np.sin(0.0873)], [np.sin(0.0873), np.cos(0.0873)]])
    assert theirs_py4dstem(turn)["e_xx"] == pytest.approx(0.0038, abs=1e-4)
    assert interop.to_py4dstem(ours(turn))["e_xx"].item() == pytest.approx(0, abs=1e-12)


@pytest.fixture
def some_strain():
    rng = np.random.default_rng(3)
    components = {name: rng.normal(0, 0.01, (3, 5)) for name in strain.COMPONENTS}
    for values in components.values():
        values[1, 2] = np.nan
    return dataset(components)


@pytest.mark.parametrize(
    ("there", "back"), [(interop.to_py4dstem, interop.from_py4dstem), (interop.to_pyxem, interop.from_pyxem)]
)
def test_there_and_back(some_strain, there, back):
    returned = back(there(some_strain), frame="scan", reference="the substrate")
    strain.validate(returned)
    for name in strain.COMPONENTS:
        np.testing.assert_array_equal(returned[name], some_strain[name])
    assert returned["valid"].values.sum() == 14
    assert returned.attrs["frame"] == "scan"
    assert returned.attrs["reference"] == "the substrate"
    assert "measure" in returned.attrs


def test_unfit_positions_are_masked_for_py4dstem(some_strain):
    maps = interop.to_py4dstem(some_strain)
    assert maps["mask"][1, 2] == 0
    assert maps["e_xx"][1, 2] == 0
    assert all(np.isfinite(values).all() for values in maps.values())


def test_a_missing_map_is_named():
    with pytest.raises(SchemaError, match="theta"):
        interop.from_pyxem({name: np.zeros((2, 2)) for name in ("e11", "e22", "e12")})


def test_maps_of_different_shapes_are_refused():
    maps = {name: np.zeros((2, 2)) for name in ("e11", "e22", "e12")} | {"theta": np.zeros((2, 3))}
    with pytest.raises(SchemaError, match="one shape"):
        interop.from_pyxem(maps)


def test_another_schema_is_refused(some_strain):
    with pytest.raises(SchemaError, match=r"strain/1"):
        interop.to_pyxem(some_strain.assign_attrs(ronchi_schema="maps/1"))
