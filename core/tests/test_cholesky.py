"""Small equations in compiled code, against LAPACK."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.cholesky import factor, invert, solve


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.floats(-3, 3))
def test_factor_solution_and_inverse_are_those_of_lapack(seed: int, m: int, decades: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(3 * m + 3, m)) * 10 ** np.linspace(0, decades, m)
    matrix, right = rows.T @ rows, rng.normal(size=m)
    # Only the lower triangle of the first rows counts.
    held = np.full((m + 1, m + 2), np.nan)
    held[:m, :m][np.tril_indices(m)] = matrix[np.tril_indices(m)]
    found, inverse = np.append(right, 7.0), np.full((m + 1, m + 2), -1.0)
    assert factor(held, m, 1e-12)
    lower = np.tril(held[:m, :m])
    np.testing.assert_allclose(lower, np.linalg.cholesky(matrix), rtol=1e-9, atol=1e-9 * np.abs(lower).max())
    solve(held, found, m)
    np.testing.assert_allclose(matrix @ found[:m], right, rtol=1e-6, atol=1e-8)
    assert found[m] == 7
    invert(held, m, inverse)
    scale = np.sqrt(np.diag(matrix))
    np.testing.assert_allclose(inverse[:m, :m] @ matrix * scale[:, None] / scale, np.eye(m), atol=1e-6)
    assert (inverse[m] == -1).all()


@pytest.mark.parametrize("matrix", [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [[0.0]], [[np.nan]]])
def test_what_has_no_factor_is_told(matrix: list[list[float]]) -> None:
    assert not factor(np.array(matrix), len(matrix), 1e-10)


def test_what_is_all_but_singular_is_told_from_what_the_others_leave() -> None:
    close = np.array([[1.0, 1.0 - 1e-6], [1.0 - 1e-6, 1.0]])
    assert factor(close.copy(), 2, 1e-10)
    assert not factor(close.copy(), 2, 1e-5)
