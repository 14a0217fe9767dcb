"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ronchi.api import OutputError

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Lend a name in the same folder; what is there in the end is on the disk before it replaces an older file.

    Raises
    ------
    OutputError
        It cannot be written, as where the disk is full; nothing is left of it, and the older file stays.
    """
    from safetensors import SafetensorError

    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        # Else a power cut may leave the new name with nothing behind it.
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        fix = "free some space, or choose another folder; what was written before is kept"
        raise OutputError(f"cannot be written: {error}", where=str(path), fix=fix) from error
    finally:
        # What keeps it from being removed has kept it from being written, and that is told.
        with suppress(OSError):
            partial.unlink()
