"""A detector's verdict on a few patterns, with the reason for every candidate that it rejects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ronchi.api import Context
from ronchi.errors import ConfigError, PluginError
from ronchi.pipeline.detect import check_finite, geometry_of
from ronchi.pipeline.plan import PlannedStep
from ronchi.pipeline.run import check_pipeline, run_lazy_steps
from ronchi.pipeline.tiles import spread

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["Preview", "explain_positions", "preview_detection"]


@dataclass(frozen=True)
class Preview:
    """Outcome of `preview_detection`; the counts of all reasons add up to all candidates."""

    figure: Figure
    reasons: Mapping[str, int]
    n_frames: int


def preview_detection(
    origin: str | Path | Mapping[str, Any], *, step: str | None = None, frames: int = 9, overrides: Sequence[str] = ()
) -> Preview:
    """Run a detector of a pipeline on a few patterns, evenly spread over the scan.

    Raises
    ------
    ConfigError
        The pipeline is not valid, or has no or several detectors and ``step`` does not say which.
    PluginError
        The detector cannot explain itself.
    """
    plan = check_pipeline(origin, overrides=overrides)
    detector = _detector_step(plan.steps, step)
    results = run_lazy_steps(plan, detector.config.inputs["data"])
    data = results.data
    n = data.sizes["scan_y"] * data.sizes["scan_x"]
    chosen = np.array(spread(n, min(frames, n)))
    patterns, explanation = explain_positions(detector, data, chosen)
    codes = np.asarray(explanation["reason"])
    reasons = {name: int((codes == code).sum()) for code, name in enumerate(explanation["reasons"])}
    from ronchi.plot import preview

    labels = [f"y {i // data.sizes['scan_x']}, x {i % data.sizes['scan_x']}" for i in chosen]
    return Preview(preview(patterns, explanation, labels=labels), reasons, len(chosen))


def explain_positions(
    step: PlannedStep, data: xr.Dataset, positions: NDArray[np.int64]
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Patterns at flat scan positions, and what the detector's ``explain`` says of them."""
    detector = step.spec.create(step.params)
    if not hasattr(detector, "explain"):
        raise PluginError(f"the detector {step.name!r} does not explain its verdicts", fix="use `ronchi run` instead")
    probe = data["probe"].values.astype(np.float32) if "probe" in data else None
    detector.prepare(geometry_of(data), probe, Context(rng=np.random.default_rng(0)))
    width = data.sizes["scan_x"]
    at = np.stack([positions // width, positions % width], 1)
    patterns = np.stack([np.asarray(data["intensity"].isel(scan_y=int(y), scan_x=int(x)).data) for y, x in at])
    check_finite(patterns, at)
    return patterns, detector.explain(patterns)


def _detector_step(steps: Mapping[str, PlannedStep], name: str | None) -> PlannedStep:
    found = {key: step for key, step in steps.items() if step.config.kind == "disk_detector"}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name not in found:
        have = ", ".join(found) or "none"
        raise ConfigError(f"no detector step {name!r}" if name else "which detector?", fix=f"--step, one of: {have}")
    return found[name]
