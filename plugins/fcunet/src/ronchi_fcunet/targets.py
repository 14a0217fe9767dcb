"""What the compact detector should have said: maps made of lists of lattice points."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from ronchi_fcunet.maps import STRIDE_PX

__all__ = ["IGNORED_AMPLITUDE", "LEAST_AMPLITUDE", "Targets", "make_targets"]

LEAST_AMPLITUDE = 0.03
"""Structure factor, over the largest of the pattern, above which a lattice point is to be found."""
IGNORED_AMPLITUDE = 0.005
"""Between this and `LEAST_AMPLITUDE` neither a find nor its absence is wrong, but what it says of the strength is."""
_NEAR_PX = 1.5
"""A cell whose middle is closer than this to a disk may claim it: noise decides on which side of a border it lies."""


@dataclass(frozen=True)
class Targets:
    """Truth for a batch, maps (n, cy, cx).

    Parameters
    ----------
    present : Tensor of bool
        A disk to be found has its centre in the cell.
    near : Tensor of bool
        One is in the cell or close to it: its offset is asked for.
    weighed : Tensor of bool
        That one, or a fainter lattice point, is there: the amplitude is asked for. A detector that never learned how
        weak the faint ones are would say that they are as strong as the weakest to be found.
    counted : Tensor of bool
        Whether the cell is asked if there is a disk.
    offset_px : (n, 2, cy, cx) Tensor
        Nearest of those disks relative to the middle of the cell, (y, x).
    amplitude : Tensor
        Structure factor over the largest of the pattern, of what is weighed.
    lit : Tensor of bool
        Of what is near, whether its disk is lit.
    """

    present: Tensor
    near: Tensor
    weighed: Tensor
    counted: Tensor
    offset_px: Tensor
    amplitude: Tensor
    lit: Tensor

    def to(self, device: torch.device) -> Targets:
        """The same on a device."""
        return Targets(*(getattr(self, f.name).to(device) for f in fields(Targets)))


def _first_of_each(pattern: Tensor, cell: Tensor, rank: Tensor, cells: tuple[int, int]) -> Tensor:
    """Rows of lowest rank, one a cell."""
    flat = (pattern * cells[0] + cell[:, 0]) * cells[1] + cell[:, 1]
    by_rank = np.argsort(rank.numpy(), kind="stable")
    _, first = np.unique(flat.numpy()[by_rank], return_index=True)
    return torch.from_numpy(by_rank[first])


def make_targets(points: Tensor, visible: Tensor) -> Targets:
    """Put lattice points onto the cells of patterns.

    Parameters
    ----------
    points : (m, 5) float32 Tensor
        Pattern, y and x in px, structure factor over the largest of its pattern, and 1 where the disk is lit; the
        direct beam is among them, with 1.
    visible : (n, qy, qx) bool Tensor
        False where the detector is covered: what lies there is not asked for.
    """
    n, height, width = visible.shape
    cells = (-(-height // STRIDE_PX), -(-width // STRIDE_PX))
    steps = torch.arange(-1, 2)
    around = torch.cartesian_prod(steps, steps)
    own = torch.floor((points[:, 1:3] + 0.5) / STRIDE_PX).long()
    cell = own[:, None] + around
    offset = points[:, None, 1:3] - (STRIDE_PX * cell + (STRIDE_PX - 1) / 2)
    distance = offset.norm(dim=-1)
    mine = (around == 0).all(1).expand(len(points), -1)
    on_frame = ((own >= 0) & (own < torch.tensor(cells))).all(1)[:, None]
    inside = ((cell >= 0) & (cell < torch.tensor(cells))).all(-1) & on_frame & (mine | (distance < _NEAR_PX))
    strength = points[:, 3, None].expand(-1, len(around))
    pattern = points[:, 0, None].long().expand(-1, len(around))
    made = Targets(
        present=torch.zeros(n, *cells, dtype=torch.bool),
        near=torch.zeros(n, *cells, dtype=torch.bool),
        weighed=torch.zeros(n, *cells, dtype=torch.bool),
        counted=visible[:, ::STRIDE_PX, ::STRIDE_PX].clone(),
        offset_px=torch.zeros(n, 2, *cells),
        amplitude=torch.zeros(n, *cells),
        lit=torch.zeros(n, *cells, dtype=torch.bool),
    )
    faint = inside & (strength < LEAST_AMPLITUDE) & (strength >= IGNORED_AMPLITUDE)
    made.counted[pattern[faint], cell[faint][:, 0], cell[faint][:, 1]] = False
    order = _first_of_each(pattern[faint], cell[faint], -strength[faint], cells)
    number, (y, x) = pattern[faint][order], cell[faint][order].unbind(1)
    made.weighed[number, y, x] = True
    made.amplitude[number, y, x] = strength[faint][order]
    wanted = inside & (strength >= LEAST_AMPLITUDE)
    # The disk in a cell comes before the nearest one beside it; of two in a cell the stronger.
    order = _first_of_each(pattern[wanted], cell[wanted], torch.where(mine, -strength, 1 + distance)[wanted], cells)
    number, (y, x) = pattern[wanted][order], cell[wanted][order].unbind(1)
    made.near[number, y, x] = True
    made.weighed[number, y, x] = True
    made.counted[number, y, x] = False
    made.amplitude[number, y, x] = strength[wanted][order]
    made.offset_px[number, :, y, x] = offset[wanted][order]
    made.lit[number, y, x] = points[:, 4, None].expand(-1, len(around))[wanted][order] > 0
    own_only = wanted & mine
    number, (y, x) = pattern[own_only], cell[own_only].unbind(1)
    seen = visible[number, (STRIDE_PX * y).clamp_max(height - 1), (STRIDE_PX * x).clamp_max(width - 1)]
    made.present[number[seen], y[seen], x[seen]] = True
    made.counted[number[seen], y[seen], x[seen]] = True
    made.near[...] &= visible[:, ::STRIDE_PX, ::STRIDE_PX]
    made.weighed[...] &= visible[:, ::STRIDE_PX, ::STRIDE_PX]
    return made
