"""Merlin's .mib with the .hdr beside it, whatever the two are called.

RosettaSciIO's reader finds the header by replacing ``.mib`` in the path, and fails where the path has none; where the
header tells nothing it takes the first longer pause between frames for the end of a row. Its decoder of frames alone
is used here, and pauses are believed only where they come after every row.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ronchi_rosettasciio.companions import merlin_header
from ronchi_rosettasciio.signals import Axis, Signal

__all__ = ["read_merlin"]

_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")
_MOST_STAMPS = 4096


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
    told = _rows_and_columns(path) if scan_shape is None else None
    if told is None and scan_shape is None:
        columns = _columns_by_pauses(path, frames.shape[0])
        if columns:
            told = frames.shape[0] // columns, columns
            notes.append(f"rows of {columns} patterns, by the pauses between them; `scan_shape` sets another")
    if told is not None:
        rows, columns = told
        whole = min(rows, frames.shape[0] // columns)
        if whole < rows:
            notes.append(f"{whole} of {rows} rows of the scan are complete; the rest is left out")
        if whole > 0:
            frames = frames[: whole * columns].reshape(whole, columns, *frames.shape[1:])
            leading = (whole, columns)
    axes = [Axis("", n, 1.0, 0.0, "", navigate=True) for n in leading]
    axes += [Axis("", int(n), 1.0, 0.0, "", navigate=False) for n in frames.shape[-2:]]
    return [Signal(path.stem, frames, tuple(axes))], notes


def _rows_and_columns(path: Path) -> tuple[int, int] | None:
    """Rows and columns of the scan from the header file, None without one or where it does not say."""
    beside = merlin_header(path)
    if beside is None:
        return None
    lines = beside.read_text(encoding="utf-8", errors="replace")[:65536].splitlines()
    values = {key.rstrip(":"): value for key, tab, value in (line.partition("\t") for line in lines) if tab}
    try:
        columns = int(values["Frames per Trigger (Number)"])
        total = int(values["Frames in Acquisition (Number)"])
    except (KeyError, ValueError):
        return None
    return (total // columns, columns) if 1 < columns < total and total % columns == 0 else None


def _columns_by_pauses(path: Path, n: int) -> int:
    """Frames between the longer pauses that a scan makes after each row; 0 if there are none, or not evenly."""
    from rsciio.quantumdetector import load_mib_data

    _, headers = load_mib_data(str(path), return_headers=True)
    stamps = [_STAMP.search(bytes(header)) for header in headers[:_MOST_STAMPS]]
    if not all(stamps):
        return 0
    times = np.array([stamp[0].decode("ascii") for stamp in stamps if stamp], dtype="datetime64[ns]").astype(np.int64)
    waits = np.diff(times)
    pauses = np.flatnonzero(waits > waits.mean()) + 1 if len(waits) else waits
    if not len(pauses) or pauses[0] < 2 or n % pauses[0]:
        return 0
    every = np.arange(pauses[0], len(times), pauses[0])
    return int(pauses[0]) if np.array_equal(pauses, every) else 0
