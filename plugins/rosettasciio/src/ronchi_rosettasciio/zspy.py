"""HyperSpy's ``.zspy`` stores, read with zarr 3: RosettaSciIO 0.15 reads them with zarr 2 alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ronchi_rosettasciio.signals import Signal, axis_of, text

__all__ = ["read_zspy"]

_LIST = re.compile(r"_(list|tuple)_\d+_(?P<name>.+)")


def read_zspy(path: Path) -> list[Signal]:
    """All signals of a store, lazily.

    Raises
    ------
    Exception
        Whatever zarr raises on a damaged store.
    """
    import dask.array as da
    import zarr

    experiments = zarr.open_group(path, mode="r")["Experiments"]
    found = []
    for name, group in sorted(experiments.groups()):
        array = group["data"]
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
