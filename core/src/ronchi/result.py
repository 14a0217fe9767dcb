"""What a run hands back: every step with its data, how it was made, and what it took; and what a second one does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Replay", "RunResult", "Status", "StepResult"]

Status = Literal["waiting", "done", "cached", "failed", "skipped"]


@dataclass(kw_only=True)
class StepResult:
    """One step of a run.

    Parameters
    ----------
    step : str
        Name of the step in the pipeline.
    kind, name : str
        Kind and name of the algorithm, e.g. ``"disk_detector"`` and ``"crosscorr"``.
    summary, citation : str
        From the algorithm's spec.
    dist, version : str
        Distribution that brings it, and its version.
    params : mapping
        Parameters after defaults, as JSON types.
    inputs : mapping of str to str
        Input name to the reference in the pipeline, ``"load"`` or ``"load.truth"``.
    key : str
        Content address of the result, sha256 in hex.
    data : xarray.Dataset or None
        The result; lazy where it has the size of the data; None unless done or cached.
    sides : mapping of str to xarray.Dataset
        Named side outputs.
    status : str
        ``"waiting"``, ``"done"``, ``"cached"``, ``"failed"`` or ``"skipped"``.
    cached : bool
        The result was read from the cache.
    reason : str
        Why the step was run or reused, in words.
    seconds : float
        Wall time.
    made_seconds, made_peak_rss_mb : float
        What it took to make a result that was now reused; 0 if it is not known.
    made_with : mapping of str to str
        Distribution to version, of what the result was made with, be it by an earlier run; empty for what is not
        stored, and where it is not known.
    peak_rss_mb : float
        Highest resident memory during the step, of this process and its workers, in MB.
    blocks, blocks_reused : int
        Blocks of patterns, and how many of them an earlier run had finished.
    error : str
        Message of the failure, or why it was skipped.
    """

    step: str
    kind: str
    name: str
    summary: str = ""
    citation: str = ""
    dist: str = ""
    version: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    data: xr.Dataset | None = None
    sides: Mapping[str, xr.Dataset] = field(default_factory=dict)
    status: Status = "waiting"
    cached: bool = False
    reason: str = ""
    seconds: float = 0.0
    peak_rss_mb: float = 0.0
    made_seconds: float = 0.0
    made_peak_rss_mb: float = 0.0
    made_with: Mapping[str, str] = field(default_factory=dict)
    blocks: int = 0
    blocks_reused: int = 0
    error: str = ""


@dataclass(kw_only=True, repr=False)
class RunResult:
    """A pipeline and all its steps, in the order in which they ran.

    Parameters
    ----------
    name : str
        Name of the pipeline.
    config : mapping
        The pipeline after defaults and overrides, as JSON types.
    source : str
        Text of the pipeline file, ``""`` for a pipeline given as a mapping.
    out_dir : pathlib.Path
        Folder of the outputs, `provenance.json` and the log.
    seed : int
    versions : mapping of str to str
        Distribution to version: ronchi, the plugins used, and what they compute with.
    steps : dict of str to StepResult
    outputs : dict of str to pathlib.Path
        Name of an output to the file that was written.
    warnings : list of str
    seconds : float
        Wall time of the run.
    """

    name: str
    config: Mapping[str, Any]
    out_dir: Path
    seed: int = 0
    source: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    steps: dict[str, StepResult] = field(default_factory=dict)
    outputs: dict[str, Path] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """True if no step failed or was skipped."""
        return all(step.status not in ("failed", "skipped") for step in self.steps.values())

    def __repr__(self) -> str:
        steps = ", ".join(f"{name} {step.status}" for name, step in self.steps.items())
        told = f", {len(self.warnings)} warnings" if self.warnings else ""
        return f"<RunResult {self.name!r}: {'ok' if self.ok else 'failed'}; {steps}{told}; in {self.out_dir}>"

    def scores(self) -> dict[str, dict[str, float]]:
        """Figures of the metric steps: step name to figure name to number."""
        return {
            name: {str(figure): float(value) for figure, value in step.data.data_vars.items()}
            for name, step in self.steps.items()
            if step.kind == "metric" and step.data is not None
        }

    def __getitem__(self, reference: str) -> xr.Dataset:
        """Data of ``"step"`` or ``"step.side"``; raises `KeyError` if it was not made."""
        name, _, side = reference.partition(".")
        if name not in self.steps:
            raise KeyError(f"{reference}: no step is called {name!r}; there are {', '.join(self.steps)}")
        step = self.steps[name]
        if side and side not in step.sides:
            raise KeyError(f"{reference}: the step {name!r} has no {side!r}; it has {', '.join(step.sides) or 'none'}")
        data = step.sides[side] if side else step.data
        if data is None:
            raise KeyError(f"{reference}: the step is {step.status}")
        return data


@dataclass(frozen=True)
class Replay:
    """Outcome of `ronchi.pipeline.replay.replay`.

    Parameters
    ----------
    run : RunResult or None
        The new run; of a store there is none.
    compared : int
        Number of arrays compared.
    differences : list of str
        Arrays and steps that differ; empty if all are equal bit for bit.
    notes : list of str
        What else is not as it was: versions, platform.
    """

    run: RunResult | None
    compared: int
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """True if every recorded array came out equal bit for bit."""
        return not self.differences
