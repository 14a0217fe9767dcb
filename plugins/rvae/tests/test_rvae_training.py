"""The autoencoder of turned images is trained as the baselines are: stopped in time, resumed as if nothing had been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ronchi.api import Context
from ronchi_rvae.autoencoder import Autoencoder
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.marginal import Likelihood
from ronchi_rvae.params import RrvaeParams, RvaeParams
from ronchi_rvae.rvae import Rrvae, Rvae
from ronchi_rvae.shifts import ShiftGrid
from ronchi_rvae.trainable import Phase
from ronchi_torch.world import World

EPOCHS = 24
"""Angles and shifts are found anew after 10 and 20."""


@pytest.fixture(scope="module")
def few(crops) -> xr.DataArray:
    return crops(0, n_samples=150, noise_sigma=0.3, n_frames=5).data["intensity"]


def new(kind: str, **changes) -> Rvae:
    params = {"n_classes": 1, "passes": 2, "epochs": EPOCHS, **changes}
    return Rvae(RvaeParams(**params)) if kind == "rvae" else Rrvae(RrvaeParams(**params))


def fitted(learner: Rvae, x: xr.DataArray, scratch: Path | None, stop_after: int = 0) -> tuple[Rvae, list[int]]:
    """Learner, and the epochs that it told of."""
    told: list[int] = []

    def progress(done: int, total: int) -> None:
        if total == EPOCHS:
            told.append(done)
            if done == stop_after:
                raise KeyboardInterrupt

    learner.fit(x, Context(rng=np.random.default_rng(0), scratch=scratch, progress=progress))
    return learner, told


@pytest.mark.parametrize("kind", ["rvae", "rrvae"])
@pytest.mark.parametrize("stop_after", [3, 10, 13])
def test_an_interrupted_fit_goes_on_as_if_nothing_had_been(kind, stop_after, few, tmp_path):
    whole, _ = fitted(new(kind), few, None)
    with pytest.raises(KeyboardInterrupt):
        fitted(new(kind), few, tmp_path, stop_after)
    assert list(tmp_path.iterdir())
    again, told = fitted(new(kind), few, tmp_path)
    assert told == [*range(stop_after + 1, EPOCHS + 1), EPOCHS]
    assert again.transform(few).identical(whole.transform(few))
    once_more, told = fitted(new(kind), few, tmp_path)
    assert told == [EPOCHS], "what is finished is not learned again, should the encoding be killed"
    assert once_more.transform(few).identical(whole.transform(few))


class _Far:
    """Stands for a GPU: a device whose tensors mix with none of the CPU's. They have a shape alone, so none is trained.

    ``n_back`` counts the tensors that were brought back.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_back = 0
        self.place = torch.device("meta")
        near, moved = torch.Tensor.cpu, Autoencoder.to

        def cpu(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.device != self.place:
                return near(tensor)
            self.n_back += 1
            return torch.zeros(tensor.shape, dtype=tensor.dtype)

        def to(model: Autoencoder, device) -> Autoencoder:
            back = torch.device(device).type == "cpu"
            return model.to_empty(device="cpu") if back else moved(model, device)

        monkeypatch.setattr(torch.Tensor, "cpu", cpu)
        monkeypatch.setattr(Autoencoder, "to", to)
        monkeypatch.setattr("ronchi_rvae.fitting.join_world", lambda device: World(0, 1, self.place))
        monkeypatch.setattr("ronchi_rvae.training._epoch", lambda *given: -1.0)
        monkeypatch.setattr("ronchi_rvae.training._score", lambda *given: -1.0)


@pytest.mark.parametrize("kind", ["rvae", "rrvae"])
def test_samples_are_found_anew_while_the_model_is_elsewhere(kind, few, monkeypatch):
    far = _Far(monkeypatch)
    _, told = fitted(new(kind, patience=EPOCHS), few, None)
    assert told == [*range(1, EPOCHS + 1), EPOCHS]
    # After 10 and 20 epochs: those fitted, those held out, and what all are decoded to.
    assert far.n_back == 6


def test_other_parameters_start_anew(few, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fitted(new("rvae"), few, tmp_path, 3)
    assert fitted(new("rvae", learning_rate=1e-3), few, tmp_path)[1][0] == 1


def test_samples_held_out_stop_the_training(few):
    learner, told = fitted(new("rvae", patience=1, learning_rate=0.05, epochs=EPOCHS), few[:60], None)
    curves = learner.transform(few)
    assert len(told) < EPOCHS
    assert curves["bound_held_out"].shape == curves["bound"].shape
    held_out = curves["bound_held_out"].values
    assert held_out.argmax() == len(held_out) - 2  # patience 1: the one after the best is the last


def test_nothing_held_out_trains_for_all_epochs(few):
    made = fitted(new("rvae", held_out=0.0), few[:60], None)[0].transform(few)
    assert made["bound"].shape == (EPOCHS,)
    assert "bound_held_out" not in made


def test_the_noise_is_found(crops):
    x = crops(1, n_samples=1500, noise_sigma=0.3, motifs=("f-glyph",)).data["intensity"]
    learner = Rvae(RvaeParams(n_classes=1))
    learner.fit(x, Context(rng=np.random.default_rng(0)))
    sigma = learner._intensity.scale * float(learner.model.likelihood.log_variance.detach().exp().sqrt())
    assert sigma == pytest.approx(0.3, rel=0.05)  # seed 1


def test_latents_earn_their_divergence():
    """Images along one line: with the latent the bound is better than any without it, the noise being 1."""
    basis = DiscBasis((15, 15), (7.0, 7.0), 6.0, 1.5, ShiftGrid(0.0))
    rng = np.random.default_rng(0)
    line = np.where(np.arange(basis.dof) < 3, 3.0, 0.0)
    rows = torch.from_numpy((rng.normal(0, 1, (200, 1)) * line + rng.normal(0, 1, (200, basis.dof))).astype("f4"))
    torch.manual_seed(0)
    model = Autoencoder(basis.dof, 1, 16, Likelihood(basis, "gaussian", 1.0))
    model.standardise(rows, rows.mean(0), 1.0)
    noise = torch.zeros(200, 1)
    without = float(model.likelihood(model.canonical_centre.expand(200, -1), rows).mean().detach())
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        bound = model(rows, torch.empty(200, 0), noise, Phase()).mean()
        (-bound).backward()
        optimiser.step()
    assert float(bound.detach()) > without + 5
