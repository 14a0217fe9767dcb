"""The cells of a benchmark run side by side, each row kept as soon as it is there, and none run twice."""

from __future__ import annotations

import hashlib
import json
import platform
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO

from ronchi.benchmark.cells import Cell
from ronchi.benchmark.environment import environment
from ronchi.benchmark.figure_sides import absent_figures
from ronchi.benchmark.model import BenchConfig
from ronchi.benchmark.outcome import FINISHED, Outcome
from ronchi.benchmark.process import run_cell
from ronchi.pipeline.cache import Cache, write_atomically
from ronchi.pipeline.identity import Identities
from ronchi.pipeline.planned import Plan
from ronchi.pipeline.versions import versions_of

__all__ = ["run_cells", "step_keys"]


def run_cells(
    config: BenchConfig,
    cells: Sequence[Cell],
    plans: Mapping[int, Plan],
    out_dir: Path,
    tell: TextIO,
    *,
    retry: bool = False,
) -> dict[int, Outcome]:
    """Run the cells that have a plan and no row yet.

    Parameters
    ----------
    plans : mapping of int to Plan
        By the number of the cell.
    out_dir : Path
        Holds ``rows``, and the files of each cell.
    tell : file
        Gets a line a cell.
    retry : bool
        Run those again that did not finish; without it, those that may take more by now, or run on another machine
        or with other versions.

    Returns
    -------
    dict of int to Outcome
        By the number of the cell.
    """
    planned = [cell for cell in cells if cell.number in plans]
    # Times are of a machine, not of each update of its kernel.
    machine = {**environment(), "system": platform.system()}
    places = {cell.number: {**machine, **versions_of(plans[cell.number])} for cell in planned}
    keys = {cell.number: _row_key(config, plans[cell.number], places[cell.number]) for cell in planned}
    allowed = {cell.number: _allowed(config, places[cell.number]) for cell in planned}
    outcomes = {}
    for cell in planned:
        known = _stored(out_dir, keys[cell.number])
        if known is not None and (known.status in FINISHED or (known.allowed == allowed[cell.number] and not retry)):
            outcomes[cell.number] = known
    waiting = [cell for cell in planned if cell.number not in outcomes]
    tell.write(f"combinations: {len(cells)}, {len(cells) - len(waiting)} of them known\n")
    slot = config.compare.slot if config.compare else None
    base, stop = config.source.base, threading.Event()
    chosen = config.compare.figures if config.compare else []
    (out_dir / "rows").mkdir(exist_ok=True)
    with ThreadPoolExecutor(config.protocol.jobs) as pool:
        running = {
            pool.submit(run_cell, cell, config.protocol, slot, base, out_dir / "cells" / str(cell.number), stop): cell
            for cell in waiting
        }
        try:
            for done, future in enumerate(as_completed(running), 1):
                cell = running[future]
                outcome = replace(future.result(), allowed=allowed[cell.number])
                outcomes[cell.number] = outcome
                write_atomically(_row_file(out_dir, keys[cell.number]), json.dumps(asdict(outcome)).encode())
                told = f"{outcome.status}: {outcome.error}" if outcome.error else outcome.status
                tell.write(f"{done}/{len(waiting)} {cell.name}: {told}\n")
                if outcome.scores and chosen:
                    # A wrong name shows now, not after hours.
                    tell.writelines(f"{text}\n" for text in absent_figures(chosen, outcome.scores))
                    chosen = []
                tell.flush()
        except BaseException:
            # Cells do not get the terminal's Ctrl-C: they are in sessions of their own.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def step_keys(plan: Plan) -> dict[str, str]:
    """Keys of all steps of a cell: equal keys are equal data."""
    return Identities(plan, Cache(Path(plan.config.run.cache).absolute())).keys


def _row_key(config: BenchConfig, plan: Plan, place: Mapping[str, str]) -> str:
    """What a row depends on: the keys of all steps; with times, how they are measured, on which machine, with what."""
    protocol = config.protocol.model_dump_json(include={"timings", "warm_up"})
    timed = [config.compare.slot, place] if config.compare and config.protocol.timings else ""
    content = json.dumps([protocol, timed, sorted(step_keys(plan).items()), plan.config.run.model_dump(mode="json")])
    return hashlib.sha256(content.encode()).hexdigest()


def _allowed(config: BenchConfig, place: Mapping[str, str]) -> str:
    limits = config.protocol.model_dump(mode="json", include={"timeout_s", "memory_mb"})
    return json.dumps([limits, config.source.data.get("plugins"), place], sort_keys=True)


def _row_file(out_dir: Path, key: str) -> Path:
    return out_dir / "rows" / f"{key[:24]}.json"


def _stored(out_dir: Path, key: str) -> Outcome | None:
    try:
        return Outcome(**json.loads(_row_file(out_dir, key).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
