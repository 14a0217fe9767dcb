"""Training of a network on a library: stoppable, resumable, judged by prototypes that it never learns from."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ronchi.api import Context, DataError
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.samples import Augmentation, Batch, LibrarySamples, batches
from ronchi_fcunet.scores import Tally, judge, loss_of
from ronchi_fcunet.train_params import NetworkParams, TrainParams
from ronchi_fcunet.unet import FourierUNet
from ronchi_fcunet.weights import load_weights, save_weights

__all__ = ["Trainer", "build", "train"]

_CHECKPOINT = "checkpoint.safetensors"
_CLIP = 1.0
_COMPACT_THRESHOLD, _IMAGE_THRESHOLD = 0.4, 0.05


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
    SchemaError
        A prototype is in two splits.
    DataError
        The library cannot be read or has no held-out prototypes, or the loss is no number.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        what = "this training runs in one process, and WORLD_SIZE says that there are more"
        raise DataError(what, where="training", fix="start it without torchrun")
    learned, held_out = LibrarySamples(p.library, "train"), LibrarySamples(p.library, "validation")
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
        self.seeds = [int(seed) for seed in ctx.rng.integers(2**62, size=3)]
        torch.manual_seed(self.seeds[0])
        network = load_weights(p.start_from).network if p.start_from is not None else build(p.network)
        self.compact = isinstance(network, CompactDetector)
        self.threshold = _COMPACT_THRESHOLD if self.compact else _IMAGE_THRESHOLD
        self.network = network.to(self.device)
        self.averaged = copy.deepcopy(self.network)
        # Norms, biases and the heads' offsets are no products that could grow without need.
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in self.network.parameters():
            groups[parameter.ndim > 1].append(parameter)
        self.optimiser = torch.optim.AdamW(
            [{"params": groups[True], "weight_decay": p.weight_decay}, {"params": groups[False], "weight_decay": 0.0}],
            p.learning_rate,
        )
        self.whole = True
        self.step, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []
        self.losses: list[float] = []

    def run(self) -> dict[str, Any]:
        p = self.p
        self._resume()
        stream = batches(
            self.learned, self.augment, size=p.batch, seed=self.seeds[1],
            numbers=range(self.step, p.steps), workers=p.workers,
        )  # fmt: skip
        saved = began = time.monotonic()
        threads = torch.get_num_threads()
        torch.set_num_threads(self.ctx.n_threads)
        try:
            for batch in stream:
                self._advance(batch)
                now = time.monotonic()
                if now - saved > p.checkpoint_s:
                    self.seconds += now - began
                    saved = began = now
                    self._save()
                self.ctx.progress(self.step, p.steps)
        except (KeyboardInterrupt, SystemExit):
            # In the middle of a step the weights are neither old nor new: the last checkpoint stays.
            if self.whole:
                self.seconds += time.monotonic() - began
                self._save()
            raise
        finally:
            torch.set_num_threads(threads)
        self.seconds += time.monotonic() - began
        return self._finish()

    def _advance(self, batch: Batch) -> None:
        p = self.p
        self.whole = False
        self.losses.append(self._learn(batch))
        if (self.step + 1) % p.validate_every == 0 or self.step + 1 == p.steps:
            self._validate()
        self.step += 1
        self.whole = True

    def _learn(self, batch: Batch) -> float:
        p = self.p
        batch = batch.to(self.device)
        for group in self.optimiser.param_groups:
            group["lr"] = p.learning_rate * _rate(self.step, p.warm_up, p.steps)
        # The same dropout in a step whether or not the training was stopped before it.
        torch.manual_seed(self.seeds[0] + self.step)
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

    def _validate(self) -> None:
        p = self.p
        tally = Tally()
        held_out = batches(
            self.held_out, self.augment, size=p.batch, seed=self.seeds[2], numbers=range(p.validation_batches)
        )
        for batch in held_out:
            judge(self.averaged, batch.to(self.device), tally, self.threshold, half=p.half)
        learned = sum(self.losses) / len(self.losses)
        figures = {"step": float(self.step + 1), "learned_loss": learned, **tally.figures()}
        self.losses.clear()
        self.curve.append(figures)
        self.ctx.log.info("  ".join(f"{name} {value:.4g}" for name, value in figures.items()))

    def _card(self) -> dict[str, Any]:
        rows = [{name: value if math.isfinite(value) else None for name, value in row.items()} for row in self.curve]
        sigma = next((row["rms_px"] for row in reversed(rows) if row["rms_px"] is not None), None)
        return {
            "training": self.p.model_dump(mode="json", exclude={"library", "start_from", "checkpoint_s", "workers"}),
            "data": {
                "library": self.learned.identity,
                "samples": len(self.learned),
                "prototypes": len(self.learned.prototypes),
                "held_out_prototypes": len(self.held_out.prototypes),
            },
            "started_from": None if self.p.start_from is None else _digest(self.p.start_from),
            "torch": torch.__version__,
            "device": self.device.type,
            "step": self.step,
            "seconds": round(self.seconds),
            "threshold": self.threshold,
            "sigma_px": sigma if sigma is not None else 1.0,
            "curve": rows,
        }

    def _finish(self) -> dict[str, Any]:
        card = self._card()
        digest = save_weights(self.folder / "weights.safetensors", self.averaged, card)
        text = json.dumps({**card, "sha256": digest}, indent=1, allow_nan=False)
        temporary = self.folder / ".training.json"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.folder / "training.json")
        self._save()
        return card

    def _save(self) -> None:
        from safetensors.torch import save_file

        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"averaged.{name}": value for name, value in self.averaged.state_dict().items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
        told = {"identity": self._identity(), "card": json.dumps({**self._card(), "losses": self.losses})}
        temporary = self.folder / f".{_CHECKPOINT}"
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary, told)
        temporary.replace(self.folder / _CHECKPOINT)

    def _identity(self) -> str:
        # How long it runs and how it is watched may change on the way.
        free = {"library", "start_from", "validate_every", "validation_batches", "checkpoint_s", "workers", "steps"}
        begun = "" if self.p.start_from is None else _digest(self.p.start_from)
        return json.dumps([self.p.model_dump_json(exclude=free), self.seeds, self.learned.identity, begun])

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
        self.step, self.seconds, self.losses = card["step"], float(card["seconds"]), list(card["losses"])
        self.curve = [{name: math.nan if v is None else v for name, v in row.items()} for row in card["curve"]]
        self.ctx.log.info("going on after batch %d", self.step)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _rate(step: int, warm_up: int, steps: int) -> float:
    """Part of the largest learning rate: a straight rise, then half a cosine."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
