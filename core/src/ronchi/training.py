"""Training from a file: checked before it starts, stoppable, taken up where it was left."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ronchi.api import AlgorithmSpec, Context, Params
from ronchi.config.faults import FILE_NAME, note_validation_error, validated_head
from ronchi.config.source import Source, did_you_mean, parse_value, read_source
from ronchi.errors import ConfigError, OutputError, PluginError
from ronchi.kinds import STEP_KINDS
from ronchi.pipeline.outputs import check_writable, sole_writer
from ronchi.pipeline.param_files import beside
from ronchi.pipeline.progress import Progress, make_progress
from ronchi.pipeline.resources import has_cuda
from ronchi.result import StepResult

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["SCHEMA", "TrainingConfig", "load_training", "run_training", "trainable", "trained_spec"]

SCHEMA = "ronchi.training/1"
_TOP = ("schema", "name", "seed", "run", "params")


class TrainingOptions(BaseModel):
    """The section ``run``: how the work is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Literal["cpu", "cuda", "auto"] = Field(default="auto", description="Where the network is trained.")
    threads: int = Field(default=1, ge=1, description="Threads of the training.")


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: Literal["ronchi.training/1"] = Field(alias="schema")
    name: str = Field(default="training", pattern=FILE_NAME)
    seed: int = Field(default=0, ge=0)
    run: TrainingOptions = TrainingOptions()


@dataclass(frozen=True)
class TrainingConfig:
    """A training file that was checked."""

    name: str
    seed: int
    run: TrainingOptions
    spec: AlgorithmSpec
    params: Params


def trainable(manager: Manager, only: str | None = None) -> dict[str, AlgorithmSpec]:
    """Algorithms that can be trained, by name; of plugins only those that bring ``only`` are loaded, if it is given."""
    found = {}
    for kind in STEP_KINDS:
        for name in manager.names(kind):
            if only is not None and name != only:
                continue
            with contextlib.suppress(PluginError):
                spec = manager.spec(kind, name)
                if spec.trainer:
                    found[name] = spec
    return found


def trained_spec(manager: Manager, algorithm: str) -> AlgorithmSpec:
    """Spec of what can be trained by this name.

    Raises
    ------
    ConfigError
        Nothing of that name can be.
    """
    spec = trainable(manager, algorithm).get(algorithm)
    if spec is None:
        what, fix = f"nothing called {algorithm!r} can be trained", did_you_mean(algorithm, trainable(manager))
        if any(manager.catalog.find(kind, algorithm) for kind in STEP_KINDS):
            fix = f"{fix}; what learns nothing is tuned by `protocol: {{tuning: …}}` of a benchmark"
        raise ConfigError(what, where=algorithm, fix=fix)
    return spec


def load_training(
    algorithm: str,
    origin: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    base: Path | None = None,
    manager: Manager,
) -> TrainingConfig:
    """Read a training file and check it.

    Parameters
    ----------
    algorithm : str
        Name of what is trained.
    origin : path or mapping
    overrides : sequence of str
        ``"name=value"`` for a parameter, ``"network.kind=unet"`` for one inside another.
    base : Path, optional
        Where relative paths of a mapping start; those of a file start beside it.

    Raises
    ------
    ConfigError
        With ``file:line:column``, the field, what is allowed and a close match; or nothing of that name is trained.
    """
    spec = trained_spec(manager, algorithm)
    if spec.training is None:
        raise PluginError(
            f"{algorithm!r} has a trainer without parameters", fix="report it to the authors of the plugin"
        )
    source = read_source(origin, base=base)
    for text in overrides:
        dotted, equals, value = text.partition("=")
        if not equals or not dotted:
            raise ConfigError("expected NAME=VALUE", where=f"--set {text}")
        source.set(("params", *dotted.strip().split(".")), parse_value(value, f"--set {text}"), f"--set {text}")
    head = validated_head(source, _Head, _TOP, SCHEMA)
    params = _params(source, spec.training)
    source.check()
    assert head is not None
    assert params is not None
    return TrainingConfig(head.name, head.seed, head.run, spec, params)


