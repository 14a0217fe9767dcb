"""Which weights come with the plugin, and where they lie; imports nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path

from ronchi.api import DataError
from ronchi_atomnet.params import AtomnetParams

__all__ = ["SHIPPED_FOLDER", "locate", "shipped", "weights_files"]

SHIPPED_FOLDER = Path(__file__).parent / "shipped"
"""Weights that come with the plugin."""


def shipped(folder: Path | None = None) -> dict[str, dict[str, str]]:
    """Weights in a folder, by default that of the package: ``file``, ``sha256`` and ``summary`` by name."""
    path = (folder or SHIPPED_FOLDER) / "weights.json"
    held: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return held


def locate(which: str | Path) -> tuple[Path, str | None]:
    """File of weights and the sha256 that it must have; None for a file of the user's own.

    Raises
    ------
    DataError
        There are none of that name.
    """
    if isinstance(which, Path) or which.endswith(".safetensors"):
        return Path(which), None
    known = shipped()
    if which not in known:
        raise DataError(
            f"no weights are called {which!r}",
            where="weights",
            fix=f"names: {', '.join(known) or 'none are shipped yet'}; or the path of a .safetensors file",
        )
    return SHIPPED_FOLDER / known[which]["file"], known[which]["sha256"]


def weights_files(params: AtomnetParams) -> dict[str, Path]:
    """The file of the weights that parameters name: what they find depends on it.

    Raises
    ------
    DataError
        There are none of that name.
    """
    return {"weights": locate(params.weights)[0]}
