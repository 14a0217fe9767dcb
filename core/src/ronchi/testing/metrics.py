"""Contract of metrics."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ronchi.testing import pairs
from ronchi.testing.failure import ContractError, NotApplicable
from ronchi.testing.running import RunningContract

__all__ = ["MetricContract"]


class MetricContract(RunningContract):
    """Contract of a metric."""

    kind = "metric"
    min_checks = 12

    def inputs(self) -> Mapping[str, xr.Dataset]:
        """A result that is a little off, and its truth."""
        return self.pair(0.1)

    def pair(self, error: float) -> Mapping[str, xr.Dataset]:
        """``result`` and ``truth``; the larger ``error``, from 0 to 1, the worse the result."""
        return pairs.result_and_truth(self.subject.spec.inputs, error)

    def check_figures_are_named_numbers(self, params: Mapping[str, Any]) -> None:
        """`score` gives numbers by name, of which at least one is finite."""
        figures = self._figures(params, 0.1)
        if not figures or not np.isfinite(list(figures.values())).any():
            raise ContractError(
                f"the figures are {figures}",
                where=self._code(params),
                fix="return a mapping of names to numbers; a result may hold NaN where nothing was fitted",
            )

    def check_better_names_figures(self) -> None:
        """Every pattern in the spec's `better` is the name of a figure of some `params`, and says lower or higher."""
        figures = list(dict.fromkeys(name for params in self.params for name in self._figures(params, 0.1)))
        for pattern, direction in self.subject.spec.better.items():
            if direction not in ("lower", "higher") or not fnmatch.filter(figures, pattern):
                raise ContractError(
                    f"`better` says {pattern!r}: {direction!r}; the figures are {', '.join(figures)}",
                    where=self._code(),
                    fix='name figures, * for any letters, and say "lower" or "higher"',
                )

    def check_better_results_have_better_figures(self, params: Mapping[str, Any]) -> None:
        """A result that is nearer to the truth is not judged worse by any figure, and better by one at least."""
        better = self.subject.spec.better
        if not better:
            raise NotApplicable("the spec says of no figure which is better")
        good, bad = self._figures(params, 0.0), self._figures(params, 0.6)
        gained = False
        for name in good:
            direction = next((way for pattern, way in better.items() if fnmatch.fnmatch(name, pattern)), None)
            if direction is None or not np.isfinite([good[name], bad.get(name, np.nan)]).all():
                continue
            gain = (good[name] - bad[name]) * (1 if direction == "higher" else -1)
            if gain < -1e-9:
                raise ContractError(
                    f"{name!r} is {good[name]:.4g} for a perfect result and {bad[name]:.4g} for a bad one, "
                    f"though {direction} is better",
                    where=self._code(params),
                    fix="check the sign of the figure, or `better` of the spec",
                )
            gained |= gain > 1e-9
        if not gained:
            raise ContractError(
                f"no figure tells a perfect result from a bad one: {good} and {bad}", where=self._code(params)
            )

    def _figures(self, params: Mapping[str, Any], error: float) -> dict[str, float]:
        scores = self.run(params, self.pair(error)).data
        return {str(name): float(value) for name, value in scores.data_vars.items()}
