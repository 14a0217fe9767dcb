"""HDF5 files that are written through Python, so that a full disk is an error, and not a crash when the process ends.

Where a write fails, HDF5 (2.0) cannot close the file; it tries again as the process ends, and dies by a fault of memory
(h5py 3.16). Here it is told that all went well, and what went wrong is raised between its calls.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Output", "held_text"]


def held_text(text: str) -> str:
    """Text as HDF5 can hold it: without NUL, with which instruments pad theirs, and bytes that are no text spelled."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()


class Output:
    """A new file for ``h5py.File``, as the path of which RosettaSciIO takes it too.

    After a write that failed it takes all others and drops them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = path.open("w+b", buffering=0)
        self._fault: OSError | None = None

    def check(self) -> None:
        """Raise the OSError of the first write that failed."""
        if self._fault is not None:
            raise self._fault

    def checked(self, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """Let each word of progress raise that error too."""

        def told(done: int, total: int) -> None:
            self.check()
            progress(done, total)

        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        fault, self._fault = self._fault, self._fault or OSError("the file is closed")
        # What HDF5 still says to a file that an error left open goes nowhere; else it would be a crash here as well.
        self._file = io.BytesIO()
        if fault is not None and (kind is None or issubclass(kind, Exception)):
            raise fault

    def __fspath__(self) -> str:
        return str(self._path)

    def write(self, data: Any) -> int:
        """Write at the current place; a system may take less than all at once."""
        rest = memoryview(data)
        try:
            while rest and self._fault is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._fault = error
        return len(data)

    def truncate(self, size: int) -> int:
        """Set the length."""
        try:
            if self._fault is None:
                self._file.truncate(size)
        except OSError as error:
            self._fault = error
        return size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
