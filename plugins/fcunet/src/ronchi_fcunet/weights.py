"""Weights on disk: a safetensors file whose header says what network they belong to, and a sha256 that it must have."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ronchi.api import DataError
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.registry import locate
from ronchi_fcunet.unet import FourierUNet

__all__ = ["FORMAT", "Loaded", "load_weights", "save_weights"]

FORMAT = 1
"""Raised when networks change so that older weights give other results."""


@dataclass(frozen=True)
class Loaded:
    """A network with its weights.

    Parameters
    ----------
    network : torch.nn.Module
    card : mapping
        What the header says: kind, settings, training, figures.
    sha256 : str
        Of the file.
    """

    network: nn.Module
    card: Mapping[str, Any]
    sha256: str

    @property
    def threshold(self) -> float:
        """What a find needed when the network was validated; see `FcunetParams`."""
        return float(self.card["threshold"])

    @property
    def sigma_px(self) -> float:
        """Validated standard error of a position, for networks that state none themselves."""
        return float(self.card["sigma_px"])

    @property
    def planes(self) -> float:
        """Real planes of the size of a pattern that a pass takes at its peak, as measured on a CPU in float32."""
        settings = self.card["settings"]
        if self.card["kind"] == "compact":
            return 20 + 2.3 * float(settings["widths"][0])
        return float(settings["filters"]) * (35 if settings["variant"] == "fcunet" else 19)


def save_weights(path: Path, network: nn.Module, card: Mapping[str, Any]) -> str:
    """Write weights with their card in the header; returns the sha256 of the file.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    card : mapping
        What JSON can hold, with ``threshold`` and ``sigma_px``; ``kind``, ``settings`` and ``format`` are added.
    """
    from safetensors.torch import save

    kind = "compact" if isinstance(network, CompactDetector) else "unet"
    full = {**card, "kind": kind, "settings": network.settings, "format": FORMAT}
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    content = save(tensors, {"ronchi": json.dumps(full)})
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
    return hashlib.sha256(content).hexdigest()


def load_weights(which: str | Path) -> Loaded:
    """Load weights: ``NAME``, ``NAME@VERSION``, or a file; see `ronchi_fcunet.registry.locate`.

    Raises
    ------
    DataError
        There are none of that name, the file is damaged or was changed, or it is of another version.
    """
    path, expected = locate(which)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the weights cannot be read: {error}", where=str(path), fix="give a .safetensors file"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if expected is not None and digest != expected:
        raise DataError(
            "the weights are not those that were published: their sha256 differs",
            where=str(path),
            fix="install ronchi-fcunet or fetch them again, or give the path of the file if the change is yours",
        )
    card, tensors = _parse(content, path)
    try:
        network = _network(card)
        network.load_state_dict(tensors)
        loaded = Loaded(network, card, digest)
        numbers = loaded.threshold, loaded.sigma_px, loaded.planes
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        what = f"the weights do not fit the network that their header names: {str(error).splitlines()[0]}"
        raise DataError(what, where=str(path), fix="train again") from error
    if not all(math.isfinite(number) for number in numbers):
        raise DataError("the header holds numbers that are none", where=str(path), fix="train again")
    return loaded


def _parse(content: bytes, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        card: dict[str, Any] = json.loads(header["__metadata__"]["ronchi"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(
            f"not a file of weights: {error}", where=str(path), fix="give one that was trained here"
        ) from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise DataError(
            f"the weights are not of format {FORMAT}, which this plugin reads",
            where=str(path),
            fix="install the version of ronchi-fcunet that they were trained with, or train again",
        )
    return card, tensors


def _network(card: Mapping[str, Any]) -> nn.Module:
    settings = card["settings"]
    # Networks begin with random weights, which are overwritten: nobody's random numbers are to change by that.
    with torch.random.fork_rng(devices=[]):
        if card["kind"] == "compact":
            return CompactDetector(**{**settings, "widths": tuple(settings["widths"])})
        return FourierUNet(**settings)
