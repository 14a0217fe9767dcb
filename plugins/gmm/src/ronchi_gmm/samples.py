"""Samples of any dims as rows of a matrix, without bad pixels and without samples that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.blocks import SAMPLE_DIMS, iter_samples
from ronchi.schema.common import variable

__all__ = ["Layout", "Samples", "rows_of"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """What a sample looks like: dims and shape of its features, their coordinates, and the pixels in use.

    Parameters
    ----------
    dims : tuple of str
    shape : tuple of int
    used : (n_features,) bool
        Flat; False for bad pixels.
    coords : dict of str to tuple
        Dimension to values, units and long name.
    units : str
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    used: NDArray[np.bool_]
    coords: dict[str, tuple[list[Any], str, str]]
    units: str

    @classmethod
    def of(cls, x: xr.DataArray, where: str) -> Self:
        """Layout of data.

        Raises
        ------
        DataError
            There are no samples, no features or no good pixel, or the values are no real numbers.
        """
        dims = tuple(str(dim) for dim in x.dims if dim not in SAMPLE_DIMS)
        n_samples = len(x.dims) - len(dims)
        if not dims or not n_samples or tuple(map(str, x.dims[n_samples:])) != dims:
            raise DataError(
                f"dims are {x.dims}: expected samples ({', '.join(SAMPLE_DIMS)}) before features", where=where
            )
        if not x.size:
            raise DataError(f"there are no samples: the data have shape {x.shape}", where=where)
        if x.dtype.kind not in "buif":
            raise DataError(f"the values are {x.dtype}, not real numbers", where=where, fix="give e.g. their modulus")
        shape = x.shape[n_samples:]
        used = np.ones(int(np.prod(shape)), bool)
        if "bad_pixel" in x.coords:
            used &= ~x.coords["bad_pixel"].transpose(*dims).values.astype(bool).ravel()
        if not used.any():
            raise DataError("every pixel is marked as bad", where=where)
        coords = {
            dim: (x[dim].values.tolist(), str(x[dim].attrs.get("units", "1")), str(x[dim].attrs.get("long_name", dim)))
            for dim in dims
            if dim in x.coords
        }
        return cls(dims, shape, used, coords, str(x.attrs.get("units", "1")))

    def check(self, other: Layout, where: str) -> None:
        """Raise `DataError` unless samples of another layout can be encoded by a model of this one."""
        if other.shape != self.shape:
            what = f"the model was fitted to samples of shape {self.shape}, these have {other.shape}"
            raise DataError(what, where=where, fix="cut them to the same size, or fit anew")
        if (self.used & ~other.used).any():
            what = f"{int((self.used & ~other.used).sum())} pixels that the model uses are bad in these data"
            raise DataError(what, where=where, fix="fill them with the transform `bad-pixels`, or fit anew")

    def images(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """(n, *shape) images of rows over the used pixels; NaN at the others."""
        full = np.full((len(rows), self.used.size), np.nan, np.float32)
        full[:, self.used] = rows
        return full.reshape(-1, *self.shape)

    def variables(self) -> dict[str, xr.Variable]:
        """Coordinates of the features."""
        return {dim: variable(dim, np.array(v), units, name) for dim, (v, units, name) in self.coords.items()}

    def save(self, folder: Path) -> None:
        """Write it as JSON."""
        state = {**vars(self), "used": np.packbits(self.used).tolist()}
        (folder / "layout.json").write_text(json.dumps(state), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        state = json.loads((folder / "layout.json").read_text(encoding="utf-8"))
        shape = tuple(state["shape"])
        packed = np.array(state["used"], np.uint8)
        used = np.unpackbits(packed, count=int(np.prod(shape))).astype(bool)
        coords = {dim: (held[0], held[1], held[2]) for dim, held in state["coords"].items()}
        return cls(tuple(state["dims"]), shape, used, coords, state["units"])


def rows_of(x: xr.DataArray, layout: Layout) -> tuple[Floats, NDArray[np.bool_]]:
    """Used pixels of data in memory, and which samples are valid and finite there.

    Returns
    -------
    rows : (n, n_used) float32
        All samples; 0 where they are not good.
    good : (n,) bool
    """
    return _rows(np.asarray(x.data).reshape(-1, layout.used.size), _valid(x, layout), layout)


def _rows(flat: NDArray[Any], valid: NDArray[np.bool_], layout: Layout) -> tuple[Floats, NDArray[np.bool_]]:
    rows = flat[:, layout.used].astype(np.float32) if not layout.used.all() else flat.astype(np.float32)
    good = valid & np.isfinite(rows).all(1)
    rows[~good] = 0
    return rows, good


def _valid(x: xr.DataArray, layout: Layout) -> NDArray[np.bool_]:
    samples = [dim for dim in x.dims if dim not in layout.dims]
    if "valid" not in x.coords:
        return np.ones(int(np.prod([x.sizes[dim] for dim in samples])), bool)
    valid: NDArray[np.bool_] = x.coords["valid"].transpose(*samples).values.astype(bool).ravel()
    return valid


_LARGEST = 1e17
"""Of values: sums of a thousand squares still are float32; so are the squares of its inverse."""


class Samples:
    """The usable samples of lazy data: in batches, as a whole, or as a random part that fits in memory.

    Parameters
    ----------
    x : DataArray
    layout : Layout
    memory_mb : float
    where : str
        Name of the learner, for messages.
    """

    def __init__(self, x: xr.DataArray, layout: Layout, memory_mb: float, where: str) -> None:
        self.x, self.layout, self.memory_mb, self.where = x, layout, memory_mb, where
        self.total = int(np.prod([x.sizes[dim] for dim in x.dims if dim not in layout.dims]))
        n_used = int(layout.used.sum())
        self.most = max(1, int(memory_mb * 1e6 // (4 * n_used)))
        self.whole = self.total <= self.most

    def batches(self, ctx: Context | None = None) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Yield numbers and rows of the usable samples, in one pass over the data."""
        valid = _valid(self.x, self.layout)
        done = 0
        for positions, features in iter_samples(self.x):
            rows, good = _rows(features.reshape(len(positions), -1), valid[positions], self.layout)
            done += len(positions)
            if ctx is not None:
                ctx.progress(done, self.total)
            if good.any():
                kept = rows if good.all() else rows[good]
                self._check_size(kept, 0.0)
                yield positions[good], kept

    def rows(self, ctx: Context, least: int, what: str) -> Floats:
        """(n, n_used) usable samples: all, or where they are too many a random part of about ``memory_mb``.

        Raises
        ------
        DataError
            Less than ``least`` samples are usable or fit in memory, all of them are equal, or their squares are no
            float32.
        """
        chosen = np.ones(self.total, bool)
        if self.most < least <= self.total:
            raise DataError(
                f"`memory_mb` {self.memory_mb:g} holds {self.most} samples, too few for {what}: {least} are needed",
                where=self.where,
                fix=f"set `memory_mb` to {self.memory_mb * (least + 1) / self.most:.3g} or more",
            )
        if not self.whole:
            chosen[:] = False
            chosen[ctx.rng.choice(self.total, self.most, replace=False)] = True
            ctx.log.info("%s: fitted to %d of %d samples, by run of chance", self.where, self.most, self.total)
        kept = self._in_order(chosen, ctx)
        self.check(len(kept), least, what)
        self.check_varies(len(kept) == 1 or bool((kept != kept[0]).any()))
        self._check_size(kept, 1 / _LARGEST)
        return kept

    def _in_order(self, chosen: NDArray[np.bool_], ctx: Context) -> Floats:
        """Usable ones of the chosen samples, in the order of the samples: that of the chunks would tell in the fit."""
        rank = np.cumsum(chosen) - 1
        found = np.zeros(int(chosen.sum()), bool)
        kept = np.empty((len(found), int(self.layout.used.sum())), np.float32)
        for positions, rows in self.batches(ctx):
            here = chosen[positions]
            at = rank[positions[here]]
            kept[at], found[at] = rows[here], True
        return kept if found.all() else kept[found]

    def _check_size(self, rows: Floats, least: float) -> None:
        size = max(float(rows.max()), -float(rows.min()))
        if size > _LARGEST or 0 < size < least:
            what = f"the values reach {size:.3g}: their squares are no float32 any more"
            raise DataError(what, where=self.where, fix="divide by a unit that brings them near 1")

    def check(self, n: int, least: int, what: str) -> None:
        """Raise `DataError` if ``n`` usable samples are too few for ``what``."""
        if n < least:
            raise DataError(
                f"{n} usable samples are too few for {what}: at least {least} are needed",
                where=self.where,
                fix="ask for less, or give more samples; those with NaN or marked as not valid do not count",
            )

    def check_varies(self, varies: bool) -> None:
        """Raise `DataError` unless the usable samples differ."""
        if not varies:
            raise DataError(
                "all usable samples are equal: there is nothing to learn",
                where=self.where,
                fix="give samples that differ, e.g. another part of the scan; see whether a mask or a threshold "
                "before this step left none of the signal",
            )
