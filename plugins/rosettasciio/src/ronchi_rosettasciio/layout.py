"""Which axes of a data set are scan, pattern or frame, and how to bring the array into ronchi's order."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ronchi.api import ReadError
from ronchi_rosettasciio.formats import Format
from ronchi_rosettasciio.own import schema_noted
from ronchi_rosettasciio.signals import Axis, Signal

__all__ = ["Layout", "choose", "is_usable", "plan"]

Content = Literal["auto", "patterns", "images"]

_SCAN = re.compile(r"scan.*|r_?[xy]", re.IGNORECASE)
_DETECTOR = re.compile(r"det.*|[qk]_?[xy]|d[xy]", re.IGNORECASE)
_ENERGY = re.compile(r"energy|wavelength|time ?of ?flight", re.IGNORECASE)
_ENERGY_UNITS = ("ev", "kev", "mev")


@dataclass(frozen=True)
class Layout:
    """How an array becomes ``fourd/1`` or ``images/1``.

    Parameters
    ----------
    patterns : bool
        ``fourd/1``, else ``images/1``.
    order : tuple of int
        Axes of the array: those in `picked` first, then those that are kept, slow to fast.
    picked : tuple of int
        Index along each axis that is not kept.
    shape : tuple of int
        Four lengths, or three of images.
    leading : tuple of Axis
        Axes of the scan, or of the frames; none where there is no such axis.
    frame : tuple of Axis
        y and x of a pattern or an image.
    notes : tuple of str
    """

    patterns: bool
    order: tuple[int, ...]
    picked: tuple[int, ...]
    shape: tuple[int, ...]
    leading: tuple[Axis, ...]
    frame: tuple[Axis, Axis]
    notes: tuple[str, ...] = ()

    def apply(self, data: Any) -> Any:
        """Bring an array into this order: a view, or a lazy array of one."""
        return data.transpose(self.order)[self.picked].reshape(self.shape)


def is_usable(signal: Signal) -> bool:
    """Whether a data set is made of frames of real numbers, and not of spectra; or is peaks that ronchi wrote."""
    if schema_noted(signal) == "peaks/1":
        return True
    if signal.data.dtype.kind not in "iufb" or len(signal.shape) < 2 or 0 in signal.shape:
        return False
    frame = [axis for axis in signal.axes if not axis.navigate]
    spectral = any(_ENERGY.search(axis.name) or axis.unit_text.lower() in _ENERGY_UNITS for axis in frame)
    return not spectral and len(frame) != 1


def choose(signals: Sequence[Signal], dataset: str | int | None, where: str) -> Signal:
    """The data set that is asked for, else the one with most dimensions, then the largest, then the first.

    Raises
    ------
    ReadError
        There is none of that name or number, or none of images or patterns.
    """
    held = "; ".join(f"{i}: {signal}" for i, signal in enumerate(signals)) or "nothing"
    if dataset is not None:
        by_name = [signal for signal in signals if signal.name == dataset]
        if isinstance(dataset, int) or (not by_name and dataset.isdigit()):
            by_name = list(signals[int(dataset) :][:1]) if int(dataset) >= 0 else []
        if not by_name:
            raise ReadError(
                f"there is no data set {dataset!r} (found: {held})", where=where, fix="give another `dataset`"
            )
        if not is_usable(by_name[0]):
            raise ReadError(
                f"the data set {dataset!r} holds no images or patterns of real numbers: {by_name[0]}",
                where=where,
                fix=f"in the file: {held}",
            )
        return by_name[0]
    usable = [signal for signal in signals if is_usable(signal)]
    if not usable:
        raise ReadError(
            f"the file holds no images or patterns (found: {held})",
            where=where,
            fix="spectra, such as EDS and EELS, and colour images are not read",
        )
    return max(usable, key=lambda signal: (_dimensions(signal), math.prod(signal.shape)))


def _dimensions(signal: Signal) -> int:
    return min(4, sum(n > 1 for n in signal.shape))


def plan(
    signal: Signal,
    form: Format,
    *,
    scan_shape: tuple[int, int] | None,
    content: Content,
    extra_index: Sequence[int],
    where: str,
) -> Layout:
    """Decide what the axes of a data set are.

    Raises
    ------
    ReadError
        `scan_shape` or `extra_index` do not fit.
    """
    axes = signal.axes
    order = _ordered(axes, form)
    frame = (axes[order[-2]], axes[order[-1]])
    leading = order[:-2]
    notes: list[str] = []
    patterns = content == "patterns" or (
        content == "auto" and (scan_shape is not None or _is_diffraction(signal, form, frame, len(leading)))
    )
    kept, dropped = _split(axes, leading, 2 if patterns else 1)
    picked = _picked(axes, dropped, extra_index, notes, where)
    frame_shape = tuple(axis.size for axis in frame)
    lengths = tuple(axes[i].size for i in kept)
    n = math.prod(lengths)
    if not patterns:
        if content == "auto" and not schema_noted(signal) and not all(map(_is_length, frame)):
            notes.append("the file does not say whether these are images: `content: patterns` takes them for patterns")
        return Layout(False, (*dropped, *kept, *order[-2:]), picked, (n, *frame_shape),
                      tuple(axes[i] for i in kept), frame, tuple(notes))  # fmt: skip
    if scan_shape is not None:
        if math.prod(scan_shape) != n:
            raise ReadError(
                f"scan_shape {tuple(scan_shape)} does not fit {n} patterns",
                where=where,
                fix=f"rows times columns must be {n}, e.g. {_divisors(n)}",
            )
        shape = tuple(scan_shape)
    elif len(kept) == 2:
        shape = lengths
    else:
        shape = (1, n)
        if n > 1:
            notes.append(f"the file does not say how the {n} patterns lie: one row; `scan_shape` sets rows and columns")
    scan = tuple(axes[i] for i in kept) if shape == lengths or (len(kept) == 1 and scan_shape is None) else ()
    return Layout(True, (*dropped, *kept, *order[-2:]), picked, (*shape, *frame_shape), scan, frame, tuple(notes))


def _divisors(n: int) -> str:
    rows = max(k for k in range(1, math.isqrt(n) + 1) if n % k == 0)
    return f"[{rows}, {n // rows}]"


def _ordered(axes: Sequence[Axis], form: Format) -> tuple[int, ...]:
    """Axes from slow to fast: others, scan rows, scan columns, pattern rows, pattern columns."""
    count = range(len(axes))
    if form.name not in ("emd", "nexus"):
        return tuple(count)
    # These may come in any order, but with names; py4DSTEM's x are rows, so it is left as it is.
    detector = [i for i in count if _DETECTOR.fullmatch(axes[i].name)]
    scan = [i for i in count if _SCAN.fullmatch(axes[i].name)]
    if len(detector) != 2 or len(scan) not in (0, 2):
        return tuple(count)
    pairs = [*_rows_first(axes, scan), *_rows_first(axes, detector)]
    return (*(i for i in count if i not in pairs), *pairs)


def _rows_first(axes: Sequence[Axis], pair: Sequence[int]) -> list[int]:
    return sorted(pair, key=lambda i: axes[i].name[-1:].lower(), reverse=True)


def _is_diffraction(signal: Signal, form: Format, frame: tuple[Axis, Axis], n_leading: int) -> bool:
    if form.patterns or n_leading >= 2:
        return True
    kind = signal.metadata.get("Signal", {})
    if "diffraction" in str(kind.get("signal_type", "") if isinstance(kind, dict) else ""):
        return True
    return any(axis.unit.dimension in ("reciprocal", "angle") for axis in frame)


def _is_length(axis: Axis) -> bool:
    # A pixel size that is not positive stands for one that is not known.
    return axis.unit.dimension == "length" and axis.scale > 0


def _split(axes: Sequence[Axis], leading: Sequence[int], most: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Axes of the scan or the frames, at most ``most``, and those of which one index is taken."""
    kept = list(leading)
    surplus = len(kept) - most
    # Single ones go first, then those that no name calls a scan, then the slowest.
    by_need = sorted(kept, key=lambda i: (axes[i].size > 1, bool(_SCAN.fullmatch(axes[i].name))))
    dropped = sorted(by_need[: max(surplus, 0)])
    return tuple(i for i in kept if i not in dropped), tuple(dropped)


def _picked(
    axes: Sequence[Axis], dropped: Sequence[int], extra_index: Sequence[int], notes: list[str], where: str
) -> tuple[int, ...]:
    long = [i for i in dropped if axes[i].size > 1]
    if len(extra_index) > len(long):
        held = ", ".join(f"{axes[i].name or 'unnamed'} ({axes[i].size})" for i in long) or "none"
        raise ReadError(
            f"extra_index has {len(extra_index)} values for {len(long)} further axes", where=where, fix=f"axes: {held}"
        )
    given = dict(zip(long, extra_index, strict=False))
    for i in long:
        name, size = axes[i].name or f"number {i}", axes[i].size
        if given.get(i, 0) >= size:
            raise ReadError(
                f"extra_index {given[i]} is beyond the axis {name!r}", where=where, fix=f"it has 0 to {size - 1}"
            )
        if i not in given:
            notes.append(f"of the axis {name!r} ({size} long) only the first is read; `extra_index` takes another")
    return tuple(given.get(i, 0) for i in dropped)
