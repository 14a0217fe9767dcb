"""``descriptors/1``: a few learned or computed numbers a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, fail, variable

__all__ = ["NAME", "make", "sample_dims", "usual_fold", "validate"]

NAME = "descriptors/1"


def sample_dims(ds: xr.Dataset) -> tuple[str, ...]:
    """Dimensions that number the samples: ``(scan_y, scan_x)`` or ``(sample,)``."""
    return tuple(str(dim) for dim in ds["z"].dims if dim != "component")


def usual_fold(ds: xr.Dataset) -> int:
    """Symmetry of the angles of most samples: that of their classes where it is known, else that of all.

    One class without symmetry makes all angles defined modulo 360 degrees, but of the others only what is left
    modulo their own symmetry can be read off.
    """
    shared = int(ds["angle"].attrs.get("n_fold", 1))
    if "class_n_fold" not in ds or "label" not in ds:
        return shared
    fold, label = ds["class_n_fold"].values.astype(int), ds["label"].values.ravel()
    samples = np.bincount(label[label >= 0], minlength=len(fold))
    of_fold = np.bincount(fold, weights=samples)
    of_fold[0] = 0  # isotropic: no angle
    return int(of_fold.argmax()) or shared


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``descriptors/1`` data set.

    Raises
    ------
    SchemaError
    """
    check_dataset(ds, NAME, {}, None, where)
    where = where or "data set"
    if "z" not in ds or ds["z"].dims[-1:] != ("component",) or ds["z"].ndim < 2:
        raise fail(where, "'z' must have the sample dims followed by 'component'")
    samples = sample_dims(ds)
    if "angle" in ds:
        if ds["angle"].dims != samples or ds["angle"].attrs.get("units") != "rad":
            raise fail(where, f"'angle' must have dims {samples} and units 'rad'")
        if "n_fold" not in ds["angle"].attrs:
            raise fail(where, "'angle' needs the attribute 'n_fold', the symmetry that it is defined up to")
    for name in ("label", "nll", "angle_R"):
        if name in ds and ds[name].dims != samples:
            raise fail(where, f"{name!r} must have dims {samples}, has {ds[name].dims}")
    return ds


def make(
    z: Any,
    *,
    dims: tuple[str, ...],
    component: Any = None,
    units: str = "1",
    angle: Any = None,
    n_fold: int = 1,
    label: Any = None,
    nll: Any = None,
    coords: dict[str, Any] | None = None,
    attrs: dict[str, Any] | None = None,
    **extra: xr.Variable,
) -> xr.Dataset:
    """Build a ``descriptors/1`` data set.

    Parameters
    ----------
    z : (*samples, component) float
    dims : tuple of str
        Names of the sample dimensions.
    component : sequence of str, optional
        Names of the components; ``z0, z1, …`` by default.
    angle : (*samples,) float, optional
        In rad, from x towards y, defined modulo 2 pi / ``n_fold``.
    """
    z = np.asarray(z)
    names = [f"z{i}" for i in range(z.shape[-1])] if component is None else list(component)
    data = {"z": variable((*dims, "component"), z, units, "descriptor"), **extra}
    if angle is not None:
        data["angle"] = variable(dims, angle, "rad", "orientation, from x towards y", n_fold=n_fold)
    if label is not None:
        data["label"] = variable(dims, np.asarray(label, np.int32), "1", "class")
    if nll is not None:
        data["nll"] = variable(dims, nll, "1", "negative log-likelihood")
    all_coords = {**(coords or {}), "component": ("component", np.array(names))}
    return validate(xr.Dataset(data, all_coords, {**(attrs or {}), ATTR: NAME}))
