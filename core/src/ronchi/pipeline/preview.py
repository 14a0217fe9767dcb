"""A detector's verdict on a few patterns, with the reason for every candidate that it rejects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ronchi.api import Context, Result
from ronchi.errors import ConfigError, DataError, PluginError
from ronchi.pipeline.execute import make_job
from ronchi.pipeline.keys import entropy
from ronchi.pipeline.opened import check_opened
from ronchi.pipeline.planned import Plan, PlannedStep
from ronchi.pipeline.run import check_pipeline
from ronchi.pipeline.sample import check_finite
from ronchi.pipeline.steps import call, check_inputs
from ronchi.pipeline.tiles import spread

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["Preview", "explain_positions", "preview_detection", "run_lazy_steps"]


@dataclass(frozen=True)
class Preview:
    """Outcome of `preview_detection`; the counts of all reasons add up to all candidates."""

    figure: Figure
    reasons: Mapping[str, int]
    n_frames: int


def preview_detection(
    origin: str | Path | Mapping[str, Any],
    *,
    step: str | None = None,
    frames: int = 9,
    overrides: Sequence[str] = (),
    hide: Sequence[str] = ("weak",),
) -> Preview:
    """Run a detector of a pipeline on a few patterns, evenly spread over the scan.

    Reasons in ``hide`` are counted and not drawn.

    Raises
    ------
    ConfigError
        The pipeline is not valid, has no or several detectors and ``step`` does not say which, the
        detector needs what another detector finds, or a file holds something else than patterns.
    DataError
        The scan has no valid pattern.
    PluginError
        The detector cannot explain itself.
    """
    plan = check_pipeline(origin, overrides=overrides)
    detector = _detector_step(plan, step)
    made: dict[str, Result] = {}
    _check_readers(plan, detector.config.step, made)
    inputs = {name: run_lazy_steps(plan, ref, made).data for name, ref in detector.config.inputs.items()}
    width = inputs["data"].sizes["scan_x"]
    chosen = _positions(inputs["data"], frames)
    patterns, explanation = explain_positions(detector, inputs, chosen, seed=plan.config.seed)
    codes = np.asarray(explanation["reason"])
    reasons = {name: int((codes == code).sum()) for code, name in enumerate(explanation["reasons"])}
    from ronchi.plot import preview

    labels = [f"row {i // width}, column {i % width}" for i in chosen]
    figure = preview(patterns, explanation, labels=labels, axes=inputs["data"], hide=hide)
    return Preview(figure, reasons, len(chosen))


def _check_readers(plan: Plan, detector: str, made: dict[str, Result]) -> None:
    """Refuse files that hold what the steps up to the detector do not take, in the words of a run."""
    steps = {name: step for name, step in plan.steps.items() if name == detector or detector in plan.downstream(name)}
    opened = {name: run_lazy_steps(plan, name, made) for name, step in steps.items() if step.config.kind == "reader"}
    check_opened(replace(plan, steps=steps), opened)


def run_lazy_steps(plan: Plan, reference: str, made: dict[str, Result]) -> Result:
    """Make what a reference stands for, and only what it needs, without cache and outputs.

    Parameters
    ----------
    plan : Plan
    reference : str
        ``"step"`` or ``"step.side"``; meant for readers and transforms, which are lazy.
    made : dict of str to Result
        Steps that were run before, and now these.

    Returns
    -------
    Result
        With the step's sides, or the side alone.
    """
    name, _, side = reference.partition(".")
    if name not in made:
        step = plan.steps[name]
        inputs = {key: run_lazy_steps(plan, ref, made).data for key, ref in step.config.inputs.items()}
        check_inputs(step, inputs)
        rng = np.random.default_rng(entropy(plan.config.seed, step.config.kind, step.name, step.content()))
        made[name] = call(step, inputs, Context(rng=rng), lambda: 1)
    return Result(made[name].sides[side]) if side else made[name]


def explain_positions(
    step: PlannedStep, inputs: Mapping[str, xr.Dataset], positions: NDArray[np.int64], *, seed: int = 0
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Patterns at flat scan positions, and what the detector's ``explain`` says of them."""
    numbers = entropy(seed, step.config.kind, step.name, step.content())
    detector = make_job(step, inputs, entropy=numbers).start().detector
    if not hasattr(detector, "explain"):
        raise PluginError(f"the detector {step.name!r} does not explain its verdicts", fix="use `ronchi run` instead")
    data = inputs["data"]
    at = np.stack(np.divmod(positions, data.sizes["scan_x"]), 1)
    patterns = np.stack([np.asarray(data["intensity"].isel(scan_y=int(y), scan_x=int(x)).data) for y, x in at])
    check_finite(patterns, at)
    return patterns, detector.explain(patterns)


def _positions(data: xr.Dataset, frames: int) -> NDArray[np.int64]:
    n = data.sizes["scan_y"] * data.sizes["scan_x"]
    recorded = np.flatnonzero(data["valid"].values) if "valid" in data else np.arange(n)
    if not len(recorded):
        raise DataError("the scan has no valid pattern", where="valid")
    return recorded[spread(len(recorded), min(frames, len(recorded)))]


def _detector_step(plan: Plan, name: str | None) -> PlannedStep:
    found = [key for key, step in plan.steps.items() if step.config.kind == "disk_detector"]
    if not found:
        raise ConfigError("the pipeline has no disk detector to preview", where=plan.config.source.name)
    if name is None and len(found) > 1:
        raise ConfigError(f"the pipeline has {len(found)} disk detectors", fix=f"--step, one of: {', '.join(found)}")
    if name is not None and name not in found:
        raise ConfigError(f"{name!r} is no disk detector of the pipeline", fix=f"--step, one of: {', '.join(found)}")
    chosen = name or found[0]
    for other in found:
        if chosen in plan.downstream(other):
            what = f"the data of {chosen!r} depend on the disks that {other!r} finds; a preview runs one detector"
            raise ConfigError(what, fix=f"preview {other!r}, or run the pipeline")
    return plan.steps[chosen]
