"""Attributes for which HyperSpy's metadata have no place, as the JSON text of one entry."""

from __future__ import annotations

import json
import logging
from collections.abc import Container, Mapping
from typing import Any

import numpy as np
import xarray as xr

__all__ = ["notes_of", "with_notes"]

_log = logging.getLogger("ronchi.interop")

_ENTRY = "attrs"
_MOST = 4096
"""Length of the text of an attribute; what is longer is no note, and HyperSpy prints all of it."""


def notes_of(ds: xr.Dataset, elsewhere: Container[Any]) -> str:
    """Attributes but for those ``elsewhere``; names may be any. A warning names those that are no JSON or too long."""
    texts: dict[str, str] = {}
    lost = []
    for key, value in ds.attrs.items():
        if value is None or key in elsewhere:
            continue
        try:
            texts[str(key)] = json.dumps(value, default=_listed)
        except (TypeError, ValueError):
            # Keys of a mapping that are neither text nor number, or a mapping that contains itself.
            lost.append(str(key))
    lost += [key for key, text in texts.items() if len(text) > _MOST]
    if lost:
        _log.warning(
            "the attributes %s are left out: HyperSpy's metadata take texts, numbers, lists and mappings of up to %d "
            "characters",
            ", ".join(lost),
            _MOST,
        )
    return "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in texts.items() if key not in lost) + "}"


def with_notes(ds: xr.Dataset, node: Mapping[str, Any]) -> xr.Dataset:
    """Put back what `notes_of` made, lists of numbers as arrays; an entry that it did not make is left alone."""
    try:
        kept = json.loads(str(node.get(_ENTRY, "{}")))
    except ValueError:
        kept = None
    plain = {key: _array_of(value) for key, value in kept.items()} if isinstance(kept, dict) else {}
    return ds.assign_attrs(plain | ds.attrs)


def _listed(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        return str(value)
    # Of a time in ns the list is one of whole numbers.
    return (value.astype(str) if value.dtype.kind in "mM" else value).tolist()


def _array_of(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        # Rows of several lengths.
        return value
    return array if array.dtype.kind in "biuf" else value
