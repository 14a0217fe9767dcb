"""Schemas of the data: one module each, with ``NAME``, ``validate`` and ``make``."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from ronchi.errors import SchemaError
from ronchi.schema import (
    atoms,
    crops,
    decoded,
    descriptors,
    dynamics,
    fourd,
    images,
    lattice,
    library,
    maps,
    model,
    peaks,
    scores,
    strain,
)
from ronchi.schema.common import ATTR, schema_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "ATTR",
    "SCHEMAS",
    "atoms",
    "crops",
    "decoded",
    "descriptors",
    "dynamics",
    "fourd",
    "images",
    "lattice",
    "library",
    "maps",
    "model",
    "peaks",
    "schema_of",
    "scores",
    "strain",
    "validate",
]

SCHEMAS: dict[str, ModuleType] = {
    module.NAME: module
    for module in (
        fourd,
        peaks,
        lattice,
        strain,
        descriptors,
        images,
        crops,
        atoms,
        maps,
        scores,
        decoded,
        model,
        library,
        dynamics,
    )
}
"""Schema name to the module that defines it."""


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a data set against the schema that it names.

    Raises
    ------
    SchemaError
        It names none, an unknown one, or does not follow it.
    """
    name = schema_of(ds)
    if not name:
        fix = "make it by one of them, as `ronchi.schema.fourd.make`; xarray's `to_netcdf` writes any other data"
        raise SchemaError(f"the data set names no schema, known: {', '.join(SCHEMAS)}", where=where, fix=fix)
    if name not in SCHEMAS:
        raise SchemaError(f"unknown schema {name!r}, known: {', '.join(SCHEMAS)}", where=where)
    if ds.attrs.get("is_truth", 0):
        # Truth may lack what only a measurement has; the metric that uses it checks what it needs.
        return ds
    checked: xr.Dataset = SCHEMAS[name].validate(ds, where)
    return checked


# Registers `ds.ronchi`. By name, since what it offers leads to all of ronchi, and the schemas lead to nothing.
importlib.import_module("ronchi.accessor")
