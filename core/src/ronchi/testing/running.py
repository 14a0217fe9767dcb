"""Checks of all algorithms that are run on data: the same promises, whatever they compute."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from ronchi.api import Params, Result
from ronchi.schema import schema_of
from ronchi.testing import data as examples
from ronchi.testing import variants
from ronchi.testing.advertised import AdvertisedContract
from ronchi.testing.compare import difference, result_difference
from ronchi.testing.failure import ContractError, NotApplicable, innermost
from ronchi.testing.guards import global_random_state, listening
from ronchi.testing.subject import ALL, ignore_progress

__all__ = ["RunningContract"]

_LONGEST_SHOWN = 60


class RunningContract(AdvertisedContract):
    """Contract of an algorithm that makes a data set out of others.

    Attributes
    ----------
    number_tolerance : float
        How far results may be apart, relative to the largest number, when the same counts come as other number types
        or as lazy arrays.
    """

    number_tolerance: ClassVar[float] = 1e-4

    def inputs(self) -> Mapping[str, xr.Dataset]:
        """Inputs by name; override it where the kit's examples do not suit the algorithm."""
        return examples.inputs_of(self.subject.spec)

    def run(
        self,
        params: Mapping[str, Any] | Params,
        inputs: Mapping[str, xr.Dataset] | None = None,
        *,
        seed: int = 0,
        block: int = ALL,
        progress: Callable[[int, int], None] | None = None,
    ) -> Result:
        """Run the algorithm as a step of a pipeline, on copies; the result is in memory."""
        given = {
            name: ds.copy(deep=True) for name, ds in (self._example() if inputs is None else inputs).items()
        }  # fmt: skip
        return _in_memory(self.subject.run(params, given, seed=seed, block=block, progress=progress or ignore_progress))

    def _example(self) -> Mapping[str, xr.Dataset]:
        if "inputs" not in self._kept:
            self._kept["inputs"] = self.inputs()
        kept: Mapping[str, xr.Dataset] = self._kept["inputs"]
        return kept

    def usual(self, params: Mapping[str, Any]) -> Result:
        """What the algorithm makes of the example at seed 0, computed once."""
        key = ("usual", repr(params))
        if key not in self._kept:
            with listening() as (out, err):
                self._kept[key] = self.run(params)
            self._kept["heard", repr(params)] = out.text, err.text
        kept: Result = self._kept[key]
        return kept

    def check_result_follows_its_schema(self, params: Mapping[str, Any]) -> None:
        """The result and its sides follow the schemas that the spec announces: dims, units, names, number types."""
        result = self.usual(params)
        announced = set(self.subject.spec.sides)
        extra = result.sides.keys() - announced if "*" not in announced else set()
        if extra:
            raise ContractError(
                f"the side outputs {sorted(extra)} are not announced",
                where=self.where(params),
                fix="name them in `sides` of the spec",
            )
        if not schema_of(result.data):
            raise ContractError("the result names no schema", where=self.where(params), fix="use the schema's `make`")

    def check_input_is_unchanged(self, params: Mapping[str, Any]) -> None:
        """Inputs are left as they were, and arrays that cannot be written to are taken."""
        if not self._example():
            raise NotApplicable("it has no inputs")
        given = {name: ds.copy(deep=True) for name, ds in self._example().items()}
        self.subject.run(params, given)
        for name, before in self._example().items():
            changed = difference(given[name], before) or _attrs_difference(given[name], before)
            if changed:
                raise ContractError(
                    f"it changes its input {name!r}: {changed} (after against before)",
                    where=self._code(params),
                    fix="work on a copy: others use the same array",
                )
        try:
            self.subject.run(params, {name: variants.read_only(ds) for name, ds in self._example().items()})
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise ContractError(
                f"it writes into its input: {error}",
                where=innermost(error) or self._code(params),
                fix="copy what is given before you change it; `astype` copies, `asarray` may not",
            ) from error

    def check_same_seed_gives_the_same_result(self, params: Mapping[str, Any]) -> None:
        """A second run with the same seed gives equal bits, with parameters out of a record, whatever ran before."""
        first = self.usual(params)
        _spoil_global_random_numbers()
        replayed = type(self.subject.checked(params)).model_validate_json(
            self.subject.checked(params).model_dump_json()
        )
        differs = result_difference(self.run(replayed), first)
        if differs:
            raise ContractError(
                f"two runs with the same seed differ: {differs}",
                where=self._code(params),
                fix="draw random numbers from `ctx.rng` alone, and keep nothing from one run for the next",
            )

    def check_global_random_numbers_are_left_alone(self, params: Mapping[str, Any]) -> None:
        """The random numbers that the process shares are neither drawn nor seeded."""
        self.usual(params)  # what libraries draw when they are first imported is not the algorithm's doing
        _spoil_global_random_numbers()  # or the second run ends where the first did, if both seed them alike
        before = global_random_state()
        self.run(params)
        after = global_random_state()
        drawn = [name for name in before if before[name] != after[name]]
        if drawn:
            raise ContractError(
                f"it uses the global random numbers of {' and '.join(drawn)}",
                where=self._code(params),
                fix="draw from `ctx.rng`, a numpy Generator; seed a torch.Generator from it",
            )

    def check_nothing_is_written_beside(self, params: Mapping[str, Any]) -> None:
        """No file appears in the current folder."""
        self.run(params)
        left = sorted(str(path.relative_to(Path.cwd())) for path in Path.cwd().rglob("*"))
        if left:
            raise ContractError(
                f"it writes into the current folder: {', '.join(left[:5])}",
                where=self._code(params),
                fix="write into `ctx.scratch`; results are returned, and the core stores them",
            )

    def check_nothing_is_printed(self, params: Mapping[str, Any]) -> None:
        """Nothing is printed, and no progress bar drawn."""
        self.usual(params)
        out, err = self._kept["heard", repr(params)]
        if out or "\r" in err:
            shown = next(filter(None, map(str.strip, out.splitlines())), "")
            raise ContractError(
                f"it prints {shown[:_LONGEST_SHOWN]!r}" if out else "it draws a progress bar",
                where=self._code(params),
                fix="`ctx.log.info(…)` for what is to be told, `ctx.progress(done, total)` for progress",
            )

    def check_lazy_input_gives_the_same_result(self, params: Mapping[str, Any]) -> None:
        """Dask arrays are taken like numpy arrays."""
        self._need_arrays()
        given = {name: variants.lazy(ds) for name, ds in self._example().items()}
        self._same(params, self.run(params, given), "lazy inputs", "arrays in memory")

    def check_number_types_give_the_same_result(self, params: Mapping[str, Any]) -> None:
        """The same counts as uint16, float32 or float64 give the same result."""
        self._need_arrays()
        whole = variants.is_whole_counts(self._example())
        for dtype in ("uint16", "float64") if whole else ("float32", "float64"):
            given = {name: variants.as_dtype(ds, dtype) for name, ds in self._example().items()}
            self._same(params, self.run(params, given), f"{dtype} data", "those of the example")

    def check_it_stops_when_asked(self, params: Mapping[str, Any]) -> None:
        """What `ctx.progress` raises to stop the work is let through, and done never exceeds total."""
        calls: list[tuple[int, int]] = []
        self.run(params, progress=lambda done, total: calls.append((done, total)))
        if not calls:
            raise NotApplicable("it reports no progress")
        wrong = [call for call in calls if not 0 <= call[0] <= call[1]]
        if wrong:
            raise ContractError(
                f"progress is reported as {wrong[0][0]} of {wrong[0][1]}",
                where=self._code(params),
                fix="call ctx.progress(done, total) with 0 <= done <= total",
            )

        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        try:
            self.run(params, progress=stop)
        except KeyboardInterrupt:
            return
        raise ContractError(
            "it goes on though `ctx.progress` raised KeyboardInterrupt",
            where=self._code(params),
            fix="do not catch BaseException around the work",
        )

    def _need_arrays(self) -> None:
        if not self._example():
            raise NotApplicable("it has no inputs")
        if not any(variants.bulk(ds) for ds in self._example().values()):
            raise NotApplicable("its inputs are tables, which are always in memory")

    def _same(self, params: Mapping[str, Any], result: Result, what: str, usual: str) -> None:
        differs = result_difference(result, self.usual(params), rtol=self.number_tolerance)
        if differs:
            raise ContractError(
                f"{what} give another result than {usual}: {differs}",
                where=self._code(params),
                fix="convert what is given, once, to the type that you compute with",
            )

    def _code(self, params: Mapping[str, Any] | None = None) -> str:
        """The algorithm and the code behind it, for messages."""
        return f"{self.where(params)}, {self.subject.spec.factory}"


def _in_memory(result: Result) -> Result:
    return Result(result.data.compute(), {side: ds.compute() for side, ds in result.sides.items()})


def _attrs_difference(after: xr.Dataset, before: xr.Dataset) -> str:
    if set(after.attrs) != set(before.attrs):
        return f"attributes {sorted(map(str, set(after.attrs) ^ set(before.attrs)))}"
    return next(
        (f"attribute {name!r}" for name in before.attrs if not np.array_equal(after.attrs[name], before.attrs[name])),
        "",
    )


def _spoil_global_random_numbers() -> None:
    np.random.random(7)  # noqa: NPY002 - to find those who use it
    random.random()
    if "torch" in sys.modules:
        sys.modules["torch"].rand(7)
