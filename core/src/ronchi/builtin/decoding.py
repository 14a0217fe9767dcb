"""Back from descriptors: grids over the latent space, reconstructions of samples, values on atoms."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.builtin.params_crops import BackProjectParams, ManifoldParams, ReconstructParams
from ronchi.errors import DataError
from ronchi.pipeline.arrays import is_lazy
from ronchi.pipeline.encode import load_learner, samples_of
from ronchi.schema import atoms as atoms_schema
from ronchi.schema import decoded
from ronchi.schema.common import variable
from ronchi.schema.crops import are_cut_at

__all__ = ["BackProject", "Manifold", "Reconstruct", "back_project"]


def back_project(descriptors: xr.Dataset, atoms: xr.Dataset) -> xr.Dataset:
    """Put descriptors of crops back on the atoms that the crops were cut at.

    Parameters
    ----------
    descriptors : xarray.Dataset
        ``descriptors/1`` along ``sample``, with the coordinate ``atom``.
    atoms : xarray.Dataset
        ``atoms/1`` that the crops were cut at.

    Returns
    -------
    xarray.Dataset
        The atoms, with one variable a component and every other variable along samples; NaN, or -1 for integers,
        at atoms without a crop.

    Raises
    ------
    DataError
        The descriptors do not say which atoms they are of, or the atoms are others.
    """
    if "atom" not in descriptors.coords or descriptors["z"].dims != ("sample", "component"):
        what = "the descriptors do not say which atoms they are of"
        raise DataError(what, where="back-project", fix="learn from crops made by the transform `crops`")
    index, n = descriptors["atom"].values, atoms.sizes["atom"]
    outside = index[(index < 0) | (index >= n)]
    if len(outside):
        raise DataError(f"the descriptors are of atom {outside[0]}, but there are {n}", where="back-project")
    if not are_cut_at(descriptors, atoms.isel(atom=index)):
        what = "the descriptors are of other atoms than these: frames or positions differ"
        raise DataError(what, where="back-project", fix="give the atoms that the crops were cut at, in their order")
    apart = {str(name): descriptors["z"][:, i] for i, name in enumerate(descriptors["component"].values)}
    others = {str(name): v for name, v in descriptors.data_vars.items() if v.dims[:1] == ("sample",) and name != "z"}
    added = {}
    for name, var in (apart | others).items():
        whole = var.dtype.kind in "biu"
        # Neither -1 nor NaN is a bool or an unsigned number.
        dtype = np.result_type(var.dtype, np.int8) if whole else var.dtype
        values = np.full((n, *var.shape[1:]), -1 if whole else np.nan, dtype)
        values[index] = var.values
        attrs = {"long_name": f"descriptor {name}", **var.attrs}
        added[name if name not in atoms else f"{name}_found"] = xr.Variable(("atom", *var.dims[1:]), values, attrs)
    return atoms_schema.validate(atoms.assign(added)) if not atoms.attrs.get("is_truth") else atoms.assign(added)


class BackProject:
    """Transform ``back-project``."""

    def __init__(self, params: BackProjectParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, atoms: xr.Dataset, ctx: Context) -> xr.Dataset:
        """See `back_project`."""
        return back_project(data, atoms)


class Manifold:
    """Decodes a grid over two components of the latent space.

    Parameters
    ----------
    params : ManifoldParams
    """

    def __init__(self, params: ManifoldParams) -> None:
        self.params = params

    def apply(self, *, model: xr.Dataset, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Decode the grid.

        Parameters
        ----------
        model : xarray.Dataset
            ``model/1`` of a learner that can decode.
        data : xarray.Dataset
            ``descriptors/1`` that it gave: the grid spans their quantiles.

        Returns
        -------
        xarray.Dataset
            ``decoded/1`` over (row component, column component, y, x), both with their values as coordinates.

        Raises
        ------
        DataError
            The learner cannot decode, or there are no such components.
        """
        p, learner = self.params, load_learner(model)
        if not hasattr(learner, "decode"):
            raise DataError(f"{model.attrs['learner']!r} cannot decode", where="manifold")
        names = [str(name) for name in data["component"].values]
        z = data["z"].values.reshape(-1, len(names)).astype(np.float64)
        z = z[np.isfinite(z).all(1)]
        if not len(z):
            raise DataError("no sample has descriptors", where="manifold")
        column, row = p.components
        if max(column, row) >= len(names) and len(names) > 1:
            raise DataError(f"component {max(column, row)} of {len(names)} ({', '.join(names)})", where="manifold")
        if len(names) == 1:
            column = row = 0
        middle = np.median(z, axis=0)
        along = {k: _spread(z[:, k], p) for k in (column, row)}
        rows = along[row] if row != column else middle[[row]]
        points = np.tile(middle, (len(rows), p.n, 1))
        points[..., row] = rows[:, None]
        points[..., column] = along[column]
        images = learner.decode(points.reshape(-1, len(names)))
        values = np.asarray(images.values if isinstance(images, xr.DataArray) else images)
        features = images.dims[1:] if isinstance(images, xr.DataArray) else ("y", "x")
        held = images.coords if isinstance(images, xr.DataArray) else {}
        row_name = names[row] if row != column else "row"
        units = str(data["z"].attrs.get("units", "1"))
        coords = {
            row_name: variable(row_name, rows, units, f"latent {row_name}"),
            names[column]: variable(names[column], along[column], units, f"latent {names[column]}"),
            **{str(dim): held[dim].variable for dim in features if dim in held},
        }
        return decoded.make(
            values.reshape(len(rows), p.n, *values.shape[1:]),
            dims=(row_name, names[column], *map(str, features)),
            units=str(getattr(images, "attrs", {}).get("units", "1")),
            coords=coords,
        )


