"""Training of a network on a library: stoppable, resumable, judged by prototypes that it never learns from."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ronchi.api import Context, DataError
from ronchi_fcunet.cards import training_card, write_json
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.complex_layers import ComplexBatchNorm2d
from ronchi_fcunet.samples import Augmentation, Batch, Samples, batches
from ronchi_fcunet.scores import Tally, judge, losses_of
from ronchi_fcunet.sources import open_samples
from ronchi_fcunet.train_params import NetworkParams, TrainParams
from ronchi_fcunet.unet import FourierUNet
from ronchi_fcunet.views import probe_radius_px
from ronchi_fcunet.weights import load_weights, save_weights
from ronchi_torch.checkpoint import Saved, fingerprint, moments_of, restore_moments, resume, write_checkpoint
from ronchi_torch.compiled import compiled
from ronchi_torch.steps import follow, rate, take_steps
from ronchi_torch.world import World, join_world

__all__ = ["Trainer", "build", "train"]

_CHECKPOINT = "checkpoint.safetensors"
_CLIP = 1.0
_COMPACT_THRESHOLD, _IMAGE_THRESHOLD = 0.5, 0.05

Watch = Callable[[Mapping[str, float]], None]


def _watch_nothing(figures: Mapping[str, float]) -> None: ...


def build(p: NetworkParams) -> nn.Module:
    """Network with fresh weights, from torch's random numbers."""
    if p.kind == "compact":
        return CompactDetector(p.widths, p.blocks, p.attention, p.completion)
    return FourierUNet(p.kind, p.filters, p.depth, p.dropout, p.levels, p.activation)


class Trainer:
    """What ``ronchi train fcunet`` makes; see `TrainParams`.

    ``watch`` is called with the figures of every look at held-out prototypes, and may raise to stop the training.
    """

    watch: Watch = staticmethod(_watch_nothing)

    def __init__(self, params: TrainParams) -> None:
        self.params = params

    def train(self, folder: Path, ctx: Context, create: Callable[..., Any]) -> dict[str, Any]:
        """Train with the transform of that name."""
        augment = create("transform", self.params.augment, self.params.augment_params)
        if not hasattr(augment, "augment_batch"):
            what = f"the transform {self.params.augment!r} cannot change samples on their own"
            raise DataError(what, where="augment", fix="augment: augment, of ronchi-simulate")
        return train(self.params, augment, ctx, folder, watch=self.watch)


def train(
    p: TrainParams, augment: Augmentation, ctx: Context, folder: Path, *, watch: Watch = _watch_nothing
) -> dict[str, Any]:
    """Train, and leave ``weights.safetensors`` and ``training.json`` in a folder.

    Parameters
    ----------
    p : TrainParams
    augment : Augmentation
        Changes samples as an instrument would.
    ctx : Context
        ``progress`` counts batches and may raise to stop: the next call with the same folder goes on from there.
    folder : Path
        Also holds the checkpoint. Of several processes the first one alone writes to it, and all read from it.
    watch : callable
        Told the figures of held-out prototypes.

    Returns
    -------
    dict
        The card: settings, curves and figures.

    Raises
    ------
    SchemaError
        A prototype is in two splits.
    DataError
        The library cannot be read or has no held-out prototypes, the batch cannot be shared by the processes, or the
        loss is no number.
    """
    world = join_world(ctx.device)
    if p.batch % world.size:
        what = f"a batch of {p.batch} cannot be shared evenly by {world.size} processes"
        raise DataError(what, where="batch", fix=f"a multiple of {world.size}")
    learned, held_out = open_samples(p, "train"), open_samples(p, "validation")
    folder.mkdir(parents=True, exist_ok=True)
    return _Training(p, augment, ctx, folder, learned, held_out, world, watch).run()


