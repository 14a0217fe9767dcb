"""The rows of a benchmark: tidy, in the order of the cells, the same byte for byte from run to run but for times."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.pipeline.cache import write_atomically

if TYPE_CHECKING:
    from ronchi.benchmark.cells import Cell
    from ronchi.benchmark.outcome import Outcome

__all__ = ["COSTS", "RATES", "SECONDS", "Row", "Table"]

SECONDS = "seconds"
RATES = ("patterns_per_s", "GB_per_s")
"""The time again, and not compared a second time."""
COSTS = {SECONDS: "s", RATES[0]: "1/s", RATES[1]: "GB/s", "peak_mb": "MB"}
"""Figures of the timed step and their units, beside those of the metrics; they alone differ from run to run."""


@dataclass(frozen=True)
class Row:
    """One figure of one cell.

    Parameters
    ----------
    factors : tuple of str
        Values of the table's factors, as text.
    repeat : int
    figure : str
        ``step.figure``, or one of `COSTS`.
    value : float
    """

    factors: tuple[str, ...]
    repeat: int
    figure: str
    value: float


@dataclass(frozen=True)
class Table:
    """All rows, and how every cell ended.

    Parameters
    ----------
    factors : tuple of str
        Names: steps with several entries, and each ``step.param`` and ``run.option`` that varies.
    rows : tuple of Row
    cells : tuple
        ``(factors, repeat, status, error)`` of every cell.
    of_files : bool
        All data are read from files, which have no seed: repeats differ by the algorithms' random numbers alone.
    """

    factors: tuple[str, ...]
    rows: tuple[Row, ...]
    cells: tuple[tuple[tuple[str, ...], int, str, str], ...]
    of_files: bool = False

    @classmethod
    def of(cls, cells: Sequence[Cell], outcomes: Mapping[int, Outcome]) -> Table:
        """Put the outcomes of cells in order."""
        names = tuple(cells[0].factors) if cells else ()
        rows: list[Row] = []
        ended = []
        for cell in cells:
            outcome = outcomes[cell.number]
            values = tuple(_text(cell.factors[name]) for name in names)
            ended.append((values, cell.repeat, outcome.status, outcome.error))
            rows += [Row(values, cell.repeat, figure, value) for figure, value in outcome.scores.items()]
            for figure, measured in zip(COSTS, _costs(outcome), strict=True):
                rows += [Row(values, cell.repeat, figure, value) for value in measured]
        simulated = any("simulator" in step for cell in cells for step in cell.pipeline["steps"].values())
        return cls(names, tuple(rows), tuple(ended), not simulated)

    def figures(self) -> list[str]:
        """Names of all figures, in the order of their appearance."""
        return list(dict.fromkeys(row.figure for row in self.rows))

    def numbers(self, factor: str) -> dict[str, float] | None:
        """Values of a factor as numbers, or None if they are none, or fewer than two."""
        at = self.factors.index(factor)
        try:
            made = {values[at]: float(values[at]) for values, *_ in self.cells}
        except ValueError:
            return None
        return dict(sorted(made.items(), key=lambda item: item[1])) if len(made) > 1 else None

    def values(self, figure: str) -> dict[tuple[tuple[str, ...], int], list[float]]:
        """Values of a figure by factors and repeat; several only of `COSTS`."""
        made: dict[tuple[tuple[str, ...], int], list[float]] = {}
        for row in self.rows:
            if row.figure == figure:
                made.setdefault((row.factors, row.repeat), []).append(row.value)
        return made

    def write(self, folder: Path) -> None:
        """Write ``results.csv``, ``costs.csv`` and ``cells.csv``."""
        head = [*self.factors, "repeat"]
        lines = [[*row.factors, row.repeat, row.figure, repr(row.value)] for row in self.rows]
        at = len(head)
        ended = [[*values, repeat, status, error] for values, repeat, status, error in self.cells]
        for name, columns, listed in (
            ("results.csv", [*head, "figure", "value"], [line for line in lines if line[at] not in COSTS]),
            ("costs.csv", [*head, "figure", "value"], [line for line in lines if line[at] in COSTS]),
            ("cells.csv", [*head, "status", "error"], ended),
        ):
            write_atomically(folder / name, _csv(columns, listed).encode())


def _costs(outcome: Outcome) -> tuple[list[float], ...]:
    """Values of the `COSTS` of a cell; none of rates where there is nothing to count."""
    rates = [[size / took for took in outcome.seconds if size] for size in (outcome.patterns, outcome.gigabytes)]
    return outcome.seconds, *rates, outcome.peak_mb


def _text(value: Any) -> str:
    return str(value) if not isinstance(value, float) else f"{value:.12g}"


def _csv(columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return text.getvalue()
