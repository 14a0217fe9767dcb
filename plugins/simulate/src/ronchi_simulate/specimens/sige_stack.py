"""Strain, composition and interfaces of a SiGe multilayer, before there are any atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.params.sige import Layer, SigeParams

__all__ = ["Stack", "coherent_strain", "relaxed_lattice"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SILICON_ANGSTROM, GERMANIUM_ANGSTROM = 5.4310, 5.6579
"""Lattice constants at 300 K (Landolt-Börnstein III/17a)."""

SILICON_C11_C12, GERMANIUM_C11_C12 = (165.8, 63.9), (128.5, 48.3)
"""Elastic constants in GPa at 300 K (Landolt-Börnstein III/17a)."""


def relaxed_lattice(germanium: float) -> float:
    """Lattice constant of free Si(1-x)Ge(x) in angstrom by Vegard's law."""
    return SILICON_ANGSTROM + germanium * (GERMANIUM_ANGSTROM - SILICON_ANGSTROM)


def coherent_strain(germanium: float, lattice_angstrom: float) -> float:
    """Strain of a layer along its growth direction [100] against the substrate that it is coherent with.

    In the plane the layer takes the substrate's lattice; along [100] it gives way by -2 C12 / C11 of that strain
    (an infinite layer: a thin foil relaxes along the beam too, and strains less).

    Parameters
    ----------
    germanium : float
        Part x of Si(1-x)Ge(x).
    lattice_angstrom : float
        Lattice constant of the substrate.
    """
    free = relaxed_lattice(germanium)
    c11, c12 = (
        (1 - germanium) * si + germanium * ge for si, ge in zip(SILICON_C11_C12, GERMANIUM_C11_C12, strict=True)
    )
    in_plane = lattice_angstrom / free - 1
    return free * (1 - 2 * c12 / c11 * in_plane) / lattice_angstrom - 1


@dataclass(frozen=True)
class Stack:
    """Layers from left to right along x, the last one the substrate; x = 0 is the left surface of the first.

    Parameters
    ----------
    lattice_angstrom : float
        Of the substrate.
    planes : (n,) int
        Atomic planes of each layer, a quarter of a lattice constant apart; the substrate has no end (0).
    strain, germanium : (n,) float
        Of each layer.
    """

    lattice_angstrom: float
    planes: Ints
    strain: Floats
    germanium: Floats

    @classmethod
    def of(cls, params: SigeParams) -> Self:
        """Resolve what the parameters leave to Vegard's law, and round thicknesses to planes."""
        ground = params.substrate
        lattice = ground.lattice_angstrom or relaxed_lattice(ground.germanium)

        def strain_of(layer: Layer) -> float:
            return coherent_strain(layer.germanium, lattice) if layer.strain is None else layer.strain

        strain = np.array([*map(strain_of, params.layers), 0.0])
        germanium = np.array([*(layer.germanium for layer in params.layers), ground.germanium])
        thickness = np.array([layer.thickness_angstrom for layer in params.layers])
        planes = np.maximum(1, np.rint(thickness / (lattice / 4 * (1 + strain[:-1])))).astype(np.int64)
        return cls(lattice, np.append(planes, 0), strain, germanium)

    @property
    def spacing_angstrom(self) -> Floats:
        """(n,) distance of the planes of each layer."""
        spacing: Floats = self.lattice_angstrom / 4 * (1 + self.strain)
        return spacing

    @property
    def start_angstrom(self) -> Floats:
        """(n,) left boundary of each layer: 0, then the interfaces."""
        return np.concatenate([[0.0], np.cumsum(self.planes[:-1] * self.spacing_angstrom[:-1])])

    def layer_at(self, x_angstrom: Floats) -> Ints:
        """Number of the layer at x; the first one goes on to the left of 0."""
        return np.maximum(0, np.searchsorted(self.start_angstrom, x_angstrom, side="right") - 1)

    def distance_to_interface(self, x_angstrom: Floats) -> Floats:
        """Distance to the nearest interface; infinite where there is none."""
        interfaces = self.start_angstrom[1:]
        if len(interfaces) == 0:
            return np.full(np.shape(x_angstrom), np.inf)
        distance: Floats = np.abs(np.asarray(x_angstrom)[..., None] - interfaces).min(-1)
        return distance

    def mean_strain(self, edges_angstrom: Floats) -> Floats:
        """Mean strain between neighbouring x of ``edges_angstrom`` (..., n + 1), exact also across interfaces."""
        starts, jumps = self.start_angstrom[1:], np.diff(self.strain)
        past = np.maximum(0.0, edges_angstrom[..., None] - starts) @ jumps + self.strain[0] * edges_angstrom
        mean: Floats = np.diff(past, axis=-1) / np.diff(edges_angstrom, axis=-1)
        return mean

    def planes_between(self, low_angstrom: float, high_angstrom: float) -> tuple[Ints, Floats, Ints]:
        """Atomic planes with low <= x < high.

        Returns
        -------
        number : (m,) int
            0 at x = 0, rising by 1 from plane to plane: modulo 4 it is the place in the diamond cell.
        x : (m,) float
            In angstrom.
        layer : (m,) int
        """
        first = np.concatenate([[0], np.cumsum(self.planes[:-1])])
        left = int(np.floor(low_angstrom / self.spacing_angstrom[0])) if low_angstrom < 0 else 0
        room = max(0.0, high_angstrom - self.start_angstrom[-1])
        number = np.arange(left, first[-1] + int(np.ceil(room / self.spacing_angstrom[-1])) + 1)
        layer = np.maximum(0, np.searchsorted(first, number, side="right") - 1)
        x = self.start_angstrom[layer] + (number - first[layer]) * self.spacing_angstrom[layer]
        inside = (x >= low_angstrom) & (x < high_angstrom)
        return number[inside], x[inside], layer[inside]
