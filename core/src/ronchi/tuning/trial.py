"""One training of a search, whichever engine starts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ronchi.manager import get_manager
from ronchi.training import load_training, run_training
from ronchi.tuning.config import TuningConfig, training_with
from ronchi.tuning.record import Looks

__all__ = ["run_trial"]


def run_trial(
    config: TuningConfig, values: Mapping[str, Any], folder: Path, watch: Callable[[Sequence[float]], None]
) -> None:
    """One training with these parameters, or the rest of it.

    Parameters
    ----------
    watch : callable
        Told the losses of all looks so far, after every look, and at once if there were some before; may raise to
        stop the training.
    """
    manager = get_manager()
    training = load_training(config.algorithm, training_with(config, values), base=config.base, manager=manager)
    folder.mkdir(parents=True, exist_ok=True)
    looks = Looks(folder, values)
    if looks.losses:
        watch(looks.losses)

    def note(figures: Mapping[str, float]) -> None:
        looks.add(figures)
        watch(looks.losses)

    run_training(training, folder, manager=manager, progress=False, watch=note)
