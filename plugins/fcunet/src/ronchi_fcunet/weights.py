"""Weights on disk: a safetensors file whose header says what network they belong to, and a sha256 that it must have."""

from __future__ import annotations

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
from ronchi_torch.weights import read_weights, write_weights

__all__ = ["FORMAT", "Loaded", "load_weights", "save_weights"]

FORMAT = 2
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
            second = 45 + 2.5 * float(settings["completion"][0]) if settings["completion"] else 0.0
            return max(5 + 3.3 * float(settings["widths"][0]), second)
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
    kind = "compact" if isinstance(network, CompactDetector) else "unet"
    return write_weights(path, network, {**card, "kind": kind, "settings": network.settings, "format": FORMAT})


def load_weights(which: str | Path) -> Loaded:
    """Load weights: ``NAME``, ``NAME@VERSION``, or a file; see `ronchi_fcunet.registry.locate`.

    Raises
    ------
    DataError
        There are none of that name, the file is damaged or was changed, or it is of another version.
    """
    path, expected = locate(which)
    read = read_weights(path, expected)
    if read.card.get("format") != FORMAT:
        raise DataError(
            f"the weights are not of format {FORMAT}, which this plugin reads",
            where=str(path),
            fix="install the version of ronchi-fcunet that they were trained with, or train again",
        )
    try:
        loaded = Loaded(_network(read.card), read.card, read.sha256)
        numbers = loaded.threshold, loaded.sigma_px, loaded.planes
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        what = f"the header names no network that there is: {str(error).splitlines()[0]}"
        raise DataError(what, where=str(path), fix="train again") from error
    read.into(loaded.network, str(path))
    if not all(math.isfinite(number) for number in numbers):
        raise DataError("the header holds numbers that are none", where=str(path), fix="train again")
    return loaded


def _network(card: Mapping[str, Any]) -> nn.Module:
    settings = card["settings"]
    # Networks begin with random weights, which are overwritten: nobody's random numbers are to change by that.
    with torch.random.fork_rng(devices=[]):
        if card["kind"] == "compact":
            return CompactDetector(**{name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()})
        return FourierUNet(**settings)
