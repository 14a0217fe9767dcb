"""The surface that follows the drift of the beam."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ronchi_com.descan import DescanSurface

Y, X = np.arange(20) * 0.5, 3 + np.arange(30) * 0.2


def polynomial(order: str) -> np.ndarray:
    y, x = np.meshgrid(Y, X, indexing="ij")
    a, b = 0.3 + 0 * y, -0.1 + 0 * y
    if order != "mean":
        a, b = a + 0.02 * y - 0.01 * x, b + 0.03 * x
    if order == "parabola":
        a, b = a + 0.004 * y * x - 0.002 * x * x, b + 0.001 * y * y
    return np.stack([a, b], -1)


@pytest.mark.parametrize("order", ["mean", "plane", "parabola"])
def test_polynomials_come_back_exactly_around_holes(order: str):
    truth = polynomial(order)
    com = truth.copy()
    com[3:6, 4:9] = np.nan
    np.testing.assert_allclose(
        DescanSurface.fit(order, Y, X, com, np.random.default_rng(0)).at(Y, X), truth, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("order", ["plane", "parabola"])
def test_a_sample_that_deflects_a_third_of_the_scan_does_not_tilt_it(order: str):
    rng = np.random.default_rng(4)
    truth = polynomial(order)
    com = truth + rng.normal(0, 1e-3, truth.shape)
    com[:, 20:] += (0.1, 0.05)
    error = np.abs(DescanSurface.fit(order, Y, X, com, rng).at(Y, X) - truth)
    assert error.max() < 2e-3  # 2 standard deviations of one position; least squares is 50 times worse


@pytest.mark.parametrize("width", [15, 16, 18])
def test_the_mean_of_two_domains_lies_between_them(width: int):
    """Domains of +1 and -1 stay a difference of 2 about their mean: neither is taken for the drift."""
    com = np.random.default_rng(7).normal(0, 0.05, (20, 30, 2))
    com[..., 1] += np.where(np.arange(30) < width, 1.0, -1.0)
    surface = DescanSurface.fit("mean", Y, X, com, np.random.default_rng(0))
    np.testing.assert_allclose(surface.at(Y, X)[0, 0], com.mean((0, 1)), rtol=0, atol=1e-14)


def test_positions_without_weight_are_counted():
    com = np.random.default_rng(8).normal(0, 0.05, (20, 30, 2))
    fit = DescanSurface.fit("plane", Y, X, com, np.random.default_rng(0))
    assert fit.left_out < 0.01
    com[..., 1] += np.where(np.arange(30) < 18, 1.0, -1.0)
    fit = DescanSurface.fit("plane", Y, X, com, np.random.default_rng(0))
    assert fit.left_out == pytest.approx(0.4, abs=0.01)


def test_the_error_is_that_of_least_squares():
    rng = np.random.default_rng(5)
    truth = polynomial("plane")
    errors = [
        (DescanSurface.fit("plane", Y, X, truth + rng.normal(0, 1, truth.shape), rng).at(Y, X) - truth).std()
        for _ in range(40)
    ]
    # Three parameters from 600 positions; the biweight may cost a few per cent.
    assert np.sqrt(np.mean(np.square(errors))) < 1.2 * np.sqrt(3 / 600)


def test_json_keeps_every_bit():
    rng = np.random.default_rng(6)
    surface = DescanSurface.fit("plane", Y, X, polynomial("plane") + rng.normal(size=(20, 30, 2)), rng)
    again = DescanSurface.from_json(json.loads(json.dumps(surface.to_json())))
    np.testing.assert_array_equal(again.at(Y, X), surface.at(Y, X))
