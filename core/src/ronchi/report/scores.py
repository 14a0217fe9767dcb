"""Scores of strain as one table: a row a component, a column a figure, in the units of the maps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ronchi.report.elements import paragraph, table
from ronchi.result import RunResult, StepResult

__all__ = ["is_strain_score", "strain_scores"]

_FIGURE = re.compile(r"(bias|rms|mad|z)_(e_xx|e_yy|e_xy|theta)")
_UNITS = {"e_xx": ("ε_xx", 100.0, "%"), "e_yy": ("ε_yy", 100.0, "%"), "e_xy": ("ε_xy", 100.0, "%")}
_UNITS["theta"] = ("θ", 180 / math.pi, "°")
_LEGEND = (
    "Error = result − {other}. Bias: its mean; RMS: its root mean square; MAD: its robust spread, 1.4826 times the "
    "median absolute deviation; z: RMS of error over stated standard error, 1 if the error bars are right."
)


def is_strain_score(figures: Mapping[str, float]) -> bool:
    """True if the figures are those of components of strain."""
    return any(_FIGURE.fullmatch(name) for name in figures)


def strain_scores(result: RunResult, step: StepResult) -> str:
    """Tables of the scores of a strain step, with a legend; empty if it is not scored."""
    body, others = "", set()
    for name, figures in result.scores().items():
        if result.steps[name].inputs.get("result") != step.step or not is_strain_score(figures):
            continue
        rows = [
            (f"{symbol} [{unit}]", *(_text(figures, key, part, factor) for key in ("bias", "rms", "mad", "z")))
            for part, (symbol, factor, unit) in _UNITS.items()
        ]
        rest = ", ".join(f"{key} {value:.3g}" for key, value in figures.items() if not _FIGURE.fullmatch(key))
        reference = result.steps[name].inputs.get("truth", "the truth")
        others.add("truth" if _is_truth(result, reference) else reference)
        body += table(
            ("component", "bias", "RMS", "MAD", "z"), rows, f"{name}: against {reference}" + f"; {rest}" * bool(rest)
        )
    return body + (paragraph(_LEGEND.format(other=" or ".join(sorted(others)))) if body else "")


def _is_truth(result: RunResult, reference: str) -> bool:
    try:
        return bool(result[reference].attrs.get("is_truth"))
    except KeyError:
        return True


def _text(figures: Mapping[str, float], key: str, part: str, factor: float) -> str:
    value = figures.get(f"{key}_{part}", math.nan)
    if not math.isfinite(value):
        return "—"
    return f"{value:.2f}" if key == "z" else f"{value * factor:{'+' if key == 'bias' else ''}.3g}"
