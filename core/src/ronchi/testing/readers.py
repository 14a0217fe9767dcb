"""Contract of readers."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ronchi.api import Result
from ronchi.errors import RonchiError
from ronchi.pipeline.arrays import is_lazy
from ronchi.schema import schema_of
from ronchi.testing.advertised import AdvertisedContract
from ronchi.testing.compare import result_difference
from ronchi.testing.failure import ContractError, NotApplicable
from ronchi.testing.files import bad_files, digests, open_files, patterns, write_patterns

__all__ = ["ReaderContract"]

_UNSURE = 0.5


class ReaderContract(AdvertisedContract):
    """Contract of a reader.

    The kit writes an example in a format that the reader is sure about, if an installed writer knows one; else
    override `write_example`.

    Attributes
    ----------
    recognises : bool
        False for a reader that is asked for by name only, since nothing in its files tells what they are.
    """

    kind = "reader"
    min_checks = 10
    recognises: ClassVar[bool] = True

    def write_example(self, folder: Path) -> Path:
        """Write a small file of the format into an empty folder, and return its path."""
        path = write_patterns(folder, self.subject.manager, self.algorithm, dict(self.params[0]))
        if path is None:
            raise NotApplicable("no installed writer makes a file that it is sure about: override `write_example`")
        return path

    def given(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters, and a path."""
        return {"path": "example.dat", **params}

    def check_confidence_never_raises(self) -> None:
        """Of missing, empty, foreign and damaged files, and of folders, `confidence` is a number from 0 to 1."""
        folder = Path("files").absolute()
        candidates = bad_files(folder)
        try:
            example = self._example(folder)
        except NotApplicable:
            pass
        else:
            if example.is_file():
                half = folder / f"half{example.suffix}"
                half.write_bytes(example.read_bytes()[: example.stat().st_size // 2])
                candidates["half of an example"] = half
        for what, path in candidates.items():
            try:
                value = float(self._reader(self.params[0], path).confidence(path))
            except Exception as error:
                raise ContractError(
                    f"confidence() of {what} raised {type(error).__name__}: {error}",
                    where=self.where(),
                    fix="return 0 for whatever cannot be read: all readers are asked about every file",
                ) from error
            if not 0 <= value <= 1:
                raise ContractError(f"confidence() of {what} is {value}", where=self.where(), fix="0 to 1")

    def check_foreign_files_are_left_to_others(self) -> None:
        """The reader is not sure about random bytes, texts, empty files and folders."""
        for what, path in bad_files(Path("files").absolute()).items():
            value = float(self._reader(self.params[0], path).confidence(path))
            if value >= _UNSURE:
                raise ContractError(
                    f"confidence() of {what} is {value}",
                    where=self.where(),
                    fix="look for marks of the format in the first bytes, not at the file's name",
                )

    def check_bad_files_are_refused(self, params: Mapping[str, Any]) -> None:
        """A missing file, an empty one and a folder raise a RonchiError that names the path."""
        for what, path in bad_files(Path("files").absolute()).items():
            if what in ("random bytes", "a text", "one byte"):
                continue
            try:
                self._open(params, path)
            except RonchiError as error:
                if path.name not in str(error):
                    raise ContractError(
                        f"the error about {what} does not name it: {error}",
                        where=self.where(params),
                        fix="ReadError(…, where=str(path))",
                    ) from error
                continue
            raise ContractError(f"open() of {what} raised nothing", where=self.where(params), fix="raise a ReadError")

    def check_cut_files_are_refused_or_read_as_far_as_they_go(self, params: Mapping[str, Any]) -> None:
        """A file whose end is missing raises a RonchiError, on opening or when patterns are read, or nothing."""
        example = self._example(Path("files").absolute())
        if not example.is_file():
            raise NotApplicable("the example is a folder")
        whole = example.read_bytes()
        for part in (0.5, 0.9):
            cut = example.with_name(f"cut-{part:.0%}{example.suffix}".replace("%", ""))
            cut.write_bytes(whole[: int(part * len(whole))])
            try:
                _in_memory(self._open(params, cut))
            except RonchiError:
                continue
            except Exception as error:
                raise ContractError(
                    f"of a file with its first {part:.0%} alone it raised {type(error).__name__}: {error}",
                    where=self.where(params),
                    fix="compare the length that the header promises with that of the file, and raise a ReadError",
                ) from error

    def check_example_is_recognised(self, params: Mapping[str, Any]) -> None:
        """The reader is sure about a file of its format."""
        if not self.recognises:
            raise NotApplicable("it is asked for by name only")
        path = self._example(Path("files").absolute())
        value = float(self._reader(params, path).confidence(path))
        if value < _UNSURE:
            raise ContractError(
                f"confidence() of {path.name} is {value}",
                where=self.where(params),
                fix="return 1 where the marks of the format are there",
            )

    def check_example_is_read_as_it_is(self, params: Mapping[str, Any]) -> None:
        """An example is opened as a valid data set, twice the same, with the numbers that were written."""
        path = self._example(Path("files").absolute())
        first, second = (_in_memory(self._open(params, path)) for _ in range(2))
        differs = result_difference(first, second)
        if differs:
            raise ContractError(f"opened twice, it is not the same: {differs}", where=self.where(params))
        if not self._by_kit():
            return
        got, true = first.data["intensity"].values, patterns()["intensity"].values
        if got.shape != true.shape or not np.array_equal(got, true):
            turned = got.shape == true.shape[:2] + true.shape[:1:-1]
            raise ContractError(
                f"the patterns have shape {got.shape} or values that are not those written, of shape {true.shape}"
                + ("; it looks as if x and y are exchanged" if turned else ""),
                where=self.where(params),
                fix="array order is (scan_y, scan_x, qy, qx); the first row of the file is the first row of the array",
            )

    def check_patterns_stay_in_the_file(self, params: Mapping[str, Any]) -> None:
        """Where `lazy` is claimed, patterns are read when they are used."""
        if "lazy" not in self.subject.spec.capabilities:
            raise NotApplicable("the spec does not claim `lazy`")
        data = self._open(params, self._example(Path("files").absolute())).data
        if schema_of(data) in ("fourd/1", "images/1") and not is_lazy(data["intensity"]):
            raise ContractError(
                "open() reads the patterns at once, though the spec claims `lazy`",
                where=self.where(params),
                fix="give a dask array or a lazily indexed one, or take `lazy` off the capabilities",
            )

    def check_files_are_left_as_they_are(self, params: Mapping[str, Any]) -> None:
        """Reading changes no file and adds none, and closes what it opened."""
        folder = Path("files").absolute()
        path = self._example(folder)
        before = digests(folder)
        _in_memory(self._open(params, path))
        after = digests(folder)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if changed:
            raise ContractError(
                f"reading changes or adds {', '.join(changed)}", where=self.where(params), fix="open files to read only"
            )
        held = []
        for _ in range(2):
            _in_memory(self._open(params, path))
            gc.collect()
            held.append(open_files(folder))
        if len(held[1]) > len(held[0]):
            raise ContractError(
                f"every reading leaves one more file open: {held[1][-1]}",
                where=self.where(params),
                fix="close what open() opens when the data set is closed, or open anew for every block",
            )

    def check_companions_never_raise(self, params: Mapping[str, Any]) -> None:
        """`companions`, where there is one, gives the other files that are there, and never raises."""
        folder = Path("files").absolute()
        for path in (folder / "missing.dat", self._example(folder)):
            reader = self._reader(params, path)
            if not hasattr(reader, "companions"):
                raise NotApplicable("it has no companions()")
            beside = reader.companions(path)
            if not all(Path(each).exists() for each in beside):
                raise ContractError(f"companions() names files that are not there: {beside}", where=self.where(params))

    def _by_kit(self) -> bool:
        return type(self).write_example is ReaderContract.write_example

    def _example(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        return self.write_example(folder)

    def _reader(self, params: Mapping[str, Any], path: Path) -> Any:
        return self.subject.create({**params, "path": str(path)})

    def _open(self, params: Mapping[str, Any], path: Path) -> Result:
        return self.subject.run({**params, "path": str(path)}, {})


def _in_memory(result: Result) -> Result:
    """Everything loaded, and the file let go."""
    loaded = Result(result.data.compute(), {side: ds.compute() for side, ds in result.sides.items()})
    for ds in (result.data, *result.sides.values()):
        ds.close()
    return loaded
