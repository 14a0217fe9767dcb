"""Training of a network on a library: stoppable, resumable, judged by prototypes that it never learns from."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ronchi.api import Context, DataError
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.samples import Augmentation, LibrarySamples, batches
from ronchi_fcunet.scores import Tally, judge, loss_of
from ronchi_fcunet.train_params import NetworkParams, TrainParams
from ronchi_fcunet.unet import FourierUNet
from ronchi_fcunet.weights import load_weights, save_weights

__all__ = ["Trainer", "build", "train"]

_TRAINING, _VALIDATION = 1, 2
"""Streams of random numbers."""
_CLIP = 1.0
_THRESHOLD = {"compact": 0.4}
_IMAGE_THRESHOLD = 0.05


def build(p: NetworkParams) -> nn.Module:
    """Network with fresh weights, from torch's random numbers."""
    if p.kind == "compact":
        return CompactDetector(p.widths, p.blocks, p.attention)
    return FourierUNet(p.kind, p.filters, p.depth, p.dropout, p.levels)


class Trainer:
    """What ``ronchi train fcunet`` makes; see `TrainParams`."""

    def __init__(self, params: TrainParams) -> None:
        self.params = params

    def train(self, folder: Path, ctx: Context, create: Callable[..., Any]) -> dict[str, Any]:
        """Train with the transform of that name."""
        augment = create("transform", self.params.augment, self.params.augment_params)
        if not hasattr(augment, "augment_batch"):
            what = f"the transform {self.params.augment!r} cannot change samples on their own"
            raise DataError(what, where="augment", fix="augment: augment, of ronchi-simulate")
        return train(self.params, augment, ctx, folder)


def train(p: TrainParams, augment: Augmentation, ctx: Context, folder: Path) -> dict[str, Any]:
    """Train, and leave ``weights.safetensors`` and ``training.json`` in a folder.

    Parameters
    ----------
    p : TrainParams
    augment : Augmentation
        Changes samples as an instrument would.
    ctx : Context
        ``progress`` counts batches and may raise to stop: the next call with the same folder goes on from there.
    folder : Path
        Also holds the checkpoint.

    Returns
    -------
    dict
        The card: settings, curves and figures.

    Raises
    ------
    DataError
        The library cannot be read, has no held-out prototypes, shares one between splits, or the loss is no number.
    """
    learned, held_out = LibrarySamples(p.library, "train"), LibrarySamples(p.library, "validation")
    shared = learned.prototypes & held_out.prototypes
    if shared:
        what = f"prototypes are in two splits: {', '.join(sorted(shared)[:5])}"
        raise DataError(what, where=str(p.library), fix="make the library again")
    folder.mkdir(parents=True, exist_ok=True)
    return _Training(p, augment, ctx, folder, learned, held_out).run()


