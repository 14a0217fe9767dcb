"""Which parameters a search tries next, and which of its trainings are worse than others: Optuna's work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ronchi.benchmark.model import Range
from ronchi.benchmark.tuning import suggest
from ronchi.errors import PluginError
from ronchi.tuning.record import Trial

__all__ = ["Space", "Study"]

Space = Mapping[str, Range | list[Any]]
"""Dotted name of a parameter to a range or a list of choices."""

_REDUCTION = 3
"""Of trainings that come to the same number of looks, one in so many goes on."""


class Study:
    """A tree of Parzen estimators that chooses, and successive halving that stops.

    What is chosen for a training depends on the seed, its number and the trainings that were told before, not on
    whether the search was stopped between them.

    Raises
    ------
    PluginError
        Optuna is not installed.
    """

    def __init__(self, space: Space, *, seed: int, grace: int) -> None:
        try:
            import optuna
        except ImportError as error:
            what = "tuning needs Optuna, which is not installed"
            raise PluginError(what, fix='pip install "ronchi[tune]"') from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._space, self._seed = optuna, space, seed
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=grace, reduction_factor=_REDUCTION)
        self._study = optuna.create_study(direction="minimize", pruner=pruner)
        self._asked: dict[int, Any] = {}
        self._heard: dict[int, int] = {}

    def ask(self, number: int, begun: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Parameters of a training: new ones, or those with which it was begun."""
        # A sampler of its own: one for all would be elsewhere in its random numbers after a stop.
        seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed)
        if begun is not None:
            held = {name: _held(begun[name], span) for name, span in self._space.items()}
            self._study.enqueue_trial(held)
        asked = self._asked[number] = self._study.ask()
        self._heard[number] = 0
        return {name: suggest(asked, name, span) for name, span in self._space.items()}

    def is_worse(self, number: int, losses: Sequence[float]) -> bool:
        """Whether a training with these looks so far is to be stopped; those told before have been judged."""
        asked = self._asked[number]
        for look in range(self._heard[number], len(losses)):
            self._heard[number] = look + 1
            asked.report(losses[look], look + 1)
            if asked.should_prune():
                return True
        return False

    def tell(self, trial: Trial) -> None:
        """How a training that was asked for has ended."""
        states = self._optuna.trial.TrialState
        state = states.FAIL if trial.error else states.PRUNED if trial.stopped else states.COMPLETE
        self._study.tell(self._asked.pop(trial.number), trial.loss if state is states.COMPLETE else None, state)

    def replay(self, trial: Trial) -> None:
        """Take in a training of before."""
        self.ask(trial.number, trial.params)
        for looks in range(1, len(trial.losses) + 1):
            # What it is judged by is what others are compared with.
            self.is_worse(trial.number, trial.losses[:looks])
        self.tell(trial)


def _held(value: Any, span: Range | list[Any]) -> Any:
    """A value as `suggest` has it."""
    return [json.dumps(choice) for choice in span].index(json.dumps(value)) if isinstance(span, list) else value
