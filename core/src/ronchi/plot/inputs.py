"""What a plot is given, checked before it is drawn: the message names what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr

from ronchi.errors import DataError
from ronchi.schema import schema_of

__all__ = ["check_dataset", "check_image", "check_positions"]


def check_dataset(data: Any, names: Sequence[str], where: str, fix: str) -> None:
    """Refuse what is no data set with these variables, coordinates or attributes.

    Parameters
    ----------
    data : xarray.Dataset
        Anything, until it was checked.
    names : sequence of str
    where : str
        Name of the argument.
    fix : str
        What to pass.

    Raises
    ------
    DataError
    """
    if not isinstance(data, xr.Dataset):
        raise DataError(f"got {_described(data)}, not a data set", where=where, fix=fix)
    missing = [name for name in names if name not in data.variables and name not in data.attrs]
    if missing:
        raise DataError(f"got {_described(data)} without {' and '.join(missing)}", where=where, fix=fix)


def check_image(image: Any, dims: tuple[str, str], where: str = "image") -> None:
    """Refuse what is no 2-D DataArray; raises `DataError`."""
    named = " and ".join(dims)
    if isinstance(image, xr.Dataset):
        inside = [str(name) for name, var in image.data_vars.items() if var.dims == dims or var.ndim == 2]
        fix = f"choose a variable, such as data[{inside[0]!r}]" if inside else f"choose one image over {named}"
        raise DataError(f"got {_described(image)}, not one image", where=where, fix=fix)
    if not isinstance(image, xr.DataArray):
        raise DataError(f"got {_described(image)}, not a DataArray", where=where, fix=f"pass an image over {named}")
    if image.ndim != 2:
        others = [str(dim) for dim in image.dims if dim not in dims]
        chosen = ", ".join(f"{dim}=0" for dim in others) or f"{image.dims[0]}=0" if image.ndim else ""
        fix = f"choose one image: .isel({chosen})" if chosen else f"pass an image over {named}"
        raise DataError(f"got {_described(image)}, not an image over {named}", where=where, fix=fix)


def check_positions(positions: Sequence[tuple[int, int]], shape: tuple[int, int]) -> None:
    """Refuse positions (scan_y, scan_x) outside the scan; raises `DataError`."""
    for y, x in positions:
        if not (-shape[0] <= y < shape[0] and -shape[1] <= x < shape[1]):
            raise DataError(
                f"the position (row {y}, column {x}) lies outside the scan of {shape[0]} x {shape[1]}",
                where="positions",
                fix="give index pairs (scan_y, scan_x), counted from 0",
            )


def _described(data: Any) -> str:
    if isinstance(data, xr.Dataset):
        return f"{schema_of(data) or 'a data set'}"
    if isinstance(data, xr.DataArray):
        return f"an array over ({', '.join(map(str, data.dims))})"
    return f"{data!r}" if isinstance(data, str) else f"a {type(data).__name__}"
