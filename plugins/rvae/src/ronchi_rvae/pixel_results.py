"""What the baselines find of images, as ``descriptors/1``."""

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

Floats = NDArray[np.float32]

_CURVES = {
    "bound": "evidence lower bound of an image",
    "bound_held_out": "evidence lower bound of an image held out",
}


@dataclass(frozen=True)
class Encoded:
    """Descriptors of n images.

    Parameters
    ----------
    z : (n, n_components) float32
    nll : (n,) float32
    angle, angle_sigma : (n,) float32, optional
        In rad.
    shift_px : (n, 2) float32, optional
        (y, x).
    label_prob : (n, n_classes) float32, optional
    """

    z: Floats
    nll: Floats
    angle: Floats | None = None
    angle_sigma: Floats | None = None
    shift_px: Floats | None = None
    label_prob: Floats | None = None


def described(
    parts: Sequence[Encoded], good: NDArray[np.bool_], x: xr.DataArray, name: str, curves: Mapping[str, list[float]]
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
    curves : mapping
        Training curves, in nats.
    """
    dims = tuple(str(dim) for dim in x.dims[:-2])

    def held(field: str) -> Any:
        if getattr(parts[0], field) is None:
            return None
        values = np.concatenate([getattr(part, field) for part in parts])
        mask = good.reshape(-1, *[1] * (values.ndim - 1))
        return np.where(mask, values, np.float32(np.nan)).reshape(*x.shape[:-2], *values.shape[1:])

    extra: dict[str, Any] = {
        curve: variable("epoch", np.array(values, np.float32), "nat", _CURVES[curve])
        for curve, values in curves.items()
    }
    coords = {str(name): coord.variable for name, coord in x.coords.items() if name in dims}
    label = None
    if parts[0].angle is not None:
        # The posterior is normal: its mean of exp(i angle) has this length.
        certainty = np.exp(-0.5 * held("angle_sigma") ** 2)
        extra["angle_R"] = variable(dims, certainty, "1", "certainty of the angle: 1 sure, 0 open")
    if parts[0].shift_px is not None:
        extra["shift"] = variable((*dims, "axis"), held("shift_px"), "pixel", "shift from the centre")
        coords["axis"] = xr.Variable("axis", np.array(["y", "x"]))
    if parts[0].label_prob is not None:
        chance = held("label_prob")
        label = np.where(good.reshape(x.shape[:-2]), chance.argmax(-1), -1)
        extra["label_prob"] = variable((*dims, "class"), chance, "1", "probability of the class")
    z = held("z")
    return descriptors.make(
        z,
        dims=dims,
        component=[f"{name}{i}" for i in range(z.shape[-1])],
        angle=held("angle"),
        label=label,
        nll=held("nll"),
        coords=coords,
        attrs={"learner": name},
        **extra,
    )
