"""What the baselines share: they learn from pixels, and give ``descriptors/1``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.schema import decoded
from ronchi.schema.common import variable
from ronchi_rvae.frames import Window, draw, frames_of
from ronchi_rvae.holdout import along_samples, frame_numbers, hold_out, one_hot
from ronchi_rvae.intensity import Intensity
from ronchi_rvae.params_pixels import PixelParams
from ronchi_rvae.pixel_window import fitted_intensity, used_pixels
from ronchi_rvae.results import Encoded, described
from ronchi_rvae.store import load_state, save_state

if TYPE_CHECKING:
    from ronchi_rvae.trainable import PixelModel

__all__ = ["PixelLearner"]

Floats = NDArray[np.float32]

_BLOCK = 1024
"""Images that are encoded at a time: a decoder of coordinates holds its hidden layers for every pixel of them."""
_GRID = np.linspace(-2, 2, 9, dtype=np.float32)
"""Latents at which the manifold is drawn."""


class PixelLearner:
    """Base of the learners that see an image by its pixels.

    Parameters
    ----------
    params : PixelParams
    """

    name: ClassVar[str]

    def __init__(self, params: PixelParams) -> None:
        self.params: Any = params
        self._window: Window | None = None
        self._known = np.empty(0, np.int64)
        self._curves: dict[str, list[float]] = {}
        self._intensity: Intensity
        self.model: Any

    def fit(self, x: xr.DataArray, ctx: Context) -> None:
        """Learn from lazy data, read once; on several processes where ``torchrun`` has started them.

        Training that was stopped goes on from the checkpoint in ``ctx.scratch``, if that is of the same data,
        parameters and seed.

        Parameters
        ----------
        x : (*samples, ny, nx) DataArray
            Pixels that a coordinate ``bad_pixel`` marks, samples that ``valid`` excludes, and samples with values that
            are not finite are left out. Whole frames are held out where there is a coordinate ``frame``.

        Raises
        ------
        DataError
            No two square-pixel axes after the samples, no usable sample, or nothing in them to learn.
        """
        p = self.params
        window = Window.of(x, self.name)
        used = self._used(window)
        frames, numbers = draw(x, window, p.max_samples, ctx, self.name)
        self._intensity = fitted_intensity(p, frames, used, self.name)
        given = self._given(x, numbers, fitted=False)
        held = hold_out(frame_numbers(x, numbers, self.name), p.held_out, ctx.rng)
        values = np.ascontiguousarray(self._intensity.of(frames, used)[:, used])
        self._train(window, values, given, held, ctx)
        self._window = window

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
        frames, good, given = self._seen(x)
        window = self._fitted()
        values = self._intensity.of(frames, self._used(window))[:, self._used(window)]
        parts = [
            self._encode(values[at : at + _BLOCK], given[at : at + _BLOCK]) for at in range(0, len(values), _BLOCK)
        ]
        return described(parts, good, x, self.name, curves=self._curves)

    def decode(self, z: xr.DataArray | NDArray[Any], *, label: int = 0, condition: int | None = None) -> xr.DataArray:
        """Images at angle 0 and shift 0.

        Parameters
        ----------
        z : (..., n_components) array
        label : int
            Class, for learners with several.
        condition : int, optional
            Value of the coordinate that the fit was given; the smallest by default.

        Returns
        -------
        (..., ny, nx) DataArray
            In the units of the data; NaN at pixels that were not learned.
        """
        window = self._fitted()
        values = np.asarray(z, np.float32)
        flat = np.ascontiguousarray(values.reshape(-1, values.shape[-1]))
        value = condition if condition is not None else (self._known[0] if len(self._known) else 0)
        given = one_hot(np.full(len(flat), value), self._known, self.name) if len(self._known) else _nothing(len(flat))
        images = self._images(flat, np.full(len(flat), label), given, np.zeros((len(flat), 3), np.float32))
        lead = z.dims[:-1] if isinstance(z, xr.DataArray) else tuple(f"z_{i}" for i in range(values.ndim - 1))
        attrs = {"units": window.units, "long_name": "decoded image"}
        shape = (*values.shape[:-1], *window.shape)
        return xr.DataArray(images.reshape(shape), window.variables(), (*lead, *window.dims), attrs=attrs)

    def reconstruct(self, x: xr.DataArray) -> xr.DataArray:
        """What the samples are taken to be, at their angle and shift.

        Returns
        -------
        (*samples, ny, nx) DataArray
            In the units of the data, but for what ``normalise`` took out; NaN at pixels that were not learned, and for
            samples that cannot be used.
        """
        frames, good, given = self._seen(x)
        used = self._used(self._fitted())
        values = self._intensity.of(frames, used)[:, used]
        made = [
            self._reconstruct(values[at : at + _BLOCK], given[at : at + _BLOCK]) for at in range(0, len(values), _BLOCK)
        ]
        images = np.where(good[:, None, None], np.concatenate(made), np.float32(np.nan))
        return x.copy(data=images.reshape(x.shape))

    def sides(self) -> dict[str, xr.Dataset]:
        """Give images over the first two latents, the others being 0."""
        n = min(2, self.params.n_components)
        grids = np.meshgrid(*[self._latent_grid()] * n, indexing="ij")
        z = np.zeros((*grids[0].shape, self.params.n_components), np.float32)
        for i in range(n):
            z[..., i] = grids[n - 1 - i]
        names = tuple(f"z{i}" for i in reversed(range(n)))
        axes = {name: variable(name, self._latent_grid(), "1", f"latent {name}") for name in names}
        images = self.decode(xr.DataArray(z, dims=(*names, "component")))
        return {"manifold": self._image_side(images.values, names, axes)}

    def save(self, folder: Path) -> None:
        """Write the fitted state as JSON and safetensors."""
        self._fitted().save(folder)
        numbers = {"scale": self._intensity.scale, "known": self._known.tolist(), "curves": self._curves}
        save_state(folder, numbers, {name: value.numpy() for name, value in self.model.state_dict().items()})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; encodings are then equal bit for bit."""
        import torch

        window = Window.load(folder)
        numbers, arrays = load_state(folder)
        self._known, self._curves = np.array(numbers["known"], np.int64), numbers["curves"]
        self._intensity = Intensity(self.params.counts, self.params.normalise, numbers["scale"])
        self.model = self._new_model(window).eval()
        self.model.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in arrays.items()})
        self._window = window

    def _new_model(self, window: Window) -> PixelModel:
        raise NotImplementedError

    def _encode(self, values: Floats, given: Floats) -> Encoded:
        raise NotImplementedError

    def _reconstruct(self, values: Floats, given: Floats) -> Floats:
        raise NotImplementedError

    def _images(self, z: Floats, label: NDArray[Any], given: Floats, pose: Floats) -> Floats:
        raise NotImplementedError

    def _latent_grid(self) -> Floats:
        return _GRID

    def _train(self, window: Window, values: Floats, given: Floats, held: NDArray[np.bool_], ctx: Context) -> None:
        import torch

        from ronchi_rvae.fitting import fitted_curves
        from ronchi_rvae.training import Schedule
        from ronchi_torch.threads import thread_limit

        p = self.params
        seed = int(ctx.rng.integers(2**62))
        wanted = {name: getattr(p, name) for name in ("starts", "start_epochs", "content_delay") if hasattr(p, name)}
        half = p.mixed_precision and ctx.device == "cuda"
        tensor, condition = torch.from_numpy(values), torch.from_numpy(given)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = self._new_model(window)
        self.model.standardise(tensor[~held])
        self._curves = fitted_curves(
            self.model,
            tensor,
            condition,
            held,
            Schedule(p.epochs, p.batch, p.learning_rate, p.patience, half=half, **wanted),
            ctx,
            seed=seed,
            identity=json.dumps([self.name, p.model_dump(mode="json")]),
        )
        with thread_limit(1):
            self.model.survey(list(zip(tensor.split(_BLOCK), condition.split(_BLOCK), strict=True)))

    def _used(self, window: Window) -> NDArray[np.bool_]:
        """(ny, nx) pixels that are learned."""
        return used_pixels(window, self.params, self.name)

    def _seen(self, x: xr.DataArray) -> tuple[Floats, NDArray[np.bool_], Floats]:
        window = self._fitted()
        window.check(Window.of(x, self.name), self.name)
        frames, good = frames_of(x, window)
        return frames, good, self._given(x, np.arange(len(frames)), fitted=True)

    def _given(self, x: xr.DataArray, numbers: NDArray[np.int64], *, fitted: bool) -> Floats:
        name = getattr(self.params, "condition", None)
        if name is None:
            return _nothing(len(numbers))
        values = along_samples(x, name, _sample_dims(x), self.name)[numbers]
        if not fitted:
            self._known = np.unique(values).astype(np.int64)
        return one_hot(values, self._known, self.name)

    def _fitted(self) -> Window:
        if self._window is None:
            raise DataError("not fitted", where=self.name, fix="call `fit` first, or give a fitted `model`")
        return self._window

    def _placed(self, values: Floats) -> Floats:
        """Images (n, ny, nx) in the units of the data, of what was learned (n, pixels)."""
        window = self._fitted()
        images = np.full((len(values), *window.shape), np.nan, np.float32)
        images[:, self._used(window)] = self._intensity.back(values)
        return images

    def _image_side(self, images: Floats, dims: tuple[str, ...], coords: dict[str, Any]) -> xr.Dataset:
        window = self._fitted()
        return decoded.make(
            images, dims=(*dims, *window.dims), units=window.units, coords={**window.variables(), **coords}
        )


def _sample_dims(x: xr.DataArray) -> tuple[str, ...]:
    return tuple(str(dim) for dim in x.dims[:-2])


def _nothing(n: int) -> Floats:
    return np.empty((n, 0), np.float32)
