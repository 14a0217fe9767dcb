"""What lies in an HDF5 file, found out by a process of its own, which may hang or die in place of the user's.

In a file with a few wrong bits the HDF5 library (2.0) can go round in circles for ever, inside C where no signal of
Python reaches it: as soon as an attribute of text is read, for example.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

__all__ = ["Probe", "examine", "largest_dataset", "main", "probe"]

LIMIT_S = 7.0
MEMORY_BYTES = 2 * 2**30
RONCHI_ATTR = "ronchi_schema"

_MOST_OBJECTS = 2000
_SMALL_BYTES = 2**16
_MOST_CHUNKS = 10_000
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Probe:
    """What was found.

    Parameters
    ----------
    layout : str
        Name of a format, empty if none.
    promised_bytes : int
        Size of the largest data set, as its header says.
    fault : str
        Why the file should not be touched; empty if it may be.
    """

    layout: str = ""
    promised_bytes: int = 0
    fault: str = ""


def probe(path: Path) -> Probe:
    """Examine an HDF5 file in another process, once as long as the file stays the same.

    Parameters
    ----------
    path : pathlib.Path
        A file that starts as HDF5 does.
    """
    stat = path.stat()
    return _probe(str(path.absolute()), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=64)
def _probe(path: str, mtime_ns: int, size: int) -> Probe:
    command = [sys.executable, "-c", "from ronchi_rosettasciio.probe import main; main()", path]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return Probe(fault=f"to list what is in it took more than {LIMIT_S:g} s: its structure is damaged")
    except OSError:
        # No second process is to be had here; the file is examined in this one.
        return examine(Path(path))
    with contextlib.suppress(ValueError, TypeError):
        return Probe(**json.loads(done.stdout))
    return Probe(fault=f"the HDF5 library died over it (exit status {done.returncode}): its structure is damaged")


def main() -> None:
    """Examine the file named on the command line and print a `Probe` as JSON."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.write(json.dumps(asdict(examine(Path(sys.argv[1])))))


def examine(path: Path) -> Probe:
    """Find the layout of an HDF5 file, and touch every object in it."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return Probe(_layout(file), _touch(file))
    except Exception as error:  # noqa: BLE001 - a damaged file may make the library raise anything
        return Probe(fault=f"the HDF5 library cannot list what is in it: {' '.join(str(error).split())[:200]}")


def _layout(file: h5py.File) -> str:
    attrs, keys = file.attrs, set(file.keys())
    if RONCHI_ATTR in attrs:
        return ""
    if _text(attrs.get("file_format", "")) == "HyperSpy":
        return "hspy" if "Experiments" in keys else ""
    if {"Data", "Version"} <= keys:
        version = bytes(file["Version"][0])
        return "velox" if b"Velox" in version or b"DevelopersKit" in version else ""
    if keys & {"4DSTEM", "4DSTEM_experiment"} or _text(attrs.get("emd_group_type", "")) == "file":
        return "py4dstem" if len(largest_dataset(file)[1]) >= 3 else ""
    if any("version_major" in group.attrs for group in (file, *_groups(file))):
        return "emd"
    if any(_GUID.fullmatch(key) for key in keys):
        return "topspin"
    entry = file.get("entry")
    if entry is not None and "data" in entry and any(name.startswith("data_0") for name in entry["data"]):
        return "arina"
    if any(_text(group.attrs.get("NX_class", "")) == "NXentry" for group in _groups(file)):
        return "nexus"
    return "hdf5" if len(largest_dataset(file)[1]) >= 2 else ""


def _groups(file: h5py.File) -> list[Any]:
    import h5py

    # A link to another file may lead nowhere.
    return [group for name in file for group in (file.get(name),) if isinstance(group, h5py.Group)]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def largest_dataset(file: h5py.Group) -> tuple[str, tuple[int, ...]]:
    """Path and shape of the data set of real numbers with most dimensions, then most values; ``("", ())`` if none."""
    import h5py

    found: list[tuple[int, int, str, tuple[int, ...]]] = []
    seen = 0

    def visit(name: str, item: Any) -> bool | None:
        nonlocal seen
        seen += 1
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "iufb" and item.ndim >= 2:
            found.append((min(item.ndim, 4), math.prod(item.shape), name, tuple(map(int, item.shape))))
        return True if seen > _MOST_OBJECTS else None

    file.visititems(visit)
    if not found:
        return "", ()
    best = max(found, key=lambda each: each[:2])
    return best[2], best[3]


def _touch(file: h5py.File) -> int:
    """Read what the readers will read: attributes, small data sets, ends of large ones. Gives the largest size."""
    import h5py

    largest = seen = 0

    def visit(name: str, item: Any) -> bool | None:
        nonlocal largest, seen
        seen += 1
        with contextlib.suppress(Exception):
            dict(item.attrs)
        with contextlib.suppress(Exception):
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                largest = max(largest, math.prod(item.shape) * item.dtype.itemsize)
                _touch_values(item)
        return True if seen > _MOST_OBJECTS else None

    with contextlib.suppress(Exception):
        visit("", file)
        file.visititems(visit)
    return largest


def _touch_values(item: h5py.Dataset) -> None:
    if math.prod(item.shape) * item.dtype.itemsize <= _SMALL_BYTES:
        item[()]
        return
    if item.chunks and math.prod(item.shape) <= _MOST_CHUNKS * math.prod(item.chunks):
        item.id.get_num_chunks()
    item[(0,) * item.ndim]
    item[(-1,) * item.ndim]
