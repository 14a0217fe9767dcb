"""The same search in processes of Ray's: on several cores, GPUs or machines."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ronchi.errors import DataError, PluginError
from ronchi.pipeline.resources import has_cuda
from ronchi.tuning.config import TuningConfig
from ronchi.tuning.record import Trial, begun, training_folder
from ronchi.tuning.study import Study
from ronchi.tuning.trial import run_trial

__all__ = ["search_with_ray"]


def search_with_ray(
    config: TuningConfig, out: Path, numbers: Sequence[int], study: Study, keep: Callable[[Trial], None]
) -> None:
    """Run trainings by `run_trial`; see `ronchi.tuning.search.run_tuning`.

    The processes are ended at once when the search is stopped: a training goes on from the checkpoint that it had
    written by then.

    Raises
    ------
    PluginError
        Ray is not installed, or no node of Ray's starts.
    KeyboardInterrupt
        The user stopped it.
    """
    # It would otherwise report to its makers that it is used.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        from ray import tune
        from ray.tune.schedulers import FIFOScheduler
        from ray.tune.search import Searcher
    except ImportError as error:
        what = f"`engine: ray` needs a package that is not installed: {error.name}"
        raise PluginError(what, fix='pip install "ronchi[ray]", or engine: optuna') from error

    waiting, left = list(numbers), set(numbers)
    worse: set[int] = set()

    class Asked(Searcher):  # type: ignore[misc]
        def suggest(self, trial_id: str) -> Any:
            if not waiting:
                return Searcher.FINISHED
            number = waiting.pop(0)
            return {"number": number, "values": study.ask(number, begun(training_folder(out, number)))}

        def on_trial_complete(self, *_: Any, **__: Any) -> None: ...

        # What goes on is ronchi's record, whichever engine left it.
        def save(self, checkpoint_path: str) -> None: ...

    class Halving(FIFOScheduler):  # type: ignore[misc]
        def on_trial_result(self, controller: Any, trial: Any, result: Mapping[str, Any]) -> Any:
            number = trial.config["number"]
            if not result["ended"] and study.is_worse(number, result["losses"]):
                worse.add(number)
                return FIFOScheduler.STOP
            return FIFOScheduler.CONTINUE

    class Told(tune.Callback):  # type: ignore[misc]
        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            result, stopped = trial.last_result or {}, trial.config["number"] in worse
            # Neither: the search was stopped, and it with it.
            if stopped or result.get("ended"):
                end(trial, result.get("error", ""), stopped)

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            end(trial, str(trial.get_error()), False)

    def end(trial: Any, error: str, stopped: bool) -> None:
        number, values = trial.config["number"], trial.config["values"]
        left.discard(number)
        keep(Trial.of(number, values, (trial.last_result or {}).get("losses", ()), error=error, stopped=stopped))

    if not numbers:
        return
    if not ray.is_initialized():
        try:
            ray.init(num_cpus=config.jobs, include_dashboard=False, log_to_driver=False, logging_level="error")
        except Exception as error:
            # Ray raises nothing more special where its processes do not come up in time.
            if type(error) is not Exception:
                raise
            fix = "see /tmp/ray/session_latest/logs; on a busy machine try again, or engine: optuna"
            raise PluginError(f"no node of Ray starts: {error}", fix=fix) from error
    resources = {"cpu": 1, "gpu": _gpu_share(config)}
    try:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(_run, config=config, out=out), resources),
            tune_config=tune.TuneConfig(
                num_samples=len(numbers), max_concurrent_trials=config.jobs, search_alg=Asked(), scheduler=Halving()
            ),
            run_config=tune.RunConfig(name="ray", storage_path=str(out), verbose=0, callbacks=[Told()]),
        ).fit()
    finally:
        ray.shutdown()
    if left:
        # Ray ends an interrupted search as it ends any other.
        raise KeyboardInterrupt


def _run(found: Mapping[str, Any], *, config: TuningConfig, out: Path) -> None:
    """One training, in a process of Ray's."""
    from ray import tune

    seen: list[float] = []

    def tell(ended: bool, error: str = "") -> None:
        tune.report({"losses": list(seen), "ended": ended, "error": error})

    def watch(losses: Sequence[float]) -> None:
        seen[:] = losses
        tell(ended=False)

    try:
        run_trial(config, found["values"], training_folder(out, found["number"]), watch)
    except DataError as error:
        # As with the other engine, a bad choice.
        tell(ended=True, error=str(error))
    else:
        tell(ended=True)


def _gpu_share(config: TuningConfig) -> float:
    return 1 / config.jobs if config.training["run"]["device"] != "cpu" and has_cuda() else 0
