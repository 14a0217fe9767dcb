"""The top of a report: warnings, numbers that matter, and what each step took."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np

from ronchi.pipeline.remarks import warnings_of
from ronchi.report.elements import Section, key_figures, messages, paragraph, table
from ronchi.report.scores import is_strain_score
from ronchi.result import RunResult
from ronchi.schema import fourd, schema_of

__all__ = ["duration", "steps_section", "summary_section"]


def duration(seconds: float) -> str:
    """Time in words: ``0.3 s``, ``2 min 5 s``, ``1 h 2 min``."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def summary_section(result: RunResult) -> Section:
    """Warnings first, then key figures and scores."""
    failures = [
        f"Step “{name}” {step.status}: {step.error or 'no message'}"
        for name, step in result.steps.items()
        if step.status in ("failed", "skipped")
    ]
    body = messages(failures, "error") + messages(warnings_of(result))
    body += key_figures(_key_figures(result))
    for name, scores in result.scores().items():
        step = result.steps[name]
        inputs = ", ".join(f"{key} = {reference}" for key, reference in step.inputs.items())
        shown = _few(scores) if is_strain_score(scores) else scores
        more = "" if shown is scores else "; strains as fractions, theta in rad; all figures with the maps below"
        rows = [(key, f"{value:.3g}") for key, value in shown.items()]
        body += table(("score", "value"), rows, f"{step.name}: {inputs}{more}")
    return Section("Summary", body or paragraph("Nothing was made."))


def _few(scores: Mapping[str, float]) -> dict[str, float]:
    """The figures of strain that come first: how much was fitted, and the error of each component."""
    return {key: value for key, value in scores.items() if key in ("coverage", "n") or key.startswith("rms_")}


def _key_figures(result: RunResult) -> Iterator[tuple[str, str]]:
    for name, step in result.steps.items():
        data = step.data
        if data is None:
            continue
        schema = schema_of(data)
        if schema == fourd.NAME and step.kind in ("reader", "simulator"):
            yield f"{name}: scan", f"{data.sizes['scan_y']} × {data.sizes['scan_x']}"
            yield f"{name}: pattern", f"{data.sizes['qy']} × {data.sizes['qx']} px"
        elif schema == "peaks/1":
            yield f"{name}: peaks", f"{data.sizes['peak']:,}".replace(",", " ")
            if data.sizes["pos"]:
                yield f"{name}: peaks a pattern", f"{np.median(data['n_peaks'].values):g}"
        elif schema == "strain/1" and "valid" in data:
            yield f"{name}: fitted", f"{100 * float(np.mean(data['valid'].values != 0)):.1f} %"
            if "lattice" in step.sides:
                chi2 = step.sides["lattice"]["chi2"].values
                if np.isfinite(chi2).any():
                    yield f"{name}: median χ²", f"{np.nanmedian(chi2):.3g}"
    yield "time", duration(result.seconds or sum(step.seconds for step in result.steps.values()))
    memory = max((step.peak_rss_mb for step in result.steps.values()), default=0.0)
    if memory:
        yield "peak memory", f"{memory:.0f} MB"


def steps_section(result: RunResult, started: float | None = None) -> Section:
    """One row a step: algorithm, version, status, time, memory, key; and one for this report.

    Parameters
    ----------
    started : float, optional
        `time.perf_counter` when the report was begun.
    """
    rows = []
    for name, step in result.steps.items():
        made = step.cached and step.made_seconds
        memory = step.made_peak_rss_mb if made else step.peak_rss_mb
        rows.append(
            (
                name,
                f"{step.kind}: {step.name}",
                f"{step.dist} {step.version}".strip(),
                f"cached, took {duration(step.made_seconds)}" if made else step.status,
                duration(step.seconds),
                f"{memory:.0f}" if memory else "",
                step.key[:12],
            )
        )
    if started is not None:
        by = f"ronchi {result.versions.get('ronchi', '')}".strip()
        rows.append(("report", "this file", by, "done", duration(time.perf_counter() - started), "", ""))
    header = ("step", "algorithm", "from", "status", "time", "memory [MB]", "key")
    return Section("Steps", table(header, rows, "Steps in the order of the run"))
