"""What the compact detector should have said: maps made of lists of lattice points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ronchi_fcunet.compact import STRIDE_PX

__all__ = ["IGNORED_AMPLITUDE", "LEAST_AMPLITUDE", "Targets", "make_targets"]

LEAST_AMPLITUDE = 0.03
"""Structure factor, over the largest of the pattern, above which a lattice point is to be found."""
IGNORED_AMPLITUDE = 0.005
"""Between this and `LEAST_AMPLITUDE` neither a find nor its absence is wrong."""


@dataclass(frozen=True)
class Targets:
    """Truth for a batch, maps (n, cy, cx).

    Parameters
    ----------
    present : Tensor of bool
        A disk to be found has its centre in the cell.
    counted : Tensor of bool
        False: the cell may say what it likes.
    offset_px : (n, 2, cy, cx) Tensor
        Centre relative to that of the cell, (y, x).
    amplitude : Tensor
        Structure factor over the largest of the pattern.
    """

    present: Tensor
    counted: Tensor
    offset_px: Tensor
    amplitude: Tensor

    def to(self, device: torch.device) -> Targets:
        """The same on a device."""
        return Targets(*(getattr(self, name).to(device) for name in ("present", "counted", "offset_px", "amplitude")))


def make_targets(points: Tensor, shape: tuple[int, int], visible: Tensor | None = None) -> Targets:
    """Put lattice points onto the cells of patterns.

    Parameters
    ----------
    points : (m, 4) float32 Tensor
        Pattern, y and x in px, structure factor over the largest of its pattern; the direct beam is among them,
        with 1. Of two in one cell the stronger is kept.
    shape : tuple of int
        Sides of a pattern.
    visible : (n, qy, qx) bool Tensor, optional
        False where the detector is covered: what lies there is not counted.
    """
    n = int(points[:, 0].max()) + 1 if visible is None else len(visible)
    cells = tuple(-(-side // STRIDE_PX) for side in shape)
    made = Targets(
        present=torch.zeros(n, *cells, dtype=torch.bool),
        counted=torch.ones(n, *cells, dtype=torch.bool),
        offset_px=torch.zeros(n, 2, *cells),
        amplitude=torch.zeros(n, *cells),
    )
    cell = torch.floor((points[:, 1:3] + 0.5) / STRIDE_PX).long()
    inside = ((cell >= 0) & (cell < torch.tensor(cells))).all(1)
    order = torch.argsort(points[inside, 3])
    points, cell = points[inside][order], cell[inside][order]
    pattern = points[:, 0].long()
    faint = points[:, 3] < LEAST_AMPLITUDE
    ignored = faint & (points[:, 3] >= IGNORED_AMPLITUDE)
    made.counted[pattern[ignored], cell[ignored, 0], cell[ignored, 1]] = False
    points, cell, pattern = points[~faint], cell[~faint], pattern[~faint]
    # In ascending order the strongest of a cell is written last.
    y, x = cell.unbind(1)
    made.present[pattern, y, x] = made.counted[pattern, y, x] = True
    made.amplitude[pattern, y, x] = points[:, 3]
    made.offset_px[pattern, :, y, x] = points[:, 1:3] - (STRIDE_PX * cell + (STRIDE_PX - 1) / 2)
    if visible is not None:
        made.counted[...] &= visible[:, ::STRIDE_PX, ::STRIDE_PX][:, : cells[0], : cells[1]]
    return made
