"""The probe over vacuum: from a region of the scan, from the central disk, or from a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.builtin.beam import direct_beam
from ronchi.builtin.filling import bad_mask
from ronchi.builtin.params_transforms import CropParams, ProbeParams
from ronchi.builtin.patterns import mean_and_variance
from ronchi.builtin.transforms_geometry import Crop
from ronchi.disk import measure_disk
from ronchi.errors import CalibrationError, DataError, ReadError
from ronchi.schema import fourd
from ronchi.schema.common import variable

__all__ = ["Probe", "cut_disk", "edge_radius", "is_halo"]

Array = NDArray[np.float64]


class Probe:
    """Stores the probe in the variable ``probe``."""

    def __init__(self, params: ProbeParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Measure or read the probe; it stays where it lies on the detector.

        Its attribute ``source`` says where it comes from. Where its centre of mass is goes to
        the log only: `calibrate` and `centre` change q, and would leave a stored one behind.

        Raises
        ------
        CalibrationError
            No disk stands out of the pattern, or of unknown radius only a halo.
        DataError
            The region is empty, or the probe has another shape than the patterns.
        ReadError
            The file holds no probe.
        """
        p = self.params
        if p.path is not None and p.method == "file":
            probe, source = _read(p.path), f"file {p.path.name}"
        elif p.method == "vacuum":
            region = Crop(CropParams.model_validate({"scan_y": p.scan_y, "scan_x": p.scan_x})).apply(data=data, ctx=ctx)
            probe, _, count = mean_and_variance(region, progress=ctx.progress)
            source = f"mean of {count} patterns over vacuum"
        else:
            mean = mean_and_variance(data, 1024, ctx.progress).mean
            known = p.radius_px or fourd.disk_radius_px(data)
            if known is None and is_halo(mean, bad_mask(data)):
                raise CalibrationError(
                    "the brightest spot of the mean pattern is a halo and no disk: a probe cut out of it would be too "
                    "wide",
                    where="probe",
                    fix="give `radius_px`, or beam energy and semiangle, or measure the probe over vacuum: "
                    "`method: vacuum`",
                )
            probe, radius = cut_disk(mean, known)
            source = f"central disk of the mean pattern, radius {radius:.2f} px"
        shape = (data.sizes["qy"], data.sizes["qx"])
        if probe.shape != shape:
            raise DataError(
                f"the probe has shape {probe.shape}, the patterns {shape}", where=source, fix="crop or bin it"
            )
        if not np.isfinite(probe).all() or probe.max() <= 0:
            raise CalibrationError("the probe is empty or not finite", where=source, fix="choose another region")
        weights = np.where(probe > 0.1 * probe.max(), probe, 0)
        centre = [
            float((weights * data[dim].values.reshape(side)).sum() / weights.sum())
            for dim, side in (("qy", (-1, 1)), ("qx", (1, -1)))
        ]
        ctx.log.info("%s, centred at q = (%.4g, %.4g) %s", source, *centre, fourd.q_units(data))
        made = variable(
            ("qy", "qx"), probe.astype(np.float32), "counts", "probe over vacuum", source=source,
        )  # fmt: skip
        return fourd.validate(data.assign(probe=made))


def is_halo(mean: Array, bad: NDArray[np.bool_]) -> bool:
    """Whether light falls off from the brightest place of a (qy, qx) pattern without an edge, as in `probe_shape`."""
    try:
        shape = measure_disk(mean, bad)
    except DataError:
        # Without any disk, such as one that fills half of the pattern, the search for its edge decides.
        return False
    return shape.edge_px > shape.radius_px


def _read(path: Path) -> Array:
    where = str(path)
    if path.suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ReadError(f"no .npy array of numbers: {error}", where=where, fix="save it with numpy.save") from error
        if array.ndim != 2:
            raise ReadError(f"a probe is 2-D, this array has shape {array.shape}", where=where, fix="save one pattern")
        return np.asarray(array, float)
    from ronchi.builtin.native import open_native

    with open_native(path).data as ds:
        if "probe" not in ds:
            raise ReadError(
                "the file holds no variable 'probe'", where=where, fix="run the transform `probe` on it first"
            )
        return np.asarray(ds["probe"].values, float)


def edge_radius(pattern: Array, centre: tuple[float, float]) -> float:
    """Radius in px at which the azimuthal mean around ``centre`` falls most steeply, in a (qy, qx) pattern.

    Raises
    ------
    CalibrationError
        The mean does not fall to half its value inside the pattern.
    """
    rows, columns = np.ogrid[: pattern.shape[0], : pattern.shape[1]]
    shell = np.rint(np.hypot(rows - centre[0], columns - centre[1])).astype(int).ravel()
    # Off the middle of a pixel, the innermost shell may be empty: the second one counts as the plateau too.
    shell = np.maximum(shell, 1)
    profile = np.bincount(shell, pattern.ravel())[1:] / np.bincount(shell)[1:]
    half = 0.5 * profile[0]
    below = np.flatnonzero(profile < half)
    if not len(below) or below[0] + 1 >= min(pattern.shape) / 2:
        raise CalibrationError("no disk stands out of the mean pattern", where="probe", fix="give `radius_px`")
    n = int(below[0])
    return float(n + (profile[n - 1] - half) / (profile[n - 1] - profile[n]))


def cut_disk(pattern: Array, radius: float | None) -> tuple[Array, float]:
    """Cut the direct beam out of a mean pattern.

    Parameters
    ----------
    pattern : (qy, qx) float64
    radius : float or None
        In px; from the fall of the azimuthal mean if None.

    Returns
    -------
    probe : (qy, qx) float64
        The disk above the median around it; 0 beyond 1.4 radii, with a cosine from 1.15.
    radius : float
    """
    centre = direct_beam(pattern, radius or min(pattern.shape) / 20)
    size = radius or edge_radius(pattern, centre)
    rows, columns = np.ogrid[: pattern.shape[0], : pattern.shape[1]]
    distance = np.hypot(rows - centre[0], columns - centre[1])
    inner, outer = 1.15 * size + 1, 1.4 * size + 2
    around = pattern[(distance > inner) & (distance <= outer)]
    level = float(np.median(around)) if around.size else 0.0
    fade = 0.5 * (1 + np.cos(math.pi * np.clip((distance - inner) / (outer - inner), 0, 1)))
    probe: Array = np.clip(pattern - level, 0, None) * fade
    return probe, size
