"""``crops/1``: windows of one size around atoms, one flat dimension ``sample``.

Frames hold different numbers of atoms, so (frame, atom) has no rectangular form; where a crop comes from is
kept in coordinates along ``sample`` that are no indexes, and so survive netCDF and Zarr.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, fail, variable

__all__ = ["DIMS", "NAME", "SAMPLE_COORDS", "are_cut_at", "make", "validate"]

NAME = "crops/1"
DIMS = ("sample", "y", "x")

SAMPLE_COORDS = ("frame", "atom", "position_y", "position_x", "species")
"""What is known of every crop; ``track`` may be."""

_SAME_PLACE = 0.01
"""Places no farther apart are the same, in px or angstrom: tables may be kept in float32."""
_OPTIONAL = {"track": ("sample",), "valid": ("sample",), "bad_pixel": ("y", "x")}


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``crops/1`` data set. Raises `SchemaError`."""
    required = {"intensity": DIMS, **dict.fromkeys(SAMPLE_COORDS, ("sample",)), "y": ("y",), "x": ("x",)}
    check_dataset(ds, NAME, required, _OPTIONAL, where)
    where = where or "data set"
    for name in SAMPLE_COORDS:
        if name not in ds.coords:
            raise fail(where, f"{name!r} is no coordinate", f"ds.set_coords({name!r})")
    for name in ("y", "x", "position_y", "position_x"):
        units = ds[name].attrs.get("units")
        if units not in ("angstrom", "pixel"):
            raise fail(where, f"{name!r} has units {units!r}, allowed: angstrom, pixel")
    return ds


def make(
    intensity: Any,
    *,
    frame: Any,
    atom: Any,
    position_y: Any,
    position_x: Any,
    species: Any = None,
    track: Any = None,
    valid: Any = None,
    bad_pixel: Any = None,
    step: tuple[float, float] | None = None,
    units: str = "1",
    **attrs: Any,
) -> xr.Dataset:
    """Build a ``crops/1`` data set.

    Parameters
    ----------
    intensity : (sample, y, x) array
        The atom is at the pixel ``(N // 2, N // 2)``.
    frame, atom : (sample,) int
        Frame of the crop, and number of the atom in the ``atoms/1`` data set that it was cut at.
    position_y, position_x : (sample,) float
        Position of the atom in its frame: in angstrom if ``step`` is given, else in pixels.
    species, track : (sample,) int, optional
    valid : (sample,) bool, optional
        False where the crop is not to be used.
    bad_pixel : (y, x) bool, optional
        True where no crop is to be used, such as outside of a circular window.
    step : tuple of float, optional
        Pixel size (y, x) in angstrom.

    Raises
    ------
    SchemaError
    """
    if intensity.ndim != 3:
        raise fail("intensity", f"expected (sample, y, x), got shape {intensity.shape}")
    n, *window = intensity.shape
    length = "angstrom" if step else "pixel"
    coords = {
        dim: variable(dim, (np.arange(size) - size // 2) * (step[axis] if step else 1.0), length, f"offset, {dim}")
        for axis, (dim, size) in enumerate(zip(("y", "x"), window, strict=True))
    }
    kinds = np.zeros(n, np.int32) if species is None else np.asarray(species, np.int32)
    coords |= {
        "frame": variable("sample", np.asarray(frame, np.int32), "1", "frame number"),
        "atom": variable("sample", np.asarray(atom, np.int32), "1", "number of the atom"),
        "position_y": variable("sample", np.asarray(position_y, float), length, "position in the frame, y"),
        "position_x": variable("sample", np.asarray(position_x, float), length, "position in the frame, x"),
        "species": variable("sample", kinds, "1", "species"),
    }
    if track is not None:
        coords["track"] = variable("sample", np.asarray(track, np.int32), "1", "track number, -1 if none")
    data = {"intensity": variable(DIMS, intensity, units, "image intensity")}
    if valid is not None:
        data["valid"] = variable("sample", np.asarray(valid, np.int8), "1", "1 where the crop is to be used")
    if bad_pixel is not None:
        data["bad_pixel"] = variable(("y", "x"), np.asarray(bad_pixel, np.int8), "1", "1 where no crop is to be used")
    kept = {name: value for name, value in attrs.items() if value is not None}
    return validate(xr.Dataset(data, coords, {**kept, ATTR: NAME}))


def are_cut_at(samples: xr.Dataset, atoms: xr.Dataset) -> bool:
    """Whether samples with the coordinates of crops come from these atoms, one to one: frames and positions agree.

    Parameters
    ----------
    samples : xarray.Dataset
        Along ``sample``, such as crops or their descriptors; what it does not say agrees.
    atoms : xarray.Dataset
        ``atoms/1`` with as many atoms, in the order of the samples.
    """
    if "frame" in samples.coords and (atoms["frame"].values != samples["frame"].values).any():
        return False
    for dim in ("y", "x"):
        if f"position_{dim}" not in samples.coords or dim not in atoms:
            continue
        cut, at = samples[f"position_{dim}"], atoms[dim]
        same_units = cut.attrs.get("units") == at.attrs.get("units")
        if same_units and not np.allclose(cut.values, at.values, rtol=1e-5, atol=_SAME_PLACE):
            return False
    return True
