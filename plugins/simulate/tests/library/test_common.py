"""Usual materials have the density and the neighbours that tables give them; what detectors are judged by is no one."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.api import DataError
from ronchi_simulate.library.common import JUDGED_BY, MATERIALS, common_crystals
from ronchi_simulate.library.crystals import Crystal
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
        ("FeS2", "AB2_cP12", 5.02), ("TiO2", "A2B_tP6", 4.17), ("TiO2", "A2B_tI12", 3.9), ("SiO2", "A2B_hP9", 2.648),
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


def test_atoms_have_the_neighbours_of_their_structures() -> None:
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    wanted = {"A_cF4": 12, "A_cI2": 8, "A_cF8": 4, "AB_cF8_216": 4, "AB_cF8_225": 6, "AB_cP2": 8, "AB_hP4_186": 4}
    for crystal in common_crystals():
        number = next((n for start, n in wanted.items() if crystal.prototype.startswith(start)), None)
        if number is None:
            continue
        atoms = Atoms(crystal.numbers, scaled_positions=crystal.fractional, cell=crystal.lattice_angstrom, pbc=True)
        i, d = neighbor_list("id", atoms, 8.0)
        # bcc has its second neighbours 15 % farther out; bonds of wurtzites differ by less.
        assert (np.bincount(i[d < 1.07 * d.min()]) == number).all(), crystal.formula


def test_there_are_no_two_of_a_kind_and_none_that_detectors_are_judged_by() -> None:
    known = [(crystal.prototype, crystal.formula) for crystal in common_crystals()]
    assert len(set(known)) == len(known) == sum(len(entry.split(", ")) for entry in MATERIALS.values())
    assert not {formula for _, formula in known} & set(JUDGED_BY)


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
    assert len({run.crystal.prototype for run in runs[:30]}) == 30


def test_splits_that_no_material_is_for_are_refused() -> None:
    with pytest.raises(DataError, match=r"none of the crystals \(common\) is for test"):
        next(plan_runs(LibraryParams(materials="common", splits=("test",)), seed=0))


def test_the_library_that_was_made_before_is_made_again() -> None:
    told = LibraryParams().model_dump()
    assert "materials" not in told
    assert LibraryParams(materials="common").model_dump()["materials"] == "common"
