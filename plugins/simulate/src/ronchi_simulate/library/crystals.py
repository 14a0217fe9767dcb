"""Crystals for the library: the AFLOW prototypes that pymatgen brings, with elements swapped within chemical families.

Prototypes: Mehl et al. 2017 (doi:10.1016/j.commatsci.2017.01.017) and Hicks et al. 2019
(doi:10.1016/j.commatsci.2018.10.043). Radii: Slater 1964 (doi:10.1063/1.1725697), whose sums are bond lengths within
some 0.12 angstrom in metals, covalent and ionic crystals alike, so one table serves all families.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["FAMILIES", "JUDGED_BY", "LONGEST_AXIS_ANGSTROM", "Crystal", "Split", "crystals", "split_of", "with_kin"]

Split = Literal["train", "validation", "test"]

FAMILIES = (
    "Li Na K Rb Cs",
    "Be Mg Ca Sr Ba",
    "Sc Y La Ce Pr Nd Sm Gd Tb Dy Ho Er Tm Lu",
    "Ti Zr Hf V Nb Ta Cr Mo W",
    "Mn Re Fe Ru Os Co Rh Ir Ni Pd Pt",
    "Cu Ag Au Zn Cd Hg",
    "Al Ga In Tl",
    "Si Ge Sn Pb",
    "P As Sb Bi",
    "S Se Te",
    "F Cl Br I",
    "Th Pa U Np Pu",
)
"""Elements that stand for each other. B, C, N, O and H are kept: nothing else has their size."""

JUDGED_BY = frozenset({
    ("A_cF4_225_a", "Ni"), ("A_cF4_225_a", "Pt"), ("A_cI2_229_a", "Mo"), ("A_cF8_227_a", "Ge"),
    ("AB_cF8_225_a_b", "LiF"), ("AB_cF8_216_c_a", "InP"), ("AB3C_cP5_221_a_c_b", "BaTiO3"), ("A_hP2_194_c", "Zn"),
    ("AB_hP4_186_b_b", "AlN"), ("A2B_tP6_136_f_a", "SnO2"),
})  # fmt: skip
"""Prototypes and formulas of the twenty single patterns that detectors are judged by: no library has them."""

LONGEST_AXIS_ANGSTROM = 15.0

_JITTER = 0.03
"""Lattices of substituted crystals are made larger or smaller by up to this, at random."""

_MOST_COMPRESSED = 0.88
"""Least ratio of a bond to the sum of radii, relative to the prototype's own."""

_SHORTEST_BOND = 0.66
"""Least ratio of a bond to the sum of radii. Five of pymatgen's entries have nearer atoms, and are left out."""

