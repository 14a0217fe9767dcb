"""Files of any format: which writer serves a name, what it takes, and the file whole or not at all."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.api import AlgorithmSpec, Params
from ronchi.errors import OutputError, SchemaError, noting

if TYPE_CHECKING:
    import xarray as xr

    from ronchi.manager import Manager

__all__ = ["ChosenWriter", "choose_writer", "taken_schemas", "write", "write_with"]

ANY = "*"
_log = logging.getLogger("ronchi.writing")


@dataclass(frozen=True)
class ChosenWriter:
    """A writer that was found for a file, with its parameters.

    Parameters
    ----------
    spec : AlgorithmSpec
    suffix : str
        The ending of the file's name that the writer knows.
    params : Params
    dist, version : str
        Distribution that brings it.
    """

    spec: AlgorithmSpec
    suffix: str
    params: Params
    dist: str
    version: str


def choose_writer(
    path: Path | str, manager: Manager, name: str = "auto", params: Mapping[str, Any] | None = None
) -> ChosenWriter:
    """Find the writer of a file by its name, or check the one that is named.

    Ronchi's own writers come first, and no other plugin is imported where one of them serves.

    Parameters
    ----------
    path : path
    manager : Manager
    name : str
        Writer; by default the one that knows the file's suffix.
    params : mapping, optional
        Its parameters.

    Raises
    ------
    OutputError
        No installed writer knows the suffix, several do, or the one that is named does not.
    PluginError
        No writer has that name, or it is broken.
    ConfigError
        The parameters are not valid.
    """
    path = Path(path)
    if name == "auto":
        name = _by_suffix(path, manager)
    spec = manager.spec("writer", name)
    suffix = _known_suffix(path, spec)
    if not suffix:
        what = f"the writer {name!r} writes {', '.join(spec.suffixes)}, not {path.suffix!r}"
        raise OutputError(what, where=str(path), fix=f"call it {path.stem}{spec.suffixes[0]}, or choose another writer")
    dist, version, _ = manager.dist("writer", name)
    return ChosenWriter(spec, suffix, manager.check_params("writer", name, dict(params or {})), dist, version)


def taken_schemas(spec: AlgorithmSpec) -> frozenset[str]:
    """Schemas that a writer takes; ``"*"`` among them stands for any."""
    return frozenset(part.strip() for part in spec.inputs.get("data", ANY).split("|"))


def write(
    data: xr.Dataset,
    path: Path | str,
    sides: Mapping[str, xr.Dataset] | None = None,
    *,
    writer: str = "auto",
    params: Mapping[str, Any] | None = None,
    overwrite: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a data set and its sides in the format of the file's name.

    Parameters
    ----------
    data : xarray.Dataset
    path : path
        Its suffix chooses the writer.
    sides : mapping of str to xarray.Dataset, optional
        Written where the format has a place for them; a warning names those that are left out.
    writer : str
        Name of the writer.
    params : mapping, optional
        Parameters of the writer.
    overwrite : bool
        Replace an existing file.
    progress : callable, optional
        ``progress(done, total)``, in the writer's unit.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        No writer serves the name, the path is in use, the folder cannot be written to, or the disk
        is full; nothing is left behind, and an older file stays.
    SchemaError
        The writer does not take such data.
    ReadError
        Lazy data come from a file that is damaged; as above.
    """
    from ronchi.manager import get_manager

    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputError("the path is in use", where=str(path), fix="choose another name, or allow overwriting")
    return write_with(choose_writer(path, get_manager(), writer, params), data, path, sides, progress=progress)


def write_with(
    chosen: ChosenWriter,
    data: xr.Dataset,
    path: Path,
    sides: Mapping[str, xr.Dataset] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write with a writer that was chosen before; see `write`.

    The file is built under a temporary name in the same folder, synced and renamed, so a reader sees the old
    one or the whole new one.
    """
    from ronchi import schema
    from ronchi.atomic import all_or_nothing
    from ronchi.os_faults import no_text

    found, taken = schema.schema_of(data), taken_schemas(chosen.spec)
    if ANY not in taken and found not in taken:
        want = " or ".join(sorted(taken))
        what = f"the writer {chosen.spec.name!r} takes {want}, got {found or 'a data set without schema'}"
        raise SchemaError(what, where=str(path), fix="write it as .nc or .zarr, which hold every schema")
    if fault := no_text(path.absolute()):
        raise OutputError(fault, fix="choose a name that is text, since a file of this one could not be read again")
    if not path.parent.is_dir():
        raise OutputError("the folder does not exist", where=str(path.parent), fix="make it first")
    held = {side: part for side, part in (sides or {}).items() if {side, ANY} & chosen.spec.sides.keys()}
    for side in (sides or {}).keys() - held.keys():
        _log.warning("%s: the side output %r is left out, %s files have no place for it", path, side, chosen.suffix)
    size = sum(part.nbytes for part in (data, *held.values()))
    with all_or_nothing(path, chosen.suffix, size) as temporary:
        writer = chosen.spec.create(chosen.params)
        with noting(f"in the writer {chosen.spec.name!r} of {chosen.dist} {chosen.version}, on {path}"):
            writer.write(data, held, temporary, progress=progress or _ignore_progress)
    return path


def _by_suffix(path: Path, manager: Manager) -> str:
    names = manager.names("writer")
    own = [name for name in names if any(e.dist == "ronchi" for e in manager.catalog.find("writer", name))]
    known: list[str] = []
    for group in (own, [name for name in names if name not in own]):
        specs = manager.specs("writer", group)
        claims = [spec.name for spec in specs if _known_suffix(path, spec)]
        if len(claims) > 1:
            what = f"{len(claims)} writers know files called {path.suffix!r}: {', '.join(claims)}"
            raise OutputError(what, where=str(path), fix="name one of them as the writer")
        if claims:
            return claims[0]
        known += [suffix for spec in specs for suffix in spec.suffixes]
    close = difflib.get_close_matches(path.suffix, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    fix = f"{hint}use one of {', '.join(known)}; `pip install ronchi-rosettasciio` brings those of other programs"
    raise OutputError(f"unknown extension {path.suffix!r}", where=str(path), fix=fix)


def _known_suffix(path: Path, spec: AlgorithmSpec) -> str:
    """The longest suffix of a writer that a file's name ends in, ``""`` if there is none."""
    name = path.name.lower()
    return max((suffix for suffix in spec.suffixes if name.endswith(suffix)), key=len, default="")


def _ignore_progress(done: int, total: int) -> None:
    return None
