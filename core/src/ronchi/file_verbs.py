"""The verbs of a notebook that read, write and convert files, by their readers and writers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.api import Result
from ronchi.apply import apply
from ronchi.errors import ConfigError, ReadError
from ronchi.os_faults import no_text

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["convert", "read", "read_result", "write"]


def read(path: str | Path, reader: str = "auto", *, side: str | None = None, **params: Any) -> xr.Dataset:
    """Open a file lazily.

    Parameters
    ----------
    path : path
    reader : str
        Name of the reader; the most confident one by default.
    side : str, optional
        Give this side output instead, e.g. ``"truth"``.
    **params
        Parameters of the reader, e.g. ``scan_shape``.

    Raises
    ------
    ReadError, SchemaError, ConfigError
    """
    result = read_result(path, reader, **params)
    if side is None:
        return result.data
    if side not in result.sides:
        have = ", ".join(result.sides) or "none"
        raise ConfigError(f"{str(path)!r} has no side output {side!r} (found: {have})")
    return result.sides[side]


def read_result(path: str | Path, reader: str = "auto", **params: Any) -> Result:
    """Open a file lazily, with all its side outputs; see `read`."""
    from ronchi.manager import get_manager
    from ronchi.pipeline.reader_choice import choose_reader

    file = Path(path).expanduser()
    if not file.exists():
        raise ReadError("no such file", where=str(path), fix=f"check the path; relative ones start at {Path.cwd()}")
    if fault := no_text(file.absolute()):
        raise ReadError(fault, fix="rename it: files, and what is noted in them, take names that are text")
    if reader == "auto":
        reader = choose_reader(file, get_manager(), [])
    return apply("reader", reader, {**params, "path": str(file.absolute())}, {})


def write(
    data: xr.Dataset,
    path: str | Path,
    *,
    sides: Mapping[str, xr.Dataset] | None = None,
    writer: str = "auto",
    **params: Any,
) -> Path:
    """Write a data set, all or nothing, block by block.

    Parameters
    ----------
    data : xarray.Dataset
    path : path
        Its suffix chooses the format: ``.nc`` and ``.zarr`` hold every schema; plugins bring others.
    sides : mapping of str to xarray.Dataset, optional
        Side outputs to go with it, e.g. ``truth``, where the format has a place for them.
    writer : str
        Name of the writer; by default the one that knows the suffix.
    **params
        Parameters of the writer; ``ronchi info writer/NAME`` lists them.

    Raises
    ------
    OutputError, SchemaError, ConfigError
    """
    from ronchi import schema
    from ronchi.writing import write as write_file

    # What does not follow its schema would be refused when it is read.
    for name, part in {str(path): data, **(sides or {})}.items():
        schema.validate(part, name)
    return write_file(data, Path(path).expanduser(), sides, writer=writer, params=params)


def convert(
    source: str | Path,
    target: str | Path,
    reader: str = "auto",
    *,
    writer: str = "auto",
    writer_params: Mapping[str, Any] | None = None,
    progress: bool = False,
    **params: Any,
) -> Path:
    """Read a file and write it in another format, block by block.

    Parameters
    ----------
    source, target : path
        The suffix of the target chooses its format.
    reader, writer : str
        By name; by default the most confident reader, and the writer that knows the suffix.
    writer_params : mapping, optional
        Parameters of the writer.
    progress : bool
        Show progress on stderr.
    **params
        Parameters of the reader, e.g. ``scan_shape``.

    Raises
    ------
    ReadError, OutputError, SchemaError, ConfigError
    """
    from ronchi.history import forget
    from ronchi.manager import get_manager
    from ronchi.pipeline.progress import make_progress
    from ronchi.result import StepResult
    from ronchi.writing import choose_writer, write_with

    target = Path(target).expanduser()
    chosen = choose_writer(target, get_manager(), writer, writer_params)
    result = read_result(source, reader, **params)
    sides = {name: forget(side) for name, side in result.sides.items()}
    with make_progress(progress) as bars:
        bars.started(StepResult(step="convert", kind="writer", name=chosen.spec.name))
        return write_with(chosen, forget(result.data), target, sides, progress=bars.update)
