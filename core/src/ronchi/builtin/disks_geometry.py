"""Where the disks of an analytic scan lie, and what one looks like: no rounding to pixels anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.builtin.ellipse import ellipse_matrix
from ronchi.builtin.params_disks import DisksParams
from ronchi.optics import wavelength_angstrom

__all__ = ["Geometry", "deformation_gradient"]

Array = NDArray[np.float64]
_EDGES = 12.0
"""The disk is cut this many edge widths outside its radius: 6e-6 of its height."""


def deformation_gradient(e_xx: Any, e_yy: Any, e_xy: Any, theta: Any) -> Array:
    """F = R(theta) (I + e) in (y, x) order of rows and columns.

    Parameters
    ----------
    e_xx, e_yy, e_xy, theta : (...) float
        Biot strain and rotation in rad; theta > 0 turns x towards y.

    Returns
    -------
    (..., 2, 2) float64
    """
    c, s = np.cos(theta), np.sin(theta)
    rotation = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2)
    xx, yy, xy = np.broadcast_arrays(1.0 + np.asarray(e_xx), 1.0 + np.asarray(e_yy), np.asarray(e_xy, float))
    stretch = np.stack([np.stack([yy, xy], -1), np.stack([xy, xx], -1)], -2)
    product: Array = rotation @ stretch
    return product


class Geometry:
    """Detector frame: q in 1/angstrom, (y, x) order, px = q / step + centre."""

    def __init__(self, p: DisksParams) -> None:
        self.p = p
        self.step = np.asarray(p.q_step_inv_angstrom)
        self.mean_step = float(np.sqrt(self.step.prod()))
        self.centre = p.centre_px or (p.pattern_shape[0] // 2, p.pattern_shape[1] // 2)
        self.to_true = ellipse_matrix(p.ellipse_ratio, np.deg2rad(p.ellipse_angle_deg))
        self.to_measured = np.linalg.inv(self.to_true)
        self.semiangle_mrad = p.radius_px * self.mean_step * wavelength_angstrom(p.beam_energy_eV) * 1e3

    def lattice(self, components: Mapping[str, Array]) -> Array:
        """(scan_y, scan_x, 2, 2) measured vectors in px, g1 and g2 as columns."""
        turn = np.deg2rad(self.p.scan_rotation_deg)
        c, s = np.cos(turn), np.sin(turn)
        scan_to_detector = np.array([[c, s], [-s, c]])
        deformation = scan_to_detector @ deformation_gradient(**components) @ scan_to_detector.T
        reference = np.array([self.p.g1_px, self.p.g2_px]).T * self.step[:, None]
        strained = np.linalg.inv(deformation).swapaxes(-1, -2) @ reference
        vectors: Array = self.to_measured @ strained / self.step[:, None]
        return vectors

    def origins(self) -> Array:
        """(scan_y, scan_x, 2) beam position in px."""
        axes = [np.linspace(-0.5, 0.5, n) if n > 1 else np.zeros(1) for n in self.p.scan_shape]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        drift: Array = grid * self.p.descan_px + self.centre
        return drift

    def disk(self, dy: Array, dx: Array) -> Array:
        """Soft disk of height 1 at pixel offsets from its centre."""
        q = np.stack([dy * self.step[0], dx * self.step[1]], -1) @ self.to_true.T
        r = np.hypot(q[..., 0], q[..., 1]) / self.mean_step
        soft: Array = 1.0 / (1.0 + np.exp(np.minimum((r - self.p.radius_px) / self.p.edge_px, 700.0)))
        return soft

    @property
    def area_px(self) -> float:
        """Integral of the disk, to the exponentially small tail at its centre."""
        p = self.p
        return float(np.pi * (p.radius_px**2 + (np.pi * p.edge_px) ** 2 / 3))

    @property
    def reach_px(self) -> int:
        """Half-width of the window that a disk is drawn in."""
        stretch = np.sqrt(self.p.ellipse_ratio) * self.mean_step / self.step.min()
        return int(np.ceil((self.p.radius_px + _EDGES * self.p.edge_px) * stretch)) + 1

    def probe(self) -> Array:
        """Probe over vacuum, in electrons at the dose of a pattern."""
        rows, columns = (np.arange(n) - c for n, c in zip(self.p.pattern_shape, self.centre, strict=True))
        return self.disk(*np.meshgrid(rows, columns, indexing="ij")) * (self.p.dose_e / self.area_px)

    def background(self) -> Array:
        """Lorentzian around the centre, with a half-width of three disk radii, summing to 1."""
        rows, columns = (np.arange(n) - c for n, c in zip(self.p.pattern_shape, self.centre, strict=True))
        squared = (rows[:, None] ** 2 + columns**2) / (3 * self.p.radius_px) ** 2
        return 1.0 / (1.0 + squared) / (1.0 / (1.0 + squared)).sum()
