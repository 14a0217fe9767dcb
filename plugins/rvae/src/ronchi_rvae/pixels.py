"""What the baselines share: they learn from pixels, and give ``descriptors/1``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.schema import decoded, descriptors
from ronchi.schema.common import variable
from ronchi_rvae.frames import Window, draw_numbered, frames_of
from ronchi_rvae.holdout import along_samples, hold_out, one_hot
from ronchi_rvae.intensity import Intensity
from ronchi_rvae.params_pixels import PixelParams
from ronchi_rvae.store import load_state, save_state

if TYPE_CHECKING:
    from ronchi_rvae.training import PixelModel

__all__ = ["Encoded", "PixelLearner"]

Floats = NDArray[np.float32]

_BLOCK = 1024
"""Images that are encoded at a time: a decoder of coordinates holds its hidden layers for every pixel of them."""
_LEAST_PX = 4
_GRID = np.linspace(-2, 2, 9, dtype=np.float32)
"""Latents at which the manifold is drawn."""


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

    def __init__(
        self,
        z: Floats,
        nll: Floats,
        *,
        angle: Floats | None = None,
        angle_sigma: Floats | None = None,
        shift_px: Floats | None = None,
        label_prob: Floats | None = None,
    ) -> None:
        self.z, self.nll, self.angle, self.angle_sigma = z, nll, angle, angle_sigma
        self.shift_px, self.label_prob = shift_px, label_prob


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
        frames, numbers = draw_numbered(x, window, p.max_samples, ctx, self.name)
        self._intensity = self._fitted_intensity(frames, used)
        given = self._given(x, numbers, fitted=False)
        samples = _sample_dims(x)
        grouped = "frame" in x.coords and x.coords["frame"].dims and "frame" not in samples
        groups = along_samples(x, "frame", samples, self.name)[numbers] if grouped else np.zeros(len(frames), int)
        held = hold_out(groups, p.held_out, ctx.rng)
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
            self._encode(values[at : at + _BLOCK], given[at : at + _BLOCK])
            for at in range(0, max(len(values), 1), _BLOCK)
        ]
        return self._described(parts, good, x)

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
            In the units of the data; 0 at pixels that were not learned.
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
            In the units of the data, but for what ``normalise`` took out; NaN for samples that cannot be used.
        """
        frames, good, given = self._seen(x)
        used = self._used(self._fitted())
        values = self._intensity.of(frames, used)[:, used]
        made = [
            self._reconstruct(values[at : at + _BLOCK], given[at : at + _BLOCK])
            for at in range(0, max(len(values), 1), _BLOCK)
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
        self._intensity = self._intensity_of_scale(numbers["scale"])
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

        from ronchi_rvae.checkpoint import Checkpoint, fingerprint
        from ronchi_rvae.distributed import joined_world
        from ronchi_rvae.training import Samples, Schedule, thread_limit, train

        p = self.params
        seed = int(ctx.rng.integers(2**62))
        wanted = {name: getattr(p, name) for name in ("starts", "start_epochs", "content_delay") if hasattr(p, name)}
        with thread_limit(ctx.n_threads), joined_world(ctx.device) as world:
            half = p.mixed_precision and world.device.type == "cuda"
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.model = self._new_model(window)
            tensor, condition = torch.from_numpy(values), torch.from_numpy(given)
            self.model.standardise(tensor[~held])
            identity = fingerprint(
                json.dumps([self.name, p.model_dump(mode="json"), seed]), values.tobytes(), given.tobytes()
            )
            history = train(
                self.model.to(world.device),
                Samples(tensor[~held], condition[~held]),
                Samples(tensor[held], condition[held]),
                Schedule(p.epochs, p.batch, p.learning_rate, p.patience, half=half, **wanted),
                world=world,
                generator=torch.Generator().manual_seed(seed),
                checkpoint=Checkpoint(ctx.scratch, identity),
                tick=lambda done: ctx.progress(done, p.epochs),
                log=ctx.log,
            )
        ctx.progress(p.epochs, p.epochs)
        self.model.to("cpu").eval()
        with thread_limit(1):
            self.model.survey(tensor[:_BLOCK], condition[:_BLOCK])
        self._curves = {"bound": history.curve}
        if history.held_out:
            self._curves["bound_held_out"] = history.held_out

    def _used(self, window: Window) -> NDArray[np.bool_]:
        """(ny, nx) pixels that are learned."""
        if min(window.shape) < _LEAST_PX:
            raise DataError(f"images of {window.shape} are too small: {_LEAST_PX} px at least", where=self.name)
        used = np.ones(window.shape, bool) if window.bad_pixel is None else ~window.bad_pixel
        if self.params.mask == "circle":
            y = np.arange(window.shape[0])[:, None] - window.centre_px[0]
            x = np.arange(window.shape[1]) - window.centre_px[1]
            used &= np.hypot(y, x) <= self._radius_px(window)
        if not used.any():
            raise DataError("all pixels are bad or beyond the circle", where=self.name)
        return used

    def _radius_px(self, window: Window) -> float:
        radius: float = self.params.radius_px or window.reach_px
        if radius > window.reach_px + 1e-6:
            what = f"a circle of {radius:g} px about {window.centre_px} does not lie inside images of {window.shape}"
            raise DataError(what, where=f"{self.name}: radius_px", fix=f"at most {window.reach_px:g} px")
        return radius

    def _fitted_intensity(self, frames: Floats, used: NDArray[np.bool_]) -> Intensity:
        family = getattr(self.params, "likelihood", "gaussian")
        seen = frames[:, used]
        if family == "gaussian":
            return Intensity.fitted(self.params, frames, used)
        if seen.min() < 0 or (family == "bernoulli" and seen.max() > 1):
            what = f"values from {seen.min():g} to {seen.max():g} are no {'counts' if family == 'poisson' else 'odds'}"
            raise DataError(what, where=f"{self.name}: likelihood", fix="likelihood: gaussian")
        if np.ptp(seen) == 0:
            raise DataError("the images are constant: there is nothing to learn", where=self.name)
        return self._intensity_of_scale(1.0)

    def _intensity_of_scale(self, scale: float) -> Intensity:
        return Intensity(self.params.counts, self.params.normalise, scale)

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
        images = np.zeros((len(values), *window.shape), np.float32)
        images[:, self._used(window)] = self._intensity.back(values)
        return images

    def _image_side(self, images: Floats, dims: tuple[str, ...], coords: dict[str, Any]) -> xr.Dataset:
        window = self._fitted()
        return decoded.make(
            images, dims=(*dims, *window.dims), units=window.units, coords={**window.variables(), **coords}
        )

    def _described(self, parts: list[Encoded], good: NDArray[np.bool_], x: xr.DataArray) -> xr.Dataset:
        dims = _sample_dims(x)

        def held(name: str) -> Any:
            if getattr(parts[0], name) is None:
                return None
            values = np.concatenate([getattr(part, name) for part in parts])
            mask = good.reshape(-1, *[1] * (values.ndim - 1))
            return np.where(mask, values, np.float32(np.nan)).reshape(*x.shape[:-2], *values.shape[1:])

        extra = {
            name: variable("epoch", np.array(curve, np.float32), "nat", _CURVES[name])
            for name, curve in self._curves.items()
        }
        coords = {str(name): coord.variable for name, coord in x.coords.items() if name in dims}
        label = None
        if parts[0].angle is not None:
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
            component=[f"{self.name}{i}" for i in range(z.shape[-1])],
            angle=held("angle"),
            n_fold=1,
            label=label,
            nll=held("nll"),
            coords=coords,
            attrs={"learner": self.name},
            **extra,
        )


_CURVES = {
    "bound": "evidence lower bound of an image",
    "bound_held_out": "evidence lower bound of an image held out",
}


def _sample_dims(x: xr.DataArray) -> tuple[str, ...]:
    return tuple(str(dim) for dim in x.dims[:-2])


def _nothing(n: int) -> Floats:
    return np.empty((n, 0), np.float32)
