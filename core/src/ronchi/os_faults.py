"""What the system says when a file cannot be read or written, sorted by what can be done about it."""

from __future__ import annotations

import errno
import os
import re
from typing import Literal

__all__ = ["FaultKind", "fault_kind", "no_text", "passed_through"]

FaultKind = Literal["", "handles", "rights", "gone", "device", "full", "memory", "other"]
"""``""``: the system itself has no complaint; the words are those of a library."""

_NUMBERS: dict[FaultKind, tuple[str, ...]] = {
    "handles": ("EMFILE", "ENFILE"),
    "rights": ("EACCES", "EPERM", "EROFS"),
    "gone": ("ENOENT", "ENOTDIR"),
    "full": ("ENOSPC", "EDQUOT", "EFBIG"),
    "memory": ("ENOMEM",),
    # A disk that fails, and a share that is gone.
    "device": (
        "EIO", "ENXIO", "ENODEV", "EREMOTEIO", "ESTALE", "ETIMEDOUT", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH",
        "ENETDOWN", "ENETUNREACH", "ENETRESET", "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EPIPE",
    ),
}  # fmt: skip
_KINDS: dict[int, FaultKind] = {
    getattr(errno, name): kind for kind, names in _NUMBERS.items() for name in names if hasattr(errno, name)
}
_IN_WORDS = re.compile(r"\berrno = (\d+)")
"""HDF5 tells the number in the text of its own errors."""


def fault_kind(error: BaseException) -> FaultKind:
    """Sort an error of the system, or of a library that tells its number in words."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        told = _IN_WORDS.search(str(error))
        number = int(told[1]) if told else None
    if number is None:
        return "device" if isinstance(error, TimeoutError | ConnectionError) else ""
    # Libraries of formats have negative numbers of their own.
    return _KINDS.get(number, "other" if number > 0 else "")


def no_text(path: os.PathLike[str]) -> str:
    """What is wrong with a name whose bytes are no text, such as one from a system of another encoding; else empty."""
    name = os.fspath(path)
    plain = name.encode("utf-8", "replace").decode()
    return "" if name == plain else f"its name, or that of a folder above it, has bytes that are no UTF-8: {plain}"


def passed_through(error: BaseException, packages: frozenset[str]) -> bool:
    """Whether an error came out of code of one of these packages."""
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in packages:
            return True
        trace = trace.tb_next
    return False
