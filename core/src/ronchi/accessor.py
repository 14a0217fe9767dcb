"""``ds.ronchi``: conveniences on a data set. Whatever they do, a function of ronchi does too.

Registered with the schemas, which whatever makes or reads a data set imports: ``import ronchi`` alone imports nothing
heavy, and if xarray is there already it imports the schemas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from ronchi import schema
from ronchi.errors import SchemaError

__all__ = ["RonchiAccessor"]

_PICTURES = {"strain/1": "strain_maps", "peaks/1": "vector_map", "maps/1": "scan_images"}
"""Schema to the verb of `ronchi.plot` that draws all of it."""


@xr.register_dataset_accessor("ronchi")  # type: ignore[no-untyped-call]  # xarray gives it no types
class RonchiAccessor:
    """What `ronchi` can do with this data set."""

    def __init__(self, data: xr.Dataset) -> None:
        self._data = data

    def __repr__(self) -> str:
        verbs = ", ".join(name for name in dir(self) if not name.startswith("_"))
        return f"<ronchi: a data set of schema {self.schema or 'none'}; {verbs}>"

    @property
    def schema(self) -> str:
        """Name of the schema, ``""`` if there is none."""
        return schema.schema_of(self._data)

    def validate(self) -> xr.Dataset:
        """Check the data set against its schema; raises `SchemaError`."""
        return schema.validate(self._data)

    def write(self, path: str | Path, **options: Any) -> Path:
        """Write it, in the format of the path's suffix; see `ronchi.write`."""
        from ronchi.verbs import write

        return write(self._data, path, **options)

    def plot(self, **options: Any) -> Any:
        """Draw strain, peaks or maps, or the mean pattern of a scan; see `ronchi.plot`.

        Raises
        ------
        SchemaError
            There is no one picture of such data.
        """
        from ronchi import plot

        if self.schema == "fourd/1":
            from ronchi.verbs import mean_pattern

            return plot.pattern(mean_pattern(self._data), **options)
        if self.schema not in _PICTURES:
            known = ", ".join(["fourd/1", *_PICTURES])
            raise SchemaError(
                f"there is no one picture of {self.schema or 'these data'}", fix=f"of: {known}; ronchi.plot"
            )
        return getattr(plot, _PICTURES[self.schema])(self._data, **options)

    def to_yaml(self) -> str:
        """What led to it, as a pipeline; see `ronchi.to_yaml`."""
        from ronchi.history import to_yaml

        return to_yaml(self._data)

    def to_hyperspy(self) -> Any:
        """A HyperSpy signal; see `ronchi.interop`."""
        from ronchi.interop import to_hyperspy

        return to_hyperspy(self._data)

    def to_pyxem(self) -> Any:
        """A signal, vectors or strain maps of pyxem; see `ronchi.interop`."""
        from ronchi.interop import to_pyxem

        return to_pyxem(self._data)

    def to_py4dstem(self) -> Any:
        """An object or strain maps of py4DSTEM; see `ronchi.interop`."""
        from ronchi.interop import to_py4dstem

        return to_py4dstem(self._data)

    def to_libertem(self, ctx: Any) -> Any:
        """A data set of LiberTEM in the context ``ctx``; see `ronchi.interop`."""
        from ronchi.interop import to_libertem

        return to_libertem(self._data, ctx)
