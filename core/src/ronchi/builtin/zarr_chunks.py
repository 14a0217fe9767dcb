"""Whether all that was written is in a zarr store: zarr takes absent chunks for zeros, and does not miss an array."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from ronchi.errors import ReadError

__all__ = ["COMPLETE", "check_chunks"]

COMPLETE = "ronchi_complete"
"""Attribute of a store in which every chunk was written: the names of its arrays and groups, or 1."""

_COPY = "copy the whole folder again from where it came"


def check_chunks(path: Path) -> None:
    """Compare the files of every array of a store with its grid of chunks; nothing is read.

    Parameters
    ----------
    path : Path
        Store in a folder, of zarr version 3; one that does not say that all was written is not looked at.

    Raises
    ------
    ReadError
        Arrays or files are missing, or empty.
    """
    import zarr

    root = zarr.open_group(path, mode="r")
    names: Any = root.attrs.get(COMPLETE, [])
    arrays = {name: root.get(name) for name in names} if isinstance(names, list) else dict(root.members(max_depth=None))
    if missing := [name for name, array in arrays.items() if array is None]:
        told = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ReadError(
            f"{len(missing)} of {len(arrays)} variables and groups are missing: {told}", where=str(path), fix=_COPY
        )
    for name, array in arrays.items():
        if not isinstance(array, zarr.Array):
            continue
        pieces = array.shards or array.chunks
        wanted = math.prod(math.ceil(n / piece) for n, piece in zip(array.shape, pieces, strict=True))
        found = _count_files(path / name / "c", array.ndim)
        if found < wanted:
            raise ReadError(
                f"{wanted - found} of {wanted} chunk files are missing or empty: {_first_missing(path, name, array)}",
                where=f"{path}, variable {name!r}",
                fix=_COPY,
            )


def _count_files(folder: Path, depth: int) -> int:
    """Files with content, ``depth`` folders down; an array without dimensions is one file."""
    try:
        if depth == 0:
            return int(folder.stat().st_size > 0)
        with os.scandir(folder) as entries:
            if depth == 1:
                return sum(entry.stat().st_size > 0 for entry in entries)
            return sum(_count_files(Path(entry.path), depth - 1) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _first_missing(path: Path, name: str, array: Any) -> str:
    import itertools

    pieces = array.shards or array.chunks
    grid = [range(math.ceil(n / piece)) for n, piece in zip(array.shape, pieces, strict=True)]
    for index in itertools.product(*grid):
        file = path.joinpath(name, "c", *map(str, index))
        if not file.is_file() or file.stat().st_size == 0:
            return str(file.relative_to(path))
    return name