class _Training:
    def __init__(
        self, p: TrainParams, augment: Augmentation, ctx: Context, folder: Path, learned: Samples, held_out: Samples,
        world: World, watch: Watch,
    ) -> None:  # fmt: skip
        self.p, self.augment, self.ctx, self.folder = p, augment, ctx, folder
        self.learned, self.held_out, self.world, self.watch = learned, held_out, world, watch
        self.seeds = [int(seed) for seed in ctx.rng.integers(2**62, size=3)]
        torch.manual_seed(self.seeds[0])
        begun = load_weights(p.start_from) if p.start_from is not None else None
        self.started_from = "" if begun is None else begun.sha256
        network = build(p.network) if begun is None else begun.network
        self.begun = {name: value.clone() for name, value in network.state_dict().items()} if p.keep_of_start else {}
        self.threshold = _COMPACT_THRESHOLD if isinstance(network, CompactDetector) else _IMAGE_THRESHOLD
        self.network = network.to(world.device)
        # Levels for which the patterns are too small are never passed.
        self.wrapped = world.wrap(self.network, all_used=isinstance(network, CompactDetector))
        self.forward = compiled(self.wrapped) if p.compile else self.wrapped
        self.averaged = copy.deepcopy(self.network)
        self.best: dict[str, torch.Tensor] = {}
        # Norms, biases and the heads' offsets are no products that could grow without need.
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for layer in self.network.modules():
            for parameter in layer.parameters(recurse=False):
                groups[parameter.ndim > 1 and not isinstance(layer, ComplexBatchNorm2d)].append(parameter)
        self.optimiser = torch.optim.AdamW(
            [{"params": groups[True], "weight_decay": p.weight_decay}, {"params": groups[False], "weight_decay": 0.0}],
            p.learning_rate,
        )
        self.step, self.seconds = 0, 0.0
        known = None if begun is None else begun.card.get("radii_px")
        self.radii_px = (known[0], known[1]) if known else (math.inf, -math.inf)
        self.curve: list[dict[str, float]] = []
        self.losses: list[float] = []

    def run(self) -> dict[str, Any]:
        p = self.p
        self.step = resume(self.folder / _CHECKPOINT, self._identity(), self._take_up, self.world)
        if self.step and self.world.rank == 0:
            self.ctx.log.info("going on after batch %d", self.step)
        self.stream = batches(
            self.learned, self.augment, size=p.batch, seed=self.seeds[1], share=self.world.share(p.batch),
            numbers=range(self.step, p.steps), workers=p.workers, window_px=p.window_px, crystal_free=p.crystal_free,
        )  # fmt: skip
        take_steps(self, p.steps, p.checkpoint_s, self.ctx, self._stalled, self.world.anyone)
        return self._finish()

    def advance(self) -> None:
        """Learn from the next batch; see `take_steps`."""
        p = self.p
        self.losses.append(self._learn(next(self.stream)))
        looked = (self.step + 1) % p.validate_every == 0 or self.step + 1 == p.steps
        if looked:
            self._validate()
        self.step += 1
        if looked:
            self.watch(self.curve[-1])

    def _learn(self, batch: Batch) -> float:
        p = self.p
        batch = batch.to(self.world.device)
        radii = probe_radius_px(batch.probe)
        self.radii_px = (min(self.radii_px[0], float(radii.min())), max(self.radii_px[1], float(radii.max())))
        for group in self.optimiser.param_groups:
            group["lr"] = p.learning_rate * rate(self.step, p.warm_up, p.steps)
        # The same dropout in a step whether or not the training was stopped before it; another one in every process.
        torch.manual_seed(self.seeds[0] + self.step * self.world.size + self.world.rank)
        self.wrapped.train()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.world.device.type, torch.bfloat16, enabled=p.half):
            losses = losses_of(self.forward(batch.pattern, batch.probe), batch)
        torch.stack(losses).mean().backward()
        value = self.world.total(losses[-1].detach().clone()) / self.world.size
        if not math.isfinite(value):
            raise DataError(f"the loss is {value} in batch {self.step}", where="training", fix="lower `learning_rate`")
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimiser.step()
        # Running moments are of each process's share.
        self.world.average(b for b in self.network.buffers() if b.dtype.is_floating_point)
        follow(self.averaged, self.network, self.step, p.average)
        return value

    def _validate(self) -> None:
        """Judge what would be left now, in the first process; the others are told the loss, by which all stop."""
        p, first = self.p, self.world.rank == 0
        figures = {"step": float(self.step + 1), "learned_loss": sum(self.losses) / len(self.losses), "loss": 0.0}
        kept = self._kept()
        if first:
            tally = Tally()
            held_out = batches(
                self.held_out, self.augment, size=p.batch, seed=self.seeds[2],
                numbers=range(p.validation_batches), window_px=p.window_px,
            )  # fmt: skip
            for batch in held_out:
                judge(kept, batch.to(self.world.device), tally, self.threshold, half=p.half)
            figures |= tally.figures()
        figures["loss"] = self.world.total(torch.tensor(figures["loss"], dtype=torch.float64, device=self.world.device))
        self.losses.clear()
        self.curve.append(figures)
        if p.patience is not None and self._lowest() == len(self.curve) - 1:
            self.best = {name: value.clone() for name, value in kept.state_dict().items()}
        if first:
            self.ctx.log.info("  ".join(f"{name} {value:.4g}" for name, value in figures.items()))

    def _kept(self) -> nn.Module:
        """The averaged weights, with the share that is kept of those that the training began with."""
        if not self.begun:
            return self.averaged
        kept = copy.deepcopy(self.averaged)
        for name, value in kept.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(self.begun[name].to(value), self.p.keep_of_start)
        return kept

    def _stalled(self) -> bool:
        return self.p.patience is not None and len(self.curve) - 1 - self._lowest() >= self.p.patience

    def _lowest(self) -> int:
        """The look with the lowest loss; one whose loss is no number is the highest."""
        losses = [row["loss"] for row in self.curve]
        return min(range(len(losses)), key=lambda look: (math.isnan(losses[look]), losses[look]), default=0)

    def _card(self) -> dict[str, Any]:
        return training_card(
            self.p, self.curve, learned=self.learned, held_out=self.held_out, started_from=self.started_from,
            device=self.world.device.type, processes=self.world.size, step=self.step, seconds=self.seconds,
            threshold=self.threshold, radii_px=self.radii_px, kept=self._lowest() if self.best else None,
        )  # fmt: skip

    def _finish(self) -> dict[str, Any]:
        card = self._card()
        self.save()
        kept = self._kept()
        if self.best:
            kept.load_state_dict(self.best)
        if self.world.rank == 0:
            digest = save_weights(self.folder / "weights.safetensors", kept, card)
            write_json(self.folder / "training.json", {**card, "sha256": digest})
        return card

    def save(self) -> None:
        """Write the checkpoint, in the first process alone."""
        if self.world.rank != 0:
            return
        tensors = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best,
            "adam": moments_of(self.optimiser),
        }
        told = {
            "identity": self._identity(),
            "card": json.dumps({**self._card(), "losses": self.losses}),
        }
        write_checkpoint(self.folder / _CHECKPOINT, tensors, told)

    def _identity(self) -> str:
        # How long it runs and how it is watched may change on the way.
        free = {"library", "labelled", "start_from", "validate_every", "validation_batches", "checkpoint_s", "workers",
                "steps", "patience", "compile", "keep_of_start", "crystal_free"}  # fmt: skip
        told = self.p.model_dump_json(exclude=free)
        return fingerprint(told, json.dumps(self.seeds), self.learned.identity, self.started_from)

    def _take_up(self, saved: Saved) -> int:
        self.network.load_state_dict(saved.group("network"))
        self.averaged.load_state_dict(saved.group("averaged"))
        if self.p.patience is not None:
            self.best = {name: value.to(self.world.device) for name, value in saved.group("best").items()}
        restore_moments(self.optimiser, saved.group("adam"))
        card: Mapping[str, Any] = json.loads(saved.told["card"])
        self.seconds, self.losses = float(card["seconds"]), list(card["losses"])
        if card.get("radii_px"):
            self.radii_px = (card["radii_px"][0], card["radii_px"][1])
        self.curve = [{name: math.nan if v is None else v for name, v in row.items()} for row in card["curve"]]
        return int(card["step"])
