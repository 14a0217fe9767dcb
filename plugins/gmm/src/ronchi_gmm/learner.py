"""What the learners share: samples in, ``descriptors/1`` out, states that are plain arrays."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ronchi.api import Context, DataError, Params
from ronchi.schema import decoded, descriptors
from ronchi.schema.common import variable
from ronchi_gmm.samples import Floats, Layout, Samples, rows_of

__all__ = ["Encoded", "Learner", "State"]

State = dict[str, NDArray[Any]]

_ARRAYS = "arrays.npz"


@dataclass(frozen=True)
class Encoded:
    """Descriptors of a block of n samples.

    Parameters
    ----------
    z : (n, n_components) float
    label : (n,) int, optional
    label_prob : (n, n_classes) float, optional
    nll : (n,) float, optional
    """

    z: NDArray[Any]
    label: NDArray[Any] | None = None
    label_prob: NDArray[Any] | None = None
    nll: NDArray[Any] | None = None


class Learner:
    """Base of the learners: a fitted one is a `Layout` and a dictionary of arrays, all that is saved.

    Results are computed from these by one thread, so that a loaded learner gives the same bits.
    """

    name: ClassVar[str]

    def __init__(self, params: Params) -> None:
        self.params: Any = params
        self.layout: Layout | None = None
        self.state: State = {}

    def fit(self, x: xr.DataArray, ctx: Context) -> None:
        """Learn from lazy data, read block by block.

        Parameters
        ----------
        x : (*samples, *features) DataArray
            Pixels that a coordinate ``bad_pixel`` marks, samples that ``valid`` excludes, and samples with values
            that are not finite are left out.

        Raises
        ------
        DataError
            Too few usable samples, or nothing to learn from them.
        """
        layout = Layout.of(x, self.name)
        with _limited(ctx.n_threads), _told(ctx):
            state = self._fit(Samples(x, layout, self.params.memory_mb, self.name), ctx)
        self.layout, self.state = layout, {name: np.asarray(array) for name, array in state.items()}

    def transform(self, x: xr.DataArray) -> xr.Dataset:
        """Encode a block that fits in memory.

        Returns
        -------
        xarray.Dataset
            ``descriptors/1``; samples that cannot be used have NaN, and the label -1.

        Raises
        ------
        DataError
            Not fitted, or the samples have another size than those of the fit.
        """
        fitted = self._fitted()
        fitted.check(Layout.of(x, self.name), self.name)
        dims = tuple(str(dim) for dim in x.dims[: x.ndim - len(fitted.dims)])
        rows, good = rows_of(x, fitted)
        with _limited(1):
            found = self._encode(rows)
        shape = x.shape[: len(dims)]
        z = np.where(good[:, None], found.z, np.nan).reshape(*shape, -1)
        extra = self._extra()
        if found.label_prob is not None:
            prob = np.where(good[:, None], found.label_prob, np.nan).astype(np.float32).reshape(*shape, -1)
            extra["label_prob"] = variable((*dims, "class"), prob, "1", "probability of the class")
        coords = {name: coord.variable for name, coord in x.coords.items() if name in dims}
        return descriptors.make(
            z,
            dims=dims,
            component=self._components(z.shape[-1]),
            label=None if found.label is None else np.where(good, found.label, -1).reshape(shape),
            nll=None if found.nll is None else np.where(good, found.nll, np.nan).reshape(shape),
            coords=coords,
            attrs={"learner": self.name},
            **extra,
        )

    def save(self, folder: Path) -> None:
        """Write the state as JSON and npz."""
        self._fitted().save(folder)
        np.savez(folder / _ARRAYS, **self.state)  # type: ignore[arg-type]  # numpy's types expect a flag among the names

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; encodings are then equal bit for bit."""
        self.layout = Layout.load(folder)
        with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
            self.state = dict(arrays)

    def _fitted(self) -> Layout:
        if self.layout is None:
            raise DataError("not fitted", where=self.name, fix="call `fit` first, or give a fitted `model`")
        return self.layout

    def _decoded(self, rows: NDArray[Any]) -> xr.DataArray:
        """(sample, *features) images of rows over the used pixels; NaN at bad ones."""
        layout = self._fitted()
        attrs = {"units": layout.units, "long_name": "decoded image"}
        return xr.DataArray(layout.images(rows), layout.variables(), ("sample", *layout.dims), attrs=attrs)

    def _image_side(self, rows: NDArray[Any], dim: str, **extra: xr.Variable) -> xr.Dataset:
        """``decoded/1`` of rows over the used pixels, numbered along ``dim``."""
        layout = self._fitted()
        images = layout.images(rows)
        number = {dim: variable(dim, np.arange(len(rows)), "1", dim)}
        if len(layout.dims) == 1:
            # Of descriptors: an image of one row, whose columns are called otherwise than its factors.
            (column,) = layout.dims
            name = "feature" if column == dim else column
            known = layout.variables().get(column)
            if known is not None:
                number[name] = xr.Variable((name,), known.values, known.attrs)
            return decoded.make(images[:, None], dims=(dim, "row", name), units=layout.units, coords=number, **extra)
        coords = {**number, **layout.variables()}
        return decoded.make(images, dims=(dim, *layout.dims), units=layout.units, coords=coords, **extra)

    def _components(self, n: int) -> list[str]:
        return [f"{self.name}{i}" for i in range(n)]

    def _extra(self) -> dict[str, xr.Variable]:
        return {}

    def _fit(self, samples: Samples, ctx: Context) -> Mapping[str, Any]:
        raise NotImplementedError

    def _encode(self, rows: Floats) -> Encoded:
        raise NotImplementedError


def _limited(n_threads: int) -> contextlib.AbstractContextManager[Any]:
    limit: contextlib.AbstractContextManager[Any] = threadpool_limits(limits=n_threads)
    return limit


@contextlib.contextmanager
def _told(ctx: Context) -> Iterator[None]:
    """Warnings about convergence go to the run's log, not to stderr."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            ctx.log.warning("%s", str(warning.message).splitlines()[0])
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
