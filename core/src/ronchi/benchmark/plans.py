"""The plans of a benchmark's cells: all of it checked before the first cell runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ronchi.benchmark.cells import Cell, cell_source
from ronchi.benchmark.model import BenchConfig
from ronchi.benchmark.outcome import Outcome
from ronchi.errors import ConfigError, PluginError
from ronchi.pipeline.config import load_config
from ronchi.pipeline.plan import make_plan
from ronchi.pipeline.planned import Plan
from ronchi.pipeline.steps import is_stored

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["manager_for", "plan_cells"]


def manager_for(config: BenchConfig) -> Manager:
    """Plugins that the cells may use: those that the file allows, else all."""
    from ronchi.manager import Manager, get_manager

    plugins = config.source.data.get("plugins")
    allow = plugins.get("allow") if isinstance(plugins, Mapping) else None
    # What is no list of names is refused with the cells' pipelines.
    return Manager(allow=set(map(str, allow))) if isinstance(allow, list) else get_manager()


def plan_cells(
    config: BenchConfig, cells: Sequence[Cell], manager: Manager, *, skip_missing: bool = False
) -> tuple[dict[int, Plan], dict[int, Outcome]]:
    """Check the pipelines of all cells.

    Parameters
    ----------
    skip_missing : bool
        Cells whose algorithms are not installed cannot run, instead of being wrong.

    Returns
    -------
    plans : dict of int to Plan
        By the number of the cell.
    outcomes : dict of int to Outcome
        Of the cells that cannot run.

    Raises
    ------
    ConfigError
        With file, line and column of everything that is wrong, each once.
    """
    plans: dict[int, Plan] = {}
    outcomes: dict[int, Outcome] = {}
    faults: dict[str, ConfigError] = {}
    for cell in cells:
        missing = _missing(config, cell, manager) if skip_missing else ""
        if missing:
            outcomes[cell.number] = Outcome(status="skipped", error=missing)
            continue
        try:
            plans[cell.number] = make_plan(load_config(cell_source(config, cell)), manager)
            _check_timed(config, plans[cell.number])
        except ConfigError as error:
            faults.setdefault(str(error), error)
    if faults:
        errors = list(faults.values())
        raise errors[0] if len(errors) == 1 else ConfigError("\n".join(map(str, errors)), where=config.source.name)
    return plans, outcomes


def _missing(config: BenchConfig, cell: Cell, manager: Manager) -> str:
    for name, slot in config.slots.items():
        algorithm = cell.pipeline["steps"][name][slot.kind]
        if slot.kind == "reader" and algorithm == "auto":
            continue
        try:
            manager.spec(slot.kind, algorithm)
        except PluginError as error:
            return error.what
    return ""


def _check_timed(config: BenchConfig, plan: Plan) -> None:
    if config.compare and config.protocol.timings and not is_stored(plan.steps[config.compare.slot]):
        what = f"{config.compare.slot!r} is read or made when it is needed: alone it takes no time"
        where = config.source.where(("protocol", "timings"))
        raise ConfigError(what, where=where, fix="compare the step that uses it, or leave out timings")
