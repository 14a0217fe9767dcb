"""Elastic rest of the atoms near defects: springs along bonds and between second neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.movie.network import BOND_ANGSTROM

__all__ = ["SILICON_BOND_ANGSTROM", "relax"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SILICON_BOND_ANGSTROM = 1.69
"""From silicon on a carbon site to its neighbours, seen along the beam: it stands out of the sheet.

Zhou et al. 2012, Phys. Rev. Lett. 109, 206803, doi:10.1103/PhysRevLett.109.206803."""

_SECOND = np.sqrt(3)
_STIFFNESS = 0.2
"""Of the springs between second neighbours, which hold the angles, over that of bonds."""
_STEP, _MOMENTUM = 0.15, 0.8


def relax(positions: Floats, neighbours: Ints, is_silicon: Bools, free: Bools, steps: int = 60) -> Floats:
    """Move free atoms towards rest.

    Parameters
    ----------
    positions : (n, 2) float64
        Left as they are.
    neighbours : (n, 3) int64
        Bonded atoms, -1 for none.
    is_silicon : (n,) bool
    free : (n,) bool
        The others stay.
    steps : int
        Of the descent, with momentum.

    Returns
    -------
    (n, 2) float64
    """
    moving = np.flatnonzero(free)
    if not len(moving):
        return positions.copy()
    bonded = neighbours[moving]
    second = np.where(bonded[..., None] >= 0, neighbours[bonded], -1)
    second[second == moving[:, None, None]] = -1
    second = second.reshape(len(moving), 9)
    length = np.where(is_silicon[moving][:, None] | is_silicon[bonded], SILICON_BOND_ANGSTROM, BOND_ANGSTROM)
    # Second neighbours by way of silicon, or from it, are further apart as well.
    through = np.repeat(is_silicon[bonded], 3, axis=1) | is_silicon[moving][:, None] | is_silicon[second]
    apart = _SECOND * np.where(through, (BOND_ANGSTROM + SILICON_BOND_ANGSTROM) / 2, BOND_ANGSTROM)
    settled = positions.copy()
    velocity = np.zeros((len(moving), 2))
    for _ in range(steps):
        force = _springs(settled, moving, bonded, length) + _STIFFNESS * _springs(settled, moving, second, apart)
        velocity = _MOMENTUM * velocity + _STEP * force
        settled[moving] += velocity
    return settled


def _springs(positions: Floats, atoms: Ints, others: Ints, rest: Floats) -> Floats:
    """Force (n, 2) on atoms from springs to others (n, k), -1 for none."""
    apart = positions[others] - positions[atoms][:, None]
    length = np.maximum(np.sqrt((apart**2).sum(-1)), 0.1)
    pull = np.where(others >= 0, 1 - rest / length, 0.0)
    force: Floats = (pull[..., None] * apart).sum(1)
    return force
