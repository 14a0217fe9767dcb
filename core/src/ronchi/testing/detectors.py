"""Contract of disk detectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, PeakBatch
from ronchi.errors import RonchiError
from ronchi.pipeline.detect import geometry_of
from ronchi.testing import data as examples
from ronchi.testing.compare import result_difference
from ronchi.testing.detections import FLAT, PLACES, by_frame, guess, number_near, with_scale
from ronchi.testing.failure import ContractError, NotApplicable
from ronchi.testing.matching import match
from ronchi.testing.running import RunningContract
from ronchi.testing.variants import uneven
from ronchi.testing.workers import two_processes

__all__ = ["DiskDetectorContract"]

_DTYPES = {
    "counts": "i", "qy_px": "f", "qx_px": "f", "intensity": "f", "score": "f", "var_yy": "f", "var_yx": "f",
    "var_xx": "f", "flags": "u", "disk_counts": "f",
}  # fmt: skip
_NEAR_PX = 2.0
_CLAIMED_ERROR_PX = 0.3
_ORIGIN = "(0, 0) is the centre of the first pixel, so centres of pixels are whole numbers: look for half a pixel"
_CLIP = "what a refinement moves out of the frame is kept inside"
_TYPE = "convert it: `.astype(…)`"
_COUNTS = "one number a frame, int32, 0 where there is no disk: np.bincount(frame_of_peak, minlength=len(frames))"
_FILL = "fill pixels where geometry.bad_pixel is True: ronchi.bad_pixels.BadPixelFill"
_LOOK = (
    "those that it finds are right: lower the threshold; `ronchi.testing.data.disk_patterns()` makes these patterns, "
    "and the true disks as the side `truth_peaks`"
)


class DiskDetectorContract(RunningContract):
    """Contract of a disk detector.

    Attributes
    ----------
    max_offset_px : float
        Largest distance, on average over all disks and with its sign, along y and along x, in px.
    max_error_px : float
        Largest RMS distance of the disks found from the true ones, along y and x together, in px. A detector that
        claims ``subpixel`` is held to 0.3 at most.
    min_recall : float
        Smallest part of the true disks, whole and not overlapping, that must be found.
    min_precision : float
        Smallest part of the disks found that must be near a true one.
    """

    kind = "disk_detector"
    min_checks = 18
    max_offset_px: ClassVar[float] = 0.2
    max_error_px: ClassVar[float] = 1.0
    min_recall: ClassVar[float] = 0.8
    min_precision: ClassVar[float] = 0.8

    def inputs(self) -> Mapping[str, xr.Dataset]:
        """Patterns with known disks; override with others, and `truth` with them."""
        return {"data": examples.disk_patterns().data}

    def truth(self) -> xr.Dataset:
        """``peaks/1`` truth of `inputs`."""
        return examples.disk_patterns().sides["truth_peaks"]

    def check_disks_are_found_where_they_are(self, params: Mapping[str, Any]) -> None:
        """Disks are found, at (row, column) in px, as exactly as promised, and little else is."""
        found, truth = self.usual(params).data, self.truth()
        got = match(found, truth, _NEAR_PX)
        if got.recall < self.min_recall:
            reason, fix = guess(found, truth, got, _NEAR_PX)
            places_are_right = not reason and got.n_found and got.precision >= self.min_precision
            raise ContractError(
                f"{got.recall:.0%} of the true disks are found within {_NEAR_PX} px, at least {self.min_recall:.0%} "
                f"have to be ({got.n_found} found, {got.n_true} true){reason}",
                where=self._code(params),
                fix=_LOOK if places_are_right else fix,
            )
        if got.precision < self.min_precision:
            raise ContractError(
                f"{1 - got.precision:.0%} of the {got.n_found} disks found are not near any true one",
                where=self._code(params),
                fix="raise the threshold, or set `min_precision` if this is how the detector is",
            )
        if not max(abs(got.mean_y), abs(got.mean_x)) <= self.max_offset_px:
            raise ContractError(
                f"disks are off by {got.mean_y:+.2f} px in y and {got.mean_x:+.2f} in x on average, "
                f"allowed: {self.max_offset_px:g}",
                where=self._code(params),
                fix=_ORIGIN,
            )
        limit = min(self.max_error_px, _CLAIMED_ERROR_PX) if self._claims("subpixel") else self.max_error_px
        if got.rms_px > limit:
            otherwise = "take `subpixel` off the capabilities" if self._claims("subpixel") else "set `max_error_px`"
            raise ContractError(
                f"disks are off by {got.rms_px:.2f} px (RMS; mean {got.mean_y:+.2f} in y, {got.mean_x:+.2f} in x), "
                f"allowed: {limit:g}",
                where=self._code(params),
                fix=f"the average is right, single disks are not: refine them, or {otherwise}",
            )

    def check_arrays_fit_together(self, params: Mapping[str, Any]) -> None:
        """`detect` returns a PeakBatch of flat arrays of the promised types, inside the frame, with finite numbers."""
        frames = self._frames()
        batch = self._prepared(params).detect(frames)  # the last frame is empty
        if not isinstance(batch, PeakBatch):
            raise ContractError(
                f"detect() returned {type(batch).__name__}", where=self._code(params), fix="return ronchi.api.PeakBatch"
            )
        total = int(np.sum(batch.counts))
        for field in dataclasses.fields(PeakBatch):
            values = np.asarray(getattr(batch, field.name))
            wanted = (len(frames),) if field.name == "counts" else (total,)
            if values.shape != wanted or values.dtype.kind != _DTYPES[field.name]:
                raise ContractError(
                    f"{field.name!r} is {values.dtype} of shape {values.shape}, expected "
                    f"{PeakBatch.__annotations__[field.name]} of shape {wanted}",
                    where=self._code(params),
                    fix=_COUNTS if field.name == "counts" else FLAT if values.shape != wanted else _TYPE,
                )
            unknown = np.isnan(values) if field.name == "disk_counts" else False
            if values.dtype.kind == "f" and not (np.isfinite(values) | unknown).all():
                raise ContractError(f"{field.name!r} holds NaN or infinity", where=self._code(params))
        for name, size in (("qy_px", frames.shape[1]), ("qx_px", frames.shape[2])):
            values = getattr(batch, name)
            if total and not (values.min() > -1 and values.max() < size):
                raise ContractError(
                    f"{name!r} is {values.min():.1f} to {values.max():.1f}, the frame has {size} there",
                    where=self._code(params),
                    fix=PLACES if values.min() < -_NEAR_PX or values.max() > size + _NEAR_PX else f"{_ORIGIN}; {_CLIP}",
                )
        if (batch.var_yy <= 0).any() or (batch.var_xx <= 0).any():
            raise ContractError(
                "a variance is not positive: a solver would weight that peak without bound",
                where=self._code(params),
                fix="give an estimate in px^2, or 1 where there is none",
            )

    def check_frames_do_not_depend_on_each_other(self, params: Mapping[str, Any]) -> None:
        """Frames one by one, in another order, or in other blocks give the same disks."""
        given = {**self._example(), "data": self._uneven()}
        whole = with_scale(self.run(params, given))
        for block in (1, 5):
            differs = result_difference(with_scale(self.run(params, given, block=block)), whole, rtol=1e-6)
            if differs:
                raise ContractError(
                    f"blocks of {block} frames give other disks than one block, of which one frame is 100 times as "
                    f"bright as the others, and the last one empty: {differs}",
                    where=self._code(params),
                    fix="take each frame, and its threshold, from that frame alone; keep what all share for prepare()",
                )
        frames = self._frames()
        detector = self._prepared(params)
        forth = by_frame(detector.detect(frames))
        back = by_frame(detector.detect(frames[::-1].copy()))[::-1]
        for i, (a, b) in enumerate(zip(forth, back, strict=True)):
            if a.shape != b.shape or not np.allclose(a, b, rtol=1e-6, atol=1e-6):
                raise ContractError(
                    f"frame {i} has {len(a)} disks when it comes {i + 1}. and {len(b)} disks, or other ones, when the "
                    "frames come in reverse order",
                    where=self._code(params),
                    fix="keep nothing of one frame for the next",
                )

    def check_processes_give_the_same_result(self, params: Mapping[str, Any]) -> None:
        """Worker processes find the same disks, bit for bit."""
        given = dict(self._example())
        with two_processes() as executor:
            result = self.subject.run(params, given, block=5, executor=executor)
        differs = result_difference(result, self.run(params, block=5))
        if differs:
            raise ContractError(
                f"worker processes give other disks: {differs}",
                where=self._code(params),
                fix="keep all state in the object that the factory makes; none in modules, files or the environment",
            )

    def check_frames_without_disks_have_none(self, params: Mapping[str, Any]) -> None:
        """Frames of zeros and of a constant hold no disk, beside frames that do; the last one is such a frame, too."""
        given = dict(self._example())
        spoilt = given["data"].copy(deep=True)
        spoilt["intensity"].values[0, 0] = 0
        spoilt["intensity"].values[1, 1] = 40
        spoilt["intensity"].values[-1, -1] = 0
        counts = (
            self.run(params, {**given, "data": spoilt})
            .data["n_peaks"]
            .values.reshape(spoilt.sizes["scan_y"], spoilt.sizes["scan_x"])
        )
        of_zeros = counts[0, 0] + counts[-1, -1]
        if of_zeros or counts[1, 1]:
            raise ContractError(
                f"{of_zeros} disks in frames of zeros, {counts[1, 1]} in a frame that is 40 everywhere",
                where=self._code(params),
                fix="ask for a contrast above the background before a maximum counts as a disk",
            )

    def check_frames_of_any_shape_are_taken(self, params: Mapping[str, Any]) -> None:
        """Frames with odd numbers of rows and columns, wider than high, and a scan of one position are taken."""
        scan = examples.disk_patterns(scan_shape=(1, 1), pattern_shape=(53, 75), seed=3)
        got = match(self.run(params, {"data": scan.data}).data, scan.sides["truth_peaks"], _NEAR_PX)
        if got.recall < self.min_recall:
            raise ContractError(
                f"{got.recall:.0%} of the disks are found in a frame of 53 x 75 px, {self._usual_recall(params):.0%} "
                "in those of the example",
                where=self._code(params),
                fix="take the number of rows from shape[1] and that of columns from shape[2]",
            )

    def check_bad_pixels_are_no_disks(self, params: Mapping[str, Any]) -> None:
        """A hot pixel that is marked in `bad_pixel` makes no disk, and those elsewhere stay."""
        given = dict(self._example())
        data = given["data"].copy(deep=True)
        hot = (5, data.sizes["qx"] - 6)
        mask = np.zeros((data.sizes["qy"], data.sizes["qx"]), np.int8)
        mask[hot] = 1
        data["intensity"].values[..., hot[0], hot[1]] = 100 * float(data["intensity"].max())
        data["bad_pixel"] = xr.Variable(("qy", "qx"), mask, {"units": "1", "long_name": "1 where the detector is bad"})
        found = self.run(params, {**given, "data": data}).data
        at_hot, usual = (number_near(disks, hot) for disks in (found, self.usual(params).data))
        if at_hot > usual:
            raise ContractError(
                f"a hot pixel at {hot}, marked as bad, is found as a disk {at_hot - usual} times",
                where=self._code(params),
                fix=_FILL,
            )
        recall = match(found, self.truth(), _NEAR_PX).recall
        if recall < self.min_recall:
            raise ContractError(
                f"beside a marked hot pixel {recall:.0%} of the disks are found, {self._usual_recall(params):.0%} "
                "without it",
                where=self._code(params),
                fix=_FILL,
            )

    def check_not_finite_patterns_are_refused_or_left_out(self, params: Mapping[str, Any]) -> None:
        """NaN in a pattern raises a RonchiError, and positions with `valid` 0 have no disks and change nothing."""
        data = self._example()["data"].copy(deep=True)
        data["intensity"].values[1, 2, 10:12, 7] = np.nan
        try:
            self.run(params, {"data": data})
        except RonchiError:
            pass
        else:
            raise ContractError("a pattern with NaN is taken in silence", where=self._code(params))
        mask = np.ones((data.sizes["scan_y"], data.sizes["scan_x"]), np.int8)
        mask[1, 2] = 0
        data["valid"] = xr.Variable(("scan_y", "scan_x"), mask, {"units": "1", "long_name": "1 where recorded"})
        counts = self.run(params, {"data": data}).data["n_peaks"].values
        index = 1 * data.sizes["scan_x"] + 2
        if counts[index] or not counts.sum():
            raise ContractError(
                "a position with `valid` 0 has disks, or hides those of others", where=self._code(params)
            )

    def check_stated_errors_are_of_the_right_size(self, params: Mapping[str, Any]) -> None:
        """Where `variance` is claimed, true errors are neither far larger nor far smaller than those stated."""
        if not self._claims("variance"):
            raise NotApplicable("the spec does not claim `variance`")
        ratio = match(self.usual(params).data, self.truth(), _NEAR_PX).pull
        if not 0.2 < ratio < 5:
            raise ContractError(
                f"errors are {ratio:.2g} times those stated (robust mean over both axes)",
                where=self._code(params),
                fix="var_yy, var_yx and var_xx are variances in px^2",
            )

    def _usual_recall(self, params: Mapping[str, Any]) -> float:
        return match(self.usual(params).data, self.truth(), _NEAR_PX).recall

    def _claims(self, word: str) -> bool:
        return word in self.subject.spec.capabilities

    def _uneven(self) -> xr.Dataset:
        return uneven(self._example()["data"])

    def _frames(self) -> NDArray[Any]:
        intensity: NDArray[Any] = self._uneven()["intensity"].values
        return intensity.reshape(-1, *intensity.shape[2:])

    def _prepared(self, params: Mapping[str, Any]) -> Any:
        data = self._uneven()
        detector = self.subject.create(params)
        probe = data["probe"].values.astype(np.float32) if "probe" in data else None
        detector.prepare(geometry_of(data), probe, Context(rng=np.random.default_rng(0)))
        return detector
