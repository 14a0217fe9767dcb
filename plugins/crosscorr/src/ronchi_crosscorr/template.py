"""The template: what a disk looks like, measured on the probe or computed from its radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi.disk import ProbeShape, centred_probe, offsets_px

__all__ = ["Template"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Template:
    """What the patterns are correlated with.

    Parameters
    ----------
    kind : {"measured", "disk", "edge", "radial-gradient"}
    shape : ProbeShape
    probe : (qy, qx) array or None
        Needed for ``measured``.
    ellipse : tuple of float
        Long over short axis of a computed template, and direction of the long axis in degrees from x towards y.
    """

    kind: str
    shape: ProbeShape
    probe: NDArray[Any] | None = None
    ellipse: tuple[float, float] = (1.0, 0.0)

    def kernel(self, frame: tuple[int, int]) -> Array:
        """Template on a frame, its centre at pixel ``(N // 2, N // 2)``.

        Returns
        -------
        kernel : (rows, columns) float64 array
            Sum 1 for ``measured`` and ``disk``; sum 0 for the others.

        Raises
        ------
        DataError
            ``measured`` without a probe.
        """
        if self.kind == "measured":
            if self.probe is None:
                raise DataError("the template 'measured' needs a probe", fix="give one, or use template: disk")
            return centred_probe(np.asarray(self.probe, np.float64), self.shape, frame)
        rho = _elliptical_radius(frame, (frame[0] // 2, frame[1] // 2), *self.ellipse)
        radius, edge = self.shape.radius_px, self.shape.edge_px
        disk = 1 / (1 + np.exp(np.clip((rho - radius) / edge, -50, 50)))
        if self.kind == "disk":
            return np.asarray(disk / disk.sum())
        positive = disk if self.kind == "edge" else disk * (rho / radius)
        width = max(0.5 * radius, 1.5)
        trench = np.where((rho > radius) & (rho < radius + width), np.sin(np.pi * (rho - radius) / width) ** 2, 0)
        return np.asarray(positive / positive.sum() - trench / trench.sum())


def _elliptical_radius(frame: tuple[int, int], centre: tuple[int, int], ratio: float, angle_deg: float) -> Array:
    dy, dx = offsets_px(frame, (float(centre[0]), float(centre[1])))
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    return np.asarray(np.hypot(along / np.sqrt(ratio), across * np.sqrt(ratio)))
