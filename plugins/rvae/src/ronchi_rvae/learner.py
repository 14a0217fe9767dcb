"""What the learners share: images in, ``descriptors/1`` out, states that are numbers and arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from ronchi.api import Context, DataError
from ronchi.schema import decoded
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.frames import Window, draw, frames_of
from ronchi_rvae.holdout import frame_numbers
from ronchi_rvae.intensity import Intensity
from ronchi_rvae.params import DiscParams
from ronchi_rvae.results import Encoded, described
from ronchi_rvae.shifts import ShiftGrid
from ronchi_rvae.store import load_state, save_state

__all__ = ["DiscLearner", "blocks", "principal_axes"]

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float32]

_BLOCK, _BLOCK_MB = 4096, 500.0
"""Images that are encoded at a time, at most: what is known of them about every shift is held in memory."""
_DENSE = 1500
"""Numbers of a row up to which the whole covariance is made; of longer rows only what it does to single vectors."""


def principal_axes(rows: Floats, n: int) -> tuple[Floats, Floats]:
    """Mean (d,) and the ``n`` directions (n, d) of largest variance of rows (r, d); the sign makes the sum positive."""
    mean = rows.mean(axis=0, dtype=np.float64)
    d = rows.shape[1]
    if d <= max(_DENSE, n):
        centred = rows - mean
        vectors = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    else:
        mean32 = mean.astype(np.float32)

        def scatter(v: NDArray[Any]) -> NDArray[Any]:
            seen = rows @ v.astype(np.float32)
            seen -= mean32 @ v
            return rows.T @ seen - mean * seen.sum()

        operator = LinearOperator((d, d), matvec=scatter, dtype=np.float64)
        values, vectors = eigsh(operator, k=min(n, d - 1), v0=np.ones(d))
        vectors = vectors[:, np.argsort(values)[::-1]]
    axes = vectors[:, : min(n, d)].T
    axes = axes * np.where(axes.sum(axis=1, keepdims=True) < 0, -1, 1)
    return mean.astype(np.float32), np.ascontiguousarray(axes, dtype=np.float32)


class DiscLearner:
    """Base of the learners that see an image by its harmonics in a disc.

    Parameters
    ----------
    params : DiscParams
    """

    name: ClassVar[str]

    def __init__(self, params: DiscParams) -> None:
        self.params: Any = params
        self._window: Window | None = None
        self._curves: dict[str, list[float]] = {}
        self._intensity: Intensity
        self.basis: DiscBasis

    @property
    def max_shift_px(self) -> float:
        """Largest shift that is looked for."""
        return float(getattr(self.params, "max_shift_px", 0.0))

    def fit(self, x: xr.DataArray, ctx: Context) -> None:
        """Learn from lazy data, read once.

        Parameters
        ----------
        x : (*samples, ny, nx) DataArray
            Pixels that a coordinate ``bad_pixel`` marks, samples that ``valid`` excludes, and samples with values that
            are not finite are left out.

        Raises
        ------
        DataError
            No two square-pixel axes after the samples, no usable sample, nothing in them to learn, or images whose
            descriptions need more memory than `memory_mb`.
        """
        window = Window.of(x, self.name)
        basis = self._basis_for(window)
        self._check_memory(basis, x, window)
        frames, numbers = draw(x, window, self.params.max_samples, ctx, self.name)
        inside = _inside(basis, window)
        intensity = Intensity.fitted(self.params, frames, inside, self._probe(x, window))
        self._window, self._intensity, self.basis = window, intensity, basis
        self._learn(intensity.of(frames, inside), frame_numbers(x, numbers, self.name), ctx)

    def transform(self, x: xr.DataArray) -> xr.Dataset:
        """Encode a block that fits in memory.

        Returns
        -------
        xarray.Dataset
            ``descriptors/1``. Samples that cannot be used have NaN and the label -1.

        Raises
        ------
        DataError
            Not fitted, or the images have another size or other bad pixels than those of the fit.
        """
        values, good = self._seen(x)
        return described(
            [self._encode(part) for part in blocks(values, self.basis)],
            good,
            x,
            self.name,
            n_fold=self.n_fold,
            curves=self._curves,
            extra=self._class_variables(),
        )

    def decode(self, z: xr.DataArray | NDArray[Any], *, mirror: bool = False) -> xr.DataArray:
        """Images at angle 0 and shift 0.

        Parameters
        ----------
        z : (..., n_components) array
        mirror : bool
            Give the mirror images, y reversed about the centre.

        Returns
        -------
        (..., ny, nx) DataArray
            In the units of the data; NaN outside of the disc, where nothing was learned.
        """
        window = self._fitted()
        values = np.asarray(z, np.float32)
        coefficients = self._decode(np.ascontiguousarray(values.reshape(-1, values.shape[-1])))
        images = self._in_disc(self.basis.images(np.conj(coefficients) if mirror else coefficients))
        lead = z.dims[:-1] if isinstance(z, xr.DataArray) else tuple(f"z_{i}" for i in range(values.ndim - 1))
        attrs = {"units": window.units, "long_name": "decoded image"}
        shape = (*values.shape[:-1], *window.shape)
        return xr.DataArray(images.reshape(shape), window.variables(), (*lead, *window.dims), attrs=attrs)

    def save(self, folder: Path) -> None:
        """Write the fitted state as JSON and safetensors."""
        window = self._fitted()
        window.save(folder)
        probe = {} if self._intensity.probe is None else {"probe": self._intensity.probe}
        numbers = {"scale": self._intensity.scale, "curves": self._curves}
        save_state(folder, numbers, {**self._arrays(), **probe})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; encodings are then equal bit for bit."""
        window = Window.load(folder)
        numbers, arrays = load_state(folder)
        self.basis = self._basis_for(window)
        probe = arrays.pop("probe", None)
        self._intensity = Intensity(self.params.counts, self.params.normalise, numbers["scale"], probe)
        self._curves = numbers["curves"]
        self._restore(arrays)
        self._window = window

    @property
    def n_fold(self) -> int:
        """Symmetry up to which all angles are defined."""
        return 1

    def _learn(self, values: Floats, groups: NDArray[Any], ctx: Context) -> None:
        raise NotImplementedError

    def _encode(self, values: Floats) -> Encoded:
        raise NotImplementedError

    def _decode(self, z: Floats) -> NDArray[np.complex64]:
        raise DataError("invariants cannot be turned back into images", where=self.name, fix="use polar-em or rvae")

    def _arrays(self) -> Arrays:
        raise NotImplementedError

    def _restore(self, arrays: Arrays) -> None:
        raise NotImplementedError

    def _class_variables(self) -> Mapping[str, xr.Variable]:
        """Variables that do not run along the samples."""
        return {}

    def _seen(self, x: xr.DataArray) -> tuple[Floats, NDArray[np.bool_]]:
        """Values (n, ny, nx) of samples as they are learned, and which of them (n,) can be used."""
        window = self._fitted()
        window.check(Window.of(x, self.name), self.name)
        frames, good = frames_of(x, window)
        return self._intensity.of(frames, _inside(self.basis, window)), good

    def _in_disc(self, images: Floats) -> Floats:
        """Images in the units of the data; NaN outside of the disc."""
        made = self._intensity.back(images)
        made[:, ~self.basis.covered] = np.nan
        return made

    def _fitted(self) -> Window:
        if self._window is None:
            raise DataError("not fitted", where=self.name, fix="call `fit` first, or give a fitted `model`")
        return self._window

    def _probe(self, x: xr.DataArray, window: Window) -> Floats | None:
        if not self.params.subtract_probe:
            return None
        if "probe" not in x.coords:
            raise DataError("the data carry no `probe`", where=self.name, fix="subtract_probe: false")
        probe: Floats = x.coords["probe"].transpose(*window.dims).values.astype(np.float32)
        # As in the images: sums of both are then over the same pixels.
        return probe if window.bad_pixel is None else np.where(window.bad_pixel, np.float32(0), probe)

    def _basis_for(self, window: Window) -> DiscBasis:
        largest = window.reach_px - self.max_shift_px
        radius = self.params.radius_px or largest
        if radius > largest + 1e-6 or radius < 2:
            raise DataError(
                f"a disc of {radius:g} px, shifted by up to {self.max_shift_px:g} px, must lie inside images of "
                f"{window.shape} and have 2 px at least",
                where=f"{self.name}: radius_px",
                fix=f"at most {largest:g} px, or larger images"
                if largest >= 2 or _is_central(window)
                else f"put 0 of {' and '.join(window.dims)}, about which images turn, where the beam goes through: "
                "transform `centre`",
            )
        shifts = ShiftGrid(self.max_shift_px)
        return DiscBasis(window.shape, window.centre_px, radius, self.params.band_limit, shifts, window.bad_pixel)

    def _check_memory(self, basis: DiscBasis, x: xr.DataArray, window: Window) -> None:
        samples = min(self.params.max_samples, x.size // math.prod(window.shape))
        needed = basis.memory_mb + samples * self._sample_mb(basis)
        if needed > self.params.memory_mb:
            raise DataError(
                f"describing {samples} images by {basis.dof} numbers each, about {len(basis.shifts.nodes_px)} centres, "
                f"takes {needed / 1000:.1f} GB; `memory_mb` is {self.params.memory_mb:g}",
                where=f"{self.name}: memory_mb",
                fix="bin the images first (transform: bin), lower `band_limit`, `radius_px` or `max_samples`, or raise "
                "`memory_mb`",
            )

    def _sample_mb(self, basis: DiscBasis) -> float:
        """Memory that a sample takes in a fit, in MB."""
        return basis.described_mb

    def _image_side(self, coefficients: NDArray[Any], dims: tuple[str, ...], **extra: Any) -> xr.Dataset:
        """``decoded/1`` of coefficients (*dims, D)."""
        window = self._fitted()
        flat = self.basis.images(coefficients.reshape(-1, coefficients.shape[-1]))
        images = self._in_disc(flat).reshape(*coefficients.shape[:-1], *window.shape)
        coords = {**window.variables(), **extra.pop("coords", {})}
        return decoded.make(images, dims=(*dims, *window.dims), units=window.units, coords=coords, **extra)


def blocks(values: Floats, basis: DiscBasis) -> Iterator[Floats]:
    """Parts of images (n, ny, nx) that are encoded at a time."""
    n = max(1, min(_BLOCK, int(_BLOCK_MB / basis.described_mb)))
    yield from (values[at : at + n] for at in range(0, len(values), n))


def _is_central(window: Window) -> bool:
    return all(abs(c - (n - 1) / 2) < 0.25 * n for c, n in zip(window.centre_px, window.shape, strict=True))


def _inside(basis: DiscBasis, window: Window) -> NDArray[np.bool_]:
    """(ny, nx) good pixels whose centre lies in the disc."""
    y = np.arange(window.shape[0])[:, None] - window.centre_px[0]
    x = np.arange(window.shape[1]) - window.centre_px[1]
    inside: NDArray[np.bool_] = np.hypot(y, x) <= basis.radius_px
    return inside if window.bad_pixel is None else inside & ~window.bad_pixel
