"""Merlin's .mib with the .hdr beside it, whatever the two are called.

RosettaSciIO's reader finds the header by replacing ``.mib`` in the path, and fails where the path has none; where the
header tells nothing it takes the first longer pause between frames for the end of a row. Its decoder of frames alone
is used here, and pauses are believed only where they stand out and come after every row.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ronchi_rosettasciio.companions import merlin_header
from ronchi_rosettasciio.signals import Axis, Signal

__all__ = ["left_out", "read_merlin"]

_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")
_COLUMNS = "Frames per Trigger (Number)"
_FRAMES = "Frames in Acquisition (Number)"
_MOST_STAMPS = 4096
_PAUSE_SCATTERS = 6
_PAUSE_NS = 1000
"""A pause exceeds the median by so many times the scatter of the shorter waits, and by more than clocks round."""
_FEWEST_WAITS = 6
"""Fewer waits without a pause do not show how they scatter."""


def read_merlin(path: Path, scan_shape: tuple[int, int] | None) -> tuple[list[Signal], list[str]]:
    """The frames of a file, as a scan where the header beside it says how they lie.

    Parameters
    ----------
    path : pathlib.Path
    scan_shape : tuple of int, optional
        If given, the header is not asked.

    Returns
    -------
    signals : list of Signal
        One, of (frame, y, x) or (scan_y, scan_x, y, x); rows are stored from the bottom and turned round here.
    notes : list of str
    """
    from rsciio.quantumdetector import load_mib_data  # type: ignore[import-untyped]  # has no types

    frames = np.flip(load_mib_data(str(path), lazy=True, return_mmap=False), axis=-2)
    # A file of one frame comes without the axis of frames.
    frames = frames[None] if frames.ndim == 2 else frames
    notes: list[str] = []
    leading: tuple[int, ...] = (frames.shape[0],)
    told = _rows_and_columns(path, frames.shape[0], notes) if scan_shape is None else None
    if told is None and scan_shape is None:
        columns = _columns_by_pauses(path, frames.shape[0])
        if columns:
            told = frames.shape[0] // columns, columns
            notes.append(f"rows of {columns} patterns, by the pauses between them; `scan_shape` sets another")
    if told is not None:
        rows, columns = told
        whole = min(rows, frames.shape[0] // columns)
        if 0 < whole < rows:
            notes.append(f"{whole} of {rows} rows of the scan are complete; the rest is left out")
        elif frames.shape[0] > rows * columns:
            notes.append(f"of {frames.shape[0]} patterns only the first {rows * columns}, those of the scan, are read")
        if whole > 0:
            frames = frames[: whole * columns].reshape(whole, columns, *frames.shape[1:])
            leading = (whole, columns)
    axes = [Axis("", n, 1.0, 0.0, "", navigate=True) for n in leading]
    axes += [Axis("", int(n), 1.0, 0.0, "", navigate=False) for n in frames.shape[-2:]]
    return [Signal(path.stem, frames, tuple(axes))], notes


def left_out(path: Path) -> str:
    """How a file differs from the acquisition that its header promises; empty if it is whole.

    An acquisition may be stopped at any time, so what there is of it is read.
    """
    from rsciio.quantumdetector import load_mib_data

    _, headers = load_mib_data(str(path), return_headers=True)
    there, frame_bytes = len(headers), headers.strides[0]
    rest = path.stat().st_size - there * frame_bytes
    beside, promised = merlin_header(path), _header_numbers(path).get(_FRAMES, 0)
    said = []
    if beside is not None and promised > 0 and there != promised:
        said.append(f"{there} patterns are there, {beside.name} promises {promised}")
    if rest:
        said.append(f"{rest} of the {frame_bytes} bytes of a further one are left out")
    if rest or there < promised:
        said.append("copy the file again, unless the acquisition was stopped")
    return "; ".join(said)


def _rows_and_columns(path: Path, n: int, notes: list[str]) -> tuple[int, int] | None:
    """Rows and columns of the scan from the header file, None without one or where it does not say.

    Newer software writes the scan's size, which may also be that of an earlier scan, or leave out the flyback; where
    each pattern has a trigger of its own, it is all that there is.
    """
    numbers = _header_numbers(path)
    columns, total = numbers.get(_COLUMNS, 0), numbers.get(_FRAMES, 0)
    rows, width = numbers.get("ScanY", 0), numbers.get("ScanX", 0)
    if min(rows, width) > 1:
        if rows * width == (total or n):
            if width != columns:
                said = f"{rows} rows of {width} patterns, by ScanY and ScanX of the header"
                notes.append(f"{said}; `scan_shape` sets others")
            return rows, width
        said = f"ScanX {width} and ScanY {rows} of the header are not those of {total or n} patterns"
        notes.append(f"{said}, and are left out of account")
    return (total // columns, columns) if 1 < columns < total and total % columns == 0 else None


def _header_numbers(path: Path) -> dict[str, int]:
    """Whole numbers of the header file by name; none without one."""
    beside = merlin_header(path)
    text = "" if beside is None else beside.read_text(encoding="utf-8", errors="replace")[:65536]
    values = {key.rstrip(":"): value.strip() for key, _, value in (line.partition("\t") for line in text.splitlines())}
    return {key: int(value) for key, value in values.items() if re.fullmatch(r"[0-9]{1,18}", value)}


def _columns_by_pauses(path: Path, n: int) -> int:
    """Frames between the longer pauses that a scan makes after each row; 0 if there are none, or not evenly."""
    from rsciio.quantumdetector import load_mib_data

    _, headers = load_mib_data(str(path), return_headers=True)
    stamps = [_STAMP.search(bytes(header)) for header in headers[:_MOST_STAMPS]]
    if not all(stamps):
        return 0
    times = np.array([stamp[0].decode("ascii") for stamp in stamps if stamp], dtype="datetime64[ns]").astype(np.int64)
    waits = np.diff(times)
    if not len(waits):
        return 0
    # A pause can be as short as 0.02 % of a frame, so it is compared with how the waits scatter, not with their length.
    usual = np.median(waits)
    scatter = usual - np.quantile(waits, 0.05)
    pauses = np.flatnonzero(waits > usual + max(_PAUSE_SCATTERS * scatter, _PAUSE_NS)) + 1
    if len(waits) - len(pauses) < _FEWEST_WAITS or not len(pauses) or pauses[0] < 2:
        return 0
    if n % pauses[0] and len(pauses) < 2:
        # Stopped within a row, or no scan: one pause does not tell.
        return 0
    every = np.arange(pauses[0], len(times), pauses[0])
    return int(pauses[0]) if np.array_equal(pauses, every) else 0
