"""One simulator and one file: what ``ronchi simulate`` does.

A simulator that returns its data runs as a pipeline of one step, so that data and provenance are those of a pipeline.
One that writes a store itself (see `ronchi.api.Simulator`) gets a folder. Both folders lie beside the file: when a call
is stopped, the same call goes on in them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ronchi.api import Context
from ronchi.atomic import replace
from ronchi.errors import OutputError, RunError
from ronchi.pipeline.cache import write_atomically
from ronchi.pipeline.config import RunOptions
from ronchi.pipeline.executors import make_executor
from ronchi.pipeline.keys import entropy, params_json
from ronchi.pipeline.logs import LOG_NAME
from ronchi.pipeline.outputs import check_writable
from ronchi.pipeline.progress import make_progress
from ronchi.pipeline.provenance import FILE_NAME, STORE_ATTR
from ronchi.pipeline.resources import has_cuda, locked
from ronchi.pipeline.run import run_pipeline
from ronchi.result import StepResult

if TYPE_CHECKING:
    from ronchi.api import AlgorithmSpec, Params
    from ronchi.manager import Manager

__all__ = ["PARTIAL_SUFFIX", "simulate_to_file"]

_log = logging.getLogger("ronchi.simulate")

PARTIAL_SUFFIX = ".partial"
"""Ending of the folder, beside the file, that holds what is not finished."""

_BUSY = "waiting for another call, which is writing the same file"


def simulate_to_file(
    name: str,
    params: Mapping[str, Any],
    target: Path,
    *,
    manager: Manager,
    seed: int = 0,
    options: RunOptions | None = None,
    progress: bool = True,
) -> list[Path]:
    """Simulate and write, all or nothing; what an earlier call was stopped in goes on.

    Parameters
    ----------
    name : str
        Simulator.
    params : mapping
        Its parameters.
    target : pathlib.Path
        ``.nc`` or ``.zarr``; an existing one is replaced.
    manager : Manager
    seed : int
    options : RunOptions, optional
        Who does the work.
    progress : bool
        Show progress on stderr.

    Returns
    -------
    list of pathlib.Path
        The file, and its provenance, which ``ronchi replay`` takes. A store of a simulator that writes itself has
        its provenance in its attributes.

    Raises
    ------
    ConfigError, PluginError
        The simulator is unknown, or its parameters are not valid.
    OutputError
        The file cannot be written, or the unfinished folder holds something else.
    RunError
        The simulation failed.
    """
    checked = manager.check_params("simulator", name, dict(params))
    spec = manager.spec("simulator", name)
    options = options or RunOptions()
    check_writable(target.parent, "-o")
    if target.suffix.lower() == ".zarr" and hasattr(algorithm := spec.create(checked), "simulate_into"):
        _simulate_store(algorithm, spec, checked, target, manager, seed=seed, options=options, progress=progress)
        return [target]
    return _simulate_file(name, checked, target, seed=seed, options=options, progress=progress)


def _simulate_file(
    name: str, params: Params, target: Path, *, seed: int, options: RunOptions, progress: bool
) -> list[Path]:
    provenance = target.with_name(f"{target.name}.{FILE_NAME}")
    given = params.model_dump(mode="json", exclude_unset=True)
    folder = target.with_name(target.name + PARTIAL_SUFFIX)
    config = {
        "schema": "ronchi.pipeline/1",
        "name": name,
        "seed": seed,
        # Of a call with other parameters nothing is taken: what it has left lies under another key.
        "run": {**options.model_dump(exclude_unset=True), "cache": str(folder / "cache")},
        "steps": {"simulate": {"simulator": name, "params": given}},
        "outputs": {"data": {"from": "simulate", "path": target.name}},
    }
    with contextlib.ExitStack() as held:
        with make_progress(progress) as bars:
            held.enter_context(locked(folder.with_suffix(".lock"), lambda: bars.tell(_BUSY)))
        run = run_pipeline(config, out=folder / "out", progress=progress)
        for warning in run.warnings:
            # The run has kept it for its summary, of which nothing is shown here; its folder is there for a while.
            said = warning.removeprefix("simulate: ").removeprefix("writing: ")
            _log.warning("%s", said.replace(str(folder / "out" / target.name), str(target)))
        step = run.steps["simulate"]
        if not run.ok:
            if not any(path.is_file() for path in (folder / "cache" / "partial").rglob("*")):
                # The log stays if the message names it.
                shutil.rmtree(folder / "cache" if str(run.out_dir / LOG_NAME) in step.error else folder)
            raise RunError(f"the simulation failed: {step.error}", where=name)
        # None rather than that of an older file, should this be stopped in between.
        provenance.unlink(missing_ok=True)
        replace(run.outputs["data"], target)
        (run.out_dir / FILE_NAME).replace(provenance)
        shutil.rmtree(folder)
    return [target, provenance]


def _simulate_store(
    algorithm: Any,
    spec: AlgorithmSpec,
    params: Params,
    target: Path,
    manager: Manager,
    *,
    seed: int,
    options: RunOptions,
    progress: bool,
) -> None:
    import zarr

    dist, version, _ = manager.dist("simulator", spec.name)
    asked: dict[str, Any] = {
        "simulator": spec.name,
        "version": spec.version,
        "params": params_json(params),
        "seed": seed,
    }
    partial = target.with_name(target.name + PARTIAL_SUFFIX)
    store = partial / "store"
    device = options.device if options.device != "auto" else "cuda" if has_cuda() else "cpu"
    with make_progress(progress) as bars, locked(partial.with_suffix(".lock"), lambda: bars.tell(_BUSY)):
        partial.mkdir(parents=True, exist_ok=True)
        _check_same(partial / "asked.json", asked)
        finished = partial / "finished"
        if not finished.exists():
            store.mkdir(exist_ok=True)
            executor = make_executor(options)
            try:
                bars.started(StepResult(step="simulate", kind="simulator", name=spec.name))
                ctx = Context(
                    rng=np.random.default_rng(entropy(seed, "simulator", spec.name, asked["params"])),
                    device=device,
                    n_threads=options.threads,
                    progress=bars.update,
                    log=_log,
                    map=executor.map_tasks,
                )
                algorithm.simulate_into(store, ctx)
            finally:
                executor.close()
            record = {**asked, "dist": dist, "dist_version": version}
            zarr.open_group(store, mode="r+").update_attributes({STORE_ATTR: json.dumps(record)})
            finished.touch()
        # Whoever was stopped while an older store was removed has only this left to do.
        if store.exists():
            replace(store, target)
        shutil.rmtree(partial)


def _check_same(file: Path, asked: Mapping[str, Any]) -> None:
    """Note what an unfinished folder is of; refuse to go on in one of something else."""
    if not file.exists():
        write_atomically(file, json.dumps(asked, indent=1).encode())
        return
    try:
        begun = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        begun = {}
    if begun == json.loads(json.dumps(asked)):
        return
    before = {**begun.get("params", {}), "seed": begun.get("seed"), "version": begun.get("version")}
    now = {**asked["params"], "seed": asked["seed"], "version": asked["version"]}
    differs = [f"{key} was {before.get(key)}, is {now.get(key)}" for key in now if before.get(key) != now[key]]
    raise OutputError(
        f"it holds an unfinished store of something else: {'; '.join(differs) or 'another simulator'}",
        where=str(file.parent),
        fix="give the same parameters to go on, or remove the folder to begin anew",
    )
