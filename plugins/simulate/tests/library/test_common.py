"""Usual materials have the density and the neighbours that tables give them; what detectors are judged by is no one."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ronchi.api import DataError
from ronchi_simulate.library.common import MATERIALS, common_crystals
from ronchi_simulate.library.crystals import JUDGED_BY, Crystal
from ronchi_simulate.library.plan import plan_runs
from ronchi_simulate.params.library import LibraryParams


def _density(crystal: Crystal) -> float:
    """In g/cm3."""
    from ase.data import atomic_masses

    return float(atomic_masses[crystal.numbers].sum() / crystal.volume_angstrom3 * 1.66054)


# CRC Handbook of Chemistry and Physics, 97th edition, section 4.
@pytest.mark.parametrize(
    ("formula", "prototype", "density"),
    [
        ("Cu", "A_cF4", 8.96), ("W", "A_cI2", 19.3), ("Ti", "A_hP2", 4.506), ("Si", "A_cF8", 2.329),
        ("GaAs", "AB_cF8_216", 5.318), ("GaN", "AB_hP4_186", 6.1), ("MgO", "AB_cF8_225", 3.6), ("CsI", "AB_cP2", 4.51),
        ("NiAs", "AB_hP4_194", 7.77), ("CaF2", "AB2_cF12", 3.18), ("Mg2Si", "AB2_cF12", 1.99),
        ("FeS2", "AB2_cP12", 5.02), ("TiO2", "A2B_tP6", 4.17), ("SiO2", "A2B_hP9", 2.648),
        ("Al2O3", "A2B3_hR10", 3.99),
        ("SrTiO3", "AB3C", 5.1), ("MoS2", "AB2_hP6", 5.06), ("CuFeS2", "ABC2_tI16", 4.2), ("MgAl2O4", "A2BC4", 3.55),
        ("Bi", "A_hR2", 9.79), ("TiB2", "AB2_hP3_191", 4.38), ("Fe3O4", "A2BC4", 5.17), ("AlNi3", "AB3_cP4", 7.5),
    ],
)  # fmt: skip
def test_densities_are_those_of_tables(formula: str, prototype: str, density: float) -> None:
    from pymatgen.core import Composition

    of_prototype = [crystal for crystal in common_crystals() if crystal.prototype.startswith(prototype)]
    crystal = next(crystal for crystal in of_prototype if Composition(crystal.formula) == Composition(formula))
    assert _density(crystal) == pytest.approx(density, rel=0.03)


# Of the textbooks: an element, and how many neighbours of another (or of its own) it has in the first shell.
FIRST_SHELL = {
    "A_cF4": [(0, 0, 12)], "A_cI2": [(0, 0, 8)], "A_cF8": [(0, 0, 4)], "A_hR2": [(0, 0, 3)], "A_hP3": [(0, 0, 2)],
    "A_hP4_194_bc": [(0, 0, 3)], "AB_cF8_216": [(0, 1, 4), (1, 0, 4)], "AB_hP4_186": [(0, 1, 4), (1, 0, 4)],
    "AB_cF8_225": [(0, 1, 6), (1, 0, 6)], "AB_cP2": [(0, 1, 8), (1, 0, 8)], "AB_hP4_194_c_a": [(0, 1, 6), (1, 0, 6)],
    "AB_hP4_194_c_d": [(0, 1, 3)], "AB_hP2": [(0, 1, 6)], "AB_tP2": [(0, 1, 8)], "AB3_cP4": [(1, 0, 12), (0, 1, 4)],
    "A3B_cP8": [(1, 0, 12), (0, 1, 4)], "AB2_cF12": [(0, 1, 8), (1, 0, 4)], "AB2_hP6": [(0, 1, 6), (1, 0, 3)],
    "AB2_hP3_191": [(0, 1, 12)], "AB2_cP12": [(0, 1, 6)], "A2B_tP6": [(0, 1, 6), (1, 0, 3)],
    "A2B_hP9": [(0, 1, 4), (1, 0, 2)], "A2B_cF24": [(0, 1, 12)], "A2B3_hR10": [(0, 1, 6), (1, 0, 4)],
    "AB3C": [(1, 2, 6), (0, 2, 12)], "AB2C_cF16": [(0, 2, 8), (1, 2, 8)], "ABC2_tI16": [(0, 2, 4), (1, 2, 4)],
    "A2BC4": [(0, 2, 4), (1, 2, 6)],
}  # fmt: skip


def test_every_element_has_the_neighbours_of_its_site() -> None:
    from ase import Atoms
    from ase.data import atomic_numbers
    from ase.neighborlist import neighbor_list

    seen = set()
    for (label, _), materials in MATERIALS.items():
        shells = next((shells for start, shells in FIRST_SHELL.items() if label.startswith(start)), None)
        if shells is None:
            continue
        seen.add(label)
        of_label = iter([crystal for crystal in common_crystals() if crystal.prototype == label])
        for entry, crystal in zip(materials.split(", "), of_label, strict=True):
            symbols = re.findall("[A-Z][a-z]?", entry.split()[0])
            if len(set(symbols)) < len(symbols):
                continue  # Fe3O4 and Co3O4, whose two sites have one element
            atoms = Atoms(crystal.numbers, scaled_positions=crystal.fractional, cell=crystal.lattice_angstrom, pbc=True)
            i, j, d = neighbor_list("ijd", atoms, 7.0)
            for own, other, number in shells:
                a, b = (atomic_numbers[symbols[k]] for k in (own, other))
                between = (crystal.numbers[i] == a) & (crystal.numbers[j] == b)
                # Bonds of one shell differ by up to 9 % (corundum, MnF2); bcc has its second shell 15 % farther out.
                near = between & (d < 1.10 * d[between].min())
                counts = np.bincount(i[near], minlength=len(atoms))[crystal.numbers == a]
                assert (counts == number).all(), (crystal.formula, symbols[own], symbols[other], counts)
    assert len(seen) >= 27


def test_there_are_no_two_of_a_kind_and_none_that_detectors_are_judged_by() -> None:
    known = [(crystal.prototype, crystal.formula) for crystal in common_crystals()]
    assert len(set(known)) == len(known) == sum(len(entry.split(", ")) for entry in MATERIALS.values())
    assert not {formula for _, formula in known} & {formula for _, formula in JUDGED_BY}


def test_atoms_are_no_nearer_than_chemistry_allows() -> None:
    from ase import Atoms
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    for crystal in common_crystals():
        atoms = Atoms(crystal.numbers, scaled_positions=crystal.fractional, cell=crystal.lattice_angstrom, pbc=True)
        i, j, d = neighbor_list("ijd", atoms, 3.0)
        bond = covalent_radii[crystal.numbers[i]] + covalent_radii[crystal.numbers[j]]
        assert (d >= 0.7 * bond).all(), (crystal.formula, (d / bond).min())


def test_a_library_of_them_has_each_before_any_comes_again() -> None:
    runs = list(plan_runs(LibraryParams(materials="common", runs=300), seed=0))
    n = len(common_crystals())
    assert len({(run.crystal.prototype, run.crystal.formula) for run in runs[:n]}) == n
    assert runs[n].crystal is runs[0].crystal
    assert len({run.crystal.prototype for run in runs[:29]}) == 29


def test_a_library_of_their_structures_begins_with_them() -> None:
    params = LibraryParams(materials="common-structures", variants=2, runs=300)
    runs = list(plan_runs(params, seed=0))
    n = len(common_crystals())
    common = {(crystal.prototype, crystal.formula) for crystal in common_crystals()}
    assert {(run.crystal.prototype, run.crystal.formula) for run in runs[:n]} == common
    assert not {(run.crystal.prototype, run.crystal.formula) for run in runs[n:]} & common


def test_splits_that_no_material_is_for_are_refused() -> None:
    with pytest.raises(DataError, match=r"none of the crystals \(common\) is for test"):
        next(plan_runs(LibraryParams(materials="common", splits=("test",)), seed=0))


def test_the_library_that_was_made_before_is_made_again() -> None:
    told = LibraryParams().model_dump()
    assert "materials" not in told
    assert LibraryParams(materials="common").model_dump()["materials"] == "common"
