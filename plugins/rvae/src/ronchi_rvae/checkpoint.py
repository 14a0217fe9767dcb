"""A training that was stopped goes on where it was: weights, moments of Adam, random numbers, curves, in one file.

The file is safetensors, whose header holds the numbers as JSON: nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Checkpoint", "Progress", "fingerprint"]

_FILE = "training.safetensors"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


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


def fingerprint(*parts: bytes | str) -> str:
    """Hash of all that a training starts from."""
    made = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        made.update(len(encoded).to_bytes(8, "little") + encoded)
    return made.hexdigest()


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
        from safetensors.torch import save_file

        if self.path is None:
            return
        moments = {
            f"adam.{number}.{name}": held[name]
            for number, held in optimiser.state_dict()["state"].items()
            for name in _MOMENTS
        }
        tensors = {
            **{f"model.{name}": value for name, value in model.state_dict().items()},
            **{f"best.{name}": value for name, value in so_far.best.items()},
            **{f"renewed.{number}": values for number, values in enumerate(so_far.renewed or ())},
            **moments,
            "generator": generator.get_state(),
        }
        numbers = {name: getattr(so_far, name) for name in ("epoch", "curve", "held_out", "best_epoch")}
        told = {"identity": self.identity, "progress": json.dumps(numbers)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, partial, told)
        partial.replace(self.path)
        self._written = time.monotonic()

    def read(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, generator: torch.Generator, log: logging.Logger
    ) -> Progress:
        """Put model, optimiser and random numbers back to where they were; the beginning, if nothing was kept."""
        from safetensors import SafetensorError, safe_open

        if self.path is None or not self.path.exists():
            return Progress()
        try:
            with safe_open(self.path, "pt") as file:
                told = file.metadata() or {}
                if told.get("identity") != self.identity:
                    log.info("%s is of another training: starting from the beginning", self.path)
                    return Progress()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError) as error:
            log.warning("%s cannot be read (%s): starting from the beginning", self.path, error)
            return Progress()
        model.load_state_dict(_under("model.", tensors))
        generator.set_state(tensors["generator"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("adam.", tensors).items():
            number, moment = name.split(".")
            state.setdefault(int(number), {})[moment] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        numbers: dict[str, Any] = json.loads(told["progress"])
        log.info("going on after epoch %d of %s", numbers["epoch"], self.path)
        values = _under("renewed.", tensors)
        return Progress(
            **numbers, best=_under("best.", tensors), renewed=(values["0"], values["1"]) if values else None
        )

    def drop(self) -> None:
        """Remove the file: the training is finished."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
