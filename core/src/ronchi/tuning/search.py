"""The search: parameters are chosen, trained with and judged, and what it learns is kept at once."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from ronchi.atomic import all_or_nothing
from ronchi.benchmark.model import Range
from ronchi.errors import DataError, OutputError
from ronchi.manager import get_manager
from ronchi.pipeline.outputs import check_writable, sole_writer
from ronchi.training import load_training
from ronchi.tuning.config import SCHEMA, TuningConfig, extremes, training_with
from ronchi.tuning.on_ray import search_with_ray
from ronchi.tuning.record import Trial, begun, open_search, training_folder, write_trials
from ronchi.tuning.study import Study
from ronchi.tuning.trial import run_trial

__all__ = ["run_tuning"]


def run_tuning(config: TuningConfig, out: Path, *, told: Callable[[Trial], None]) -> list[Trial]:
    """Search, and leave ``tuning.json`` with all trials and ``best.yaml``, a training file with the best parameters.

    Parameters are chosen by a tree of Parzen estimators, and the worse trainings stopped by asynchronous successive
    halving (Li et al., MLSys 2020, arXiv:1810.05934), whichever engine runs them.

    In the folder of a search that was stopped it goes on: trainings that ended are not repeated, one that was stopped
    goes on from its last checkpoint, and one after the other, what is tried is what would have been tried without the
    stop. Engine, number of trials and where the work is done may change on the way. While another search writes to the
    folder, it waits.

    Parameters
    ----------
    out : Path
        Folder; those of the trainings are in it too.
    told : callable
        Called with every trial as it ends, not with those that ended before.

    Returns
    -------
    list of Trial
        Best first, those that ended before included; those that failed come last.

    Raises
    ------
    PluginError
        The engine is not installed, or what is trained tells nothing while it learns.
    OutputError
        The folder holds another search, or all trials failed.
    """
    check_writable(out, "-o")
    with sole_writer(out, lambda note: sys.stderr.write(f"{note}\n")):
        study = Study(config.space, seed=config.seed, grace=config.grace)
        ended = open_search(out, _identity(config))
        for trial in ended:
            study.replay(trial)

        def keep(trial: Trial) -> None:
            study.tell(trial)
            ended.append(trial)
            # At once: a search that is stopped after hours has what it learned.
            write_trials(out, ended)
            told(trial)

        numbers = sorted(set(range(config.trials)) - {trial.number for trial in ended})
        if config.engine == "ray":
            search_with_ray(config, out, numbers, study, keep)
        else:
            _search_in_turn(config, out, numbers, study, keep)
        # One that failed after a good look would fail again with the parameters that are to be trained with.
        trials = sorted(ended, key=lambda trial: math.inf if trial.error else trial.loss)
        write_trials(out, trials)
        if trials[0].error:
            fix = "more steps, smaller ones, or data that can be read"
            raise OutputError(f"no training came to its end: {trials[0].error}", where=str(out), fix=fix)
        _write_best(out, config, trials[0])
        return trials


class _WorseError(Exception):
    """A training is one of the worse."""


def _search_in_turn(
    config: TuningConfig, out: Path, numbers: Sequence[int], study: Study, keep: Callable[[Trial], None]
) -> None:
    """One training after the other, in this process."""
    for number in numbers:
        folder = training_folder(out, number)
        values = study.ask(number, begun(folder))
        seen: list[float] = []

        def watch(losses: Sequence[float], number: int = number, seen: list[float] = seen) -> None:
            seen[:] = losses
            if study.is_worse(number, losses):
                raise _WorseError

        error, stopped = "", False
        try:
            run_trial(config, values, folder, watch)
        except _WorseError:
            stopped = True
        except (DataError, RuntimeError, MemoryError) as fault:
            # With too large steps the loss becomes infinite, with too large networks the memory ends: bad choices,
            # after which the search goes on. The trial is kept, or a search that is taken up would begin with it again.
            error = str(fault) or type(fault).__name__
        keep(Trial.of(number, values, seen, error=error, stopped=stopped))


def _identity(config: TuningConfig) -> dict[str, Any]:
    """All that trainings and their order depend on; how many there are and where they run may change."""
    first = {name: extremes(span)[0] for name, span in config.space.items()}
    # With the paths as they are: the same file elsewhere may name other data.
    made = load_training(config.algorithm, training_with(config, first), base=config.base, manager=get_manager()).params
    params = made.model_dump(mode="json", exclude_defaults=True)
    for dotted in config.space:
        *path, last = dotted.split(".")
        at = params
        for part in path:
            at = at.get(part, {})
        at.pop(last, None)
    return {
        "schema": SCHEMA,
        "algorithm": config.algorithm,
        "seed": config.seed,
        "grace": config.grace,
        "search": {name: span.model_dump() if isinstance(span, Range) else span for name, span in config.space.items()},
        "params": params,
    }


def _write_best(out: Path, config: TuningConfig, trial: Trial) -> None:
    best = training_with(config, trial.params)
    # With the paths of the tuning file, which may lie elsewhere.
    params = load_training(config.algorithm, best, base=config.base, manager=get_manager()).params
    best["params"] = params.model_dump(mode="json")
    path = out / "best.yaml"
    text = f"# ronchi train {config.algorithm} {path.name}\n" + yaml.safe_dump(best, sort_keys=False)
    with all_or_nothing(path, path.suffix, len(text)) as temporary:
        temporary.write_text(text, encoding="utf-8")
