"""Potentials from gradients, with and without holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.api import DataError
from ronchi_com import integrate
from ronchi_com.integrate import integrate_gradient

TWO_PI = 2 * np.pi


def level(phase: np.ndarray) -> np.ndarray:
    return phase - np.nanmean(phase)


@pytest.mark.parametrize(
    ("shape", "step"),
    [((40, 40), (1.0, 1.0)), ((40, 40), (0.25, 0.25)), ((30, 50), (0.3, 0.7)), ((64, 21), (2.0, 1.0))],
)
def test_the_phase_of_an_exact_gradient(atoms, shape, step):
    field = atoms(shape, step)
    phase = integrate_gradient(TWO_PI * field.com_y, TWO_PI * field.com_x, step)
    # Atoms of two positions: the splines integrate them to 1e-3 of their height, at the border.
    np.testing.assert_allclose(phase, level(field.phase), rtol=0, atol=2e-3 * np.ptp(field.phase))
    slope = np.polyfit(field.phase.ravel(), phase.ravel(), 1)[0]
    assert slope == pytest.approx(1, abs=2e-4)  # not 1/(2 pi), at any step
    assert abs(phase.mean()) < 1e-12


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(2, 12), st.integers(2, 12)),
    st.tuples(st.floats(0.05, 5), st.floats(0.05, 5)),
    st.lists(st.floats(-1, 1), min_size=5, max_size=5),
)
def test_polynomials_of_second_degree_are_exact(shape, step, c):
    y, x = np.meshgrid(np.arange(shape[0]) * step[0], np.arange(shape[1]) * step[1], indexing="ij")
    phase = c[0] * y + c[1] * x + c[2] * y * y + c[3] * y * x + c[4] * x * x
    found = integrate_gradient(c[0] + 2 * c[2] * y + c[3] * x, c[1] + c[3] * y + 2 * c[4] * x, step)
    np.testing.assert_allclose(found, level(phase), rtol=0, atol=1e-9 * (1 + np.ptp(phase)))


def test_a_field_of_curl_alone_has_no_potential():
    """A solenoidal field that vanishes at the border is orthogonal to all gradients."""
    y, x = np.meshgrid(*[np.linspace(-5, 5, 41)] * 2, indexing="ij")
    bump = np.exp(-(y * y + x * x) / 2)
    phase = integrate_gradient(x * bump, -y * bump, (0.25, 0.25))
    assert np.abs(phase).max() < 1e-3  # of a field of 0.6 over a length of 1; 0 for a continuous scan


def test_noise_averages_out():
    """Least squares uses all paths: the error is far below that of adding up along rows."""
    rng = np.random.default_rng(1)
    phase = integrate_gradient(*rng.normal(size=(2, 64, 64)), (1.0, 1.0))
    assert phase.std() < 0.25 * np.sqrt(64)


def test_masked_solver_equals_the_direct_one_without_holes(atoms, monkeypatch):
    field = atoms((30, 25), (0.3, 0.5))
    noisy = field.measured(noise=0.3)
    direct = integrate_gradient(*noisy, field.step)
    monkeypatch.setattr(
        integrate,
        "_solve_rectangle",
        lambda source, step, solve=integrate._solve_rectangle: solve(source, step) * 0.7,  # only the preconditioner
    )
    stiffness = (np.full((29, 25), 1 / 0.3**2), np.full((30, 24), 1 / 0.5**2))
    source = integrate._gather(
        integrate.step_integrals(noisy[0], 0.3, 0) * stiffness[0],
        integrate.step_integrals(noisy[1], 0.5, 1) * stiffness[1],
    )
    masked = integrate._solve_with_holes(source, stiffness, field.step)
    np.testing.assert_allclose(level(masked), direct, rtol=0, atol=1e-9 * np.ptp(direct))


def test_holes_leave_the_rest_as_it_was(atoms):
    field = atoms((40, 50), (0.3, 0.5))
    y, x = TWO_PI * field.com_y, TWO_PI * field.com_x
    hole = np.zeros(y.shape, bool)
    hole[12:20, 15:30] = True
    hole[np.random.default_rng(2).random(y.shape) < 0.02] = True
    y[hole] = np.nan
    x[hole & (np.arange(50) % 2 == 0)] = np.inf
    phase = integrate_gradient(y, x, field.step)
    np.testing.assert_array_equal(np.isnan(phase), hole)
    expected = np.where(hole, np.nan, field.phase)
    np.testing.assert_allclose(level(phase), level(expected), rtol=0, atol=5e-3 * np.ptp(field.phase))


def test_islands_are_levelled_one_by_one_and_lone_positions_are_unknown():
    y, x = np.meshgrid(np.arange(9.0), np.arange(11.0), indexing="ij")
    gy, gx = np.full(y.shape, 2.0), np.full(y.shape, -1.0)
    gy[:, 5] = np.nan
    gx[7:, :2], gx[8, 0] = np.nan, 1.0
    phase = integrate_gradient(gy, gx, (1.0, 1.0))
    assert np.isnan(phase[8, 0])  # known, but without a neighbour
    assert np.isnan(phase[:, 5]).all()
    plane = 2 * y - x
    for part in (np.s_[:7, :5], np.s_[:, 6:]):
        np.testing.assert_allclose(np.diff(phase[part] - plane[part]), 0, atol=1e-8)
        if part == np.s_[:, 6:]:
            assert abs(phase[part].mean()) < 1e-8


def test_nothing_known_is_said():
    with pytest.raises(DataError, match="nothing to integrate"):
        integrate_gradient(*np.full((2, 5, 5), np.nan), (1.0, 1.0))
