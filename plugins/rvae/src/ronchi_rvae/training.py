"""Training: seeded, stoppable, resumable, stopped by samples that are held out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ronchi.api import DataError
from ronchi_rvae.checkpoint import Checkpoint, Progress
from ronchi_rvae.trainable import Phase, Samples, Trainable
from ronchi_torch.world import World

__all__ = ["Schedule", "train"]

Renew = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_VARIANCE_RATE = 1e-2
"""Least step of Adam for the logarithm of the noise variance: one number that has far to go."""


@dataclass(frozen=True)
class Schedule:
    """How long and in which steps to train.

    Parameters
    ----------
    epochs, batch : int
    learning_rate : float
    patience : int
        Epochs without a better fit of the samples held out.
    starts, start_epochs, content_delay : int
        As in `SpatialVaeParams`.
    half : bool
        Products of matrices in bfloat16.
    cosine : bool
        The learning rate falls to 0 along a cosine.
    renew : int
        Epochs between two calls of what gives the samples anew; 0: never.
    """

    epochs: int
    batch: int
    learning_rate: float
    patience: int
    starts: int = 1
    start_epochs: int = 0
    content_delay: int = 0
    half: bool = False
    cosine: bool = False
    renew: int = 0

    def phase(self, epoch: int) -> Phase:
        """Phase of an epoch, counted from 0."""
        return Phase(self.starts if epoch < self.start_epochs else 1, epoch >= self.content_delay)

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0, as a part of the first."""
        return 0.5 * (1 + math.cos(math.pi * epoch / self.epochs)) if self.cosine else 1.0

    def renews_after(self, epoch: int) -> bool:
        """Tell whether the samples are given anew once so many epochs are finished."""
        return self.renew > 0 and epoch % self.renew == 0 and epoch < self.epochs


def train(
    model: Trainable,
    fitted: Samples,
    held_out: Samples,
    schedule: Schedule,
    *,
    world: World,
    generator: torch.Generator,
    checkpoint: Checkpoint,
    tick: Callable[[int], None],
    log: logging.Logger,
    renew: Renew | None = None,
) -> Progress:
    """Raise the bound until the samples held out are fitted no better, and keep the best weights.

    Parameters
    ----------
    model : Trainable
        On ``world.device``.
    held_out : Samples
        May be empty: then all epochs are trained, and the last weights are kept.
    generator : torch.Generator
        Of the device ``cpu``: order of the samples and noise are the same on all devices.
    tick : callable
        Called with the number of finished epochs; may raise to stop, and the next call goes on from there.
    renew : callable, optional
        Gives the values of those fitted and of those held out anew, from what they are so far, every
        ``schedule.renew`` epochs.

    Raises
    ------
    DataError
        The bound is no number any more.
    """
    optimiser = _adam(model, schedule.learning_rate)
    so_far = checkpoint.read(model, optimiser, generator, log)
    first_rates = [group["lr"] for group in optimiser.param_groups]
    fitted, held_out = _renewed(fitted, held_out, so_far, world)
    wrapped = world.wrap(model)
    settled = max(schedule.start_epochs if schedule.starts > 1 else 0, schedule.content_delay)
    while so_far.epoch < schedule.epochs and not _is_done(so_far, schedule, len(held_out.values)):
        phase = schedule.phase(so_far.epoch)
        for group, rate in zip(optimiser.param_groups, first_rates, strict=True):
            group["lr"] = rate * schedule.rate(so_far.epoch)
        so_far.curve.append(_epoch(model, wrapped, optimiser, fitted, schedule, phase, world, generator))
        if not math.isfinite(so_far.curve[-1]):
            what = f"the bound is {so_far.curve[-1]} after {so_far.epoch + 1} epochs"
            raise DataError(what, where="training", fix="lower `learning_rate`, or normalise the images")
        so_far.epoch += 1
        if len(held_out.values):
            so_far.held_out.append(_score(model, held_out, schedule, world))
            # While starts are tried or latents are 0 the bound is of another model.
            if so_far.epoch > settled and _is_best(so_far, settled):
                so_far.best_epoch = so_far.epoch
                so_far.best = {name: value.detach().clone() for name, value in model.state_dict().items()}
        if renew is not None and schedule.renews_after(so_far.epoch):
            so_far.renewed = renew(fitted.values, held_out.values)
            fitted, held_out = _renewed(fitted, held_out, so_far, world)
        last = so_far.epoch == schedule.epochs
        if world.rank == 0 and checkpoint.due() and not last:
            checkpoint.write(model, optimiser, generator, so_far)
        try:
            tick(so_far.epoch)
        except BaseException:
            if world.rank == 0:
                checkpoint.write(model, optimiser, generator, so_far)
            raise
    if world.rank == 0:
        # What follows takes time too, and may be stopped: whoever gave the folder removes it when all is done.
        checkpoint.write(model, optimiser, generator, so_far)
    if so_far.best:
        model.load_state_dict(so_far.best)
    return so_far


