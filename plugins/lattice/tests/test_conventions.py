"""Signs, axes and exactness of the strain: x = column to the right, y = row downwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.api import Context
from ronchi_lattice.params import LatticeParams
from ronchi_lattice.solver import LatticeSolver

from .conftest import SQUARE, Crystal, dataset

EXACT = 1e-6
REFERENCE = {"columns": [0, 6]}


def turn(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


def measured(strain, column=-1):
    """Values at the last column, the same in all rows."""
    values = {name: strain[name].values[:, column] for name in ("e_xx", "e_yy", "e_xy", "theta")}
    for name, value in values.items():
        assert np.ptp(value) < EXACT, name
    return {name: value[0] for name, value in values.items()}


CASES = {
    "tension in x": ([[1.05, 0], [0, 1]], {"e_xx": 0.05}),
    "compression in x": ([[0.95, 0], [0, 1]], {"e_xx": -0.05}),
    "tension in y": ([[1, 0], [0, 1.05]], {"e_yy": 0.05}),
    "compression in y": ([[1, 0], [0, 0.95]], {"e_yy": -0.05}),
    "shear": ([[1, 0.03], [0.03, 1]], {"e_xy": 0.03}),
    "negative shear": ([[1, -0.03], [-0.03, 1]], {"e_xy": -0.03}),
    "turn of 1 degree from x to y": (turn(1), {"theta": np.deg2rad(1)}),
    "turn of 5 degrees from x to y": (turn(5), {"theta": np.deg2rad(5)}),
    "turn of -5 degrees": (turn(-5), {"theta": np.deg2rad(-5)}),
    "all at once": (
        turn(4) @ np.array([[1.04, -0.02], [-0.02, 0.97]]),
        {"e_xx": 0.04, "e_yy": -0.03, "e_xy": -0.02, "theta": np.deg2rad(4)},
    ),
}


@pytest.mark.parametrize(("F", "expected"), CASES.values(), ids=CASES.keys())
def test_exact_peaks_give_the_exact_finite_strain(strained_scan, solve, F, expected):
    strain, _ = solve(strained_scan(np.array(F)), reference=REFERENCE)
    for name, value in measured(strain).items():
        assert abs(value - expected.get(name, 0.0)) < EXACT, name
    for name, value in measured(strain, column=2).items():
        assert abs(value) < EXACT, name


def test_an_atom_row_that_turns_towards_y_has_positive_theta(strained_scan, solve):
    F = turn(2)
    row = F @ [1, 0]  # real space: a row of atoms along x
    assert row[1] > 0  # now points downwards
    strain, _ = solve(strained_scan(F), reference=REFERENCE)
    assert measured(strain)["theta"] > 0


def test_simple_shear_is_half_shear_half_rotation(strained_scan, solve):
    strain, _ = solve(strained_scan(np.array([[1, 0.02], [0, 1]])), reference=REFERENCE)
    values = measured(strain)
    assert values["e_xy"] == pytest.approx(0.01, rel=0.02)
    assert values["theta"] == pytest.approx(-0.01, rel=0.02)  # x moves with y: the y axis leans towards x


small = st.floats(-0.05, 0.05)
angles = st.floats(-5, 5)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    e_xx=small, e_yy=small, e_xy=small, angle=angles,
    lengths=st.tuples(st.floats(0.15, 0.3), st.floats(0.15, 0.3)), opening=st.floats(60, 120), tilt=st.floats(0, 360),
    origin=st.tuples(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05)), seed=st.integers(0, 1000),
)  # fmt: skip
def test_any_strain_of_any_lattice_is_recovered(e_xx, e_yy, e_xy, angle, lengths, opening, tilt, origin, seed):
    a, b = np.deg2rad([tilt, tilt + opening])
    G = np.array([[np.sin(a), np.sin(b)], [np.cos(a), np.cos(b)]]) * lengths
    U = np.array([[1 + e_xx, e_xy], [e_xy, 1 + e_yy]])
    F = np.concatenate([np.tile(np.eye(2), (12, 1, 1)), [turn(angle) @ U]])
    peaks = dataset(Crystal(F, G, origin=origin).peaks(np.random.default_rng(seed)), (1, 13))
    solver = LatticeSolver(LatticeParams(reference={"columns": [0, 12]}))
    strain = solver.solve(peaks, Context(rng=np.random.default_rng(0))).data.isel(scan_y=0, scan_x=-1)
    expected = {"e_xx": e_xx, "e_yy": e_yy, "e_xy": e_xy, "theta": np.deg2rad(angle)}
    for name, value in expected.items():
        assert abs(float(strain[name]) - value) < EXACT, name


@pytest.mark.parametrize(
    "basis",
    [
        {"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]},
        {"g1": SQUARE[:, 1], "g2": SQUARE[:, 0]},
        {"g1": -SQUARE[:, 0], "g2": SQUARE[:, 1]},
        {"g1": SQUARE[:, 0] + SQUARE[:, 1], "g2": SQUARE[:, 1]},
        {"g1": SQUARE[:, 0], "g2": 2 * SQUARE[:, 0] - SQUARE[:, 1]},
    ],
    ids=["as made", "swapped", "reversed", "oblique", "more oblique"],
)
def test_strain_does_not_depend_on_the_basis(strained_scan, solve, basis):
    peaks = strained_scan(np.array([[1.02, 0.01], [0.03, 0.98]]), sigma=0.002)
    automatic, _ = solve(peaks, reference=REFERENCE)
    locked, lattice = solve(peaks, reference=REFERENCE, basis=basis)
    for name in ("e_xx", "e_yy", "e_xy", "theta"):
        # Standard errors are 1e-3: equal but for where the iteration stops.
        np.testing.assert_allclose(locked[name], automatic[name], rtol=0, atol=1e-5)
    np.testing.assert_allclose(lattice["g1"].mean(("scan_y", "scan_x")), basis["g1"], rtol=0, atol=0.02)


def test_detector_pixels_of_two_sizes(strained_scan, solve):
    """Peaks are in units of q, so the steps along y and x need not be equal; nor in pixels."""
    peaks = strained_scan(np.array([[1.03, 0.01], [0.01, 0.98]]))
    strain, _ = solve(peaks.assign_attrs(q_step=np.array([0.02, 0.031])), reference=REFERENCE)
    assert measured(strain)["e_xx"] == pytest.approx(0.03, abs=EXACT)
    # The same pattern on a detector whose rows are coarser: the shape of the pixels is in q_distortion.
    pixels = peaks.copy()
    for name, step in (("qy", 0.02), ("qx", 0.031)):
        pixels[name] = (pixels[name] / step).assign_attrs(units="pixel", long_name=name)
    pixels.attrs |= {"q_step": np.ones(2), "q_distortion": [0.02 / 0.031, 0.0, 0.0, 1.0]}
    strain, _ = solve(pixels, reference=REFERENCE)
    assert measured(strain)["e_xx"] == pytest.approx(0.03, abs=EXACT)
    assert measured(strain)["e_yy"] == pytest.approx(-0.02, abs=EXACT)
    assert measured(strain)["e_xy"] == pytest.approx(0.01, abs=EXACT)
