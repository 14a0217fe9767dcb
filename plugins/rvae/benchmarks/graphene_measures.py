"""What descriptors of a scan over graphene are judged by: angles, rotations of tiles, defects, pairs.

Only differences of angles mean something: every measure allows for one offset.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from ronchi.optics import wavelength_angstrom

__all__ = [
    "agreement",
    "angle_figures",
    "centre_of_mass",
    "defect_auc",
    "pair_errors_deg",
    "rim_phase_rad",
    "tile_errors_deg",
    "tile_rotations",
]

Floats = NDArray[np.floating[Any]]

NEAR_ATOM_ANGSTROM = 0.25
"""Closer to an atom than this the direction to it says nothing."""
AT_DEFECT_ANGSTROM = 0.8
"""Patterns at most so far from a defect are of it, as the probe is about 1 A wide."""
AWAY_ANGSTROM = 2.5
"""Patterns further away are of the lattice."""
SAME_CONTENT = 0.4
"""Width of the window in which descriptors count as equal, in standard deviations."""


def rim_phase_rad(scan: xr.Dataset) -> float:
    """Phase of the defocus at the rim of the aperture: pi / 2 is a quarter of a wave, the depth of focus."""
    angle = scan.attrs["semiangle_mrad"] * 1e-3
    return float(np.pi * scan.attrs["defocus_angstrom"] * angle**2 / wavelength_angstrom(scan.attrs["beam_energy_eV"]))


def centre_of_mass(scan: xr.Dataset) -> tuple[Floats, Floats]:
    """Direction (scan_y, scan_x) in rad and length of the centre of mass of every pattern."""
    patterns = scan["intensity"].values.astype(np.float64)
    total = patterns.sum((-2, -1))
    y = np.einsum("...yx,y->...", patterns, scan["qy"].values) / total
    x = np.einsum("...yx,x->...", patterns, scan["qx"].values) / total
    return np.arctan2(y, x), np.hypot(y, x)


def agreement(angle: Floats, direction: Floats, weight: Floats) -> float:
    """Weighted circular correlation: the resultant of the differences, 1 if all are the same and 0 if by chance."""
    known = np.isfinite(angle)
    phase = np.exp(1j * (angle - direction)[known])
    return float(abs((weight[known] * phase).sum()) / weight.sum())


def angle_figures(scan: xr.Dataset, truth: xr.Dataset, angle: Floats) -> dict[str, float]:
    """How far an angle follows the centre of mass and the direction of the nearest atom, where the dipole is strong.

    ``com_nearest`` is what the centre of mass itself makes of the nearest atom.
    """
    direction, dipole = centre_of_mass(scan)
    nearest = np.arctan2(truth["nn_dy"].values, truth["nn_dx"].values)
    off_atoms = dipole * (truth["nn_distance"].values > NEAR_ATOM_ANGSTROM)
    return {
        "com": agreement(angle, direction, dipole),
        "nearest": agreement(angle, nearest, off_atoms),
        "com_nearest": agreement(direction, nearest, off_atoms),
    }


def tile_rotations(angle: Floats, z: Floats, tile: NDArray[np.integer[Any]], n_fold: int) -> Floats:
    """Rotation of each tile's lattice modulo 360 / ``n_fold``, from angles at equal content.

    A pattern's angle is that of its lattice plus what belongs to its place in the cell. Patterns of two tiles with
    the same descriptors come from equivalent places, so their angles differ by the rotation between the lattices, up
    to the lattice's symmetry; the mean angle of a tile depends on the places that were scanned as well. All pairs
    of patterns of two tiles are averaged with weights that fall off with the distance of their descriptors, and the
    rotations that agree best with all pairs of tiles are the phases of the leading eigenvector (Singer 2011, Appl.
    Comput. Harmon. Anal. 30, 20, doi:10.1016/j.acha.2010.02.001).

    Parameters
    ----------
    angle : (scan_y, scan_x) float
        In rad; NaN where there is none.
    z : (scan_y, scan_x, component) float
    tile : (scan_y, scan_x) int
    n_fold : int

    Returns
    -------
    (n_tiles,) float64
        In degrees, relative to the first tile.
    """
    known = np.isfinite(angle.ravel())
    wave, owner = np.exp(1j * n_fold * angle.ravel()[known]), tile.ravel()[known]
    content = z.reshape(-1, z.shape[-1])[known].astype(np.float64)
    content = content / np.maximum(content.std(0), 1e-12)
    apart = ((content[:, None] - content) ** 2).sum(-1)
    alike = np.exp(-0.5 * apart / SAME_CONTENT**2)
    member = owner[:, None] == np.arange(tile.max() + 1)
    between = member.T @ (alike * wave[:, None] * wave.conj()) @ member / (member.T @ alike @ member + 1e-12)
    np.fill_diagonal(between, 0)
    leading = np.linalg.eigh(between)[1][:, -1]
    rotation: Floats = np.rad2deg(np.angle(leading * leading[0].conj())) / n_fold
    return rotation


def tile_errors_deg(truth: xr.Dataset, found_deg: Floats, n_fold: int = 6) -> Floats:
    """(n_tiles,) differences from the true rotations relative to the first tile, modulo 360 / ``n_fold``."""
    tile = truth["tile"].values
    true = np.array([truth["rotation"].values[tile == k].mean() for k in range(tile.max() + 1)])
    period = 360 / n_fold
    errors: Floats = (found_deg - (true - true[0]) + period / 2) % period - period / 2
    return errors


def defect_auc(truth: xr.Dataset, score: Floats) -> dict[str, float]:
    """For each kind of defect: how likely a pattern of it scores higher than one of the lattice; 0.5 is by chance."""
    kinds = dict(enumerate(str(truth["defect_type"].attrs["flag_meanings"]).split()))
    distance, kind = truth["defect_distance"].values, truth["defect_type"].values
    lattice = score[distance > AWAY_ANGSTROM]
    figures = {}
    for number in np.unique(kind[kind > 0]):
        of_defect = score[(kind == number) & (distance < AT_DEFECT_ANGSTROM)]
        figures[kinds[int(number)]] = float(
            mannwhitneyu(of_defect, lattice).statistic / (len(of_defect) * len(lattice))
        )
    return figures


def pair_errors_deg(truth: xr.Dataset, angle: Floats) -> Floats:
    """(rows, turns - 1) errors of the angle between each pattern and the first of its row."""
    true = np.deg2rad(truth["rotation"].values)
    turned = (angle - angle[:, :1]) - (true - true[:, :1])
    errors: Floats = np.abs(np.rad2deg(np.angle(np.exp(1j * turned))))[:, 1:]
    return errors
