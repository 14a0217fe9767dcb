"""The likelihood with the angle integrated out, against sums over drawn images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.marginal import Likelihood
from ronchi_rvae.poses import angle_table
from ronchi_rvae.shifts import ShiftGrid
from ronchi_rvae.symmetry import turn


def basis_without(bad: np.ndarray | None) -> DiscBasis:
    return DiscBasis((25, 25), (12.0, 12.0), 12.0, 1.5, ShiftGrid(0.0), bad)


@pytest.fixture(scope="module")
def basis() -> DiscBasis:
    return basis_without(None)


def numbers(basis, *images):
    return basis.as_real(basis.describe(np.stack(images))[:, 0])


def turned_copies(basis, canonical):
    n = len(angle_table(basis.n_orders))
    template = basis.from_real(canonical)
    return np.concatenate([basis.as_real(turn(basis, template, 2 * np.pi * a / n)) for a in range(n)])


def log_mean(logarithms):
    top = float(logarithms.max())
    return top + math.log(np.exp(logarithms - top).mean())


def test_gaussian(basis, draw):
    canonical = numbers(basis, draw())
    image = numbers(basis, draw(angle=1.0) + np.random.default_rng(0).normal(0, 1, (25, 25)))
    distance = ((turned_copies(basis, canonical) - image) ** 2).sum(1)
    expected = log_mean(-0.5 * distance / 0.8) - basis.dof / 2 * math.log(2 * math.pi * 0.8)
    found = Likelihood(basis, "gaussian", 0.8)(torch.from_numpy(canonical), torch.from_numpy(image))
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("family", ["poisson", "bernoulli"])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_counts_and_odds(draw, family, share):
    rng = np.random.default_rng(0)
    bad = np.random.default_rng(1).random((25, 25)) < share
    basis = basis_without(bad if share else None)
    natural = numbers(basis_without(None), draw() - 1)
    image = rng.poisson(np.exp(draw(angle=1.0) - 1)) if family == "poisson" else rng.random((25, 25)) < 0.4
    described = numbers(basis, np.where(bad, 0, image).astype(np.float32))
    drawn, weight = basis.sampled_real()
    values = turned_copies(basis, natural) @ drawn
    partition = np.exp(values) if family == "poisson" else np.log1p(np.exp(values))
    pixels = image[basis.covered & ~bad]
    log_likelihood = (weight * (pixels * values - partition)).sum(1)
    expected = log_mean(log_likelihood)
    found = Likelihood(basis, family, 1.0)(torch.from_numpy(natural), torch.from_numpy(described))
    # Turning changes the sum over pixels a little: they are no ring.
    assert float(found) == pytest.approx(expected, abs=0.02 * abs(expected))


@pytest.mark.parametrize(("family", "level"), [("poisson", 10.0), ("bernoulli", 0.3)])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_bad_pixels_do_not_change_the_level(family, level, share):
    """The constant image that is most likely has the mean of the good pixels; seeds 0 and 1."""
    rng, bad = np.random.default_rng(0), np.random.default_rng(1).random((25, 25)) < share
    basis = DiscBasis((25, 25), (12.0, 12.0), 12.0, 1.0, ShiftGrid(0.0), bad if share else None)
    images = rng.poisson(level, (200, 25, 25)) if family == "poisson" else rng.random((200, 25, 25)) < level
    described = torch.from_numpy(numbers(basis, *np.where(bad, 0, images).astype(np.float32)))
    flat = numbers(basis, np.ones((25, 25)))
    naturals = np.log(level * np.linspace(0.9, 1.1, 81))
    if family == "bernoulli":
        naturals = naturals - np.log1p(-np.exp(naturals))
    likelihood = Likelihood(basis, family, 1.0)
    found = [
        float(likelihood(torch.from_numpy((natural * flat).astype(np.float32)).expand(200, -1), described).mean())
        for natural in naturals
    ]
    best = np.linspace(0.9, 1.1, 81)[np.argmax(found)]
    # 200 images of 450 pixels leave 0.1 to 0.5 %.
    assert best == pytest.approx(1, abs=0.015)


def test_any_turn_of_the_image_is_as_likely(basis, draw):
    canonical = numbers(basis, draw())
    copies = torch.from_numpy(turned_copies(basis, numbers(basis, draw(angle=0.3))))
    likelihood = Likelihood(basis, "gaussian", 0.5)
    with torch.no_grad():
        found = likelihood(torch.from_numpy(canonical).expand(len(copies), -1), copies)
    assert float(found.max() - found.min()) < 1e-2


def test_gradients_climb_to_the_image(basis, draw):
    """From a turned start, the canonical image becomes the one seen, at some angle."""
    image = torch.from_numpy(numbers(basis, draw()))
    canonical = torch.from_numpy(numbers(basis, 0.3 * draw(angle=2.0))).requires_grad_()
    likelihood = Likelihood(basis, "gaussian", 0.5)
    optimiser = torch.optim.Adam([canonical], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (-likelihood(canonical, image).sum()).backward()
        optimiser.step()
    with torch.no_grad():
        best = likelihood.score(canonical, image).max()
    assert float(best) > 0.97 * float((image**2).sum())
