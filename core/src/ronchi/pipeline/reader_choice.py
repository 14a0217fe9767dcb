"""Which reader opens a file: the one that is surest about its first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ronchi.errors import PluginError, ReadError, RonchiError

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["choose_reader"]


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
    sure: list[tuple[float, bool, str]] = []
    silent: list[str] = []
    faults: list[RonchiError] = []
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
    warnings += silent
    if sure:
        return min(sure)[2]
    raise faults[0] if faults else _nobody(path, manager.names("reader"), silent)


def _nobody(path: Path, asked: list[str], silent: list[str]) -> RonchiError:
    if path.is_file() and path.stat().st_size == 0:
        return ReadError(
            f"the file {path.name!r} is empty (0 bytes)", where=str(path), fix="copy it again from where it came"
        )
    error: type[RonchiError]
    known = f"(asked: {', '.join(asked) or 'none installed'})"
    if path.is_dir():
        what, error = f"{path.name!r} is a folder, and none that a reader knows {known}", ReadError
        fix = "give one of the files in it; of folders, Zarr stores can be read"
    else:
        what, error = f"no reader knows the file {path.name!r} {known}", PluginError
        fix = "`ronchi plugins reader` lists them; name one by `reader: NAME` if you know the format"
        if "rosettasciio" not in asked:
            fix = f"`pip install ronchi-rosettasciio` brings vendor formats; {fix}"
    return error("; ".join([what, *silent]), where=str(path), fix=fix)
