"""Disk detection on data larger than memory: block by block, with finished blocks kept on disk."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import AlgorithmSpec, Context, Geometry, Params, PeakBatch
from ronchi.errors import PluginError, RunError
from ronchi.pipeline.sample import check_finite, sample_scan
from ronchi.pipeline.tiles import Tile, cut, read_tile
from ronchi.schema import fourd, peaks

if TYPE_CHECKING:
    from ronchi.pipeline.executors import Executor

__all__ = ["DetectJob", "Detection", "geometry_of", "run_detection"]

_COLUMNS = tuple(field.name for field in fields(PeakBatch) if field.name != "counts")
_DTYPES = dict(zip(_COLUMNS, ("f8", "f8", "f4", "f4", "f4", "f4", "f4", "u2"), strict=True))
_NO_PEAKS = PeakBatch(counts=np.zeros(0, np.int32), **{name: np.zeros(0, dtype) for name, dtype in _DTYPES.items()})


@dataclass(frozen=True, kw_only=True)
class DetectJob:
    """Everything a worker needs to detect the disks of any block.

    Parameters
    ----------
    data : xarray.Dataset
        ``fourd/1``; lazy, so that it travels to a worker as a file name.
    spec, params
        The detector.
    geometry : Geometry
    probe : (qy, qx) float32 array or None
    entropy : list of int
        Seed of the random numbers; every block starts afresh from it and its place.
    device : str
    log : str
        Name of the logger that the detector is given.
    """

    data: xr.Dataset
    spec: AlgorithmSpec
    params: Params
    geometry: Geometry
    probe: NDArray[np.float32] | None
    entropy: list[int]
    device: str = "cpu"
    log: str = "ronchi.step"

    def start(self) -> Detection:
        """Make and prepare the detector, in the process that will use it."""
        return Detection(self)


class Detection:
    """A prepared detector on its data, in one process."""

    def __init__(self, job: DetectJob) -> None:
        self.job = job
        self.rng = np.random.default_rng(job.entropy)
        self.detector = job.spec.create(job.params)
        ctx = Context(rng=self.rng, device=job.device, n_threads=1, log=logging.getLogger(job.log))
        self.detector.prepare(job.geometry, job.probe, ctx)
        self.valid = job.data["valid"].values.astype(bool) if "valid" in job.data else None

    def run(self, tile: Tile) -> PeakBatch:
        """Peaks of a tile, 0 where no pattern was recorded.

        Raises
        ------
        DataError
            A pattern holds NaN or infinity.
        PluginError
            What the detector returns does not fit together.
        """
        keep = slice(None) if self.valid is None else self.valid[tile.y0 : tile.y1, tile.x0 : tile.x1].reshape(-1)
        frames = read_tile(self.job.data["intensity"], tile)[keep]
        where = np.stack(np.divmod(tile.positions(self.job.data.sizes["scan_x"]), self.job.data.sizes["scan_x"]), 1)[
            keep
        ]
        check_finite(frames, where)
        # The same numbers for a block whoever works on it, and in whichever order.
        fresh = np.random.default_rng([*self.job.entropy, tile.y0, tile.x0])
        self.rng.bit_generator.state = fresh.bit_generator.state
        batch = self.detector.detect(frames) if len(frames) else _NO_PEAKS
        batch = _checked(batch, len(frames), self.job.spec.name)
        if self.valid is None:
            return batch
        counts = np.zeros(tile.size, np.int32)
        counts[keep] = batch.counts
        return PeakBatch(counts=counts, **{name: getattr(batch, name) for name in _COLUMNS})


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
    columns = {name: np.empty(int(ends[-1]), dtype) for name, dtype in _DTYPES.items()}
    for tile, batch in blocks:
        n = batch.counts.astype(np.int64)
        first = (ends - counts)[tile.positions(width)]
        target = np.repeat(first - (np.cumsum(n) - n), n) + np.arange(int(n.sum()))
        for name, column in columns.items():
            column[target] = getattr(batch, name)
    return peaks.from_batch(PeakBatch(counts=counts, **columns), data)


def _checked(batch: PeakBatch, n: int, name: str) -> PeakBatch:
    """The batch, if it fits together: a number that is none would be carried into every map of the scan."""
    if not isinstance(batch, PeakBatch):
        raise _broken(name, [f"detect() returned {type(batch).__name__}"])
    counts = np.asarray(batch.counts)
    if counts.shape != (n,) or counts.dtype.kind not in "iu" or counts.min(initial=0) < 0:
        odd = f"is {counts.dtype} of shape {counts.shape}, not {n} whole numbers"
        raise _broken(name, [f"counts {odd if counts.size == n else f'has {counts.size} entries for {n} patterns'}"])
    columns = {column: np.asarray(getattr(batch, column)) for column in _COLUMNS}
    total = int(counts.sum())
    wrong = [
        f"{column} is {values.dtype} of shape {values.shape}, and {total} peaks are counted"
        for column, values in columns.items()
        if values.shape != (total,) or values.dtype.kind not in "fiu"
    ]
    if wrong:
        raise _broken(name, wrong)
    wrong += [f"{axis} holds NaN or infinity" for axis in ("qy_px", "qx_px") if not np.isfinite(columns[axis]).all()]
    if (columns["flags"].astype(np.uint16) != columns["flags"]).any():
        wrong.append("flags holds what 16 bits do not")
    if wrong:
        raise _broken(name, wrong)
    return batch


def _broken(name: str, wrong: list[str]) -> PluginError:
    what = f"the detector {name!r} broke its contract: {'; '.join(wrong)}"
    return PluginError(what, fix="report it to the authors of the plugin")


def _number(data: xr.Dataset, attr: str) -> float | None:
    value = data.attrs.get(attr)
    return None if value is None else float(value)
