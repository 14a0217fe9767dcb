"""Transform ``augment``: one instrument for a whole scan, and the method that training calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.api import Context, DataError, Result
from ronchi.blocks import count_positions, read_block
from ronchi.chunking import as_dask
from ronchi.schema import fourd
from ronchi.schema import peaks as peaks_schema
from ronchi.schema.common import variable
from ronchi_simulate.augment.chain import Defects, Instrument, as_images, augment_batch, check_means, in_parts
from ronchi_simulate.augment.detector import shadows
from ronchi_simulate.augment.draws import Draws, draw, draw_jitter
from ronchi_simulate.augment.geometry import move_points
from ronchi_simulate.params.augment import AugmentParams

__all__ = ["Augment"]

Array = NDArray[np.float64]

_SAMPLED = 16
"""Patterns that tell how many counts there are in one, and how bright the brightest pixel is."""

_COVARIANCE = ("var_yy", "var_yx", "var_xx")
_EDGE, _MASKED = 1, 8
"""Flags of ``peaks/1``."""


class Augment:
    """Makes ideal patterns look recorded."""

    def __init__(self, params: AugmentParams) -> None:
        self.params = params

    def augment_batch(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
        """Augment a batch for training: `ronchi_simulate.augment.chain.augment_batch` with these parameters."""
        return augment_batch(batch, seeds, self.params)

    def apply(self, *, data: xr.Dataset, ctx: Context, peaks: xr.Dataset | None = None) -> Result:
        """Augment a scan lazily: one instrument for all of it, noise and jitter of each position's own.

        Parameters
        ----------
        data : xarray.Dataset
            ``fourd/1``, best without noise; with a probe if the plasmon background is on.
        ctx : Context
        peaks : xarray.Dataset, optional
            ``peaks/1`` of the patterns, e.g. the true ones.

        Returns
        -------
        Result
            ``fourd/1`` as float32 with ``bad_pixel``, the probe that such an instrument would have recorded, the new
            ``dose``, and what was drawn as JSON in the attribute ``augmented``. The dose is the mean over the scan,
            whose contrast stays. The side ``peaks`` holds the peaks where they are now, with their covariances; those
            that left the detector are gone. Their flags, if they have any, tell which disks the border cuts, and which
            a gap or the beam stop hides in part. Their intensities stay.

        Raises
        ------
        DataError
            The plasmon background is on, and the data have no probe; they have bad pixels, or no counts.
        """
        _check(data)
        seed, stream = (int(number) for number in ctx.rng.integers(2**63, size=2))
        scan = _Scan.of(self.params, data, seed, stream, ctx.device)
        lazy = as_dask(data["intensity"])
        blocks = lazy.data.map_blocks(scan.augment, dtype=np.float32, meta=np.empty((0,) * 4, np.float32))
        kept = {name: value for name, value in data.attrs.items() if not name.startswith("q_distortion")}
        made = data.assign(
            intensity=lazy.copy(data=blocks),
            bad_pixel=variable(("qy", "qx"), scan.bad.astype("i1"), "1", "1 where the detector is bad"),
        )
        if scan.probe is not None:
            seen = scan.instrument.probe_seen(torch.from_numpy(scan.probe)[None])[0].numpy()
            made["probe"] = data["probe"].copy(data=seen)
        drawn = scan.instrument.draws
        made.attrs = {**kept, "augmented": _told(drawn)}
        if np.isfinite(drawn.dose_e[0]):
            made.attrs["dose"] = float(drawn.dose_e[0])
        return Result(fourd.validate(made), {} if peaks is None else {"peaks": scan.move(peaks)})


@dataclass(frozen=True)
class _Scan:
    """What a block needs: the instrument, and where the numbers of each position come from."""

    instrument: Instrument
    defects: Defects
    probe: NDArray[np.float32] | None
    gain: float
    brightest: float
    radius_px: Array
    stream: int
    width: int
    device: str

    @classmethod
    def of(cls, p: AugmentParams, data: xr.Dataset, seed: int, stream: int, device: str) -> _Scan:
        calibrated = fourd.q_units(data) == "1/angstrom"
        q_step = fourd.q_step(data) if calibrated else (p.q_step_inv_angstrom,) * 2
        instrument = Instrument(p, draw(p, [seed]), q_step, (data.sizes["qy"], data.sizes["qx"]))
        defects = instrument.defects([seed], torch.device("cpu"))
        mean = _mean_pattern(data["intensity"])
        dose = float(instrument.draws.dose_e[0])
        gain = dose / float(mean.sum()) if np.isfinite(dose) else 1.0
        probe = None
        if "probe" in data:
            probe = np.asarray(data["probe"].values, np.float32) * np.float32(gain)
        one = None if probe is None else torch.from_numpy(probe)[None]
        typical = instrument.expect(as_images(mean[None] * gain), one, np.zeros((1, 2)))
        brightest = float(typical.masked_fill(defects.bad, 0.0).max())
        # A disk of a size that is not known is a point.
        radius = (fourd.disk_radius_px(data) or 0.5) * np.sqrt(np.prod(q_step)) / q_step
        return cls(instrument, defects, probe, gain, brightest, radius, stream, data.sizes["scan_x"], device)

    @property
    def bad(self) -> NDArray[np.bool_]:
        bad: NDArray[np.bool_] = self.defects.bad[0].numpy()
        return bad

    def augment(self, block: NDArray[Any], block_info: Any = None) -> NDArray[np.float32]:
        """Augment a block (scan_y, scan_x, qy, qx)."""
        rows, columns = (np.arange(*span) for span in block_info[0]["array-location"][:2])
        seeds = self.seeds((rows[:, None] * self.width + columns).ravel())
        if np.isfinite(self.instrument.draws.dose_e[0]):
            check_means(block)
        frames = torch.from_numpy(np.multiply(block, self.gain, dtype=np.float32)).to(self.device).flatten(0, 1)
        probe = None if self.probe is None else torch.from_numpy(self.probe).to(self.device)[None]
        defects = self.defects.to(self.device)
        parts = []
        for at in in_parts(frames):
            here = frames[at]
            many = replace(self.instrument, draws=self.instrument.draws.repeat(len(here)))
            over_vacuum = None if probe is None else probe.expand_as(here)
            expected = many.expect(here, over_vacuum, draw_jitter(many.p, seeds[at]))
            parts.append(many.count(defects.on(expected, self.brightest), seeds[at]))
        made: NDArray[np.float32] = torch.cat(parts).cpu().numpy().reshape(block.shape)
        return made

    def seeds(self, positions: NDArray[np.int64]) -> list[int]:
        """One number for every flat position of the scan."""
        mixed = (np.random.SeedSequence((self.stream, int(at))).generate_state(1, np.uint64)[0] for at in positions)
        return [int(number >> np.uint64(1)) for number in mixed]

    def move(self, peaks: xr.Dataset) -> xr.Dataset:
        """Peaks at their new places."""
        counts = peaks["n_peaks"].values
        position = peaks["scan_y_index"].values.astype(np.int64) * self.width + peaks["scan_x_index"].values
        jitter = draw_jitter(self.instrument.p, self.seeds(position))
        at = np.stack(peaks_schema.pixels(peaks), 1)
        matrix, shift = self.instrument.map_of(np.zeros((1, 2)), torch.device("cpu"))
        moved = move_points(torch.from_numpy(at)[None], matrix, shift, self.instrument.shape)[0].numpy()
        moved += np.repeat(jitter, counts, axis=0)
        inside = ((moved > -0.5) & (moved < np.array(self.instrument.shape) - 0.5)).all(1)
        left = np.add.reduceat(np.append(inside, False), peaks_schema.offsets(peaks)[:-1]) * (counts > 0)
        step, origin = np.array(peaks.attrs["q_step"]), peaks.attrs["q_origin_px"]
        made, moved = peaks.isel(peak=np.flatnonzero(inside)), moved[inside]
        for axis, name in enumerate(("qy", "qx")):
            made[name] = made[name].copy(data=(moved[:, axis] - origin[axis]) * step[axis])
        linear = matrix[0].numpy()
        yy, yx, xx = (made[name].values for name in _COVARIANCE)
        in_q = linear * step[:, None] / step
        var = np.einsum("ij,jkn,lk->iln", in_q, np.array([[yy, yx], [yx, xx]]), in_q)
        for name, value in zip(_COVARIANCE, (var[0, 0], var[0, 1], var[1, 1]), strict=True):
            made[name] = made[name].copy(data=value.astype(made[name].dtype))
        if "flags" in made:
            made["flags"] = made["flags"].copy(data=made["flags"].values | self._cut_or_hidden(moved, linear))
        made["n_peaks"] = peaks["n_peaks"].copy(data=left.astype(np.int32))
        made.attrs = {name: value for name, value in made.attrs.items() if not name.startswith("q_distortion")}
        return peaks_schema.validate(made)

    def _cut_or_hidden(self, at: Array, linear: Array) -> NDArray[np.uint16]:
        """Flags (n,) of disks at (n, 2) px that the border cuts, and of those that a gap or the beam stop hides.

        A disk that was cut before lacks that part wherever it is moved to: old flags stay.
        """
        shape = np.array(self.instrument.shape)
        disk = linear * self.radius_px
        reach = np.linalg.norm(disk, axis=1)
        cut = ((at < reach - 0.5) | (at > shape - 0.5 - reach)).any(1)
        dark = shadows(self.instrument.draws, self.instrument.shape, self.instrument.q_step, torch.device("cpu"))[0]
        hidden = np.zeros(len(at), bool)
        if dark.any() and len(at):
            to_circle = np.linalg.inv(disk).T
            hidden = cKDTree(np.argwhere(dark.numpy()) @ to_circle).query(at @ to_circle)[0] < 1
        return np.where(cut, _EDGE, 0).astype(np.uint16) | np.where(hidden, _MASKED, 0).astype(np.uint16)


def _check(data: xr.Dataset) -> None:
    if "bad_pixel" in data and bool(data["bad_pixel"].any()):
        what = "the patterns have bad pixels already, which cannot be carried through a distortion"
        raise DataError(what, where="augment", fix="simulate without them: augment makes its own")


def _mean_pattern(intensity: xr.DataArray) -> NDArray[np.float64]:
    """Mean of evenly spread patterns. Raises `DataError`."""
    total = count_positions(intensity)
    places = np.unique(np.linspace(0, total - 1, min(_SAMPLED, total)).astype(int))
    mean = np.mean([read_block(intensity, at, at + 1)[0] for at in places.tolist()], axis=0, dtype=np.float64)
    if not mean.sum() > 0:
        raise DataError("the patterns hold no counts, or not finite ones", where="augment")
    return mean


def _told(drawn: Draws) -> str:
    """What was drawn for the scan, as JSON."""
    values = {f.name: getattr(drawn, f.name)[0].round(6).tolist() for f in fields(drawn)}
    if not np.isfinite(drawn.dose_e[0]):
        del values["dose_e"]
    return json.dumps(values)
