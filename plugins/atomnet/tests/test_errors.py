"""Stated errors of a network's positions."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi_atomnet.errors import error_line, stated_variance


@pytest.mark.parametrize("line", [(0.02, 0.4), (0.0, 0.7), (0.05, 0.0)])
def test_the_line_of_squared_errors_is_found(line):
    rng = np.random.default_rng(0)
    variance = rng.gamma(2, 0.05, 20000)
    square = (line[0] + line[1] * variance) * rng.standard_normal(20000) ** 2
    variance[::50] = np.nan
    found = error_line(square, variance)
    # A squared normal number scatters by the root of 2: 1 % of the mean of so many.
    assert found[0] == pytest.approx(line[0], abs=0.003)
    assert found[1] == pytest.approx(line[1], abs=0.04)
    assert min(found) >= 0


def test_variances_follow_the_scale_and_the_noise():
    fit = np.array([[0.04, 0.08], [np.nan, np.nan], [0.06, 0.02]])
    stated = stated_variance(fit, (0.01, 0.5), 0.5)
    assert stated[0] == pytest.approx([0.04 + 0.02, 0.04 + 0.04])
    assert stated[1] == pytest.approx([0.04 + 0.025] * 2)
    assert np.isnan(stated_variance(np.full((2, 2), np.nan), (0.01, 0.5), 1.0)).all()


def test_too_few_atoms_leave_the_error_of_the_fit():
    assert error_line(np.ones(3), np.ones(3)) == (0.0, 1.0)
