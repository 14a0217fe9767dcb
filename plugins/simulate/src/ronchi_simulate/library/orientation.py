"""How a crystal lies in the beam: zone axes and rotations.

The laboratory's axes are x (columns), y (rows) and z, along the beam. A rotation ``R`` takes Cartesian vectors of the
crystal to the laboratory: ``lab = R @ crystal``.
"""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.library.crystals import Crystal

__all__ = ["beam_along", "random_rotation", "zone_axes"]

_LARGEST_INDEX = 2


def zone_axes(crystal: Crystal, count: int = 5) -> list[tuple[int, int, int]]:
    """Low-index zone axes, no two of which are the same by symmetry.

    Parameters
    ----------
    crystal : Crystal
    count : int
        Axes wanted.

    Returns
    -------
    list of (u, v, w)
        Sorted by the sum of the indices' moduli, then by length; fewer than ``count`` where symmetry leaves no more.
    """
    lattice = crystal.lattice_angstrom
    span = range(-_LARGEST_INDEX, _LARGEST_INDEX + 1)
    axes = [uvw for uvw in itertools.product(span, repeat=3) if math.gcd(*uvw) == 1]
    axes.sort(key=lambda uvw: (sum(map(abs, uvw)), round(float(np.linalg.norm(uvw @ lattice)), 6), [-i for i in uvw]))
    turns = _point_group(crystal)
    taken: set[tuple[int, ...]] = set()
    found: list[tuple[int, int, int]] = []
    for uvw in axes:
        if len(found) == count:
            break
        if uvw in taken:
            continue
        found.append(uvw)
        for turn in turns:
            image = turn @ uvw
            taken.update((tuple(map(int, image)), tuple(map(int, -image))))
    return found


def _point_group(crystal: Crystal) -> NDArray[np.int64]:
    """(n, 3, 3) rotations of the direct lattice's indices."""
    import spglib

    cell = (crystal.lattice_angstrom, crystal.fractional, crystal.numbers)
    with warnings.catch_warnings():
        # Every call warns of the way in which a later version will report errors.
        warnings.simplefilter("ignore", DeprecationWarning)
        found = spglib.get_symmetry(cell, symprec=1e-2)
    return np.array(np.eye(3, dtype=int)[None] if found is None else found["rotations"], np.int64)


def beam_along(
    crystal: Crystal,
    zone: tuple[int, int, int],
    *,
    in_plane_deg: float = 0.0,
    tilt_mrad: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Rotation that puts a zone axis along the beam.

    Parameters
    ----------
    crystal : Crystal
    zone : tuple of int
        Indices [uvw] of the direct lattice.
    in_plane_deg : float
        Rotation about the beam, which turns x towards y.
    tilt_mrad : tuple of float
        (y, x) direction towards which the zone axis is turned away from the beam, at last.

    Returns
    -------
    (3, 3) float64
    """
    axis = np.asarray(zone, float) @ crystal.lattice_angstrom
    axis /= np.linalg.norm(axis)
    # Any vector that is not nearly along the axis will do; the largest component is the worst one.
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    x = np.cross(helper, axis)
    x /= np.linalg.norm(x)
    upright = np.stack([x, np.cross(axis, x), axis])
    return _tilt(tilt_mrad) @ _about_beam(math.radians(in_plane_deg)) @ upright


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, 3) rotation, uniform over all orientations."""
    from scipy.spatial.transform import Rotation

    matrix: NDArray[np.float64] = Rotation.from_quat(rng.standard_normal(4)).as_matrix()
    return matrix


def _about_beam(angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _tilt(tilt_mrad: tuple[float, float]) -> NDArray[np.float64]:
    """Rotation that takes z to a direction with the slopes (y, x) of ``tilt_mrad``."""
    from scipy.spatial.transform import Rotation

    y, x = np.asarray(tilt_mrad) * 1e-3
    # z turns towards x about y, and towards y about -x.
    matrix: NDArray[np.float64] = Rotation.from_rotvec([-y, x, 0]).as_matrix()
    return matrix
