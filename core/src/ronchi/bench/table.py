"""The rows of a benchmark: tidy, in the order of the cells, the same byte for byte from run to run but for times."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ronchi.bench.cell import Outcome
from ronchi.bench.cells import Cell
from ronchi.bench.config import BenchConfig
from ronchi.pipeline.cache import write_atomically

__all__ = ["SECONDS", "Row", "Table"]

SECONDS = "seconds"
"""Figure of the timed step, beside those of the metrics."""


@dataclass(frozen=True)
class Row:
    """One figure of one cell.

    Parameters
    ----------
    factors : tuple of str
        Values of the table's factors, as text.
    repeat : int
    figure : str
        ``step.figure``, or `SECONDS`.
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
        Names: steps with several entries, and ``step.param`` that vary.
    rows : tuple of Row
    cells : tuple
        ``(factors, repeat, status, error)`` of every cell.
    """

    factors: tuple[str, ...]
    rows: tuple[Row, ...]
    cells: tuple[tuple[tuple[str, ...], int, str, str], ...]

    @classmethod
    def of(cls, config: BenchConfig, cells: Sequence[Cell], outcomes: Mapping[int, Outcome]) -> Table:
        """Put the outcomes of cells in order."""
        names = tuple(cells[0].factors) if cells else ()
        rows: list[Row] = []
        ended = []
        for cell in cells:
            outcome = outcomes[cell.number]
            values = tuple(_text(cell.factors[name]) for name in names)
            ended.append((values, cell.repeat, outcome.status, outcome.error))
            rows += [Row(values, cell.repeat, figure, value) for figure, value in outcome.scores.items()]
            rows += [Row(values, cell.repeat, SECONDS, value) for value in outcome.seconds]
        return cls(names, tuple(rows), tuple(ended))

    def figures(self) -> list[str]:
        """Names of all figures, in the order of their appearance."""
        return list(dict.fromkeys(row.figure for row in self.rows))

    def values(self, figure: str) -> dict[tuple[tuple[str, ...], int], list[float]]:
        """Values of a figure by factors and repeat; several only of times."""
        made: dict[tuple[tuple[str, ...], int], list[float]] = {}
        for row in self.rows:
            if row.figure == figure:
                made.setdefault((row.factors, row.repeat), []).append(row.value)
        return made

    def write(self, folder: Path) -> None:
        """Write ``results.csv``, ``times.csv`` and ``cells.csv``."""
        head = [*self.factors, "repeat"]
        scores = [[*row.factors, row.repeat, row.figure, repr(row.value)] for row in self.rows if row.figure != SECONDS]
        times = [[*row.factors, row.repeat, repr(row.value)] for row in self.rows if row.figure == SECONDS]
        ended = [[*values, repeat, status, error] for values, repeat, status, error in self.cells]
        for name, columns, lines in (
            ("results.csv", [*head, "figure", "value"], scores),
            ("times.csv", [*head, SECONDS], times),
            ("cells.csv", [*head, "status", "error"], ended),
        ):
            write_atomically(folder / name, _csv(columns, lines).encode())


def _text(value: Any) -> str:
    return str(value) if not isinstance(value, float) else f"{value:g}"


def _csv(columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return text.getvalue()
