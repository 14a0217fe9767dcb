"""The benchmark runner: every cell checked before the first one runs, finished ones kept, whatever happens a row."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ronchi.bench.cells import Cell, make_cells
from ronchi.bench.config import BenchConfig, load_bench
from ronchi.bench.environment import environment
from ronchi.bench.install import install
from ronchi.bench.outcome import Outcome
from ronchi.bench.plans import plan_cells
from ronchi.bench.process import run_cell
from ronchi.bench.table import Table
from ronchi.pipeline.cache import Cache, write_atomically
from ronchi.pipeline.identity import Identities
from ronchi.pipeline.outputs import check_writable
from ronchi.pipeline.plan import Plan
from ronchi.pipeline.provenance import versions_of

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["BenchResult", "run_bench"]


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
    """

    config: BenchConfig
    table: Table
    out_dir: Path
    versions: Mapping[str, str]
    environment: Mapping[str, str]
    better: Mapping[str, Mapping[str, str]]
    keys: Mapping[int, Mapping[str, str]]
    citations: tuple[str, ...] = ()

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
    KeyboardInterrupt
        The user stopped it; finished cells are kept.
    """
    config = load_bench(origin, base=base)
    if manager is None:
        from ronchi.manager import get_manager

        manager = get_manager()
    out_dir = Path(out or f"{config.name}-bench").absolute()
    check_writable(out_dir, "-o")
    cells = make_cells(config)
    plans, outcomes = plan_cells(config, cells, manager, skip_missing=skip_missing)
    step_keys = {number: _step_keys(plan) for number, plan in plans.items()}
    keys = {number: _row_key(config, plan, step_keys[number]) for number, plan in plans.items()}
    tell = stream or sys.stderr
    if peers:
        install(plans.values(), lambda text: print(text, file=tell, flush=True))
    for cell in cells:
        known = _stored(out_dir, keys.get(cell.number))
        if known is not None and (known.status == "done" or not retry):
            outcomes[cell.number] = known
    waiting = [cell for cell in cells if cell.number not in outcomes]
    tell.write(f"{len(cells)} cells, {len(cells) - len(waiting)} of them known\n")
    _run(config, waiting, out_dir, keys, outcomes, tell)
    versions: dict[str, str] = {}
    for plan in plans.values():
        versions |= versions_of(plan)
    better = {name: step.spec.better for plan in plans.values() for name, step in plan.steps.items()}
    table = Table.of(cells, outcomes)
    cited = {step.spec.citation for plan in plans.values() for step in plan.steps.values()} - {""}
    return BenchResult(
        config=config,
        table=table,
        out_dir=out_dir,
        versions=dict(sorted(versions.items())),
        environment=environment(),
        better=better,
        keys=step_keys,
        citations=tuple(sorted(cited)),
    )


def _step_keys(plan: Plan) -> dict[str, str]:
    return Identities(plan, Cache(Path(plan.config.run.cache).absolute())).keys


def _row_key(config: BenchConfig, plan: Plan, step_keys: Mapping[str, str]) -> str:
    """What a row depends on: the keys of all steps, and how time is measured."""
    protocol = config.protocol.model_dump_json(include={"timings", "warm_up"})
    timed = config.compare.slot if config.compare and config.protocol.timings else ""
    content = json.dumps([protocol, timed, sorted(step_keys.items()), plan.config.run.model_dump(mode="json")])
    return hashlib.sha256(content.encode()).hexdigest()


def _row_file(out_dir: Path, key: str) -> Path:
    return out_dir / "rows" / f"{key[:24]}.json"


def _stored(out_dir: Path, key: str | None) -> Outcome | None:
    if key is None:
        return None
    try:
        return Outcome(**json.loads(_row_file(out_dir, key).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _run(
    config: BenchConfig,
    cells: Sequence[Cell],
    out_dir: Path,
    keys: Mapping[int, str],
    outcomes: dict[int, Outcome],
    tell: TextIO,
) -> None:
    slot = config.compare.slot if config.compare else None
    base, stop = config.source.base, threading.Event()
    (out_dir / "rows").mkdir(exist_ok=True)
    with ThreadPoolExecutor(config.protocol.jobs) as pool:
        running = {
            pool.submit(run_cell, cell, config.protocol, slot, base, out_dir / "cells" / str(cell.number), stop): cell
            for cell in cells
        }
        try:
            for done, future in enumerate(as_completed(running), 1):
                cell, outcome = running[future], future.result()
                outcomes[cell.number] = outcome
                write_atomically(_row_file(out_dir, keys[cell.number]), json.dumps(asdict(outcome)).encode())
                told = outcome.status if outcome.status == "done" else f"{outcome.status}: {outcome.error}"
                tell.write(f"{done}/{len(cells)} {cell.name}: {told}\n")
                tell.flush()
        except BaseException:
            # Cells do not get the terminal's Ctrl-C: they are in sessions of their own.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
