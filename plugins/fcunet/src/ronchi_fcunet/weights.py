"""Weights on disk: one safetensors file whose header says what network they belong to, and a sha256 that it must have.

What comes with the plugin lies in ``shipped/`` beside ``weights.json``, the registry: name to file, sha256 and card.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ronchi.api import DataError
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.unet import FourierUNet

__all__ = ["FORMAT", "Loaded", "load_weights", "save_weights", "shipped"]

FORMAT = 1
"""Raised when networks change so that older weights give other results."""
_FOLDER = Path(__file__).parent / "shipped"
_REGISTRY = _FOLDER / "weights.json"


@dataclass(frozen=True)
class Loaded:
    """A network with its weights.

    Parameters
    ----------
    network : torch.nn.Module
    card : mapping
        What the header says: kind, settings, training, figures.
    """

    network: nn.Module
    card: Mapping[str, Any]

    @property
    def sigma_px(self) -> float:
        """Validated standard error of a position, for networks that state none themselves."""
        return float(self.card.get("sigma_px", 0.5))

    @property
    def widest_planes(self) -> int:
        """Real planes of the finest maps, at the full size of a pattern."""
        settings = self.card["settings"]
        if self.card["kind"] == "compact":
            return int(settings["widths"][0])
        return int(settings["filters"]) * (4 if settings["variant"] == "fcunet" else 2)


def shipped() -> dict[str, dict[str, Any]]:
    """Registry of the weights that come with the plugin: name to ``file``, ``sha256`` and ``summary``."""
    made: dict[str, dict[str, Any]] = json.loads(_REGISTRY.read_text(encoding="utf-8"))
    return made


def save_weights(path: Path, network: nn.Module, card: Mapping[str, Any]) -> str:
    """Write weights with their card in the header; returns the sha256 of the file.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    card : mapping
        What JSON can hold; ``kind``, ``settings`` and ``format`` are added.
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
    """Load weights by name or file.

    Raises
    ------
    DataError
        There are none of that name, the file is damaged or was changed, or it is of another version.
    """
    path, expected = _find(which)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the weights cannot be read: {error}", where=str(path), fix="give a .safetensors file"
        ) from error
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise DataError(
            "the weights are not those that were shipped: their sha256 differs",
            where=str(path),
            fix="install ronchi-fcunet again, or give the path of the file if the change is yours",
        )
    card, tensors = _parse(content, path)
    network = _network(card, path)
    wrong = network.load_state_dict(tensors, strict=False) if _fits(network, tensors) else None
    if wrong is None or wrong.missing_keys or wrong.unexpected_keys:
        raise DataError(
            "the weights do not fit the network that their header names", where=str(path), fix="train again"
        )
    return Loaded(network, card)


def _find(which: str | Path) -> tuple[Path, str | None]:
    known = shipped()
    if isinstance(which, str) and which in known:
        return _FOLDER / known[which]["file"], known[which]["sha256"]
    path = Path(which)
    if path.suffix != ".safetensors":
        names = ", ".join(sorted(known)) or "none"
        raise DataError(
            f"no weights are called {str(which)!r}", where="weights", fix=f"use one of: {names}; or a .safetensors file"
        )
    return path, None


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
    if card.get("format") != FORMAT:
        raise DataError(
            f"the weights have format {card.get('format')}, this plugin reads {FORMAT}",
            where=str(path),
            fix="install the version of ronchi-fcunet that they were trained with, or train again",
        )
    return card, tensors


def _network(card: Mapping[str, Any], path: Path) -> nn.Module:
    try:
        if card["kind"] == "compact":
            settings = {**card["settings"], "widths": tuple(card["settings"]["widths"])}
            return CompactDetector(**settings)
        return FourierUNet(**card["settings"])
    except (KeyError, TypeError) as error:
        raise DataError(f"the header names no network: {error}", where=str(path), fix="train again") from error


def _fits(network: nn.Module, tensors: Mapping[str, Any]) -> bool:
    own = network.state_dict()
    return all(name in own and own[name].shape == value.shape for name, value in tensors.items())
