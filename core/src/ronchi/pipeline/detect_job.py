"""The disks of one block: the job that travels to a worker, and the detector that is prepared there."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import AlgorithmSpec, Context, Geometry, Params, PeakBatch
from ronchi.errors import PluginError
from ronchi.pipeline.sample import check_finite
from ronchi.pipeline.tiles import Tile, read_tile

__all__ = ["COLUMN_DTYPES", "DetectJob", "Detection"]

COLUMN_DTYPES = {
    name: np.dtype(dtype)
    for name, dtype in zip(
        (field.name for field in fields(PeakBatch) if field.name != "counts"),
        ("f8", "f8", "f4", "f4", "f4", "f4", "f4", "u2", "f4"),
        strict=True,
    )
}
"""Of the columns of a `PeakBatch`, which have an entry a peak."""

_NO_PEAKS = PeakBatch(
    counts=np.zeros(0, np.int32), **{name: np.zeros(0, dtype) for name, dtype in COLUMN_DTYPES.items()}
)


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
        return PeakBatch(counts=counts, **{name: getattr(batch, name) for name in COLUMN_DTYPES})


def _checked(batch: PeakBatch, n: int, name: str) -> PeakBatch:
    """The batch, if it fits together: a number that is none would be carried into every map of the scan."""
    if not isinstance(batch, PeakBatch):
        raise _broken(name, [f"detect() returned {type(batch).__name__}, not a PeakBatch"])
    counts = np.asarray(batch.counts)
    if counts.shape != (n,) or counts.dtype.kind not in "iu" or counts.min(initial=0) < 0:
        odd = f"is {counts.dtype} of shape {counts.shape}, not {n} whole numbers"
        raise _broken(name, [f"counts {odd if counts.size == n else f'has {counts.size} entries for {n} patterns'}"])
    columns = {column: np.asarray(getattr(batch, column)) for column in COLUMN_DTYPES}
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
