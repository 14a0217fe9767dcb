"""The probe as the networks see it: its disk alone, in the middle of a frame of the size of the patterns."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError, Geometry
from ronchi.disk import ProbeShape, centred_probe, offsets_px, probe_shape, without_bad_pixels

__all__ = ["probe_template"]


def probe_template(
    geometry: Geometry,
    probe: NDArray[Any] | None,
    radius_px: float | None = None,
    log: logging.Logger | None = None,
) -> tuple[NDArray[np.float32], ProbeShape]:
    """Template (qy, qx), centred at N // 2, and size and place of the disk in the frame of the probe.

    Parameters
    ----------
    geometry : Geometry
        Of the patterns.
    probe : (qy, qx) array or None
        Probe over vacuum, anywhere in a frame of any size, at the pixel size of the patterns; without one a soft disk
        of the calibrated radius.
    radius_px : float, optional
        Used instead of the radius that is measured or calibrated.
    log : logging.Logger, optional
        Is told the shape of the disk and where it comes from.

    Raises
    ------
    DataError
        The size of the disks cannot be known, or they do not fit into the patterns.
    """
    bad = geometry.bad_pixel
    if probe is not None:
        if probe.ndim != 2:
            what = f"the probe has the shape {probe.shape}"
            raise DataError(what, where="probe", fix="give one image, (qy, qx)")
        probe = without_bad_pixels(probe, bad)
    if geometry.mean_pattern is not None:
        geometry = replace(geometry, mean_pattern=without_bad_pixels(geometry.mean_pattern, bad))
    shape = probe_shape(geometry, probe, radius_px, log)
    if 2 * shape.radius_px >= min(geometry.shape):
        raise DataError(
            f"a disk of radius {shape.radius_px:.1f} px does not fit into a pattern of {geometry.shape}",
            where="probe",
            fix="give the probe of this data set at the pixel size of its patterns, or `probe_radius_px`",
        )
    if probe is None:
        rho = np.hypot(*offsets_px(geometry.shape, (geometry.shape[0] // 2, geometry.shape[1] // 2)))
        made = 1 / (1 + np.exp(np.clip((rho - shape.radius_px) / shape.edge_px, -50, 50)))
    else:
        made = centred_probe(np.asarray(probe, np.float64), shape, geometry.shape)
    return made.astype(np.float32), shape
