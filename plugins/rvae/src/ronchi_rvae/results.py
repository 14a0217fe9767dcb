"""What is found of images, as ``descriptors/1``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.schema import descriptors
from ronchi.schema.common import variable

__all__ = ["Encoded", "described"]

_CURVES = {
    "bound": "evidence of an image at its most likely latents",
    "bound_held_out": "evidence of an image held out, at its most likely latents",
}


@dataclass(frozen=True)
class Encoded:
    """Descriptors of n images.

    Parameters
    ----------
    z : (n, n_components) float
    nll : (n,) float, optional
    angle : (n,) float, optional
        In rad.
    angle_R : (n,) float, optional
        Posterior mean of the cosine of ``n_fold`` times the error of the angle, at least 0.
    shift_px : (n, 2) float, optional
        (y, x).
    label : (n,) int, optional
    label_prob : (n, n_classes) float, optional
    mirror : (n,) int, optional
        1 for the mirror image, 0 for none, -1 where that is the same.
    mirror_prob : (n,) float, optional
    """

    z: NDArray[Any]
    nll: NDArray[Any] | None = None
    angle: NDArray[Any] | None = None
    angle_R: NDArray[Any] | None = None
    shift_px: NDArray[Any] | None = None
    label: NDArray[Any] | None = None
    label_prob: NDArray[Any] | None = None
    mirror: NDArray[Any] | None = None
    mirror_prob: NDArray[Any] | None = None


def described(
    parts: Sequence[Encoded],
    good: NDArray[np.bool_],
    x: xr.DataArray,
    name: str,
    *,
    n_fold: int = 1,
    curves: Mapping[str, list[float]] | None = None,
    extra: Mapping[str, xr.Variable] | None = None,
) -> xr.Dataset:
    """Make ``descriptors/1`` of what is known of samples.

    Parameters
    ----------
    parts : sequence of Encoded
        One at least, in the order of the samples.
    good : (n,) bool
        False for samples that could not be used: NaN, and the label -1.
    x : (*samples, ny, nx) DataArray
    name : str
        Of the learner.
    n_fold : int
        Symmetry up to which all angles are defined.
    curves : mapping, optional
        Training curves, in nats.
    extra : mapping, optional
        Variables that do not run along the samples.
    """
    dims = tuple(str(dim) for dim in x.dims[:-2])

    def held(field: str, fill: float = np.nan) -> Any:
        if getattr(parts[0], field) is None:
            return None
        values = np.concatenate([getattr(part, field) for part in parts])
        mask = good.reshape(-1, *[1] * (values.ndim - 1))
        kind = np.int32 if values.dtype.kind in "iu" else np.float32
        return np.where(mask, values, fill).astype(kind).reshape(*x.shape[:-2], *values.shape[1:])

    given: dict[str, Any] = dict(extra or {})
    for curve, values in (curves or {}).items():
        given[curve] = variable("epoch", np.array(values, np.float32), "nat", _CURVES[curve])
    coords = {str(dim): coord.variable for dim, coord in x.coords.items() if dim in dims}
    if parts[0].angle_R is not None:
        given["angle_R"] = variable(dims, held("angle_R"), "1", "certainty of the angle: 1 sure, 0 open")
    if parts[0].shift_px is not None:
        given["shift"] = variable((*dims, "axis"), held("shift_px"), "pixel", "shift from the centre")
        coords["axis"] = xr.Variable("axis", np.array(["y", "x"]))
    if parts[0].label_prob is not None:
        given["label_prob"] = variable((*dims, "class"), held("label_prob"), "1", "probability of the class")
    if parts[0].mirror is not None:
        told = "1: mirror image of the class, y reversed before the turn; 0: not; -1: mirror images are alike"
        given["mirror"] = variable(dims, held("mirror", -1), "1", told)
        given["mirror_prob"] = variable(dims, held("mirror_prob"), "1", "probability of the mirror image")
    z = held("z")
    return descriptors.make(
        z,
        dims=dims,
        component=[f"{name}{i}" for i in range(z.shape[-1])],
        angle=held("angle"),
        n_fold=n_fold,
        label=held("label", -1),
        nll=held("nll"),
        coords=coords,
        attrs={"learner": name},
        **given,
    )
