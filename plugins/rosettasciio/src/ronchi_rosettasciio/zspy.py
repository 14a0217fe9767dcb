"""HyperSpy's ``.zspy``, folders and zip files, read with zarr 3: RosettaSciIO 0.15 reads them with zarr 2 alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ronchi.api import ReadError
from ronchi_rosettasciio.signals import Signal, axis_of, text

__all__ = ["COMPLETE", "lost_chunks", "read_zspy"]

COMPLETE = "ronchi_complete"
"""Attribute of a store in which every chunk was written, so that one that is absent was lost."""

_LIST = re.compile(r"_(list|tuple)_\d+_(?P<name>.+)")


def read_zspy(path: Path) -> list[Signal]:
    """All signals of a store, lazily.

    Raises
    ------
    Exception
        Whatever zarr raises on a damaged store.
    """
    import dask.array as da

    found = []
    for name, group in _experiments(_open(path)):
        array = _data(group)
        if array is None:
            found.append(Signal(name, np.empty(0, object), ()))
            continue
        by_number = sorted(
            (key for key in group.group_keys() if re.fullmatch(r"axis-\d+", key)), key=lambda key: int(key[5:])
        )
        axes = [axis_of(_tree(group[key]), int(n)) for key, n in zip(by_number, array.shape, strict=True)]
        metadata = _tree(group["metadata"]) if "metadata" in group else {}
        title = text(_general(metadata).get("title")) or (name if name != "__unnamed__" else "")
        # A name of its own keeps dask from reading the data to make one.
        data = da.from_array(array, chunks=array.chunks, name=False)
        found.append(Signal(title, data, tuple(axes), metadata))
    return found


def lost_chunks(path: Path) -> str:
    """Which signals of a folder lack chunks, in words; empty if none does.

    zarr takes an absent chunk for zeros. HyperSpy writes one of zeros too, as of 2026.

    Raises
    ------
    ReadError
        The store is one of ronchi's, which had all.
    """
    if not path.is_dir():
        return ""
    root, said = _open(path), []
    for name, group in _experiments(root):
        array = _data(group)
        if array is None:
            continue
        wanted = math.prod(math.ceil(n / chunk) for n, chunk in zip(array.shape, array.chunks, strict=True))
        files = (path / "Experiments" / name / "data").glob("/".join(["[0-9]*"] * array.ndim))
        if found := wanted - sum(file.stat().st_size > 0 for file in files):
            said.append(f"{found} of {wanted} chunk files of {name!r} are missing or empty")
    if said and root.attrs.get(COMPLETE):
        raise ReadError("; ".join(said), where=str(path), fix="copy the whole folder again from where it came")
    return "; ".join([*said, "zeros stand in their place: copy the whole folder again"]) if said else ""


def _open(path: Path) -> Any:
    import zarr

    store = path if path.is_dir() else zarr.storage.ZipStore(path, mode="r")
    # Gathered metadata fail as a whole over an array that zarr 3 does not know.
    return zarr.open_group(store, mode="r", use_consolidated=False)


def _experiments(root: Any) -> list[tuple[str, Any]]:
    return sorted(root["Experiments"].groups())


def _data(group: Any) -> Any:
    """The array of a signal; None for lists of several lengths, which zarr 3 does not know."""
    try:
        return group["data"]
    except ValueError:
        return None


def _general(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    general = metadata.get("General", {})
    return general if isinstance(general, Mapping) else {}


def _tree(group: Any) -> dict[str, Any]:
    tree = {key: None if value == "_None_" else value for key, value in group.attrs.asdict().items()}
    tree |= {key: array[...] for key, array in group.arrays()}
    for key, child in group.groups():
        # Lists are groups of their items by number.
        found = _LIST.fullmatch(key)
        items = _tree(child)
        tree |= {found["name"]: [items[i] for i in sorted(items)]} if found else {key: items}
    return tree
