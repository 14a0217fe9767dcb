"""From a benchmark to its cells: every combination of entries, values and repeats, each an ordinary pipeline."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ronchi.benchmark.model import BenchConfig, Entry, Slot
from ronchi.config.source import FieldPath, Source

__all__ = ["Cell", "cell_source", "make_cells"]


@dataclass(frozen=True)
class Cell:
    """One combination.

    Parameters
    ----------
    number : int
        Place in the benchmark, from 0.
    factors : mapping of str to label or value
        Step to the entry's label where a step has several; ``step.param``, or ``run.option``, to the value where one
        varies.
    repeat : int
    pipeline : mapping
        What `ronchi.run` takes.
    places : mapping
        Field path in the pipeline to that in the benchmark file, where they differ.
    """

    number: int
    factors: Mapping[str, Any]
    repeat: int
    pipeline: Mapping[str, Any]
    places: Mapping[FieldPath, FieldPath]

    @property
    def name(self) -> str:
        """What it is, in a line."""
        told = ", ".join(f"{factor} {value}" for factor, value in self.factors.items())
        return f"cell {self.number} ({told or 'the only one'}; repeat {self.repeat})"


def make_cells(config: BenchConfig) -> list[Cell]:
    """All cells, repeats last: the first round of a long benchmark shows every entry."""
    choices = itertools.product(range(config.protocol.repeats), _rows(config.run_vary), list(_choices(config.slots)))
    return [_cell(config, number, *chosen) for number, chosen in enumerate(choices)]


_Chosen = Mapping[str, tuple[Entry, Mapping[str, int]]]


def _rows(vary: Mapping[str, tuple[Any, ...]]) -> list[dict[str, int]]:
    """Numbers of the values of everything that varies, in all combinations."""
    numbers = itertools.product(*[range(len(values)) for values in vary.values()])
    return [dict(zip(vary, row, strict=True)) for row in numbers]


def _choices(slots: Mapping[str, Slot]) -> Iterator[_Chosen]:
    """Step to its entry and, for every parameter that varies, the number of its value."""
    options = [
        [(slot.step, (entry, row)) for entry in slot.entries for row in _rows(slot.vary)] for slot in slots.values()
    ]
    for chosen in itertools.product(*options):
        yield dict(chosen)


def _cell(config: BenchConfig, number: int, repeat: int, options: Mapping[str, int], chosen: _Chosen) -> Cell:
    factors: dict[str, Any] = {}
    places: dict[FieldPath, FieldPath] = {}
    steps: dict[str, Any] = {}
    for name, slot in config.slots.items():
        entry, row = chosen[name]
        at = ("steps", name)
        params = copy.deepcopy({**slot.params, **entry.params})
        places[*at, slot.kind] = entry.place
        for key in entry.params:
            places[*at, "params", key] = (*entry.place, "params", key)
        for key, value_number in row.items():
            params[key] = copy.deepcopy(slot.vary[key][value_number])
            places[*at, "params", key] = (*at, "vary", key, value_number)
        if len(slot.entries) > 1:
            factors[name] = entry.label
        factors |= {f"{name}.{key}": params[key] for key in row}
        steps[name] = {slot.kind: entry.name, **slot.inputs, **({"params": params} if params else {})}
    pipeline: dict[str, Any] = {
        "schema": "ronchi.pipeline/1",
        "name": config.name,
        "seed": config.seed + repeat,
        "steps": steps,
    }
    for section in ("plugins", "run"):
        if config.source.data.get(section) is not None:
            pipeline[section] = copy.deepcopy(config.source.data[section])
    if "run" in pipeline:
        # `load_bench` has made `run_vary` of it.
        pipeline["run"].pop("vary", None)
    for key, value_number in options.items():
        pipeline["run"][key] = factors[f"run.{key}"] = config.run_vary[key][value_number]
        places["run", key] = ("run", "vary", key, value_number)
    return Cell(number, factors, repeat, pipeline, places)


def cell_source(config: BenchConfig, cell: Cell) -> Source:
    """The cell's pipeline as a document whose faults point into the benchmark file."""
    origin = config.source
    marks = dict(origin.marks)
    for path, place in cell.places.items():
        for mark, where in origin.marks.items():
            if mark[: len(place)] == place:
                marks[*path, *mark[len(place) :]] = where
    return Source(origin.name, copy.deepcopy(dict(cell.pipeline)), origin.base, origin.text, marks)
