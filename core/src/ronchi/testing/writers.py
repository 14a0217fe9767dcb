"""Contract of writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ronchi.errors import RonchiError
from ronchi.pipeline.reader_choice import choose_reader
from ronchi.schema import schema_of
from ronchi.testing import data as examples
from ronchi.testing import variants
from ronchi.testing.advertised import AdvertisedContract
from ronchi.testing.compare import difference
from ronchi.testing.failure import ContractError, NotApplicable
from ronchi.testing.subject import Subject, ignore_progress

__all__ = ["WriterContract"]


class WriterContract(AdvertisedContract):
    """Contract of a writer: what it writes is there, and an installed reader reads the same."""

    kind = "writer"
    min_checks = 9

    def check_suffixes_are_endings_of_names(self) -> None:
        """The spec names at least one suffix, in lower case, with its dot."""
        suffixes = self.subject.spec.suffixes
        wrong = [suffix for suffix in suffixes if not suffix.startswith(".") or suffix != suffix.lower()]
        if not suffixes or wrong:
            raise ContractError(
                f"the suffixes are {suffixes}", where=self.where(), fix='write them as (".nc", ".zarr"), in lower case'
            )

    def check_every_announced_schema_is_written_and_read_back(self, params: Mapping[str, Any]) -> None:
        """Data of every schema that the spec names are written, and an installed reader reads the same numbers."""
        taken = self._schemas()
        for schema in taken:
            data = examples.SCHEMAS[schema]()
            suffix, back = self._round_trip(params, data, schema)
            if schema_of(back) != schema:
                raise ContractError(
                    f"{schema} comes back from {suffix} as {schema_of(back)}",
                    where=self.where(params),
                    fix="mark in the file what it holds",
                )
            for name in ("intensity", "z", "image", "qy", "e_xx", "g1", "y", "mean_pattern"):
                if name not in data.data_vars or name not in back:
                    continue
                got, true = back[name].values, data[name].values
                if got.shape != true.shape or not np.allclose(got, true, rtol=1e-5, atol=1e-6, equal_nan=True):
                    raise ContractError(
                        f"{name!r} of {schema} comes back from {suffix} with shape {got.shape} or other numbers than "
                        f"were written, shape {true.shape}",
                        where=self.where(params),
                        fix="check the order of the axes",
                    )

    def check_data_are_unchanged(self, params: Mapping[str, Any]) -> None:
        """What is written is left as it was."""
        schema = self._schemas()[0]
        data, before = examples.SCHEMAS[schema](), examples.SCHEMAS[schema]()
        self._write(params, data, self._suffix(params, schema))
        differs = difference(data, before)
        if differs:
            raise ContractError(f"writing changes the data: {differs}", where=self.where(params), fix="work on a copy")

    def check_lazy_data_are_written_the_same(self, params: Mapping[str, Any]) -> None:
        """Lazy patterns end up in the file like those in memory."""
        schema = next((name for name in self._schemas() if name in ("fourd/1", "images/1")), None)
        if schema is None:
            raise NotApplicable("it takes no data that can be lazy")
        data = examples.SCHEMAS[schema]()
        suffix, back = self._round_trip(params, variants.lazy(data), schema)
        if not np.array_equal(back["intensity"].values, data["intensity"].values):
            raise ContractError(f"lazy patterns end up otherwise in {suffix}", where=self.where(params))

    def check_it_stops_when_asked(self, params: Mapping[str, Any]) -> None:
        """What `progress` raises to stop the work is let through, and done never exceeds total."""
        schema = self._schemas()[0]
        suffix = self._suffix(params, schema)
        calls: list[tuple[int, int]] = []
        self._write(params, examples.SCHEMAS[schema](), suffix, lambda done, total: calls.append((done, total)))
        if not calls or any(not 0 <= done <= total for done, total in calls):
            raise ContractError(
                f"progress is reported as {calls[-3:] or 'nothing'}",
                where=self.where(params),
                fix="call progress(done, total) after each block, with 0 <= done <= total",
            )

        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        try:
            self._write(params, examples.SCHEMAS[schema](), suffix, stop, name="stopped")
        except KeyboardInterrupt:
            return
        raise ContractError("it goes on though `progress` raised KeyboardInterrupt", where=self.where(params))

    def check_nothing_is_written_beside(self, params: Mapping[str, Any]) -> None:
        """The file is where it was asked for, and nothing else is written."""
        schema = self._schemas()[0]
        path = self._write(params, examples.SCHEMAS[schema](), self._suffix(params, schema))
        beside = [each.name for folder in (path.parent, Path()) for each in folder.iterdir()]
        extra = sorted(set(beside) - {path.name, "out"})
        if not path.exists() or extra:
            raise ContractError(
                f"{path.name} is {'there' if path.exists() else 'not there'}, and beside it {extra or 'nothing'}",
                where=self.where(params),
                fix="write to the path that is given, and to nothing else",
            )

    def _schemas(self) -> list[str]:
        wanted = self.subject.spec.inputs.get("data", "*").split("|")
        found = [name for name in examples.SCHEMAS if name in wanted or "*" in wanted]
        if not found:
            raise NotApplicable(f"the kit has no example of {wanted}")
        return found

    def _write(
        self,
        params: Mapping[str, Any],
        data: xr.Dataset,
        suffix: str,
        progress: Callable[[int, int], None] = ignore_progress,
        name: str = "data",
    ) -> Path:
        folder = Path("out").absolute()
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}{suffix}"
        self.subject.create(params).write(data, {}, path, progress=progress)
        return path

    def _suffix(self, params: Mapping[str, Any], schema: str) -> str:
        """First suffix whose format holds a schema."""
        return self._round_trip(params, examples.SCHEMAS[schema](), schema, name="trial")[0]

    def _round_trip(
        self, params: Mapping[str, Any], data: xr.Dataset, schema: str, name: str | None = None
    ) -> tuple[str, xr.Dataset]:
        """Write to the first suffix that takes the data, and read with the reader that is surest."""
        refused: list[str] = []
        for suffix in self.subject.spec.suffixes:
            try:
                path = self._write(params, data.copy(), suffix, name=name or schema.replace("/", "-"))
            except RonchiError as error:
                refused.append(f"{suffix}: {error.what}")
                continue
            manager = self.subject.manager
            reader = choose_reader(path, manager, [])
            back = Subject("reader", reader, manager).run({"path": str(path)}, {}).data.load()
            back.close()
            if name is not None:
                _remove(path)
            return suffix, back
        raise ContractError(
            f"{schema}, which the spec announces, is written to no suffix: {'; '.join(refused)}",
            where=self.where(params),
        )


def _remove(path: Path) -> None:
    import shutil

    shutil.rmtree(path) if path.is_dir() else path.unlink()