_VOLUME_PER_ATOM = (5.0, 70.0)
_DRAWS = 60


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal.

    Parameters
    ----------
    prototype : str
        AFLOW label, such as ``"A_cF8_227_a"``; the third part is the number of the space group.
    formula : str
        Reduced formula.
    lattice_angstrom : (3, 3) float64
        Rows are a, b and c in Cartesian coordinates.
    fractional : (n, 3) float64
    numbers : (n,) int64
        Atomic numbers.
    """

    prototype: str
    formula: str
    lattice_angstrom: NDArray[np.float64]
    fractional: NDArray[np.float64]
    numbers: NDArray[np.int64]

    @property
    def space_group(self) -> int:
        """Number of the space group."""
        return int(self.prototype.split("_")[2])

    @property
    def volume_angstrom3(self) -> float:
        """Volume of the cell."""
        return float(abs(np.linalg.det(self.lattice_angstrom)))


def split_of(prototype: str, validation: float = 0.1, test: float = 0.1) -> Split:
    """What crystals of a prototype are for.

    A property of the label alone, so that no library, whatever its seed and size, has crystals to test with that
    another one has to learn from.

    Parameters
    ----------
    prototype : str
        AFLOW label.
    validation, test : float
        Fractions of the prototypes.
    """
    place = int.from_bytes(hashlib.sha256(prototype.encode()).digest()[:8], "little") / 2**64
    return "test" if place < test else "validation" if place < test + validation else "train"


def crystals(variants: int = 4) -> list[Crystal]:
    """All crystals: every prototype as it is, then every prototype with other elements, and so on.

    Parameters
    ----------
    variants : int
        Crystals of a prototype at most, itself included; fewer where the families have no more to offer.

    Returns
    -------
    list of Crystal
        The same ones always, for a version of pymatgen.
    """
    rounds: list[list[Crystal]] = [[] for _ in range(variants)]
    for prototype, structure, ordinal in _prototypes():
        rounds[0].append(_crystal(prototype, structure))
        drawn = {tuple(_elements(structure))}
        for variant in range(1, variants):
            seed = hashlib.sha256(f"{prototype} {ordinal} {variant}".encode()).digest()
            made = _substituted(structure, drawn, np.random.default_rng(int.from_bytes(seed[:8], "little")))
            if made is not None:
                rounds[variant].append(_crystal(prototype, made))
    return [c for each in rounds for c in each if (c.prototype, c.formula) not in JUDGED_BY]


def with_kin(known: Iterable[Crystal], variants: int) -> list[Crystal]:
    """Crystals as they are, then each with other elements, and so on, none of a structure and formula twice.

    Parameters
    ----------
    known : iterable of Crystal
    variants : int
        Crystals that one of them stands for at most, itself included.
    """
    from pymatgen.core import Structure

    every = list(known)
    seen = {(crystal.prototype, crystal.formula) for crystal in every} | JUDGED_BY
    structures = [Structure(crystal.lattice_angstrom, crystal.numbers, crystal.fractional) for crystal in every]
    drawn = [{tuple(_elements(structure))} for structure in structures]
    for variant in range(1, variants):
        for crystal, structure, elements in zip(every[: len(structures)], structures, drawn, strict=True):
            seed = hashlib.sha256(f"{crystal.prototype} {crystal.formula} {variant}".encode()).digest()
            made = _substituted(structure, elements, np.random.default_rng(int.from_bytes(seed[:8], "little")))
            name = None if made is None else (crystal.prototype, made.composition.reduced_formula)
            if made is not None and name not in seen:
                seen.add(name)
                every.append(_crystal(crystal.prototype, made))
    return every


@functools.cache
def _prototypes() -> list[tuple[str, Structure, int]]:
    """AFLOW label, structure, and its number among those of the same label."""
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY

    seen: dict[str, int] = {}
    found = []
    for entry in AFLOW_PROTOTYPE_LIBRARY:
        structure = entry["snl"].structure
        label = str(entry["tags"]["aflow"])
        if max(structure.lattice.abc) < LONGEST_AXIS_ANGSTROM and _shortest_bond(structure) >= _SHORTEST_BOND:
            seen[label] = seen.get(label, -1) + 1
            found.append((label, structure, seen[label]))
    return found


def _crystal(prototype: str, structure: Structure) -> Crystal:
    return Crystal(
        prototype,
        structure.composition.reduced_formula,
        np.array(structure.lattice.matrix, float),
        np.array(structure.frac_coords, float) % 1.0,
        np.array([site.specie.Z for site in structure], int),
    )


def _substituted(structure: Structure, drawn: set[tuple[str, ...]], rng: np.random.Generator) -> Structure | None:
    """The structure with other elements and a lattice to suit them, or None if no draw is sane; notes what it drew."""
    bonds, old = _bonds(structure), _elements(structure)
    before = _radii(structure)
    for _ in range(_DRAWS):
        new = [str(rng.choice(_family(symbol))) for symbol in old]
        jitter = rng.uniform(1 - _JITTER, 1 + _JITTER)
        if tuple(new) in drawn or len(set(new)) < len(new):
            continue
        drawn.add(tuple(new))
        swap = dict(zip(old, new, strict=True))
        after = np.array([_radius(swap[site.specie.symbol]) for site in structure])
        stretch = after[bonds].sum(axis=1) / before[bonds].sum(axis=1)
        scale = float(np.median(stretch)) * jitter
        volume = structure.volume * scale**3
        if scale / stretch.max() < _MOST_COMPRESSED or max(structure.lattice.abc) * scale >= LONGEST_AXIS_ANGSTROM:
            continue
        if not _VOLUME_PER_ATOM[0] <= volume / len(structure) <= _VOLUME_PER_ATOM[1]:
            continue
        swapped = structure.copy()
        swapped.replace_species(swap)
        swapped.scale_lattice(volume)
        if _shortest_bond(swapped) >= _SHORTEST_BOND:
            return swapped
    return None


def _elements(structure: Structure) -> list[str]:
    return sorted(structure.symbol_set)


def _family(symbol: str) -> list[str]:
    return next((family.split() for family in FAMILIES if symbol in family.split()), [symbol])


def _bonds(structure: Structure) -> NDArray[np.int64]:
    """(n, 2) pairs of sites at up to 1.25 times the distance of either one's nearest neighbour."""
    first, second, _, distance = structure.get_neighbor_list(r=_reach(structure))
    nearest = np.full(len(structure), np.inf)
    np.minimum.at(nearest, first, distance)
    close = distance <= 1.25 * np.minimum(nearest[first], nearest[second])
    return np.stack([first[close], second[close]], axis=1)


def _reach(structure: Structure) -> float:
    """A distance within which every site has a neighbour."""
    reach = 4.0
    while len(set(structure.get_neighbor_list(r=reach)[0])) < len(structure):
        reach *= 1.5
    return reach


def _shortest_bond(structure: Structure) -> float:
    """Least ratio of a distance to the sum of the radii."""
    first, second, _, distance = structure.get_neighbor_list(r=_reach(structure))
    radii = _radii(structure)
    return float((distance / (radii[first] + radii[second])).min())


def _radii(structure: Structure) -> NDArray[np.float64]:
    return np.array([_radius(site.specie.symbol) for site in structure])


@functools.cache
def _radius(symbol: str) -> float:
    from pymatgen.core import Element

    # Slater has no radius for the heaviest actinides, which are about as large as the others.
    return float(Element(symbol).atomic_radius or 1.75)
