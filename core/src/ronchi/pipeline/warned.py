"""Warnings kept with what they are about: a result that is reused is as doubtful as it was when it was made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ronchi.pipeline.cache import write_atomically

__all__ = ["BlockWarnings", "for_step", "of_any_step"]

_FILE = "warned.json"


def of_any_step(step: str, warnings: Sequence[str]) -> list[str]:
    """Warnings as they are kept: those of the step itself without its name, which is another one elsewhere."""
    own = f"{step}: "
    return [text[len(step) :] if text.startswith(own) else text for text in warnings]


def for_step(step: str, kept: Sequence[str]) -> list[str]:
    """What `of_any_step` gave, as warnings of a step."""
    return [f"{step}{text}" if text.startswith(": ") else text for text in kept]


class BlockWarnings:
    """What is warned of while blocks are made, kept beside those that are finished.

    Parameters
    ----------
    folder : pathlib.Path
        Of the finished blocks; what an earlier run has kept there is told again.
    step : str
    told : list of str
        Warnings of the run.
    """

    def __init__(self, folder: Path, step: str, told: list[str]) -> None:
        self._file, self._step, self._told, self._first = folder / _FILE, step, told, len(told)
        told += [text for text in for_step(step, self._read()) if text not in told]
        self._kept = len(told)

    def keep(self) -> None:
        """Write down what is new; before a block is, so that none is kept without its warnings."""
        if len(self._told) > self._kept:
            kept = of_any_step(self._step, self._told[self._first :])
            write_atomically(self._file, json.dumps(kept, indent=1).encode())
            self._kept = len(self._told)

    def _read(self) -> list[str]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [str(text) for text in found] if isinstance(found, list) else []
