"""Decoders of coordinates turn and shift as the conventions say; likelihoods are those of statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ronchi_rvae.networks import CoordinateDecoder, FlatDecoder, log_likelihood

ANGLE = st.floats(-7.0, 7.0)
SHIFT = st.floats(-0.5, 0.5)


def decoder_at(places: np.ndarray, seed: int = 0) -> CoordinateDecoder:
    torch.manual_seed(seed)
    return CoordinateDecoder(torch.from_numpy(places.astype(np.float32)), n_content=2, hidden=16)


@settings(max_examples=30, deadline=None)
@given(angle=ANGLE, shift_y=SHIFT, shift_x=SHIFT)
def test_turned_image_is_the_canonical_one_at_places_turned_back(angle: float, shift_y: float, shift_x: float):
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, 7))
    c, s = np.cos(angle), np.sin(angle)
    back_x, back_y = c * (x - shift_x) + s * (y - shift_y), c * (y - shift_y) - s * (x - shift_x)
    content = torch.tensor([[0.3, -1.0]])
    with torch.no_grad():
        turned = decoder_at(np.stack([x, y], 1))(content, torch.tensor([[angle, shift_y, shift_x]]))
        upright = decoder_at(np.stack([back_x, back_y], 1))(content, torch.zeros(1, 3))
    np.testing.assert_allclose(turned, upright, atol=2e-6)  # float32, 16 hidden numbers; seed 0


def test_a_quarter_turn_brings_x_to_y():
    places = np.array([[0.5, 0.0], [0.0, 0.5]])  # on the x axis, then on the y axis
    with torch.no_grad():
        decoder = decoder_at(places)
        upright = decoder(torch.zeros(1, 2), torch.zeros(1, 3))[0]
        turned = decoder(torch.zeros(1, 2), torch.tensor([[np.pi / 2, 0.0, 0.0]]))[0]
    assert turned[1] == pytest.approx(float(upright[0]), abs=1e-6)
    assert abs(float(upright[0] - upright[1])) > 1e-3  # else the test says nothing


def test_half_precision_keeps_the_places():
    places = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    decoder, pose = decoder_at(places), torch.tensor([[0.4, 0.05, -0.02]])
    with torch.no_grad():
        decoder.of_place.weight.mul_(30.0)  # so fine a pattern that places rounded to bfloat16 would show
        full = decoder(torch.zeros(1, 2), pose)
        with torch.autocast("cpu", torch.bfloat16):
            half = decoder(torch.zeros(1, 2), pose)
    assert half.dtype == torch.bfloat16
    assert float((half - full).abs().mean()) < 0.01 * float(full.std())  # found 0.004; seed 0


def test_flat_decoders_know_no_pose():
    torch.manual_seed(0)
    decoder = FlatDecoder(2, 8, 5)
    content = torch.randn(3, 2)
    assert torch.equal(decoder(content, torch.zeros(3, 3)), decoder(content, torch.ones(3, 3)))


@pytest.mark.parametrize("family", ["gaussian", "poisson", "bernoulli"])
def test_log_likelihoods(family: str):
    rng = np.random.default_rng(0)
    drawn = rng.normal(0, 1, (4, 6)).astype(np.float32)
    if family == "gaussian":
        values = rng.normal(0, 1, (4, 6))
        expected = stats.norm.logpdf(values, drawn, np.exp(0.5 * 0.7)).sum(1)
    elif family == "poisson":
        values = rng.poisson(3, (4, 6))
        expected = stats.poisson.logpmf(values, np.exp(drawn)).sum(1)
    else:
        values = rng.integers(0, 2, (4, 6))
        expected = stats.bernoulli.logpmf(values, 1 / (1 + np.exp(-drawn))).sum(1)
    found = log_likelihood(
        family, torch.from_numpy(drawn), torch.from_numpy(values.astype(np.float32)), torch.tensor(0.7)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32