def run_training(
    config: TrainingConfig,
    out: Path,
    *,
    manager: Manager,
    progress: bool = True,
    watch: Callable[[Mapping[str, float]], None] | None = None,
) -> Mapping[str, Any]:
    """Train, or go on with a training that was stopped.

    Of several processes, as torch's launcher starts them, the first one alone shows its progress. While another
    training writes to the folder, it waits; several processes do not, as those without the lock would not wait for
    the first for long.

    Parameters
    ----------
    out : Path
        Folder of the checkpoints and of what is learned.
    watch : callable, optional
        Told figures after every look at data that are not learned from, ``loss`` among them, of which less is better.

    Returns
    -------
    mapping
        What the trainer says about it.

    Raises
    ------
    ConfigError
        CUDA is asked for, and not there.
    PluginError
        `watch` is given, and what is trained has no attribute of that name to be set.
    OutputError
        Another training writes to the folder, and this is one of several processes.
    KeyboardInterrupt
        The user stopped it; the next call goes on.
    """
    check_writable(out, "-o")
    module, _, name = config.spec.trainer.partition(":")
    trainer = getattr(importlib.import_module(module), name)(config.params)
    if watch is not None:
        if not hasattr(trainer, "watch"):
            what = f"{config.spec.name!r} tells nothing while it learns"
            raise PluginError(what, fix="only trainers with an attribute `watch` can be tuned")
        trainer.watch = watch
    wanted = config.run.device
    if wanted == "cuda" and not has_cuda():
        raise ConfigError("no CUDA device was found", where="run.device", fix="device: auto, or cpu")
    device = "cuda" if wanted == "cuda" or (wanted == "auto" and has_cuda()) else "cpu"
    shown = StepResult(step="train", kind="training", name=config.spec.name)
    first = int(os.environ.get("RANK", "0")) == 0
    with make_progress(progress and first) as told, _held(out, told) if first else contextlib.nullcontext():
        told.started(shown)
        log = logging.getLogger("ronchi.train")
        log.setLevel(logging.INFO)
        handler = _Notes(told)
        log.addHandler(handler)
        ctx = Context(
            rng=np.random.default_rng(config.seed), device=device, n_threads=config.run.threads,
            progress=told.update, log=log, scratch=out,
        )  # fmt: skip
        start = time.perf_counter()
        try:
            made: Mapping[str, Any] = trainer.train(out, ctx, manager.create)
        finally:
            log.removeHandler(handler)
        shown.status, shown.seconds = "done", time.perf_counter() - start
        told.finished(shown)
    return made


def _held(out: Path, told: Progress) -> contextlib.AbstractContextManager[None]:
    """The folder for this training alone."""

    def refuse(_: str) -> None:
        fix = "start it again when that one has ended, or choose another folder with -o"
        raise OutputError("another training writes to this folder", where=str(out), fix=fix)

    return sole_writer(out, told.tell if int(os.environ.get("WORLD_SIZE", "1")) == 1 else refuse)


class _Notes(logging.Handler):
    """Shows what a trainer logs between the lines of the progress; warnings without it too."""

    def __init__(self, told: Progress) -> None:
        super().__init__(logging.INFO)
        self.told = told

    def emit(self, record: logging.LogRecord) -> None:
        (self.told.tell if record.levelno >= logging.WARNING else self.told.note)(record.getMessage())


def _params(source: Source, model: type[Params]) -> Params | None:
    raw = source.data.get("params")
    if not isinstance(raw, dict):
        source.fault(("params",), "is missing", "params: {NAME: VALUE}")
        return None
    try:
        params = model.model_validate(raw)
    except ValidationError as error:
        note_validation_error(source, ("params",), error, model)
        return None
    return beside(params, source.base)
