"""Which reader opens a file: the one that is surest about its first bytes."""

from __future__ import annotations

import contextlib
import glob
import itertools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ronchi.errors import PluginError, ReadError, RonchiError

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["choose_reader"]

_HEAD_BYTES = 65536
_MOST_HEADERS = 100
_RAW = (
    'ronchi read {} --reader raw --param "scan_shape=[ROWS, COLUMNS]" --param "frame_shape=[ROWS, COLUMNS]" '
    "--param dtype=uint16"
)


def choose_reader(path: Path, manager: Manager, warnings: list[str]) -> str:
    """Name of the reader that is surest about a file, from the file's first bytes.

    Ties go to ronchi's own readers, then to the first name. A reader that cannot be asked is named in
    ``warnings``, and in the error if no other one knows the file.

    Raises
    ------
    ReadError
        The file is empty, or a folder that no reader knows.
    PluginError
        No installed reader knows the file.
    RonchiError
        No reader is sure, and one says what is wrong with the file.
    """
    if not path.exists():
        # The missing file is noted where all files are checked; any reader will do until then.
        return "native"
    silent: list[str] = []
    faults: list[RonchiError] = []
    name = _surest(path, manager, silent, faults)
    warnings += silent
    if name:
        return name
    raise faults[0] if faults else _nobody(path, manager, silent)


def _surest(path: Path, manager: Manager, silent: list[str], faults: list[RonchiError]) -> str:
    """The surest reader, empty if none is sure; those that cannot be asked and what they say are noted."""
    sure: list[tuple[float, bool, str]] = []
    for name in manager.names("reader"):
        try:
            spec = manager.spec("reader", name)
            params = spec.params.model_construct(path=str(path))
            confidence = float(spec.create(params).confidence(path))
        except Exception as error:  # noqa: BLE001 - one broken reader must not hide the others
            if isinstance(error, RonchiError) and not isinstance(error, PluginError):
                faults.append(error)
            what = error.what if isinstance(error, RonchiError) else f"{type(error).__name__}: {error}"
            silent.append(f"the reader {name!r} was not asked about {path.name}: {what}")
            continue
        if confidence > 0:
            sure.append((-confidence, manager.dist("reader", name)[0] != "ronchi", name))
    return min(sure)[2] if sure else ""


def _header_beside(path: Path, manager: Manager) -> Path | None:
    """An XML file that names ``path``, and that a reader opens in its place."""
    name = path.name.encode()
    for file in itertools.islice(sorted(path.parent.glob("*.[xX][mM][lL]")), _MOST_HEADERS):
        with contextlib.suppress(OSError):
            if name in _head(file) and _surest(file, manager, [], []):
                return file
    return None


def _data_beside(path: Path, manager: Manager) -> Path | None:
    """A file of the same name but its suffix, and that a reader opens, beside a text, which may be its header."""
    if _is_binary(path):
        return None
    beside = (file for file in sorted(path.parent.glob(f"{glob.escape(path.stem)}.*")) if file != path)
    return next((file for file in itertools.islice(beside, _MOST_HEADERS) if _surest(file, manager, [], [])), None)


def _archive(path: Path) -> str:
    """What to do with a zip archive; empty if it is none."""
    with contextlib.suppress(OSError):
        if _head(path).startswith(b"PK\3\4"):
            if path.suffix.lower() == ".npz":
                return "it holds arrays by name: `numpy.save` the one with the data, as numpy.load(FILE)[NAME], as .npy"
            return "it is a zip archive: unpack it, and give the file in it"
    return ""


def _is_binary(path: Path) -> bool:
    try:
        return b"\0" in _head(path)
    except OSError:
        return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _nobody(path: Path, manager: Manager, silent: list[str]) -> RonchiError:
    asked = manager.names("reader")
    if path.is_file() and path.stat().st_size == 0:
        return ReadError(
            f"the file {path.name!r} is empty (0 bytes)", where=str(path), fix="copy it again from where it came"
        )
    error: type[RonchiError]
    known = f"(asked: {', '.join(asked) or 'none installed'})"
    if path.is_dir():
        what, error = f"{path.absolute().name!r} is a folder, and none that a reader knows {known}", ReadError
        fix = "give one of the files in it; of folders, Zarr stores can be read"
    else:
        what, error = f"no reader knows the file {path.name!r} of {path.stat().st_size} bytes {known}", PluginError
        fix = "`ronchi plugins reader` lists them; name one by `reader: NAME` if you know the format"
        if "rosettasciio" not in asked:
            fix = f"`pip install ronchi-rosettasciio` brings vendor formats; {fix}"
        if archive := _archive(path):
            fix = archive
        elif header := _header_beside(path, manager):
            fix = f"open {header.name} beside it, which says how it is to be read"
        elif data := _data_beside(path, manager):
            fix = f"open {data.name} beside it, if this is but its header; otherwise {fix}"
        elif "raw" in asked and _is_binary(path):
            raw = f"`{_RAW.format(shlex.quote(str(path)))}`, or `reader: raw` in a pipeline"
            fix = f"if it holds bare frames, say how they lie: {raw}; otherwise {fix}"
    return error("; ".join([what, *silent]), where=str(path), fix=fix)
