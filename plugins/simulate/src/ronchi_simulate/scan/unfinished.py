"""Patterns of a scan that is under way: those that are finished outlive a process that is killed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["UnfinishedScan", "whole_lines"]

_PATTERNS, _DONE = "patterns.npy", "positions_done"

IN_MEMORY_BYTES = 256 * 2**20
"""Larger scans stay in their file, which the system pages out as it likes."""


@dataclass
class UnfinishedScan:
    """Patterns, and which of them are there.

    Parameters
    ----------
    done : (n,) bool
        Positions whose patterns are kept.
    memory : (n, qy, qx) array, optional
        The patterns; None where a folder keeps them.
    folder : pathlib.Path, optional
        Holds the patterns as an ``.npy`` file, and a text file with what they are of and, a line a block, the positions
        that are done. A line is written once its patterns are on the disk, so that neither is ever half there.
    """

    done: NDArray[np.bool_]
    memory: NDArray[Any] | None = None
    folder: Path | None = None

    @classmethod
    def open(cls, folder: Path | None, shape: tuple[int, int, int], dtype: np.dtype[Any], identity: str) -> Self:
        """Begin a scan, or go on with the one in the folder if it is the same.

        Parameters
        ----------
        folder : pathlib.Path or None
            Without one nothing outlives the process.
        shape : tuple of int
            Positions, rows and columns.
        dtype : numpy.dtype
        identity : str
            All that decides about the patterns, in one line; what was begun under another one is dropped.
        """
        done = np.zeros(shape[0], bool)
        if folder is None:
            return cls(done, memory=np.empty(shape, dtype))
        begun = whole_lines(folder / _DONE)
        if begun[:1] == [identity] and (folder / _PATTERNS).exists():
            for line in begun[1:]:
                done[np.array(line.split(), int)] = True
        else:
            (folder / _DONE).unlink(missing_ok=True)
            # A file of the right size in which nothing is written yet: it takes no room.
            np.lib.format.open_memmap(folder / _PATTERNS, mode="w+", dtype=dtype, shape=shape).flush()
            (folder / _DONE).write_text(f"{identity}\n", encoding="ascii")
        return cls(done, folder=folder)

    def add(self, positions: NDArray[np.intp], patterns: NDArray[Any]) -> None:
        """Keep the patterns (m, qy, qx) of some positions (m,).

        Raises
        ------
        OSError
            They cannot be written.
        """
        if self.folder is None:
            assert self.memory is not None
            self.memory[positions] = patterns
        else:
            path = self.folder / _PATTERNS
            start = np.load(path, mmap_mode="r").offset
            # Written, not mapped: a full disk is then an error that can be told, and not the end of the process.
            with path.open("r+b") as file:
                for position, pattern in zip(positions, patterns, strict=True):
                    file.seek(start + int(position) * pattern.nbytes)
                    file.write(pattern.tobytes())
                file.flush()
                os.fsync(file.fileno())
            with (self.folder / _DONE).open("a", encoding="ascii") as log:
                log.write(" ".join(map(str, positions)) + "\n")
        self.done[positions] = True

    def patterns(self) -> NDArray[Any]:
        """(n, qy, qx) patterns; in memory unless they are many."""
        if self.folder is None:
            assert self.memory is not None
            return self.memory
        mapped: NDArray[Any] = np.load(self.folder / _PATTERNS, mmap_mode="c")
        return np.array(mapped) if mapped.nbytes < IN_MEMORY_BYTES else mapped


def whole_lines(path: Path) -> list[str]:
    """Lines of a file; one that was cut off is removed from it, so that what follows is not joined to it."""
    if not path.exists():
        return []
    text = path.read_text(encoding="ascii")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="ascii")
    return whole.splitlines()
