"""The pipeline file as a model: what may be written where."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ronchi.config.faults import FILE_NAME, validated_head
from ronchi.config.source import Source, did_you_mean, parse_value, read_source
from ronchi.errors import ConfigError
from ronchi.kinds import STEP_KINDS

__all__ = ["REPORTS", "SCHEMA", "OutputConfig", "PipelineConfig", "RunOptions", "StepConfig", "load_config"]

SCHEMA = "ronchi.pipeline/1"
REPORTS = (".html", ".htm")
"""Endings of the outputs that no step needs to be named for."""
_TOP = ("schema", "name", "seed", "plugins", "run", "steps", "outputs")
_RESERVED = {"provenance.json", "log.txt"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
_LONGEST_NAME = 200
"""Files are named after a pipeline and its steps, with something added, and file systems end at 255 bytes."""


class RunOptions(BaseModel):
    """The section ``run``: how the work is done, never what comes out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor: Literal["serial", "process", "dask"] = Field(default="serial", description="Who works on the blocks.")
    workers: int | None = Field(default=None, ge=1, description="Worker processes; all cores by default.")
    address: str | None = Field(default=None, description="Address of a running dask scheduler, tcp://host:port.")
    block: int | None = Field(default=None, ge=1, description="Most patterns in a block; 16 MB of them by default.")
    memory_mb: float | None = Field(
        default=None, gt=0, description="Ceiling for this process and its workers together."
    )
    threads: int = Field(default=1, ge=1, description="Threads of a step that runs in one piece.")
    device: Literal["cpu", "cuda", "auto"] = Field(default="cpu", description="Where algorithms that can, compute.")
    cache: str = Field(default=".ronchi/cache", description="Folder of finished results, from the current folder.")

    @field_validator("cache")
    @classmethod
    def _is_a_folder(cls, value: str) -> str:
        if not value or "\0" in value:
            raise ValueError("must be the name of a folder")
        try:
            return str(Path(value).expanduser())
        except RuntimeError:
            raise ValueError("must begin with the home of somebody that there is") from None

    def n_workers(self) -> int:
        """Worker processes that the executor starts; 0 for none."""
        if self.executor == "serial":
            return 0
        if self.workers is not None:
            return self.workers
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OutputConfig(BaseModel):
    """One entry of ``outputs``; without ``from`` it is the report."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: str | None = Field(default=None, alias="from", description="Step, or step.side.")
    path: str = Field(min_length=1, description="File under the output folder; its extension chooses the format.")
    writer: str = Field(default="auto", description="Writer by name, instead of by the extension.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of the writer.")
    figures: bool = Field(default=False, description="Keep a report's figures too, in figures/ at 300 dpi.")

    @model_validator(mode="before")
    @classmethod
    def _is_a_mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("must say from where and to where, such as {from: disks, path: peaks.nc}")
        return value


class PluginOptions(BaseModel):
    """The section ``plugins``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: list[str] | None = Field(default=None, description="Algorithms that may be used besides ronchi's own.")


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: Literal["ronchi.pipeline/1"] = Field(alias="schema")
    name: str = Field(pattern=FILE_NAME, max_length=_LONGEST_NAME)
    seed: int = Field(default=0, ge=0)
    plugins: PluginOptions = PluginOptions()
    run: RunOptions = RunOptions()
    outputs: dict[str, OutputConfig] = Field(default_factory=dict)

    @field_validator("outputs", mode="before")
    @classmethod
    def _are_named(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("must be a mapping by name, such as {peaks: {from: disks, path: peaks.nc}}")
        return value


@dataclass(frozen=True)
class StepConfig:
    """One step as written: kind, algorithm, inputs by name, raw parameters."""

    step: str
    kind: str
    name: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PipelineConfig:
    """A pipeline whose form is right; `ronchi.pipeline.plan` checks the meaning."""

    source: Source
    name: str
    seed: int
    run: RunOptions
    allow: frozenset[str] | None
    steps: Mapping[str, StepConfig]
    outputs: Mapping[str, OutputConfig]

    def as_json(self) -> dict[str, Any]:
        """The pipeline after defaults and overrides, as JSON types."""
        steps: dict[str, Any] = {}
        for name, step in self.steps.items():
            steps[name] = {
                step.kind: step.name,
                **step.inputs,
                **({"params": dict(step.params)} if step.params else {}),
            }
        return {
            "schema": SCHEMA,
            "name": self.name,
            "seed": self.seed,
            **({"plugins": {"allow": sorted(self.allow)}} if self.allow is not None else {}),
            "run": self.run.model_dump(mode="json"),
            "steps": steps,
            "outputs": {
                name: out.model_dump(mode="json", by_alias=True, exclude_defaults=True)
                for name, out in self.outputs.items()
            },
        }


def load_config(
    origin: str | Path | Mapping[str, Any] | Source, *, overrides: Sequence[str] = (), base: Path | None = None
) -> PipelineConfig:
    """Read a pipeline and check its form.

    Parameters
    ----------
    origin : path, mapping or Source
    overrides : sequence of str
        ``"step.params.x=value"`` or ``"run.block=32"``; the value is YAML.
    base : pathlib.Path, optional
        Folder that relative input paths start from; the file's own by default.

    Raises
    ------
    ConfigError
        With ``file:line:column``, the field, what is allowed and a close match.
    """
    source = origin if isinstance(origin, Source) else read_source(origin, base=base)
    if "name" not in source.data and isinstance(origin, str | Path):
        source.data["name"] = (
            re.sub(r"[^A-Za-z0-9._-]+", "-", Path(origin).stem).strip("-._")[:_LONGEST_NAME] or "pipeline"
        )
    source.data.setdefault("name", "pipeline")
    source.drop_empty("plugins", "run", "outputs")
    for override in overrides:
        _override(source, override)
    head = validated_head(source, _Head, _TOP, SCHEMA)
    steps = _steps(source)
    if head is not None:
        _check_outputs(source, head.outputs)
    source.check()
    assert head is not None
    allow = None if head.plugins.allow is None else frozenset(head.plugins.allow)
    return PipelineConfig(source, head.name, head.seed, head.run, allow, steps, head.outputs)


def _override(source: Source, text: str) -> None:
    dotted, equals, value = text.partition("=")
    path: tuple[str, ...] = tuple(dotted.strip().split("."))
    origin = f"--set {text}"
    if not equals or not all(path):
        raise ConfigError("expected step.params.name=value", where=origin)
    steps = source.data.get("steps")
    known = list(steps) if isinstance(steps, dict) else []
    if path[0] not in _TOP:
        path = ("steps", *path)
    if path == ("steps",):
        raise ConfigError("the steps cannot be replaced as a whole", where=origin, fix="STEP.params.NAME=VALUE")
    if path[0] == "steps" and path[1] not in known:
        raise ConfigError(f"there is no step {path[1]!r}", where=origin, fix=did_you_mean(path[1], known))
    if path[0] == "steps" and len(path) == 2:
        what = "a step cannot be replaced as a whole"
        raise ConfigError(what, where=origin, fix=f"{path[1]}.params.NAME=VALUE, or {path[1]}.INPUT=STEP")
    source.set(path, parse_value(value, origin), origin)


def _steps(source: Source) -> dict[str, StepConfig]:
    raw = source.data.get("steps")
    if not isinstance(raw, dict) or not raw:
        source.fault(
            ("steps",), "at least one step is needed", "steps: {load: {reader: auto, params: {path: scan.nc}}}"
        )
        return {}
    steps = {}
    for name, body in raw.items():
        if not _NAME.fullmatch(name) or name in _TOP:
            source.fault(
                ("steps", name), "not a step name", "letters, digits, '_' and '-', and no section's name", key=True
            )
        step = _step(source, name, body)
        if step is not None:
            steps[name] = step
    return steps


def _step(source: Source, name: str, body: Any) -> StepConfig | None:
    path = ("steps", name)
    if not isinstance(body, dict):
        source.fault(path, "a step is a mapping", f"{name}: {{reader: auto, params: {{path: scan.nc}}}}")
        return None
    if "writer" in body:
        fix = (
            "outputs: {NAME: {from: STEP, path: FILE, writer: NAME}}; the extension of FILE chooses the writer without"
        )
        source.fault((*path, "writer"), "a writer is no step, it serves an output", fix, key=True)
        return None
    kinds = [key for key in body if key in STEP_KINDS]
    if len(kinds) != 1:
        what = f"has {len(kinds)} kinds: {', '.join(kinds)}" if kinds else "has no kind"
        words = [word for key in body for word in (did_you_mean(key, STEP_KINDS),) if word.startswith("did")]
        source.fault(path, what, words[0] if words else f"exactly one of: {', '.join(STEP_KINDS)}", key=True)
        return None
    kind = kinds[0]
    if not isinstance(body[kind], str):
        source.fault((*path, kind), f"expected the name of a {kind}, got {body[kind]!r}")
        return None
    params = body.get("params")
    if params is not None and not isinstance(params, dict):
        source.fault((*path, "params"), f"expected a mapping, got {params!r}")
        params = None
    inputs: dict[str, str] = {}
    for key, value in body.items():
        if key in (kind, "params"):
            continue
        if isinstance(value, str):
            inputs[key] = value
        else:
            source.fault((*path, key), f"expected a step or step.side, got {value!r}", "parameters go under `params`")
    return StepConfig(name, kind, body[kind], inputs, params or {})


def _check_outputs(source: Source, outputs: Mapping[str, OutputConfig]) -> None:
    seen: dict[PurePath, str] = {}
    for name, output in outputs.items():
        # On many disks upper and lower case are one name.
        path = PurePath(output.path.casefold())
        at = ("outputs", name, "path")
        if path.is_absolute() or ".." in path.parts:
            source.fault(
                at, f"{output.path!r} leaves the output folder", "give a relative path, and the folder with -o"
            )
        elif path.parts and path.parts[0] in _RESERVED:
            source.fault(at, f"{path.parts[0]!r} is written by every run", "choose another name")
        elif clash := [other for other in seen if path == other or other in path.parents or path in other.parents]:
            what = f"{output.path!r} is also the path of {seen[clash[0]]!r}, or in it, or around it"
            source.fault(at, what, "choose another name")
        elif not all(map(_is_file_name, PurePath(output.path).parts)):
            source.fault(at, f"no file can have the name {output.path[:40]!r}…", "at most 255 bytes of text each")
        seen[path] = name
        if output.source is not None and output.figures:
            source.fault(("outputs", name, "figures"), "only a report has figures", "leave out 'from' or 'figures'")
        if output.source is None and not output.path.lower().endswith(REPORTS):
            source.fault(
                ("outputs", name), "'from' is missing", "name a step; only a report (.html) does without", key=True
            )


def _is_file_name(part: str) -> bool:
    try:
        return "\0" not in part and len(part.encode()) <= 255
    except UnicodeEncodeError:
        return False
