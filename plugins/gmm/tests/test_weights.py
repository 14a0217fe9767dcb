"""Weights of given components: at the least loss, whatever stands beside a sample and in whatever unit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from ronchi_gmm.weights import best_weights

LOSSES = ["frobenius", "kullback-leibler"]


@pytest.fixture(scope="module")
def spots() -> tuple[np.ndarray, np.ndarray]:
    """Counts (300, 576) of four wide spots that cover each other; half of the patterns have a hundredth of the dose."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24]
    centres = rng.uniform(5, 19, (4, 2))
    images = np.stack([np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 128).ravel() for cy, cx in centres]).astype("f4")
    weights = rng.gamma(0.5, 5, (300, 4)) * (rng.random((300, 4)) < 0.7)
    weights[::2] *= 0.01
    return rng.poisson(weights @ images).astype("f4"), images


def test_least_squares_are_those_of_all_pixels(spots):
    rows, images = spots
    expected = [nnls(images.T.astype(float), row.astype(float))[0] for row in rows]
    np.testing.assert_allclose(best_weights(rows, images, "frobenius"), expected, atol=1e-4)


def test_counts_are_at_the_top_of_the_likelihood(spots):
    """No step uphill is left (Karush, Kuhn & Tucker); multiplicative updates to 1e-4 end 10 nats below the top."""
    rows, images = (values.astype(float) for values in spots)
    found = best_weights(*spots, "kullback-leibler")
    slope = (rows / np.maximum(found @ images, 1e-300)) @ images.T - images.sum(1)
    assert (found >= 0).all()
    assert (slope < 1e-4 * images.sum(1)).all()
    assert np.abs(slope * found).sum(1).max() < 1e-3  # nats that a step could promise
    assert (found[~rows.any(1)] == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_neither_other_samples_nor_the_unit_have_a_say(spots, loss):
    rows, images = spots
    together = best_weights(rows, images, loss)
    alone = np.concatenate([best_weights(rows[i : i + 1], images, loss) for i in range(60)])
    scaled = best_weights(rows * np.float32(1e9), images * np.float32(1e9), loss)
    atol = 2e-3 * together.max(1)[:, None] + 1e-4  # rounding of float32, where spots cover each other
    assert (np.abs(alone - together[:60]) <= atol[:60]).all()
    assert (np.abs(scaled - together) <= atol).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_components_that_are_alike_or_nothing_share_the_weight(loss):
    rng = np.random.default_rng(0)
    one = rng.random(40).astype("f4")
    found = best_weights(3 * one[None], np.stack([one, one, 0 * one]), loss)
    np.testing.assert_allclose(found[0, :2].sum(), 3, rtol=1e-5)
