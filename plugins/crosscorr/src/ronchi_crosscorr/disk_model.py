"""The shape of a diffraction disk at any sub-pixel position, tabulated once a run.

A disk is the image of the aperture.  Its amplitude, not its intensity, is what a shift by a fraction of a pixel interpolates:
the wave at a reflection g is A(q - g), and the detector records |A(q - g)|^2.  A linear slope of the amplitude across the disk
(the rocking curve seen through the aperture) is tabulated beside it, since an unmodelled slope passes for a shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.errors import CalibrationError

__all__ = ["DiskModel", "make_disk_model"]

Array = NDArray[np.floating[Any]]

N_PHASES = 8
"""Tabulated positions a pixel; between them the tables are extended to first order."""

BACKGROUND_MARGIN_PX = 2.0
"""Width of the ring around the disk from which its background is found."""


@dataclass(frozen=True)
class DiskModel:
    """Tables of a disk and its slopes on the pixels of a round window.

    Attributes
    ----------
    radius_px : float
        Radius of the disk of the same area and height.
    offset_y, offset_x : (pixel,) int32
        Pixels of the window, relative to the pixel nearest to the disk's centre.
    table : ((N_PHASES + 1)**2, 9, pixel) float32
        Shape ``T``, slopes ``S_y, S_x``, and the derivatives of the three with the centre: ``T_y, T_x, S_yy, S_yx, S_xy, S_xx``
        (the second letter is the axis of the derivative).  Rows are centres ``(k / N_PHASES - 1/2)`` px off the pixel.
    area_px : float
        Sum of ``T`` whose plateau is about 1: intensity in counts = height times this.
    """

    radius_px: float
    offset_y: NDArray[np.int32]
    offset_x: NDArray[np.int32]
    table: NDArray[np.float32]
    area_px: float


def make_disk_model(
    probe: Array, *, centre_px: tuple[float, float] | None = None, margin_px: float = BACKGROUND_MARGIN_PX
) -> DiskModel:
    """Tabulate the disk of a probe measured (or computed) over vacuum.

    Parameters
    ----------
    probe : (qy, qx) array
        Intensity, any scale.
    centre_px : (y, x), optional
        Centre of the disk; its centre of mass by default.
    margin_px : float
        Width of the ring around the disk that the window includes.

    Raises
    ------
    CalibrationError
        The probe holds no disk.
    """
    probe = np.asarray(probe, dtype=np.float64)
    outside = np.median(probe)
    probe = np.clip(probe - outside, 0.0, None)
    height = _plateau(probe)
    inside = probe > 0.5 * height
    if height <= 0 or inside.sum() > probe.size // 4:
        raise CalibrationError(
            f"the probe has no disk on a dark ground (peak {height:g} above the median, {inside.mean():.0%} of it bright)",
            where="probe",
            fix="give the probe recorded over vacuum, or the semi-angle, from which one is computed",
        )
    rows, columns = np.nonzero(inside)
    radius = float(
        np.sqrt(
            probe[_near(probe, rows.mean(), columns.mean(), 2.0 * np.sqrt(len(rows) / np.pi) + 3.0)].sum()
            / (np.pi * height)
        )
    )
    near = _near(probe, rows.mean(), columns.mean(), radius + 2.5)
    weights = np.where(near, probe, 0.0)
    if centre_px is None:
        y, x = np.indices(probe.shape)
        centre_px = float((weights * y).sum() / weights.sum()), float((weights * x).sum() / weights.sum())
    half = int(np.ceil(radius + margin_px + 2.0))
    amplitude = np.sqrt(_cut(weights / height, centre_px, 2 * half))
    return _tabulate(amplitude, centre_px, radius, margin_px)


def _near(image: Array, y: float, x: float, radius: float) -> NDArray[np.bool_]:
    """Pixels within ``radius`` of (y, x)."""
    rows, columns = np.indices(image.shape)
    near: NDArray[np.bool_] = np.hypot(rows - y, columns - x) <= radius
    return near


def _plateau(probe: Array) -> float:
    """Height of the disk: the median of the pixels above half of the (nearly) brightest."""
    brightest = float(np.partition(probe, -4, axis=None)[-4])
    return float(np.median(probe[probe > 0.5 * brightest])) if brightest > 0 else 0.0


def _cut(image: Array, centre_px: tuple[float, float], half: int) -> Array:
    """Cut ``2 half`` pixels around the pixel nearest to the centre, zero beyond the frame."""
    y, x = int(round(centre_px[0])), int(round(centre_px[1]))
    padded = np.pad(image, half)
    return padded[y : y + 2 * half, x : x + 2 * half]


def _tabulate(amplitude: Array, centre_px: tuple[float, float], radius: float, margin_px: float) -> DiskModel:
    size = len(amplitude)
    fraction = [c - round(c) for c in centre_px]
    axis = np.arange(size) - size // 2
    v, u = np.meshgrid((axis - fraction[0]) / radius, (axis - fraction[1]) / radius, indexing="ij")
    reach = int(np.ceil(radius + margin_px))
    offsets = np.arange(-reach, reach + 1)
    offset_y, offset_x = np.meshgrid(offsets, offsets, indexing="ij")
    window = np.hypot(offset_y, offset_x) <= radius + margin_px
    phases = np.arange(N_PHASES + 1) / N_PHASES - 0.5
    # one row a phase and pixel: the value of the trigonometric interpolant there
    frequency = np.fft.fftfreq(size) * size
    spectra = [np.fft.fft2(np.fft.ifftshift(image)) / size**2 for image in (amplitude, amplitude * v, amplitude * u)]
    kernel = [
        np.exp(2j * np.pi / size * (offsets[None, :, None] - phases[:, None, None] + fraction[i]) * frequency)
        for i in (0, 1)
    ]
    slope = -2j * np.pi / size * frequency  # derivative with the centre

    def evaluate(spectrum: Any) -> Any:
        return np.einsum("aif,fg,bjg->abij", kernel[0], spectrum, kernel[1], optimize=True).real

    value, by_y, by_x = [], [], []
    for spectrum in spectra:
        value.append(evaluate(spectrum))
        by_y.append(evaluate(spectrum * slope[:, None]))
        by_x.append(evaluate(spectrum * slope[None, :]))
    a = value[0]
    table = np.stack(
        [a * a, a * value[1], a * value[2], 2 * a * by_y[0], 2 * a * by_x[0]]
        + [d[0] * s + a * d[k] for k, s in ((1, value[1]), (2, value[2])) for d in (by_y, by_x)],
        axis=2,
    )
    table = table[..., window].reshape(len(phases) ** 2, 9, -1)
    return DiskModel(
        radius_px=radius,
        offset_y=offset_y[window].astype(np.int32),
        offset_x=offset_x[window].astype(np.int32),
        table=np.ascontiguousarray(table, dtype=np.float32),
        area_px=float(table[:, 0].sum(-1).mean()),
    )
