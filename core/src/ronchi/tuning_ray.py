"""The same search in processes of Ray's: on several cores, GPUs or machines."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ronchi.bench.config import Range
from ronchi.errors import PluginError
from ronchi.pipeline.resources import has_cuda
from ronchi.tuning import REDUCTION, Trial, TuningConfig, run_trial

__all__ = ["search_with_ray"]

_MOST_LOOKS = 1_000_000


def search_with_ray(config: TuningConfig, out: Path, told: Callable[[Trial], None]) -> list[Trial]:
    """Run `ronchi.tuning.run_trial` for many parameters; see `ronchi.tuning.run_tuning`.

    Raises
    ------
    PluginError
        Ray or Optuna is not installed, or no node of Ray's starts.
    """
    # It would otherwise report to its makers that it is used.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        from ray import tune
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch
    except ImportError as error:
        what = f"`engine: ray` needs a package that is not installed: {error.name}"
        raise PluginError(what, fix='pip install "ronchi[ray]", or engine: optuna') from error

    class Told(tune.Callback):  # type: ignore[misc]
        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            told(_trial(config, trial.config, trial.last_result or {}))

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
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(_run, config=config, out=out), resources),
            param_space={name: _span(tune, span) for name, span in config.space.items()},
            tune_config=tune.TuneConfig(
                metric="best", mode="min", num_samples=config.trials, max_concurrent_trials=config.jobs,
                search_alg=OptunaSearch(seed=config.seed),
                scheduler=ASHAScheduler(max_t=_MOST_LOOKS, grace_period=config.grace, reduction_factor=REDUCTION),
            ),
            run_config=tune.RunConfig(name="ray", storage_path=str(out), verbose=0, callbacks=[Told()]),
        )  # fmt: skip
        results = tuner.fit()
    finally:
        ray.shutdown()
    return [
        replace(_trial(config, each.config or {}, each.metrics or {}), error=str(each.error or "")) for each in results
    ]


def _run(found: Mapping[str, Any], *, config: TuningConfig, out: Path) -> None:
    """One training, in a process of Ray's."""
    from ray import tune

    looks: list[float] = []

    def watch(figures: Mapping[str, float]) -> None:
        looks.append(float(figures["loss"]))
        tune.report({"best": min(looks), "looks": len(looks)})

    run_trial(config, _values(config, found), out / "trainings" / tune.get_context().get_trial_id(), watch)


def _span(tune: Any, span: Range | list[Any]) -> Any:
    if isinstance(span, list):
        # By number: choices may be lists, which the sampler cannot hold.
        return tune.choice(list(range(len(span))))
    if span.whole:
        low, high = round(span.low), round(span.high) + 1
        return tune.lograndint(low, high) if span.log else tune.randint(low, high)
    return (tune.loguniform if span.log else tune.uniform)(span.low, span.high)


def _values(config: TuningConfig, found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: span[found[name]] if isinstance(span, list) else found[name] for name, span in config.space.items()}


def _trial(config: TuningConfig, found: Mapping[str, Any], metrics: Mapping[str, Any]) -> Trial:
    return Trial(_values(config, found), float(metrics.get("best", math.nan)), int(metrics.get("looks", 0)))


def _gpu_share(config: TuningConfig) -> float:
    return 1 / config.jobs if config.training["run"]["device"] != "cpu" and has_cuda() else 0
