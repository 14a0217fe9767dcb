"""The verbs of a notebook: the steps of a pipeline as functions of xarray objects.

Names, parameters and checks are those of the YAML; each result remembers how it was made
(`ronchi.to_yaml`). Data that are lazy stay lazy where the result has their size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.api import AlgorithmSpec, Result
from ronchi.errors import ConfigError, SchemaError
from ronchi.history import record, to_yaml

if TYPE_CHECKING:
    import xarray as xr

    from ronchi.pipeline.plan import PlannedStep
    from ronchi.pipeline.result import RunResult

__all__ = [
    "algorithms",
    "apply",
    "com",
    "convert",
    "detect",
    "dpc",
    "encode",
    "mean_pattern",
    "overview",
    "read",
    "read_result",
    "run",
    "score",
    "strain",
    "to_yaml",
    "transform",
    "virtual_image",
    "write",
]


def algorithms(kind: str | None = None) -> list[str]:
    """Names of the installed algorithms of a kind, or ``kind/name`` of all."""
    from ronchi.kinds import KINDS
    from ronchi.manager import get_manager

    if kind is not None and kind not in KINDS:
        raise ConfigError(f"unknown kind {kind!r}", fix=f"one of: {', '.join(KINDS)}")
    if kind is not None:
        return get_manager().names(kind)
    return [f"{each}/{name}" for each in KINDS for name in get_manager().names(each)]


def read(path: str | Path, reader: str = "auto", *, side: str | None = None, **params: Any) -> xr.Dataset:
    """Open a file lazily.

    Parameters
    ----------
    path : path
    reader : str
        Name of the reader; the most confident one by default.
    side : str, optional
        Give this side output instead, e.g. ``"truth"``.
    **params
        Parameters of the reader, e.g. ``scan_shape``.

    Raises
    ------
    ReadError, SchemaError, ConfigError
    """
    result = read_result(path, reader, **params)
    if side is None:
        return result.data
    if side not in result.sides:
        have = ", ".join(result.sides) or "none"
        raise ConfigError(f"{str(path)!r} has no side output {side!r} (found: {have})")
    return result.sides[side]


def read_result(path: str | Path, reader: str = "auto", **params: Any) -> Result:
    """Open a file lazily, with all its side outputs; see `read`."""
    from ronchi.manager import get_manager
    from ronchi.pipeline.plan import choose_reader

    file = Path(path).expanduser()
    if reader == "auto":
        reader = choose_reader(file, get_manager(), [])
    return apply("reader", reader, {**params, "path": str(file.absolute())}, {})


def apply(
    kind: str,
    name: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, xr.Dataset],
    *,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    progress: bool | None = None,
) -> Result:
    """Run one algorithm of any kind on data at hand.

    Parameters
    ----------
    kind, name : str
        As in a pipeline.
    params : mapping
        Parameters; defaults for what is absent.
    inputs : mapping of str to xarray.Dataset
        Inputs by name.
    seed : int
        Seed of the algorithm's random numbers.
    device : str
        ``"cpu"`` or ``"cuda"``.
    workers : int
        Processes for disk detection; results do not depend on it.
    progress : bool, optional
        Show progress; on a terminal by default.

    Raises
    ------
    RonchiError
    """
    import sys

    import numpy as np

    from ronchi.api import Context
    from ronchi.manager import get_manager
    from ronchi.pipeline.config import StepConfig
    from ronchi.pipeline.keys import entropy, params_json
    from ronchi.pipeline.plan import PlannedStep
    from ronchi.pipeline.progress import make_progress
    from ronchi.pipeline.result import StepResult
    from ronchi.pipeline.steps import call

    manager = get_manager()
    spec = manager.spec(kind, name)
    checked = manager.check_params(kind, name, dict(params))
    _check_inputs(spec, inputs)
    dist, version, editable = manager.dist(kind, name)
    config = StepConfig(step=name, kind=kind, name=name, inputs={key: key for key in inputs}, params=dict(params))
    files = {
        field: value.expanduser().absolute()
        for field in type(checked).model_fields
        if isinstance(value := getattr(checked, field), Path)
    }
    checked = checked.model_copy(update=files)
    if kind == "reader":
        files["path"] = Path(params["path"])
    # As in a pipeline, so that the same step has the same random numbers there.
    drawn_from = {field: value for field, value in params_json(checked).items() if field not in files}
    numbers = entropy(seed, kind, name, drawn_from)
    step = PlannedStep(config, name, spec, dist, version, editable, checked, files)
    show = sys.stderr.isatty() if progress is None else progress
    with make_progress(show) as bars:
        bars.started(StepResult(step=name, kind=kind, name=name))
        if kind == "disk_detector":
            result = Result(_detect(step, inputs, numbers=numbers, device=device, workers=workers, update=bars.update))
        else:
            ctx = Context(rng=np.random.default_rng(numbers), device=device, progress=bars.update)
            result = call(step, inputs, ctx, lambda: _patterns(inputs))
    given = checked.model_dump(mode="json", exclude_unset=True)
    made = record({"": result.data, **result.sides}, kind, name, given, inputs, seed)
    return Result(made.pop(""), made)


def _detect(
    step: PlannedStep,
    inputs: Mapping[str, xr.Dataset],
    *,
    numbers: list[int],
    device: str,
    workers: int,
    update: Callable[[int, int], None],
) -> xr.Dataset:
    from ronchi.pipeline.config import RunOptions
    from ronchi.pipeline.detect import run_detection
    from ronchi.pipeline.execute import make_job
    from ronchi.pipeline.executors import make_executor
    from ronchi.pipeline.tiles import patterns_per_block

    options = RunOptions(executor="process" if workers > 1 else "serial", workers=workers)
    patterns = patterns_per_block(inputs["data"]["intensity"], workers=workers)
    with tempfile.TemporaryDirectory(prefix="ronchi-") as folder:
        blocks = Path(folder) / "blocks"
        blocks.mkdir()
        portable = Path(folder) / "data" if workers > 1 else None
        job = make_job(step, inputs, entropy=numbers, device=device, portable=portable)
        executor = make_executor(options)
        try:
            return run_detection(job, executor, patterns, blocks, update)[0]
        finally:
            executor.close()


def _patterns(inputs: Mapping[str, xr.Dataset]) -> int:
    from ronchi.pipeline.tiles import patterns_per_block

    data = next(iter(inputs.values()))
    bulky = "intensity" in data and data["intensity"].ndim == 4
    return patterns_per_block(data["intensity"]) if bulky else 65536


def _check_inputs(spec: AlgorithmSpec, inputs: Mapping[str, xr.Dataset]) -> None:
    from ronchi import schema
    from ronchi.pipeline.plan import ANY_SCHEMA, ports

    known = ports(spec)
    for name, data in inputs.items():
        if name not in known:
            raise ConfigError(f"{spec.name!r} has no input {name!r}", fix=f"inputs: {', '.join(known) or 'none'}")
        found = schema.schema_of(data)
        if ANY_SCHEMA not in known[name].schemas and found not in known[name].schemas:
            want = " or ".join(sorted(known[name].schemas))
            raise SchemaError(f"{spec.name!r} takes {want} as {name!r}, got {found or 'a data set without schema'}")
        schema.validate(data, name)
    missing = [name for name, port in known.items() if not port.optional and name not in inputs]
    if missing:
        raise ConfigError(f"{spec.name!r} needs the input {missing[0]!r}")


def transform(data: xr.Dataset, name: str, **params: Any) -> xr.Dataset:
    """Apply a transform by name, e.g. ``transform(data, "bin", detector=2)``."""
    return apply("transform", name, params, {"data": data}).data


def overview(data: xr.Dataset, **params: Any) -> xr.Dataset:
    """Sum, bright- and dark-field images, centre of mass and mean and max pattern, in one pass (``maps/1``)."""
    return transform(data, "overview", **params)


def mean_pattern(data: xr.Dataset) -> xr.DataArray:
    """Mean pattern (qy, qx), in one pass over the data."""
    from ronchi.builtin.reduce import reduce_scan

    return reduce_scan(data, sum_image=False, mean_pattern=True)["mean_pattern"]


def virtual_image(data: xr.Dataset, mode: str = "disk", **params: Any) -> xr.Dataset:
    """Sum the patterns under a virtual detector (``maps/1``); see ``ronchi info transform/virtual-image``."""
    return transform(data, "virtual-image", mode=mode, **params)


def com(data: xr.Dataset, **params: Any) -> xr.Dataset:
    """Centre of mass of every pattern (``descriptors/1``); needs ``ronchi-com``."""
    return encode(data, "com", **params)


def dpc(data: xr.Dataset, **params: Any) -> xr.Dataset:
    """Field, phase, divergence and curl from centres of mass (``descriptors/1``); needs ``ronchi-com``."""
    return transform(data, "dpc", **params)


def detect(
    data: xr.Dataset, name: str = "crosscorr", *, workers: int = 1, device: str = "cpu", **params: Any
) -> xr.Dataset:
    """Find the Bragg disks of every pattern (``peaks/1``).

    Parameters
    ----------
    data : xarray.Dataset
        ``fourd/1``
    name : str
        Detector, e.g. ``"crosscorr"``.
    workers : int
        Processes to use; the result does not depend on it.
    device : str
        ``"cpu"`` or ``"cuda"``, for detectors that can.
    **params
        Parameters of the detector; ``ronchi info disk_detector/NAME`` lists them.
    """
    return apply("disk_detector", name, params, {"data": data}, workers=workers, device=device).data


def strain(peaks: xr.Dataset, name: str = "lattice", *, side: str | None = None, **params: Any) -> xr.Dataset:
    """Fit lattices and give the strain (``strain/1``), or with ``side="lattice"`` the fit itself.

    Parameters
    ----------
    peaks : xarray.Dataset
        ``peaks/1``
    name : str
        Strain solver.
    **params
        Parameters of the solver, e.g. ``reference={"scan_x": [300, 380]}``.
    """
    result = apply("strain_solver", name, params, {"peaks": peaks})
    return result.data if side is None else result.sides[side]


def encode(data: xr.Dataset, name: str, **params: Any) -> xr.Dataset:
    """Fit a descriptor learner and encode all samples (``descriptors/1``)."""
    return apply("descriptor_learner", name, params, {"data": data}).data


def score(result: xr.Dataset, truth: xr.Dataset, name: str, **params: Any) -> dict[str, float]:
    """Figures of a metric, by name."""
    figures = apply("metric", name, params, {"result": result, "truth": truth}).data
    return {str(key): float(value) for key, value in figures.data_vars.items()}


def run(pipeline: str | Path | Mapping[str, Any], out: str | Path | None = None, **options: Any) -> RunResult:
    """Run a pipeline file or mapping; see `ronchi.pipeline.run.run_pipeline`."""
    from ronchi.pipeline.run import run_pipeline

    return run_pipeline(pipeline, out=out, **options)


def write(data: xr.Dataset, path: str | Path, *, sides: Mapping[str, xr.Dataset] | None = None) -> Path:
    """Write a data set as netCDF4 (``.nc``) or Zarr (``.zarr``), all or nothing.

    Raises
    ------
    OutputError
    """
    from ronchi.builtin.writer import write as write_file

    return write_file(data, Path(path), sides or {})


def convert(
    source: str | Path, target: str | Path, reader: str = "auto", *, progress: bool = False, **params: Any
) -> Path:
    """Read a file and write it in the format of the target's extension, block by block."""
    from ronchi.builtin.writer import write as write_file
    from ronchi.history import forget
    from ronchi.pipeline.progress import make_progress
    from ronchi.pipeline.result import StepResult

    result = read_result(source, reader, **params)
    sides = {name: forget(side) for name, side in result.sides.items()}
    with make_progress(progress) as bars:
        bars.started(StepResult(step="convert", kind="writer", name=Path(target).suffix))
        return write_file(forget(result.data), Path(target), sides, progress=bars.update)
