"""Disk detection on data larger than memory: block by block, with finished blocks kept on disk."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Geometry, PeakBatch
from ronchi.errors import RunError
from ronchi.pipeline.detect_job import COLUMN_DTYPES, DetectJob
from ronchi.pipeline.executors import Executor
from ronchi.pipeline.sample import sample_scan
from ronchi.pipeline.tiles import Tile, cut
from ronchi.schema import fourd, peaks

__all__ = ["geometry_of", "run_detection"]


def run_detection(
    job: DetectJob,
    executor: Executor,
    patterns: int,
    folder: Path,
    progress: Callable[[int, int], None],
    check: Callable[[], None] = lambda: None,
) -> tuple[xr.Dataset, int, int]:
    """Detect the disks of a whole scan.

    Parameters
    ----------
    patterns : int
        Most patterns in a block.
    folder : pathlib.Path
        Where finished blocks lie, also those of an earlier run that was stopped.
    progress : callable
        ``progress(done, total)`` in positions.
    check : callable, optional
        Raises if a block must not be kept, since its input is not what it was.

    Returns
    -------
    peaks : xarray.Dataset
        ``peaks/1``
    blocks, reused : int
        Number of blocks, and how many of them were there already.
    """
    tiles = cut(job.data["intensity"], patterns)
    counts = {tile: block.counts for tile in tiles if (block := load_block(folder, tile)) is not None}
    reused, total = len(counts), sum(tile.size for tile in tiles)
    done = sum(tile.size for tile in counts)
    progress(done, total)
    for tile, batch in executor.map_blocks(job, [tile for tile in tiles if tile not in counts]):
        check()
        save_block(folder, tile, batch)
        counts[tile] = batch.counts
        done += tile.size
        progress(done, total)
    made = _join(job.data, counts, _stored(folder, tiles))
    for name, (units, long_name) in job.spec.columns.items():
        made[name].attrs.update(units=units, long_name=long_name)
    return made, len(tiles), reused


def geometry_of(data: xr.Dataset) -> Geometry:
    """What a detector is told about the patterns, with what a sample of the scan says of them."""
    sample = sample_scan(data)
    bad = data["bad_pixel"].values.astype(bool) if "bad_pixel" in data else None
    return Geometry(
        shape=(data.sizes["qy"], data.sizes["qx"]),
        q_step=fourd.q_step(data),
        q_units=fourd.q_units(data),
        centre_px=fourd.centre_px(data),
        mean_pattern=sample.mean_pattern,
        bad_pixel=bad,
        beam_energy_eV=_number(data, "beam_energy_eV"),
        semiangle_mrad=_number(data, "semiangle_mrad"),
        counts_per_electron=sample.counts_per_electron,
    )


def save_block(folder: Path, tile: Tile, batch: PeakBatch) -> None:
    """Keep a finished block; a power cut may damage it, which `load_block` notices."""
    temporary = folder / f"{tile.name}.{os.getpid()}.tmp"
    with temporary.open("wb") as file:
        np.savez(file, **{field.name: getattr(batch, field.name) for field in fields(PeakBatch)})
    temporary.replace(folder / f"{tile.name}.npz")


def load_block(folder: Path, tile: Tile) -> PeakBatch | None:
    """Read a finished block, or None if it is absent or damaged."""
    try:
        with (folder / f"{tile.name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
            batch = PeakBatch(**{field.name: stored[field.name] for field in fields(PeakBatch)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return batch if len(batch.counts) == tile.size else None


def _stored(folder: Path, tiles: list[Tile]) -> Iterator[tuple[Tile, PeakBatch]]:
    for tile in tiles:
        batch = load_block(folder, tile)
        if batch is None:
            fix = "run again: all other blocks are kept"
            raise RunError(f"the finished block {tile.name} was removed or damaged", where=str(folder), fix=fix)
        yield tile, batch


def _join(
    data: xr.Dataset, tile_counts: Mapping[Tile, NDArray[np.int32]], blocks: Iterable[tuple[Tile, PeakBatch]]
) -> xr.Dataset:
    # The counts come first: they say where each block's peaks go, and blocks need not lie in scan order.
    width = data.sizes["scan_x"]
    counts = np.zeros(data.sizes["scan_y"] * width, np.int32)
    for tile, n in tile_counts.items():
        counts[tile.positions(width)] = n
    ends = np.cumsum(counts, dtype=np.int64)
    columns = {name: np.empty(int(ends[-1]), dtype) for name, dtype in COLUMN_DTYPES.items()}
    for tile, batch in blocks:
        n = batch.counts.astype(np.int64)
        first = (ends - counts)[tile.positions(width)]
        target = np.repeat(first - (np.cumsum(n) - n), n) + np.arange(int(n.sum()))
        for name, column in columns.items():
            column[target] = getattr(batch, name)
    return peaks.from_batch(PeakBatch(counts=counts, **columns), data)


def _number(data: xr.Dataset, attr: str) -> float | None:
    value = data.attrs.get(attr)
    return None if value is None else float(value)