def _spread(z: NDArray[np.float64], p: ManifoldParams) -> NDArray[np.float64]:
    low, high = np.quantile(z, p.quantiles)
    return np.linspace(low, high, p.n)


class Reconstruct:
    """What a fitted learner takes every sample to be, with its pose applied.

    Parameters
    ----------
    params : ReconstructParams
    """

    def __init__(self, params: ReconstructParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, model: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Reconstruct all samples, lazily where they are lazy.

        A learner with a method ``reconstruct(x)`` is asked for the images with their pose; of others that can
        decode and find no angle the latents are decoded.

        Returns
        -------
        xarray.Dataset
            As the data, with the reconstructions for the intensity.

        Raises
        ------
        DataError
            The learner can do neither.
        """
        x, samples = samples_of(data)
        learner = load_learner(model)
        if not hasattr(learner, "reconstruct") and not hasattr(learner, "decode"):
            raise DataError(f"{model.attrs['learner']!r} can neither reconstruct nor decode", where="reconstruct")
        dims = tuple(map(str, x.dims))

        def block(values: NDArray[Any]) -> NDArray[np.float32]:
            return _reconstructed(
                learner, xr.DataArray(values, dims=dims, attrs=x.attrs).assign_coords(_heeded(x)), samples
            )

        if is_lazy(x):
            whole = x.chunk({dim: -1 for dim in dims if dim not in samples})
            made = whole.data.map_blocks(block, dtype=np.float32, meta=np.empty((0,) * x.ndim, np.float32))
        else:
            made = block(np.asarray(x.data))
        return data.assign(intensity=variable(dims, made, str(x.attrs.get("units", "1")), "reconstruction"))


def _heeded(x: xr.DataArray) -> dict[str, Any]:
    # Samples that are not valid are reconstructed too: who compares leaves them out.
    return {"bad_pixel": x.coords["bad_pixel"].variable} if "bad_pixel" in x.coords else {}


def _reconstructed(learner: Any, x: xr.DataArray, samples: list[str]) -> NDArray[np.float32]:
    if hasattr(learner, "reconstruct"):
        made = learner.reconstruct(x)
    else:
        encoded = learner.transform(x)
        if "angle" in encoded:
            raise DataError("the learner finds angles but does not reconstruct with them", where="reconstruct")
        made = learner.decode(encoded["z"].values.reshape(-1, encoded.sizes["component"]))
    values: NDArray[np.float32] = np.asarray(made, np.float32).reshape(x.shape)
    return values
