"""Shifts of images: a small grid of centres, and polynomials through it for every centre between.

Coefficients about a centre are smooth in it, so that a second-order polynomial through 3 x 3 centres half a
pixel apart is exact to a percent even at the band limit, and the likelihood can be climbed with derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["ShiftGrid", "interpolate"]

Doubles = NDArray[np.float64]

_LARGEST_STEP_PX = 0.6
_MOST_NODES = 5
"""Along an axis that a polynomial goes through: through 9 or 11 it swings between the outer ones."""


@dataclass(frozen=True)
class ShiftGrid:
    """A square grid of shifts.

    Parameters
    ----------
    reach_px : float
        Largest shift along y and x; 0 for none.
    """

    reach_px: float

    @property
    def side(self) -> int:
        """Nodes along an axis: odd, at most 0.6 px apart, at least 3."""
        if self.reach_px == 0:
            return 1
        return max(3, 2 * int(np.ceil(self.reach_px / _LARGEST_STEP_PX - 1e-9)) + 1)

    @property
    def step_px(self) -> float:
        """Distance of the nodes, 1 where there is only one."""
        return 2 * self.reach_px / (self.side - 1) if self.side > 1 else 1.0

    @cached_property
    def nodes_px(self) -> list[tuple[float, float]]:
        """(y, x) of the nodes, x fastest."""
        axis = (np.arange(self.side) - self.side // 2) * self.step_px
        return [(float(y), float(x)) for y in axis for x in axis]

    @cached_property
    def polynomials(self) -> Doubles:
        """(L, L) Lagrange polynomials through L nodes: row j holds the powers of ``shift / step_px`` for node j.

        About the middle one of those nearest to the shift.
        """
        local = min(self.side, _MOST_NODES)
        nodes = np.arange(local) - local // 2
        return np.linalg.inv(np.vander(nodes, increasing=True).astype(float)).T.copy()

    def weights(self, shift_px: NDArray[np.floating]) -> Doubles:
        """(n, nodes) weights of the nodes for shifts (n, 2)."""
        local, steps = len(self.polynomials), np.asarray(shift_px) / self.step_px
        first = np.floor(steps + 0.5).astype(int) + self.side // 2 - local // 2
        first = np.clip(first, 0, self.side - local)
        powers = np.power((steps - first - local // 2 + self.side // 2)[..., None], np.arange(local))
        along = np.zeros((*steps.shape, self.side))
        np.put_along_axis(along, first[..., None] + np.arange(local), powers @ self.polynomials.T, -1)
        along_y, along_x = np.moveaxis(along, 1, 0)
        weights: Doubles = (along_y[:, :, None] * along_x[:, None, :]).reshape(len(shift_px), -1)
        return weights


def interpolate(
    described: NDArray[np.complex64], shift_px: NDArray[np.floating], grid: ShiftGrid
) -> NDArray[np.complex64]:
    """Coefficients about one centre an image.

    Parameters
    ----------
    described : (n, nodes, D) or (1, nodes, D) complex64
        One for all centres, or one for each.
    shift_px : (n, 2) float
        (y, x) of the centre.

    Returns
    -------
    (n, D) complex64
    """
    weights = grid.weights(shift_px)[:, None]
    made: NDArray[np.complex64] = np.matmul(weights.astype(np.float32), described)[:, 0]
    return made
