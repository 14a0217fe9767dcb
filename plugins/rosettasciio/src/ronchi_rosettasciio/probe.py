"""What lies in an HDF5 file, found out by a process of its own, which may hang or die in place of the user's.

In a file with a few wrong bits the HDF5 library (2.0) can go round in circles for ever, inside C where no signal of
Python reaches it: as soon as an attribute of text is read, for example.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import functools
import itertools
import json
import math
import os
import queue
import re
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

__all__ = ["Probe", "examine", "largest_dataset", "main", "probe"]

LIMIT_S = 8.0
CPU_LIMIT_S = 4
START_LIMIT_S = 60.0
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
    outside : tuple of str
        Names of other files in which values of this one lie.
    """

    layout: str = ""
    promised_bytes: int = 0
    fault: str = ""
    outside: tuple[str, ...] = ()


def probe(path: Path) -> Probe:
    """Examine an HDF5 file in another process, once as long as the file stays the same.

    Parameters
    ----------
    path : pathlib.Path
        A file that starts as HDF5 does.
    """
    stat = path.stat()
    return _probe(str(path.absolute()), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=256)
def _probe(path: str, mtime_ns: int, size: int) -> Probe:
    return _examiner.ask(path)


class _Examiner:
    """The other process: started at first use, kept for the next file, replaced when it hangs or dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._owner = 0

    def ask(self, path: str) -> Probe:
        """Have a file examined."""
        with self._lock:
            if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
                self.stop()
                try:
                    self._start()
                except OSError:
                    # No second process is to be had here; the file is examined in this one.
                    return examine(Path(path))
            assert self._process is not None
            assert self._process.stdin is not None
            what = "the HDF5 library fails over it"
            try:
                print(json.dumps(path), file=self._process.stdin, flush=True)
                answer = self._answers.get(timeout=LIMIT_S)
                if answer:
                    return Probe(**json.loads(answer))
            except queue.Empty:
                what = f"to list what is in it takes more than {LIMIT_S:g} s"
            except OSError as error:
                what = f"the process that would list what is in it ended ({error})"
            self.stop()
        return Probe(fault=f"{what}: its structure is damaged")

    def _start(self) -> None:
        command = [sys.executable, "-P", "-c", "from ronchi_rosettasciio.probe import main; main()"]
        pipe = subprocess.PIPE
        self._process = process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
        )
        self._owner = os.getpid()
        self._answers = answers = queue.Queue[str]()

        def listen() -> None:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    answers.put(line)
            answers.put("")

        self._listener = threading.Thread(target=listen, daemon=True)
        self._listener.start()
        # On a busy machine its imports may take longer than any file.
        with contextlib.suppress(queue.Empty):
            if answers.get(timeout=START_LIMIT_S):
                return
        self.stop()
        raise OSError("no second process can be started")

    def stop(self) -> None:
        """End the process; the next question starts another."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            self._listener.join(timeout=1)


_examiner = _Examiner()
atexit.register(_examiner.stop)


def main() -> None:
    """Examine the files named on the standard input, a path in JSON a line, and print a `Probe` of each as JSON."""
    import h5py  # noqa: F401 - what takes long to import takes none of the time of a file

    _limit("RLIMIT_AS", MEMORY_BYTES)
    _limit("RLIMIT_CORE", 0)
    _say("ready")
    for line in sys.stdin:
        # Ends a loop without end after the same work on any machine, however busy it is.
        _limit("RLIMIT_CPU", math.ceil(time.process_time()) + CPU_LIMIT_S)
        # A parent that was killed ends nobody. This clock runs on any system, and while C holds Python's lock.
        faulthandler.dump_traceback_later(1.5 * LIMIT_S, exit=True)
        answer = json.dumps(asdict(examine(Path(json.loads(line)))))
        faulthandler.cancel_dump_traceback_later()
        _say(answer)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _limit(name: str, most: int) -> None:
    """Set a soft limit of this process, where the system has it."""
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):
        import resource

        kind = getattr(resource, name)
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def examine(path: Path) -> Probe:
    """Find the layout of an HDF5 file, and touch every object in it."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            largest, outside = _touch(file)
            return Probe(_layout(file), largest, outside=outside)
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


def _touch(file: h5py.File) -> tuple[int, tuple[str, ...]]:
    """Read what the readers will: attributes, small data, ends of large ones. Gives the largest size, other files."""
    import h5py

    largest = seen = 0
    outside: set[str] = set()

    def visit(name: str, item: Any) -> bool | None:
        nonlocal largest, seen
        seen += 1
        with contextlib.suppress(Exception):
            dict(item.attrs)
        with contextlib.suppress(Exception):
            outside.update(_outside(item))
        with contextlib.suppress(Exception):
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                largest = max(largest, math.prod(item.shape) * item.dtype.itemsize)
                _touch_values(item)
        return True if seen > _MOST_OBJECTS else None

    with contextlib.suppress(Exception):
        visit("", file)
        file.visititems(visit)
    return largest, tuple(sorted(outside - {"", "."}))


def _outside(item: Any) -> set[str]:
    """Files that a data set, or a link of a group, leads to."""
    if hasattr(item, "keys"):
        links = (item.get(name, getlink=True) for name in itertools.islice(item, _MOST_OBJECTS))
        return {link.filename for link in links if hasattr(link, "filename")}
    if not item.is_virtual:
        return {name for name, _, _ in item.external or ()}
    layout = item.id.get_create_plist()
    return {layout.get_virtual_filename(i) for i in range(min(layout.get_virtual_count(), _MOST_CHUNKS))}


def _touch_values(item: h5py.Dataset) -> None:
    if math.prod(item.shape) * item.dtype.itemsize <= _SMALL_BYTES:
        item[()]
        return
    if item.chunks and math.prod(item.shape) <= _MOST_CHUNKS * math.prod(item.chunks):
        item.id.get_num_chunks()
    item[(0,) * item.ndim]
    item[(-1,) * item.ndim]