class _Training:
    def __init__(
        self,
        p: TrainParams,
        augment: Augmentation,
        ctx: Context,
        folder: Path,
        learned: LibrarySamples,
        held_out: LibrarySamples,
    ) -> None:
        self.p, self.augment, self.ctx, self.folder = p, augment, ctx, folder
        self.learned, self.held_out = learned, held_out
        self.device = torch.device(ctx.device)
        torch.manual_seed(p.seed)
        network = load_weights(p.start_from).network if p.start_from is not None else build(p.network)
        self.network = network.to(self.device)
        self.averaged = copy.deepcopy(self.network)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), p.learning_rate, weight_decay=p.weight_decay)
        self.step, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []

    def run(self) -> dict[str, Any]:
        p = self.p
        self._resume()
        stream = batches(
            self.learned, self.augment, size=p.batch, seed=p.seed * 4 + _TRAINING,
            numbers=range(self.step, p.steps), workers=p.workers,
        )  # fmt: skip
        saved = began = time.monotonic()
        losses: list[float] = []
        threads = torch.get_num_threads()
        torch.set_num_threads(self.ctx.n_threads)
        try:
            for batch in stream:
                losses.append(self._learn(batch))
                self.step += 1
                if self.step % p.validate_every == 0 or self.step == p.steps:
                    self._validate(losses)
                    losses.clear()
                now = time.monotonic()
                if now - saved > p.checkpoint_s:
                    self.seconds += now - began
                    saved = began = now
                    self._save()
                self.ctx.progress(self.step, p.steps)
        except BaseException:
            self.seconds += time.monotonic() - began
            self._save()
            raise
        finally:
            torch.set_num_threads(threads)
        self.seconds += time.monotonic() - began
        return self._finish()

    def _learn(self, batch: Any) -> float:
        p = self.p
        batch = batch.to(self.device)
        for group in self.optimiser.param_groups:
            group["lr"] = p.learning_rate * _rate(self.step, p.warm_up, p.steps)
        # The same dropout in a step whether or not the training was stopped before it.
        torch.manual_seed(p.seed * 1_000_003 + self.step)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=p.half):
            loss = loss_of(self.network, batch)
        loss.backward()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(f"the loss is {value} in batch {self.step}", where="training", fix="lower `learning_rate`")
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimiser.step()
        # At first the average follows closely, so that it forgets where it began.
        weight = min(p.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
                if kept.dtype.is_floating_point:
                    kept.lerp_(new, 1 - weight)
                else:
                    kept.copy_(new)
        return value

    def _validate(self, losses: list[float]) -> None:
        p = self.p
        tally = Tally()
        held_out = batches(
            self.held_out, self.augment, size=p.batch, seed=p.seed * 4 + _VALIDATION,
            numbers=range(p.validation_batches), workers=0,
        )  # fmt: skip
        threshold = _THRESHOLD.get(p.network.kind, _IMAGE_THRESHOLD)
        for batch in held_out:
            judge(self.averaged, batch.to(self.device), tally, threshold, half=p.half)
        figures = {"step": float(self.step), "learned_loss": sum(losses) / max(1, len(losses)), **tally.figures()}
        self.curve.append(figures)
        told = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        self.ctx.log.info("%s", told)

    def _card(self) -> dict[str, Any]:
        settings = self.p.model_dump(mode="json", exclude={"library", "start_from"})
        return {"training": settings, "step": self.step, "seconds": round(self.seconds), "curve": self.curve}

    def _finish(self) -> dict[str, Any]:
        card = self._card()
        digest = save_weights(self.folder / "weights.safetensors", self.averaged, card)
        (self.folder / "training.json").write_text(json.dumps({**card, "sha256": digest}, indent=1), encoding="utf-8")
        (self.folder / _CHECKPOINT).unlink(missing_ok=True)
        return card

    def _save(self) -> None:
        from safetensors.torch import save_file

        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"averaged.{name}": value for name, value in self.averaged.state_dict().items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
        told = {"identity": self._identity(), "card": json.dumps(self._card())}
        temporary = self.folder / f".{_CHECKPOINT}"
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary, told)
        temporary.replace(self.folder / _CHECKPOINT)

    def _identity(self) -> str:
        # How long it runs and how it is watched may change on the way.
        free = {"library", "validate_every", "validation_batches", "checkpoint_s", "workers", "steps"}
        return self.p.model_dump_json(exclude=free)

    def _resume(self) -> None:
        from safetensors import SafetensorError, safe_open

        path = self.folder / _CHECKPOINT
        if not path.exists():
            return
        try:
            with safe_open(path, "pt") as file:
                told = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError) as error:
            raise DataError(f"the checkpoint is damaged: {error}", where=str(path), fix="remove it") from error
        if told.get("identity") != self._identity():
            raise DataError(
                "the checkpoint is of a training with other parameters",
                where=str(path),
                fix="remove it, or use another -o",
            )
        self.network.load_state_dict(_under("network.", tensors))
        self.averaged.load_state_dict(_under("averaged.", tensors))
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _under("adam.", tensors).items():
            number, moment = name.split(".")
            state.setdefault(int(number), {})[moment] = value
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})
        card: Mapping[str, Any] = json.loads(told["card"])
        self.step, self.seconds, self.curve = card["step"], float(card["seconds"]), list(card["curve"])
        self.ctx.log.info("going on after batch %d", self.step)


_CHECKPOINT = "checkpoint.safetensors"


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _rate(step: int, warm_up: int, steps: int) -> float:
    """Part of the largest learning rate: a straight rise, then half a cosine."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
