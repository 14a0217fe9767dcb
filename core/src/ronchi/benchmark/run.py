"""The benchmark runner: all checked before the first cell runs, then tuning where it is asked for, then the cells."""

from __future__ import annotations

import hashlib
import io
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ronchi.benchmark.cells import make_cells
from ronchi.benchmark.config import load_bench
from ronchi.benchmark.environment import environment
from ronchi.benchmark.figure_sides import side_of, unjudged_figures
from ronchi.benchmark.install import install
from ronchi.benchmark.model import BenchConfig
from ronchi.benchmark.outcome import Outcome
from ronchi.benchmark.plans import manager_for, plan_cells
from ronchi.benchmark.running import run_cells, step_keys
from ronchi.benchmark.table import Table
from ronchi.benchmark.tuning import Tuned, tune
from ronchi.errors import ConfigError
from ronchi.pipeline.outputs import check_writable, sole_writer
from ronchi.pipeline.planned import Plan
from ronchi.pipeline.versions import versions_of

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["BenchResult", "doubts", "median_of_all", "run_bench"]


@dataclass(frozen=True)
class BenchResult:
    """A benchmark and its rows.

    Parameters
    ----------
    config : BenchConfig
    table : Table
    out_dir : Path
    versions : mapping of str to str
        Distribution to version, of all that took part.
    environment : mapping of str to str
        Machine and operating system.
    better : mapping
        Metric step to what its spec says about its figures: name, with ``*``, to ``"lower"`` or ``"higher"``.
    keys : mapping of int to mapping
        Number of a cell to the keys of its steps: equal keys are equal data.
    citations : tuple of str
    tuned : tuple of Tuned
        What was searched before; its parameters are in ``config``.
    """

    config: BenchConfig
    table: Table
    out_dir: Path
    versions: Mapping[str, str]
    environment: Mapping[str, str]
    better: Mapping[str, Mapping[str, str]]
    keys: Mapping[int, Mapping[str, str]]
    citations: tuple[str, ...] = ()
    tuned: tuple[Tuned, ...] = ()

    @property
    def config_sha256(self) -> str:
        """sha256 in hex of the benchmark as written, whatever its order and comments."""
        text = json.dumps(self.config.source.data, sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def run_bench(
    origin: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    skip_missing: bool = False,
    retry: bool = False,
    peers: bool = False,
    manager: Manager | None = None,
    base: Path | None = None,
    stream: TextIO | None = None,
) -> BenchResult:
    """Run a benchmark; cells that an earlier run has finished are not run again.

    Parameters
    ----------
    origin : path or mapping
    out : path, optional
        Folder of finished rows and of the cells' own files; ``./<name>-bench`` by default.
    skip_missing : bool
        An algorithm that is not installed makes rows that say so, instead of an error.
    retry : bool
        Run the cells again that did not finish.
    peers : bool
        Let algorithms of other programs make their environments first, with pip.
    stream : file, optional
        Gets a line a cell; stderr by default.

    Raises
    ------
    ConfigError
        The benchmark, or a pipeline that it stands for, is not valid; nothing was run.
    OutputError
        The folder cannot be written to.
    KeyboardInterrupt
        The user stopped it; finished cells are kept.
    """
    config = load_bench(origin, base=base)
    manager = manager or manager_for(config)
    out_dir = Path(out or f"{config.name}-bench").absolute()
    check_writable(out_dir, "-o")
    cells = make_cells(config)
    plans, outcomes = plan_cells(config, cells, manager, skip_missing=skip_missing)
    tell = stream or sys.stderr
    tell.writelines(f"{text}\n" for text in doubts(config, plans))
    lacking: dict[int, Outcome] = {}
    if peers:
        lacking = install(plans, lambda text: print(text, file=tell, flush=True))
    tuned: tuple[Tuned, ...] = ()
    with sole_writer(out_dir, lambda note: tell.write(f"{note}\n")):
        if config.protocol.tuning is not None:
            better = _better(plans)
            config, tuned = _tune(config, manager, out_dir, tell, better, skip_missing=skip_missing)
            cells = make_cells(config)
            plans, outcomes = plan_cells(config, cells, manager, skip_missing=skip_missing)
        outcomes |= lacking
        able = {number: plan for number, plan in plans.items() if number not in lacking}
        outcomes |= run_cells(config, cells, able, out_dir, tell, retry=retry or peers)
    versions: dict[str, str] = {}
    for plan in plans.values():
        versions |= versions_of(plan)
    table = Table.of(cells, outcomes)
    cited = {step.spec.citation for plan in plans.values() for step in plan.steps.values()} - {""}
    return BenchResult(
        config=config,
        table=table,
        out_dir=out_dir,
        versions=dict(sorted(versions.items())),
        environment=environment(),
        better=_better(plans),
        keys={number: step_keys(plan) for number, plan in plans.items()},
        citations=tuple(sorted(cited)),
        tuned=tuned,
    )


def doubts(config: BenchConfig, plans: Mapping[int, Plan]) -> list[str]:
    """What is no fault and yet likely no intention, in words."""
    return unjudged_figures(_better(plans), config.compare.figures) if config.compare and plans else []


def _better(plans: Mapping[int, Plan]) -> dict[str, Mapping[str, str]]:
    return {name: step.spec.better for plan in plans.values() for name, step in plan.steps.items()}


def _tune(
    config: BenchConfig,
    manager: Manager,
    out_dir: Path,
    tell: TextIO,
    better: Mapping[str, Mapping[str, str]],
    *,
    skip_missing: bool,
) -> tuple[BenchConfig, tuple[Tuned, ...]]:
    tuning = config.protocol.tuning
    compared = config.compare
    assert tuning is not None
    assert compared is not None
    figure = tuning.figure
    side = side_of(better, figure)
    if not side:
        where = config.source.where(("protocol", "tuning", "figure"))
        raise ConfigError(f"neither more nor less of {figure!r} is better", where=where, fix="another figure")

    tried: Counter[str] = Counter()

    def evaluate(trial: BenchConfig) -> float:
        cells = make_cells(trial)
        plans, _ = plan_cells(trial, cells, manager, skip_missing=skip_missing)
        outcomes = run_cells(trial, cells, plans, out_dir / "tuning", told := io.StringIO())
        values = [outcome.scores.get(figure, math.nan) for outcome in outcomes.values()]
        value = median_of_all(values, len(cells))
        (entry,) = (each.label for each in trial.slots[compared.slot].entries)
        tried[entry] += 1
        why = "" if math.isfinite(value) else f"; not all finished\n{told.getvalue().rstrip()}"
        tell.write(f"tuning {entry}, trial {tried[entry]} of {tuning.trials}: {figure} {value:.4g}{why}\n")
        tell.flush()
        return value

    (out_dir / "tuning").mkdir(parents=True, exist_ok=True)
    return tune(config, higher=side == "higher", evaluate=evaluate)


def median_of_all(values: Sequence[float], n: int) -> float:
    """Median of ``n`` values; NaN unless there are as many and all are finite.

    Whoever fails on a part of the data would else be judged by the rest, which may be the easier part.
    """
    return statistics.median(values) if len(values) == n and all(map(math.isfinite, values)) else math.nan
