"""``model/1``: a fitted learner: the files that it saved, byte for byte, with what is needed to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, fail, variable

__all__ = ["NAME", "files_of", "make", "params_of", "validate"]

NAME = "model/1"
_ATTRS = ("learner", "params", "dist", "version")


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``model/1`` data set. Raises `SchemaError`."""
    check_dataset(ds, NAME, {}, None, where)
    where = where or "data set"
    for attr in _ATTRS:
        if not isinstance(ds.attrs.get(attr), str):
            raise fail(where, f"attribute {attr!r} of {NAME} is missing")
    for name, var in ds.data_vars.items():
        file = str(var.attrs.get("file", ""))
        if var.dtype != np.uint8 or var.ndim != 1 or not file or "/" in file or "\\" in file or file.startswith("."):
            raise fail(where, f"{name!r} must hold the bytes of a file and its plain name in the attribute 'file'")
    return ds


def make(
    files: Mapping[str, bytes], *, learner: str, params: Mapping[str, Any], dist: str = "", version: str = ""
) -> xr.Dataset:
    """Build a ``model/1`` data set.

    Parameters
    ----------
    files : mapping of str to bytes
        File name to content; no folders.
    learner : str
        Name of the descriptor learner.
    params : mapping
        All of its parameters, as JSON types.
    dist, version : str
        Distribution that brings it.
    """
    data = {
        f"file_{i}": variable(f"byte_{i}", np.frombuffer(files[name], np.uint8), "1", "content of a file", file=name)
        for i, name in enumerate(sorted(files))
    }
    told = {"learner": learner, "params": json.dumps(params, sort_keys=True), "dist": dist, "version": version}
    return validate(xr.Dataset(data, attrs={**told, ATTR: NAME}))


def files_of(ds: xr.Dataset) -> dict[str, bytes]:
    """File name to content. Raises `SchemaError`."""
    validate(ds)
    return {str(var.attrs["file"]): var.values.tobytes() for var in ds.data_vars.values()}


def params_of(ds: xr.Dataset) -> dict[str, Any]:
    """Parameters that the learner was fitted with. Raises `SchemaError`."""
    try:
        params = json.loads(validate(ds).attrs["params"])
    except ValueError as error:
        raise fail("attribute 'params'", f"is no JSON: {error}") from error
    return dict(params)
