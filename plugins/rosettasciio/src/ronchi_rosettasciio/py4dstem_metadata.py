"""Metadata groups of EMD 1.0: py4DSTEM's calibration, and attributes of ours that it has no item for.

A node has any number of them beneath ``metadatabundle``, with a data set an item (emdfile 0.0.16). py4DSTEM shows the
attributes that it does not know as ``node.metadata["ronchi"]``, and writes them again with the node.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Any

import h5py
import numpy as np

from ronchi_rosettasciio.hdf5_output import held_text

__all__ = ["items_of", "note", "noted", "write_items"]

_BUNDLE, _NAME = "metadatabundle", "ronchi"
_MOST_ITEM_BYTES = 2**28
_OF_A_FILE = (
    "source_format", "dataset", "file_contents", "is_lazy", "notes", "calibration_refused", "ronchi_history",
    "ronchi_schema",
)  # fmt: skip
"""What is said of the file that data come from, which is not the one that is written; and the schema, which shows."""


def write_items(parent: h5py.Group, name: str, items: Mapping[str, Any], python_class: str = "Metadata") -> h5py.Group:
    """Make a group of metadata: text, truth values, numbers and arrays of them."""
    bundle = parent.require_group(_BUNDLE)
    bundle.attrs["emd_group_type"] = _BUNDLE
    group = bundle.create_group(name)
    group.attrs.update({"emd_group_type": "metadata", "python_class": python_class})
    for key, value in items.items():
        kind = {bool: "bool", str: "string", float: "number", int: "number", tuple: "tuple"}.get(type(value), "array")
        stored = value.encode() if isinstance(value, str) else value
        group.create_dataset(key, data=stored).attrs["type"] = kind
    return group


def note(group: h5py.Group, attrs: Mapping[Any, Any], elsewhere: Container[Any]) -> list[str]:
    """Write attributes beneath a node, but for those ``elsewhere``; gives the names of those that HDF5 cannot hold.

    What is neither text, number nor an array of numbers is stored as JSON text.
    """
    items: dict[str, Any] = {}
    lost = []
    for key, value in attrs.items():
        if value is None or key in elsewhere or key in _OF_A_FILE:
            continue
        try:
            items[_name(key)] = _plain(value)
        except (TypeError, ValueError):
            lost.append(str(key))
    if items:
        write_items(group, _NAME, items)
    return lost


def noted(group: h5py.Group) -> dict[str, Any]:
    """The attributes that `note` wrote; empty where it did not."""
    found = group.get(f"{_BUNDLE}/{_NAME}")
    items = items_of(found) if isinstance(found, h5py.Group) else {}
    return {
        key: value.item() if isinstance(value, np.ndarray) and not value.ndim else value for key, value in items.items()
    }


def items_of(group: h5py.Group) -> dict[str, Any]:
    """Numbers, text and arrays of a group of metadata, by name."""
    found: dict[str, Any] = {}
    for name, item in group.items():
        if not isinstance(item, h5py.Dataset) or item.shape is None or item.nbytes > _MOST_ITEM_BYTES:
            continue
        if item.dtype.kind in "biuf":
            found[name] = np.asarray(item[...])
        elif item.shape == () and item.dtype.kind in "OS":
            text = item[()]
            found[name] = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return found


def _name(key: Any) -> str:
    """The name of an item; raises ValueError for one that would lie elsewhere in the file."""
    name = str(key)
    if not name.strip(".") or {"/", "\0"} & set(name):
        raise ValueError(name)
    name.encode()
    return name


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return held_text(value)
    try:
        array = np.asarray(value)
    except ValueError:
        # Rows of several lengths.
        return json.dumps(value, default=_listed)
    if array.dtype.kind in "biuf" and array.size:
        return array if array.ndim else array.item()
    return json.dumps(value, default=_listed)


def _listed(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        return str(value)
    # Of a time in ns the list is one of whole numbers.
    return (value.astype(str) if value.dtype.kind in "mM" else value).tolist()
