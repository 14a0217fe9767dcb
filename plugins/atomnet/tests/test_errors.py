"""Stated errors of a network's positions."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.api import Context
from ronchi.manager import get_manager
from ronchi_atomnet.errors import error_weights, fits_from_odds, spread_of_odds, stated_variance
from ronchi_atomnet.gaussians import Fit
from ronchi_atomnet.peaks import find_peaks


def fit_at(points: np.ndarray, variance: np.ndarray) -> Fit:
    return Fit(points, variance, np.ones(len(points)), np.ones(len(points)), 2.0, np.zeros((1, 1)))


@pytest.mark.parametrize("weights", [(0.2, 0.4), (0.0, 0.7), (0.5, 0.0)])
def test_the_weights_of_squared_errors_are_found(weights):
    rng = np.random.default_rng(0)
    spread, apart = rng.gamma(2, 0.05, 20000), rng.gamma(2, 0.05, 20000)
    square = (weights[0] * spread + weights[1] * apart) * rng.standard_normal(20000) ** 2
    apart[::50] = np.nan
    found = error_weights(square, spread, apart)
    # A squared normal number scatters by the root of 2: 1 % of the mean of so many, shared out between the two.
    assert found == pytest.approx(weights, abs=0.04)
    assert min(found) >= 0


def test_too_few_atoms_leave_the_error_of_the_fits():
    assert error_weights(np.ones(3), np.ones(3), np.ones(3)) == (0.0, 1.0)


@pytest.mark.parametrize("variance", [0.0, 0.1, 0.5])
def test_odds_of_a_place_that_is_not_known_well_tell_its_variance(variance):
    """What a network that knows a place to this variance says: the odds that it learned, blurred by it."""
    y, x = np.ogrid[:41, :41]
    broad = 1.5**2 + variance
    spot = 1.5**2 / broad * np.exp(-((y - 20) ** 2 + (x - 20) ** 2) / (2 * broad))
    _, score, _ = find_peaks(np.stack([1 - spot, spot]).astype(np.float32), 0.2)
    assert spread_of_odds(score, 1.5) == pytest.approx([variance], abs=0.03)


def test_fits_about_the_odds_are_told_along_each_axis_whatever_a_few_do():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 100, (3000, 2))
    fitted = points + rng.normal(0, (0.2, 0.5), points.shape)
    fitted[:100] += 5
    variance = np.full(points.shape, 0.01)
    variance[-5:] = np.nan
    fitted[-5:] = np.nan
    # The median of so many squares scatters by 4 %; 3 % that are far off raise it by 6 %.
    assert fits_from_odds(points, fit_at(fitted, variance)) == pytest.approx([0.04, 0.25], rel=0.16)
    few = points[:2]
    assert fits_from_odds(few, fit_at(few, np.full((2, 2), 0.3))) == pytest.approx([0.3, 0.3])
    assert np.isnan(fits_from_odds(few, fit_at(few, np.full((2, 2), np.nan)))).all()


def test_variances_follow_the_scale():
    stated = stated_variance(np.array([0.04, 0.0]), np.array([0.1, 0.2]), (0.5, 0.25), 0.5)
    assert stated == pytest.approx(np.array([[0.08 + 0.025, 0.08 + 0.05], [0.025, 0.05]]))


@pytest.mark.parametrize(
    ("counts", "jitter_px"), [(30.0, 0.0), (30.0, 0.6), (5.0, 0.0)], ids=["more", "more, jitter", "less"]
)
def test_positions_by_odds_scatter_as_they_state(counts, jitter_px):
    """Within 30 %, with jitter and without: the dose alone does not tell them apart."""
    rng, shape = np.random.default_rng(7), [224, 224]
    params = {
        "n_frames": 1, "image_shape": shape, "grain_angles_deg": [4.0, 21.0], "n_silicon": 8, "contamination": 0.0,
        "carbon_counts": counts, "line_jitter_px": jitter_px,
    }  # fmt: skip
    ctx, create = Context(rng=rng), get_manager().create
    movie = create("simulator", "graphene-movie", params).simulate(ctx)
    found = create("atom_finder", "atomnet", {"position": "odds"}).find(movie.data, ctx)
    metric = create("metric", "atoms", {"tolerance": 0.7, "tolerance_unit": "angstrom", "border_px": 3.0})
    figures = metric.score(found, movie.sides["truth"], ctx)
    # 600 atoms: the scatter itself is known to 3 %.
    assert figures["n_matched"] > 500
    assert 1 / 1.3 < figures["z"] < 1.3
    # Atoms that the network is less sure of lie further off, and say so.
    sigma = found["sigma_y"].values
    assert np.quantile(sigma, 0.95) > 1.1 * np.quantile(sigma, 0.05)
