"""Equal tuning: the same number of trials for every entry, on data that the comparison does not use."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ronchi.benchmark.model import BenchConfig, Entry, Range, Tuning
from ronchi.errors import PluginError

__all__ = ["SEED_OFFSET", "Evaluate", "Tuned", "suggest", "tune", "with_params"]

SEED_OFFSET = 1_000_000
"""Added to the seeds of tuning, so that no tuning data are test data."""

Evaluate = Callable[[BenchConfig], float]
"""Median of the figure over all data of a benchmark with one entry; NaN where a cell did not finish."""


@dataclass(frozen=True)
class Tuned:
    """What the search of one entry found.

    Parameters
    ----------
    entry : str
    params : mapping
        The best ones; empty if no trial finished.
    value : float
        The figure with them, on the tuning data.
    trials : tuple of mapping
        ``params`` and ``value`` of every trial, in order; the first one is the entry as it comes.
    """

    entry: str
    params: Mapping[str, Any]
    value: float
    trials: tuple[Mapping[str, Any], ...]


def tune(config: BenchConfig, *, higher: bool, evaluate: Evaluate) -> tuple[BenchConfig, tuple[Tuned, ...]]:
    """Search the spaces of all entries of the compared step that have one.

    Parameters
    ----------
    config : BenchConfig
        With ``protocol.tuning`` and ``compare``.
    higher : bool
        More of the figure is better.
    evaluate : callable

    Returns
    -------
    config : BenchConfig
        With the best parameters set.
    tuned : tuple of Tuned

    Raises
    ------
    PluginError
        Optuna is not installed.
    """
    tuning, compare = config.protocol.tuning, config.compare
    assert tuning is not None
    assert compare is not None
    found = [
        _search(_of_entry(config, entry, tuning), entry, tuning.trials, higher, evaluate)
        for entry in config.slots[compare.slot].entries
        if entry.space
    ]
    for each in found:
        config = with_params(config, each.entry, each.params)
    return config, tuple(found)


def with_params(config: BenchConfig, label: str, params: Mapping[str, Any]) -> BenchConfig:
    """The benchmark with these parameters on top of an entry's own."""
    assert config.compare is not None
    slot = config.slots[config.compare.slot]
    entries = tuple(
        replace(entry, params={**entry.params, **params}) if entry.label == label else entry for entry in slot.entries
    )
    return replace(config, slots={**config.slots, slot.step: replace(slot, entries=entries)})


def _of_entry(config: BenchConfig, entry: Entry, tuning: Tuning) -> BenchConfig:
    """The benchmark with this entry alone, on the data of tuning."""
    assert config.compare is not None
    slot = config.slots[config.compare.slot]
    slots = {**config.slots, slot.step: replace(slot, entries=(entry,))}
    protocol = config.protocol.model_copy(update={"repeats": tuning.repeats, "timings": 0, "tuning": None})
    # Options of the run change no figure but the costs: one value of each is enough.
    run_vary = {key: values[:1] for key, values in config.run_vary.items()}
    return replace(config, seed=config.seed + SEED_OFFSET, slots=slots, protocol=protocol, run_vary=run_vary)


def _search(alone: BenchConfig, entry: Entry, n_trials: int, higher: bool, evaluate: Evaluate) -> Tuned:
    try:
        import optuna
    except ImportError as error:
        raise PluginError("tuning needs Optuna, which is not installed", fix='pip install "ronchi[tune]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if higher else "minimize", sampler=optuna.samplers.TPESampler(seed=alone.seed)
    )
    # As it comes is the first trial: what was searched for is then no worse on the data of the search.
    trials: list[tuple[dict[str, Any], float]] = [({}, evaluate(alone))]
    for _ in range(n_trials - 1):
        trial = study.ask()
        params = {name: suggest(trial, name, span) for name, span in entry.space.items()}
        value = evaluate(with_params(alone, entry.label, params))
        trials.append((params, value))
        if math.isfinite(value):
            study.tell(trial, value)
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    sign = -1 if higher else 1
    good = [(params, value) for params, value in trials if math.isfinite(value)]
    best, value = min(good, key=lambda trial: sign * trial[1], default=({}, math.nan))
    return Tuned(entry.label, best, value, tuple({"params": params, "value": value} for params, value in trials))


def suggest(trial: Any, name: str, span: Range | list[Any]) -> Any:
    """Value of a parameter that a trial of Optuna's is to try."""
    if isinstance(span, list):
        # By number: choices may be lists, which the sampler cannot hold.
        return span[trial.suggest_categorical(name, list(range(len(span))))]
    if span.whole:
        return trial.suggest_int(name, round(span.low), round(span.high), log=span.log)
    return trial.suggest_float(name, span.low, span.high, log=span.log)