def _adam(model: Trainable, rate: float) -> torch.optim.Adam:
    groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for name, parameter in model.named_parameters():
        groups[name.endswith("log_variance")].append(parameter)
    variance = {"params": groups[True], "lr": max(rate, _VARIANCE_RATE)}
    return torch.optim.Adam([{"params": groups[False], "lr": rate}, variance])


def _renewed(fitted: Samples, held_out: Samples, so_far: Progress, world: World) -> tuple[Samples, Samples]:
    """Samples on the device of the training, with the values that they were given last."""
    if so_far.renewed is not None:
        fitted, held_out = (
            replace(samples, values=values) for samples, values in zip((fitted, held_out), so_far.renewed, strict=True)
        )
    return fitted.to(world.device), held_out.to(world.device)


def _epoch(
    model: Trainable,
    wrapped: nn.Module,
    optimiser: torch.optim.Optimizer,
    fitted: Samples,
    schedule: Schedule,
    phase: Phase,
    world: World,
    generator: torch.Generator,
) -> float:
    """Mean bound of an image over an epoch."""
    n = len(fitted.values)
    total = torch.zeros((), dtype=torch.float64, device=world.device)
    wrapped.train()
    one_pass = world.size > 1 or world.device.type != "cpu"
    for rows in torch.split(torch.randperm(n, generator=generator), schedule.batch):
        # All processes draw the numbers of the whole batch, so that an image has the same noise whoever takes it.
        noise = torch.randn(len(rows), model.n_noise, generator=generator)
        ours = world.share(len(rows))
        optimiser.zero_grad(set_to_none=True)
        size = len(rows) if one_pass else model.n_cached or len(rows)
        for part, its_noise in zip(torch.split(rows[ours], size), torch.split(noise[ours], size), strict=True):
            values, condition = fitted.at(part.to(world.device))
            with torch.autocast(world.device.type, torch.bfloat16, enabled=schedule.half):
                bound = wrapped(values, condition, its_noise.to(world.device), phase).sum()
            # The mean over processes of this is the gradient of the mean over the batch.
            (-bound * (world.size / len(rows))).backward()
            total += bound.detach().double()
        nn.utils.clip_grad_norm_(wrapped.parameters(), 100.0)
        optimiser.step()
    return world.total(total) / n


@torch.no_grad()
def _score(model: Trainable, held_out: Samples, schedule: Schedule, world: World) -> float:
    """Mean bound of an image that is not fitted, at the most likely latents."""
    model.eval()
    n = len(held_out.values)
    total = torch.zeros((), dtype=torch.float64, device=world.device)
    ours = torch.arange(n, device=world.device)[world.share(n)]
    for rows in torch.split(ours, schedule.batch):
        values, condition = held_out.at(rows)
        noise = torch.zeros(len(rows), model.n_noise, device=world.device)
        with torch.autocast(world.device.type, torch.bfloat16, enabled=schedule.half):
            total += model(values, condition, noise, Phase()).sum().double()
    return world.total(total) / n


def _is_best(so_far: Progress, settled: int) -> bool:
    return so_far.held_out[-1] >= max(so_far.held_out[settled:])


def _is_done(so_far: Progress, schedule: Schedule, n_held_out: int) -> bool:
    return bool(n_held_out and so_far.best_epoch and so_far.epoch - so_far.best_epoch >= schedule.patience)
