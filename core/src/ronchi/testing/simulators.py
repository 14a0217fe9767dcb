"""Contract of simulators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ronchi.testing.failure import ContractError, NotApplicable
from ronchi.testing.running import RunningContract

__all__ = ["SimulatorContract"]


class SimulatorContract(RunningContract):
    """Contract of a simulator; give `params` that make it small."""

    kind = "simulator"
    min_checks = 12

    def check_truth_comes_with_the_data(self, params: Mapping[str, Any]) -> None:
        """Every side output that the spec announces is there."""
        announced = [side for side in self.subject.spec.sides if side != "*"]
        if not announced:
            raise NotApplicable("the spec announces no truth")
        missing = [side for side in announced if side not in self.usual(params).sides]
        if missing:
            raise ContractError(
                f"the side outputs {missing} are missing",
                where=self._code(params),
                fix='return Result(data, {"truth": truth})',
            )

    def check_truth_lies_on_the_data(self, params: Mapping[str, Any]) -> None:
        """Coordinates that data and truth share are the same, so that a metric can lay them on each other."""
        result = self.usual(params)
        for side, truth in result.sides.items():
            for dim in set(result.data.indexes) & set(truth.indexes):
                if not result.data.indexes[dim].equals(truth.indexes[dim]):
                    raise ContractError(
                        f"the coordinate {dim!r} of {side!r} is not that of the data",
                        where=self._code(params),
                        fix="make the truth at the positions of the data",
                    )

    def check_counts_are_counts(self, params: Mapping[str, Any]) -> None:
        """Intensities are finite and not negative where their unit is counts."""
        data = self.usual(params).data
        if "intensity" not in data or data["intensity"].attrs.get("units") != "counts":
            raise NotApplicable("the result holds no counts")
        values = data["intensity"].values
        if not np.isfinite(values).all() or values.min() < 0:
            raise ContractError(
                f"counts are {values.min()} to {values.max()}",
                where=self._code(params),
                fix="counts are finite and >= 0",
            )
