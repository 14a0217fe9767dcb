"""Contract of transforms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ronchi.errors import RonchiError
from ronchi.pipeline.arrays import is_lazy
from ronchi.pipeline.steps import BULK_SCHEMAS
from ronchi.schema import schema_of
from ronchi.testing import variants
from ronchi.testing.compare import difference
from ronchi.testing.failure import ContractError, NotApplicable
from ronchi.testing.running import RunningContract

__all__ = ["TransformContract"]


class TransformContract(RunningContract):
    """Contract of a transform.

    What a transform computes only its author knows: override `expected` to have it checked.
    """

    kind = "transform"
    min_checks = 12

    def expected(self, params: Mapping[str, Any], inputs: Mapping[str, xr.Dataset]) -> xr.Dataset | None:
        """Variables that the result must have, computed in another way; None, the default, checks nothing."""
        return None

    def check_result_is_the_expected_one(self, params: Mapping[str, Any]) -> None:
        """The result has the variables that `expected` computes in another way."""
        wanted = self.expected(params, self._example())
        if wanted is None:
            raise NotApplicable("the contract has no `expected`")
        got = self.usual(params).data
        missing = [str(name) for name in wanted.data_vars if name not in got]
        differs = f"{missing} are missing" if missing else ""
        if not missing:
            names = list(wanted.data_vars)
            differs = difference(
                got[names].drop_vars(list(got[names].coords)),
                wanted.drop_vars(list(wanted.coords)),
                rtol=self.number_tolerance,
            )
        if differs:
            raise ContractError(
                f"the result is not the expected one: {differs} (result against expected)", where=self._code(params)
            )

    def check_lazy_data_stay_lazy(self, params: Mapping[str, Any]) -> None:
        """Where `lazy` is claimed, nothing as large as the data is computed before it is used."""
        if "lazy" not in self.subject.spec.capabilities:
            raise NotApplicable("the spec does not claim `lazy`")
        given = {name: variants.lazy(ds) for name, ds in self._example().items()}
        result = self.subject.run(params, given).data
        if schema_of(result) in BULK_SCHEMAS and not is_lazy(result["intensity"]):
            raise ContractError(
                "of lazy data it makes an array in memory, though it claims `lazy`",
                where=self._code(params),
                fix="use xarray or dask operations, or take `lazy` off the capabilities",
            )

    def check_smallest_data_are_safe(self, params: Mapping[str, Any]) -> None:
        """A scan of one position gives a result, or a RonchiError that says why not."""
        given = {name: ds.isel(scan_y=slice(0, 1), scan_x=slice(0, 1)) for name, ds in self._on_scan().items()}
        try:
            self.run(params, given)
        except RonchiError as error:
            if not error.what.strip():
                raise ContractError("it refuses a single position without a word", where=self._code(params)) from error

    def check_not_finite_data_are_safe(self, params: Mapping[str, Any]) -> None:
        """NaN in the data gives a result, or a RonchiError that says why not."""
        given = {name: ds.copy(deep=True) for name, ds in self._on_scan().items()}
        for ds in given.values():
            values = ds["z" if "z" in ds else "intensity"].values
            values[1, 2] = np.nan
        try:
            self.run(params, given)
        except RonchiError as error:
            if not error.what.strip():
                raise ContractError("it refuses NaN without a word", where=self._code(params)) from error

    def _on_scan(self) -> Mapping[str, xr.Dataset]:
        given = self._example()
        if not all("scan_y" in ds.dims and ("z" in ds or "intensity" in ds) for ds in given.values()):
            raise NotApplicable("its inputs are no scans")
        return given
