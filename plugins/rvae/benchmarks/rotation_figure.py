"""Table and figure of the rows that ``rotation_ladder.py`` and ``rotation_peers.py`` wrote.

Usage: ``python plugins/rvae/benchmarks/rotation_figure.py rotation-ladder.jsonl rotation-ladder.png``
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from rotation_ladder import FOLDS, Row, angle_scores, read

NAMES = {
    "truth": "true templates, given",
    "polar-em": "polar-em",
    "rvae": "rvae",
    "atomai": "AtomAI rVAE",
    "pyroved": "pyroVED iVAE",
}
STYLES = {
    "truth": {"color": "0.55", "marker": "", "linestyle": "--"},
    "polar-em": {"color": "tab:green", "marker": "s"},
    "rvae": {"color": "tab:blue", "marker": "o"},
    "atomai": {"color": "tab:red", "marker": "^"},
    "pyroved": {"color": "tab:orange", "marker": "v"},
}
PICK: dict[str, Callable[[Row], float]] = {
    "resultant, hardest class": lambda row: min(row["resultant"]),
    "error of the angle [deg]": lambda row: float(np.mean(row["mae_deg"])),
    "classes: ARI": lambda row: row["ari_z"] if np.isnan(row["ari"]) else row["ari"],
    "R² of the latents from the angle": lambda row: row["r2"],
    "fit [s of one core]": lambda row: row["fit_s"],
}
"""What is drawn and tabled. A learner without labels is given a Gaussian mixture with the true number of classes."""


FORMATS = (".3f", ".2f", ".3f", ".3f", ".0f")


def chosen(rows: list[Row], name: str, range_deg: float) -> list[Row]:
    """Rows of one learner at one range."""
    return [row for row in rows if (row["learner"], row["range_deg"]) == (name, range_deg)]


def constant(range_deg: float) -> Row:
    """Scores of who answers the same angle to every crop."""
    true = np.deg2rad(np.linspace(-range_deg, range_deg, 3601))
    resultant, mae_deg = zip(*(angle_scores(true, 0 * true, fold) for fold in FOLDS), strict=True)
    return {"resultant": list(resultant), "mae_deg": list(mae_deg)}


def draw(axis: Axes, rows: list[Row], title: str, value: Callable[[Row], float]) -> None:
    """Mean over the seeds, bars from the worst to the best; hollow where a fit did not converge."""
    ranges = sorted({row["range_deg"] for row in rows})
    for shift, (name, label) in enumerate(NAMES.items()):
        seeds = [chosen(rows, name, r) for r in ranges]
        if not any(seeds) or (name == "truth" and title.startswith(("fit", "R²"))):
            continue
        # A range that was not run breaks the line.
        values = [[value(row) for row in each] or [np.nan] for each in seeds]
        middle = np.array([np.mean(v) for v in values])
        spread = np.abs([[min(v) for v in values], [max(v) for v in values]] - middle)
        # Side by side, or the bars of learners that agree could not be told apart.
        place = np.arange(len(ranges)) + 0.05 * (shift - 2)
        axis.errorbar(place, middle, spread, capsize=2, lw=1.3, ms=5, label=label, **STYLES[name])
        for x, y, each in zip(place, middle, seeds, strict=True):
            if not all(row.get("converged", True) for row in each):
                axis.plot(x, y, STYLES[name]["marker"], ms=5, mfc="white", mec=STYLES[name]["color"], zorder=9)
    if title.startswith(("resultant", "error")):
        axis.plot([value(constant(r)) for r in ranges], ":", color="0.3", lw=1.3, label="one angle for all")
    axis.set_title(title, fontsize=10)
    axis.set_xticks(range(len(ranges)), [f"±{r:g}°" for r in ranges])
    axis.grid(alpha=0.3)
    if title.startswith(("error", "fit")):
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axis.yaxis.set_minor_formatter("{x:g}")


def table(rows: list[Row]) -> str:
    """Markdown: mean over the seeds, and worst to best where there are several."""
    lines = ["| range | learner | seeds | " + " | ".join(PICK) + " |", "|---" * (3 + len(PICK)) + "|"]
    for range_deg in sorted({row["range_deg"] for row in rows}, reverse=True):
        for name, label in NAMES.items():
            if not (seeds := chosen(rows, name, range_deg)):
                continue
            open_ends = sum(not row.get("converged", True) for row in seeds)
            note = f" ({open_ends} not converged)" if open_ends else ""
            cells = []
            for form, (title, value) in zip(FORMATS, PICK.items(), strict=True):
                values = [value(row) for row in seeds]
                spread = f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
                given = name == "truth" and title.startswith("fit")
                cells.append("-" if given else f"{np.mean(values):{form}}{spread}")
            lines.append(f"| ±{range_deg:g}° | {label} | {len(seeds)}{note} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, save the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("figure", type=Path)
    asked = parser.parse_args()
    rows = read(asked.rows)
    print(table(rows))
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), constrained_layout=True)
    for axis, (title, value) in zip(axes.flat, PICK.items(), strict=False):
        draw(axis, rows, title, value)
    axes.flat[-1].axis("off")
    axes.flat[-1].legend(*axes.flat[0].get_legend_handles_labels(), loc="center", frameon=False)
    figure.supxlabel("range of rotation", fontsize=10)
    figure.savefig(asked.figure, dpi=110)


if __name__ == "__main__":
    main()
