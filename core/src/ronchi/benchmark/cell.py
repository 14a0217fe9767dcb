"""The body of a cell's process: run its pipeline for the scores, then its compared step for its time and memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ronchi.benchmark.outcome import Outcome
from ronchi.pipeline.lifeline import end_with_parent, kill

__all__ = ["main", "measure"]


def main(order: str, answer: str) -> None:
    """Do what the order says and leave the answer."""
    told = json.loads(Path(order).read_text(encoding="utf-8"))
    outcome = measure(told)
    Path(answer).write_text(json.dumps(asdict(outcome)), encoding="utf-8")


def measure(told: Mapping[str, Any]) -> Outcome:
    """Run a pipeline once for its scores, then its compared step for its time.

    Parameters
    ----------
    told : mapping
        ``pipeline``; ``base``, where relative input paths start from; ``out``, folder of the outputs; ``slot``, the
        step to be timed or None; ``timings`` and ``warm_up``, how often.
    """
    from ronchi.errors import RonchiError
    from ronchi.pipeline.run import run_pipeline

    options: dict[str, Any] = {"out": told["out"], "base": Path(told["base"]), "progress": False}
    try:
        result = run_pipeline(told["pipeline"], **options)
    except RonchiError as error:
        return Outcome(status="failed", error=_told(str(error), told["out"]))
    failed = [step for step in result.steps.values() if step.status == "failed"]
    if any(step.kind != "metric" for step in failed):
        failed = [step for step in failed if step.kind != "metric"]
        return Outcome(status="failed", error=_told(f"{failed[0].step}: {failed[0].error}", told["out"]))
    scores = {
        f"{step}.{figure}": value for step, figures in result.scores().items() for figure, value in figures.items()
    }
    unscored = "\n".join(_told(f"{step.step}: {step.error}", told["out"]) for step in failed)
    if not scores and failed:
        return Outcome(status="failed", error=unscored)
    outcome = Outcome(status="partial" if failed else "done", error=unscored, scores=scores)
    if told["slot"] is not None:
        _measure_time(told, options, outcome)
    return outcome


def _measure_time(told: Mapping[str, Any], options: Mapping[str, Any], outcome: Outcome) -> None:
    from ronchi.pipeline.cache import Cache
    from ronchi.pipeline.resources import peak_rss_mb, reset_peak_rss
    from ronchi.pipeline.run import run_pipeline

    for number in range(told["warm_up"] + told["timings"] if told["timings"] else 0):
        reset_peak_rss()
        before_mb = peak_rss_mb()
        again = run_pipeline(told["pipeline"], force=[told["slot"]], **options)
        if again.steps[told["slot"]].status != "done":
            raise RuntimeError(f"worked once and not again: {again.steps[told['slot']].error}")
        if number >= told["warm_up"]:
            # The cache notes what the making took, before it writes the result.
            cache = Cache(Path(again.config["run"]["cache"]).absolute())
            seconds, peak_mb = cache.took(again.steps[told["slot"]].key)
            outcome.seconds.append(seconds)
            outcome.peak_mb.append(round(max(0.0, peak_mb - before_mb), 1))
    read = told["pipeline"]["steps"][told["slot"]].get("data")
    if outcome.seconds and read is not None and "intensity" in again[read]:
        intensity = again[read]["intensity"]
        outcome.gigabytes = intensity.nbytes / 1e9
        outcome.patterns = intensity.sizes.get("scan_y", 0) * intensity.sizes.get("scan_x", 0)


def _told(error: str, folder: str) -> str:
    """Where the benchmark lies is no part of what went wrong: equal runs have equal tables."""
    return error.replace(folder, f"cells/{Path(folder).name}")


if __name__ == "__main__":
    end_with_parent(kill)
    main(*sys.argv[1:])
