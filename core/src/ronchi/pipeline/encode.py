"""Descriptor learners on whole data sets: fit or load, encode block by block, keep the fitted model.

A learner whose spec names the side ``model`` is saved after the fit, and one whose spec names the optional input
``model`` is loaded from it instead of fitted. What else it announces as sides it gives by a method ``sides()``.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ronchi.api import Context, Result
from ronchi.blocks import CHUNK_LIMIT_BYTES, SAMPLE_DIMS
from ronchi.errors import DataError
from ronchi.file_faults import reading
from ronchi.pipeline.arrays import is_lazy
from ronchi.pipeline.keys import params_json
from ronchi.schema import model
from ronchi.schema.common import carry_attrs

if TYPE_CHECKING:
    from ronchi.pipeline.planned import PlannedStep

__all__ = ["encode", "load_learner", "pack", "restore", "samples_of"]

_HEEDED = ("bad_pixel", "valid", "probe", "origin_y", "origin_x")
"""What the samples do not carry themselves, and a learner has to heed."""


def encode(step: PlannedStep, inputs: Mapping[str, xr.Dataset], ctx: Context, patterns: Callable[[], int]) -> Result:
    """Fit or load a learner and encode all samples.

    Parameters
    ----------
    inputs : mapping
        ``data``: scan positions, frames, crops or the samples of descriptors; ``model`` to load instead of to fit.
    patterns : callable
        Gives the number of samples that are encoded at a time.

    Returns
    -------
    Result
        ``descriptors/1`` on the sample dims of the data, with all of their coordinates along samples.

    Raises
    ------
    DataError
        The model is of another learner or of other parameters than the step names, or the learner refuses the data.
    """
    data = inputs["data"]
    x, samples = samples_of(data)
    if not x.size:
        raise DataError(f"there are no samples: the data have shape {x.shape}", where=step.config.step)
    learner = step.spec.create(step.params) if "model" not in inputs else restore(step, inputs["model"])
    if "model" not in inputs:
        learner.fit(x, ctx)
    encoded = _encode_all(learner, x, samples, patterns(), ctx)
    places = {
        str(name): coord.variable
        for name, coord in x.coords.items()
        if name not in _HEEDED and name not in encoded.variables and coord.dims and set(coord.dims) <= set(samples)
    }
    encoded = encoded.assign_coords(places).assign_attrs({**carry_attrs(data), **encoded.attrs})
    sides = dict(learner.sides()) if hasattr(learner, "sides") else {}
    if "model" in step.spec.sides:
        sides["model"] = pack(learner, step)
    return Result(encoded, sides)


def samples_of(data: xr.Dataset) -> tuple[xr.DataArray, list[str]]:
    """What a learner gets of a data set, with what it has to heed as coordinates, and its sample dims."""
    x = data["z"] if "z" in data else data["intensity"]
    heeded = {name: data[name].variable for name in _HEEDED if name in data}
    x = x.assign_coords({name: held for name, held in heeded.items() if set(held.dims) <= set(x.dims)})
    return x, [str(dim) for dim in x.dims if dim in SAMPLE_DIMS]


def load_learner(saved: xr.Dataset) -> Any:
    """Make the learner that a ``model/1`` was saved from, of whichever plugin.

    Raises
    ------
    PluginError
        No installed plugin brings it.
    """
    from ronchi.manager import get_manager

    return _loaded(get_manager().create("descriptor_learner", saved.attrs["learner"], model.params_of(saved)), saved)


def pack(learner: Any, step: PlannedStep) -> xr.Dataset:
    """``model/1`` of a fitted learner."""
    with tempfile.TemporaryDirectory(prefix="ronchi-") as folder:
        learner.save(Path(folder))
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    params = params_json(learner.params)
    return model.make(files, learner=step.name, params=params, dist=step.dist, version=step.version)


def restore(step: PlannedStep, saved: xr.Dataset) -> Any:
    """Make the learner that a ``model/1`` was saved from, with its parameters.

    Raises
    ------
    DataError
        It was saved by another learner, or a parameter that the step gives has another value there.
    """
    if saved.attrs.get("learner") != step.name:
        what = f"the model was saved by {saved.attrs.get('learner')!r}, not by {step.name!r}"
        raise DataError(what, where=step.config.step, fix=f"descriptor_learner: {saved.attrs.get('learner')}")
    fitted, given = model.params_of(saved), params_json(step.params)
    for name in step.params.model_fields_set:
        if fitted.get(name) != given[name]:
            what = f"the model was fitted with {name} = {fitted.get(name)}, but the step gives {given[name]}"
            raise DataError(what, where=step.config.step, fix="leave the parameter out, or fit anew without `model`")
    return _loaded(step.spec.create(step.spec.params.model_validate(fitted)), saved)


def _loaded(learner: Any, saved: xr.Dataset) -> Any:
    with tempfile.TemporaryDirectory(prefix="ronchi-") as folder:
        for name, content in model.files_of(saved).items():
            (Path(folder) / name).write_bytes(content)
        learner.load(Path(folder))
    return learner


def _encode_all(learner: Any, x: xr.DataArray, samples: list[str], patterns: int, ctx: Context) -> xr.Dataset:
    inner = int(np.prod([x.sizes[dim] for dim in samples[1:]]))
    n = x.sizes[samples[0]]
    step = max(1, patterns // max(1, inner))
    rows, done = [], 0
    for part in _read_once(x, step) if len(samples) == 1 else [x]:
        for start in range(0, part.shape[0], step):
            rows.append(_encode_rows(learner, part.isel({samples[0]: slice(start, start + step)}), samples, patterns))
            done += min(step, part.shape[0] - start)
            ctx.progress(done, n)
    return _concatenate(rows, samples[0])


def _read_once(x: xr.DataArray, step: int) -> Iterator[xr.DataArray]:
    """Parts along the first dim that are whole chunks, so that each is computed once.

    All crops of an image are one chunk: where blocks of ``step`` samples end within it, it would be cut for each again.
    """
    sample_bytes = math.prod(x.shape[1:]) * x.dtype.itemsize
    if x.chunks is None or max(x.chunks[0]) * sample_bytes > CHUNK_LIMIT_BYTES:
        yield x
        return
    start = stop = 0
    for length in x.chunks[0]:
        if stop > start and stop + length - start > step:
            yield _in_memory(x[start:stop], scheduler="synchronous")
            start = stop
        stop += length
    yield _in_memory(x[start:stop], scheduler="synchronous")


def _encode_rows(learner: Any, x: xr.DataArray, samples: list[str], patterns: int) -> xr.Dataset:
    if len(samples) == 1 or x.sizes[samples[1]] <= patterns:
        return _transform(learner, x)
    pieces = [
        _transform(learner, x.isel({samples[1]: slice(start, start + patterns)}))
        for start in range(0, x.sizes[samples[1]], patterns)
    ]
    return _concatenate(pieces, samples[1])


def _transform(learner: Any, x: xr.DataArray) -> xr.Dataset:
    encoded: xr.Dataset = learner.transform(_in_memory(x) if is_lazy(x) else x)
    return encoded


def _in_memory(x: xr.DataArray, **options: Any) -> xr.DataArray:
    """Data that are read now; a damaged file is told of as such, and not as a fault of the learner."""
    with reading(x, str(x.name)):
        return x.compute(**options)


def _concatenate(parts: list[xr.Dataset], dim: str) -> xr.Dataset:
    # What does not run along the samples (components, cluster centres) is the same in all parts.
    return xr.concat(parts, dim, data_vars="minimal", coords="minimal", compat="override", combine_attrs="override")
