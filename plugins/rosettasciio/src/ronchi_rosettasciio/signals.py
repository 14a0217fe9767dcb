"""The data sets of a file, as RosettaSciIO gives them, in a form of our own."""

from __future__ import annotations

import contextlib
import glob
import importlib
import logging
import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ronchi.interop.axis_units import Unit, parse
from ronchi_rosettasciio.companions import companions
from ronchi_rosettasciio.formats import Format
from ronchi_rosettasciio.guards import npy_header

__all__ = ["Axis", "Signal", "axis_of", "number", "quiet", "read_npy", "read_signals", "text"]


@dataclass(frozen=True)
class Axis:
    """One axis of the data: ``scale`` and ``offset`` in ``unit``, as the file says."""

    name: str
    size: int
    scale: float
    offset: float
    unit_text: str
    navigate: bool

    @property
    def unit(self) -> Unit:
        """The unit, understood."""
        return parse(self.unit_text)


@dataclass(frozen=True, eq=False)
class Signal:
    """One data set of a file.

    Parameters
    ----------
    name : str
    data : array
        numpy or dask.
    axes : tuple of Axis
        In the order of the array.
    metadata, original : mapping
        HyperSpy's tree, completed from the file's own; and the file's own.
    """

    name: str
    data: Any
    axes: tuple[Axis, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    original: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(map(int, self.data.shape))

    def __str__(self) -> str:
        return f"{self.name or 'unnamed'} {'x'.join(map(str, self.shape))} {self.data.dtype}"


def read_signals(path: Path, form: Format) -> list[Signal]:
    """Let RosettaSciIO open a file, lazily where `form` can.

    Raises
    ------
    Exception
        Whatever the library raises on a damaged file.
    """
    module = importlib.import_module(f"rsciio.{form.module}")
    with _under_a_name_that_fits(path, form) as lent:
        # What is lent is gone when the frames are used.
        options: dict[str, Any] = {"lazy": form.lazy and lent == path}
        if form.name == "topspin":
            options["show_progressbar"] = False
        return [_signal(each) for each in module.file_reader(str(lent), **options) if "data" in each]


def read_npy(path: Path) -> Signal:
    """The array of a ``.npy``, still in the file; RosettaSciIO 0.15 takes columns that were stored first for rows.

    Raises
    ------
    ValueError
        The header is damaged.
    """
    from rsciio.utils.file import memmap_distributed  # type: ignore[import-untyped]  # has no types

    shape, by_columns, dtype, offset = npy_header(path)
    lies = shape[::-1] if by_columns else shape
    data = memmap_distributed(str(path), offset=offset, shape=lies, dtype=dtype, chunks="auto")
    return Signal("", data.T if by_columns else data, _axes((), shape))


@contextlib.contextmanager
def _under_a_name_that_fits(path: Path, form: Format) -> Iterator[Path]:
    """Lend a link where RosettaSciIO goes by a file's ending, and finds those beside it by a pattern of their names."""
    ending = {"prz": ".prz", "prz-packed": ".prz", "ser": ".ser", "emi": ".emi"}.get(form.name, path.suffix)
    if path.suffix == ending and (form.name != "emi" or glob.escape(str(path)) == str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ronchi-") as folder:
        for file in (path, *companions(path, form)):
            rest = file.name.removeprefix(path.stem).lower() if file != path else ending
            Path(folder, f"file{rest}").symlink_to(file.resolve())
        yield Path(folder, f"file{ending}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the library from talking: what it warns of is checked again here, and told in words that fit."""
    log = logging.getLogger("rsciio")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _signal(raw: Mapping[str, Any]) -> Signal:
    data = raw["data"]
    if not hasattr(data, "shape"):
        data = np.asarray(data)
    axes = _axes(raw.get("axes") or (), data.shape)
    original = _plain(raw.get("original_metadata") or {})
    metadata = _plain(raw.get("metadata") or {})
    for source, (target, convert) in (raw.get("mapping") or {}).items():
        _map(original, source, metadata, target, convert)
    name = str(_find(metadata, "General.title") or "")
    return Signal(name, data, axes, metadata, original)


def _axes(raw: Sequence[Mapping[str, Any]], shape: Sequence[int]) -> tuple[Axis, ...]:
    if len(raw) != len(shape):
        # Some layouts come without axes: the last two are those of a frame.
        return tuple(Axis("", int(n), 1.0, 0.0, "", i < len(shape) - 2) for i, n in enumerate(shape))
    return tuple(axis_of(axis, int(size)) for axis, size in zip(raw, shape, strict=True))


def axis_of(raw: Mapping[str, Any], size: int) -> Axis:
    """An axis from HyperSpy's dictionary of it."""
    scale, offset = number(raw.get("scale"), 1.0), number(raw.get("offset"), 0.0)
    if "axis" in raw or "expression" in raw:
        # Coordinates one by one, or by a formula: a step only if they are even.
        scale, offset = _even(raw.get("axis"), size)
    return Axis(text(raw.get("name")), size, scale, offset, text(raw.get("units")), bool(raw.get("navigate", False)))


def _even(values: Any, size: int) -> tuple[float, float]:
    """Step and first of evenly spaced coordinates; not a number for others."""
    try:
        known = np.asarray(values, float)
    except (TypeError, ValueError):
        return math.nan, 0.0
    steps = np.diff(known) if known.shape == (size,) else known[:0]
    even = len(steps) and np.ptp(steps) <= 1e-3 * abs(steps.mean())
    return (float(steps.mean()), float(known[0])) if even else (math.nan, 0.0)


def text(value: Any) -> str:
    """A value as text; empty if it is none."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def number(value: Any, default: float) -> float:
    """A value as a number, or the default."""
    try:
        return default if value is None else float(value)
    except (TypeError, ValueError):
        return default


def _plain(tree: Any) -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        tree = tree.as_dictionary() if hasattr(tree, "as_dictionary") else {}
    return {str(key): _plain(value) if isinstance(value, Mapping) else value for key, value in tree.items()}


def _find(tree: Mapping[str, Any], dotted: str) -> Any:
    found: Any = tree
    for part in dotted.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _map(source: Mapping[str, Any], dotted: str, target: dict[str, Any], place: str, convert: Any) -> None:
    """Copy one entry of the file's own metadata to its place in HyperSpy's tree."""
    value = _find(source, dotted)
    if value is None:
        return
    try:
        value = convert(value) if convert is not None else value
    except Exception:  # noqa: BLE001 - an entry that cannot be converted is one that is not there
        return
    *parents, last = place.split(".")
    for part in parents:
        child = target.setdefault(part, {})
        if not isinstance(child, dict):
            return
        target = child
    target.setdefault(last, value)
