"""The bound of the variational autoencoders: priors, classes, starts, phases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ronchi_rvae.networks import CoordinateDecoder, FlatDecoder, log_likelihood
from ronchi_rvae.training import Phase
from ronchi_rvae.variational import PosePrior, Variational

N, CONTENT = 5, 2
POINTS = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (40, 2)).astype(np.float32))


def model_with(pose: PosePrior | None, n_classes: int = 1, n_conditions: int = 0) -> Variational:
    torch.manual_seed(0)
    size = CONTENT + n_conditions + (n_classes if n_classes > 1 else 0)
    decoder = CoordinateDecoder(POINTS, size, 16) if pose else FlatDecoder(size, 16, len(POINTS))
    return Variational(
        decoder,
        n_pixels=len(POINTS),
        n_latent=CONTENT,
        n_classes=n_classes,
        n_conditions=n_conditions,
        hidden=16,
        pose=pose,
        family="gaussian",
        learn_noise=True,
    )


def some_images(n: int = N) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(0, 1, (n, len(POINTS))).astype(np.float32))


def bound(model: Variational, values: torch.Tensor, phase: Phase = Phase()) -> torch.Tensor:  # noqa: B008 - frozen
    with torch.no_grad():
        return model(values, torch.empty(len(values), 0), torch.zeros(len(values), model.n_noise), phase)


@pytest.mark.parametrize("shift_sigma", [0.0, 0.1])
@pytest.mark.parametrize("proper", [True, False])
def test_the_bound_is_evidence_less_the_divergence_of_all_latents(proper: bool, shift_sigma: float):
    prior = PosePrior(0.3, shift_sigma, proper)
    model, values = model_with(prior), some_images()
    with torch.no_grad():
        mean, log_sigma = model.encode(values, torch.empty(N, 0))
        shift = shift_sigma * mean[:, 1:3] if shift_sigma else torch.zeros(N, 2)
        drawn = model.decoder(mean[:, model.n_pose :], torch.cat([mean[:, :1], shift], 1))
        evidence = log_likelihood("gaussian", drawn, values, torch.zeros(()))
        centre = torch.zeros(N) if proper else mean[:, 0]  # as published, the prior follows the posterior
        angle = kl_divergence(Normal(mean[:, 0], log_sigma[:, 0].exp()), Normal(centre, 0.3))
        others = kl_divergence(Normal(mean[:, 1:], log_sigma[:, 1:].exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(bound(model, values), evidence - angle - others, rtol=1e-5, atol=1e-4)


def test_classes_are_summed_over():
    model, values = model_with(PosePrior(0.3, 0.1, True), n_classes=3), some_images()
    with torch.no_grad():
        found = model.posterior(values, torch.empty(N, 0))
        each = []
        for k in range(3):
            drawn = model.draw(found.z, torch.full((N,), k), torch.empty(N, 0), found.pose)
            each.append(log_likelihood("gaussian", drawn, values, torch.zeros(())))
        joint = torch.stack(each, 1)
    torch.testing.assert_close(found.label_prob, joint.softmax(1))
    torch.testing.assert_close(-found.nll, bound(model, values))
    one = model_with(PosePrior(0.3, 0.1, True))
    assert found.label_prob.std() > 1e-3  # the classes differ, else the test says nothing
    assert one.posterior(values, torch.empty(N, 0)).label_prob.shape == (N, 1)


def test_without_content_the_latents_have_no_say():
    model, values = model_with(PosePrior(0.3, 0.1, True)), some_images()
    before = bound(model, values, Phase(content=False)), bound(model, values)
    with torch.no_grad():
        model.decoder.of_content.weight.mul_(3.0)
    after = bound(model, values, Phase(content=False)), bound(model, values)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_starts_find_the_turn_that_the_encoder_misses():
    model = model_with(PosePrior(3.0, 0.0, True))
    with torch.no_grad():
        model.encoder[-1].weight.zero_()  # the encoder says the same of every image
        model.encoder[-1].bias.zero_()
        model.decoder.of_place.weight.mul_(3.0)
        model.log_variance.fill_(math.log(1e-3))
        turns = torch.arange(12) * (2 * math.pi / 12)
        pose = torch.stack([turns, 0 * turns, 0 * turns], 1)
        values = model.draw(torch.zeros(12, CONTENT), torch.zeros(12, dtype=torch.int64), torch.empty(12, 0), pose)
    slopes = []
    for starts in (1, 12):
        model.zero_grad()
        model(values, torch.empty(12, 0), torch.zeros(12, model.n_noise), Phase(starts=starts)).sum().backward()
        slopes.append(float(torch.cat([p.grad.ravel() for p in model.decoder.parameters()]).norm()))
    # At the right turns these images are fitted exactly, and the decoder has nothing to learn from them.
    assert slopes[1] < 1e-3 * slopes[0]


def test_the_encoder_learns_large_angles_from_starts():
    model = model_with(PosePrior(3.0, 0.0, True))
    true = torch.from_numpy(np.random.default_rng(2).uniform(-2.5, 2.5, 64).astype(np.float32))
    with torch.no_grad():
        model.decoder.of_place.weight.mul_(8.0)
        model.log_variance.fill_(math.log(1e-3))
        pose = torch.stack([true, 0 * true, 0 * true], 1)
        values = model.draw(torch.zeros(64, CONTENT), torch.zeros(64, dtype=torch.int64), torch.empty(64, 0), pose)
    model.decoder.requires_grad_(False)  # it is the true one, only the encoder learns
    optimiser = torch.optim.Adam(model.encoder.parameters(), 5e-3)
    nothing, noise = torch.empty(64, 0), torch.zeros(64, model.n_noise)
    for _ in range(120):
        optimiser.zero_grad()
        (-model(values, nothing, noise, Phase(starts=12)).mean()).backward()
        optimiser.step()
    with torch.no_grad():
        error = torch.remainder(model.encode(values, nothing)[0][:, 0] - true + math.pi, 2 * math.pi) - math.pi
    assert float(error.abs().mean()) < 0.15  # rad; chance: 1.6; seed 2


def test_conditions_are_heard():
    model, values = model_with(None, n_conditions=2), some_images()
    with torch.no_grad():
        first = model.posterior(values, torch.tensor([[1.0, 0.0]] * N)).nll
        second = model.posterior(values, torch.tensor([[0.0, 1.0]] * N)).nll
    assert (first - second).abs().min() > 1e-4
