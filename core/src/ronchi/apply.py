"""One algorithm of any kind on data at hand: the checks and the calls of a pipeline, without one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.api import AlgorithmSpec, Result
from ronchi.errors import ConfigError, SchemaError, noting
from ronchi.history import record

if TYPE_CHECKING:
    import xarray as xr

    from ronchi.pipeline.planned import PlannedStep

__all__ = ["apply"]


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
    from ronchi.pipeline.keys import entropy
    from ronchi.pipeline.param_files import beside, files_in
    from ronchi.pipeline.planned import PlannedStep
    from ronchi.pipeline.progress import make_progress
    from ronchi.pipeline.steps import call
    from ronchi.result import StepResult

    manager = get_manager()
    if not isinstance(name, str):
        what = f"expected the name of a {kind}, got a {type(name).__name__}"
        raise ConfigError(what, fix="the data come first, then the name in quotes, then parameters by name")
    spec = manager.spec(kind, name)
    checked = manager.check_params(kind, name, dict(params))
    _check_inputs(spec, inputs)
    dist, version, editable = manager.dist(kind, name)
    config = StepConfig(step=name, kind=kind, name=name, inputs={key: key for key in inputs}, params=dict(params))
    checked = beside(checked, Path.cwd())
    files = files_in(checked) | {field: file for field, file in spec.files_of(checked).items() if file.exists()}
    if kind == "reader":
        files["path"] = Path(params["path"])
    step = PlannedStep(config, name, spec, dist, version, editable, checked, files)
    # As in a pipeline, so that the same step has the same random numbers there.
    numbers = entropy(seed, kind, name, step.content())
    show = sys.stderr.isatty() if progress is None else progress
    on = f", on {files['path']}" if kind == "reader" else ""
    with make_progress(show) as bars, noting(f"in the {kind} {name!r} of {dist} {version}{on}"):
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
    from ronchi.pipeline.tiles import patterns_per_block, samples_per_block

    data = inputs["data"]
    if "intensity" in data and data["intensity"].ndim == 4:
        return patterns_per_block(data["intensity"])
    return samples_per_block(data["z" if "z" in data else "intensity"])


def _no_dataset(spec: AlgorithmSpec, name: str, data: object) -> ConfigError:
    if isinstance(data, str | Path):
        got, fix = f"the path {str(data)!r}", f"open it first: ronchi.read({str(data)!r})"
    else:
        got, fix = f"a {type(data).__name__}", "pass the whole xarray.Dataset, not an array of it"
    return ConfigError(f"{spec.name!r} takes a data set as {name!r}, got {got}", fix=fix)


def _makers(want: str, wanted: frozenset[str]) -> str:
    """The installed algorithms that give one of the schemas, by kind."""
    from ronchi.kinds import STEP_KINDS
    from ronchi.manager import get_manager

    found = {
        kind: [spec.name for spec in get_manager().specs(kind) if wanted & set(spec.output.split("|"))]
        for kind in STEP_KINDS
        if kind != "metric"
    }
    given = "; ".join(f"{kind} {', '.join(names)}" for kind, names in found.items() if names)
    return f"first make {want}, by {given}" if given else f"no installed algorithm gives {want}"


def _check_inputs(spec: AlgorithmSpec, inputs: Mapping[str, xr.Dataset]) -> None:
    import xarray as xr

    from ronchi import schema
    from ronchi.pipeline.wiring import ANY_SCHEMA, ports

    known = ports(spec)
    for name, data in inputs.items():
        if name not in known:
            raise ConfigError(f"{spec.name!r} has no input {name!r}", fix=f"inputs: {', '.join(known) or 'none'}")
        if not isinstance(data, xr.Dataset):
            raise _no_dataset(spec, name, data)
        found = schema.schema_of(data)
        if ANY_SCHEMA not in known[name].schemas and found not in known[name].schemas:
            want = " or ".join(sorted(known[name].schemas))
            what = f"{spec.name!r} takes {want} as {name!r}, got {found or 'a data set without schema'}"
            raise SchemaError(what, fix=_makers(want, known[name].schemas))
        schema.validate(data, name)
    missing = [name for name, port in known.items() if not port.optional and name not in inputs]
    if missing:
        raise ConfigError(f"{spec.name!r} needs the input {missing[0]!r}")
