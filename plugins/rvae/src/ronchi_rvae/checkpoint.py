"""Checkpoints of a training: weights, moments of Adam, random numbers, curves."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ronchi.api import DataError
from ronchi_torch.checkpoint import moments_of, read_checkpoint, restore_moments, write_checkpoint

__all__ = ["Checkpoint", "Progress"]

_FILE = "training.safetensors"


@dataclass
class Progress:
    """How far a training is.

    Parameters
    ----------
    epoch : int
        Finished epochs.
    curve, held_out : list of float
        Mean bound of an image in every epoch, in nats: of those that are fitted, and of those that are held out.
    best_epoch : int
        Finished epochs of the best fit so far; 0 if there is none.
    best : dict of str to Tensor
        Its weights.
    renewed : tuple of (n, numbers) Tensor, optional
        Values of the samples that are fitted and of those that are held out, where they were given anew.
    """

    epoch: int = 0
    curve: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    renewed: tuple[Tensor, Tensor] | None = None


class Checkpoint:
    """File of a training, written now and then.

    Parameters
    ----------
    folder : Path or None
        None: nothing is kept.
    identity : str
        A file of another training is not read.
    every_s : float
        Seconds between two writes.
    """

    def __init__(self, folder: Path | None, identity: str, every_s: float = 10.0) -> None:
        self.path = None if folder is None else folder / _FILE
        self.identity, self.every_s, self._written = identity, every_s, time.monotonic()

    def due(self) -> bool:
        """Tell whether it is time to write."""
        return self.path is not None and time.monotonic() - self._written >= self.every_s

    def write(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, generator: torch.Generator, so_far: Progress
    ) -> None:
        """Replace the file by one of now."""
        if self.path is None:
            return
        tensors = {
            "model": model.state_dict(),
            "best": so_far.best,
            "renewed": {str(number): values for number, values in enumerate(so_far.renewed or ())},
            "adam": moments_of(optimiser),
            "generator": {"state": generator.get_state()},
        }
        numbers = {name: getattr(so_far, name) for name in ("epoch", "curve", "held_out", "best_epoch")}
        write_checkpoint(self.path, tensors, {"identity": self.identity, "progress": json.dumps(numbers)})
        self._written = time.monotonic()

    def read(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, generator: torch.Generator, log: logging.Logger
    ) -> Progress:
        """Put model, optimiser and random numbers back to where they were; the beginning, if nothing was kept."""
        if self.path is None or not self.path.exists():
            return Progress()
        try:
            saved = read_checkpoint(self.path)
        except DataError as error:
            log.warning("%s (%s): starting from the beginning", error.what, self.path)
            return Progress()
        if saved.told.get("identity") != self.identity:
            log.info("%s is of another training: starting from the beginning", self.path)
            return Progress()
        model.load_state_dict(saved.group("model"))
        generator.set_state(saved.group("generator")["state"])
        restore_moments(optimiser, saved.group("adam"))
        numbers: dict[str, Any] = json.loads(saved.told["progress"])
        log.info("going on after epoch %d of %s", numbers["epoch"], self.path)
        values = saved.group("renewed")
        return Progress(**numbers, best=saved.group("best"), renewed=(values["0"], values["1"]) if values else None)
