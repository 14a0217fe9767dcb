"""Disk detectors of other programs: settings out, frames out, peaks in, all conventions mapped to ronchi's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context, Geometry, PeakBatch
from ronchi.bad_pixels import BadPixelFill
from ronchi.disk import ProbeShape, offsets_px, probe_shape, without_bad_pixels
from ronchi_peers.params import BlobfinderParams, DetectorParams, Py4dstemParams, PyxemParams
from ronchi_peers.program import PeerProgram

__all__ = ["Blobfinder", "PeerDetector", "Py4dstem", "Pyxem"]

NOT_STATED_PX2 = 1.0
"""Variance of positions whose program states none: all the same."""


class PeerDetector(PeerProgram):
    """What the detectors have in common: a child process that is told everything once, and then gets frames."""

    params: DetectorParams

    def prepare(self, geometry: Geometry, probe: NDArray[Any] | None, ctx: Context) -> None:
        """Start the program and tell it the settings.

        Raises
        ------
        DataError
            There is no environment, it has another version, or the size of the disks is unknown.
        """
        bad = geometry.bad_pixel
        self._fill = BadPixelFill(bad) if bad is not None and bad.any() else None
        if probe is not None:
            probe = without_bad_pixels(probe, bad)
        shape = probe_shape(geometry, probe, self.params.probe_radius_px, ctx.log)
        if probe is None:
            probe = _soft_disk(geometry.shape, shape)
        mean = geometry.mean_pattern
        mean = np.zeros(geometry.shape, np.float32) if mean is None else without_bad_pixels(mean, bad)
        arrays = {"probe": np.asarray(probe, np.float32), "mean": np.asarray(mean, np.float32)}
        self._peer = self.started(self.settings(shape), arrays, ctx.n_threads)

    def settings(self, shape: ProbeShape) -> dict[str, Any]:
        """What the child's `start` is told, in its program's terms and in px."""
        raise NotImplementedError

    def detect(self, frames: NDArray[Any]) -> PeakBatch:
        """Find the disks of ``frames`` (n, qy, qx), any real dtype.

        Raises
        ------
        DataError
            The program failed.
        """
        # None of the programs knows bad pixels.
        given = np.asarray(frames, np.float32) if self._fill is None else self._fill(frames)
        _, found = self._peer.ask({"verb": "detect"}, {"frames": given})
        n = len(found["y"])
        intensity = found["intensity"].astype(np.float32)
        variance, zero = np.full(n, NOT_STATED_PX2, np.float32), np.zeros(n, np.float32)
        return PeakBatch(
            counts=found["counts"].astype(np.int32),
            qy_px=found["y"].astype(np.float64),
            qx_px=found["x"].astype(np.float64),
            intensity=intensity,
            # They give one number for how sure they are and how bright a disk is.
            score=intensity,
            var_yy=variance,
            var_yx=zero,
            var_xx=variance,
            flags=np.zeros(n, np.uint16),
        )


class Py4dstem(PeerDetector):
    """`find_Bragg_disks` of py4DSTEM."""

    environment = "py4dstem"
    script = "py4dstem_disks.py"
    params: Py4dstemParams

    def settings(self, shape: ProbeShape) -> dict[str, Any]:
        """Kernel and arguments of `find_Bragg_disks`."""
        p, r = self.params, shape.radius_px
        kernel: dict[str, Any] = {"mode": p.kernel}
        if p.kernel == "sigmoid":
            kernel["radii"] = [p.kernel_radii[0] * r, p.kernel_radii[1] * r]
        find = {
            "corrPower": p.corr_power,
            "sigma_cc": p.sigma_cc_px,
            "subpixel": p.subpixel,
            "upsample_factor": p.upsample_factor,
            "minAbsoluteIntensity": 0,
            "minRelativeIntensity": p.min_relative,
            "minPeakSpacing": p.min_spacing * r,
            "edgeBoundary": round(p.edge * r),
            "maxNumPeaks": p.max_peaks,
        }
        return {"centre_px": shape.centre_px, "kernel": kernel, "find": find}


class Blobfinder(PeerDetector):
    """`process_frames_fast` of LiberTEM-blobfinder."""

    environment = "libertem"
    script = "blobfinder_disks.py"
    params: BlobfinderParams

    def settings(self, shape: ProbeShape) -> dict[str, Any]:
        """Match pattern and number of peaks."""
        p, r = self.params, shape.radius_px
        return {
            "pattern": p.pattern,
            "radius_px": r,
            "search_px": p.search * r,
            "num_peaks": p.num_peaks,
            "upsample": p.upsample,
            "min_elevation": p.min_elevation,
        }


class Pyxem(PeerDetector):
    """`template_match_disk` of pyxem."""

    environment = "pyxem"
    script = "pyxem_disks.py"
    params: PyxemParams

    def settings(self, shape: ProbeShape) -> dict[str, Any]:
        """Disk, thresholds and refinement, in whole px, which is what it takes."""
        p, r = self.params, shape.radius_px
        disk_r = max(1, round(r))
        refine: dict[str, Any] = {}
        if p.refine == "center-of-mass":
            refine = {"method": p.refine, "square_size": 2 * disk_r}
        elif p.refine == "cross-correlation":
            # An even side that holds the disk and its surroundings.
            side = 2 * round(1.8 * r)
            refine = {
                "method": p.refine, "square_size": side, "disk_r": disk_r, "upsample_factor": p.upsample_factor
            }  # fmt: skip
        find = {
            "min_distance": max(1, round(p.min_distance * r)),
            "threshold_abs": p.threshold,
            "exclude_border": round(p.edge * r),
        }
        return {"disk_r": disk_r, "find": find, "refine": refine}


def _soft_disk(shape: tuple[int, int], disk: ProbeShape) -> NDArray[np.float32]:
    """(qy, qx) probe where none was measured: a disk with a logistic edge."""
    rho = np.hypot(*offsets_px(shape, disk.centre_px))
    soft: NDArray[np.float32] = (1 / (1 + np.exp(np.clip((rho - disk.radius_px) / disk.edge_px, -50, 50)))).astype("f4")
    return soft
