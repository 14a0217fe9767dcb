"""The crystals are many, sane, the same every time, and parted by prototype."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ronchi_simulate.library.common import common_crystals
from ronchi_simulate.library.crystals import FAMILIES, JUDGED_BY, Crystal, crystals, split_of, with_kin


@pytest.fixture(scope="module")
def known() -> list[Crystal]:
    return crystals(4)


def test_there_are_about_a_thousand_of_250_prototypes(known: list[Crystal]) -> None:
    assert len(known) >= 950
    assert len({crystal.prototype for crystal in known}) >= 250
    # A prototype as it is before any with other elements: the first runs of a library have them all.
    assert len({crystal.prototype for crystal in known[:280]}) >= 250


def test_atoms_keep_their_distance_and_cells_are_no_larger_than_the_window(known: list[Crystal]) -> None:
    from ase import Atoms
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    for crystal in known:
        atoms = Atoms(crystal.numbers, scaled_positions=crystal.fractional, cell=crystal.lattice_angstrom, pbc=True)
        i, j, d = neighbor_list("ijd", atoms, 2.2)
        # 0.56: ASE's covalent radii of metals and ions are longer than bonds under pressure or of short molecules.
        assert (d >= 0.56 * (covalent_radii[crystal.numbers[i]] + covalent_radii[crystal.numbers[j]])).all(), crystal
        assert np.linalg.norm(crystal.lattice_angstrom, axis=1).max() < 15
        assert 3 < crystal.volume_angstrom3 / len(crystal.numbers) < 71


def test_they_are_the_same_every_time_and_fewer_are_a_part_of_more(known: list[Crystal]) -> None:
    again = crystals(2)
    for old, new in zip(known[: len(again)], again, strict=True):
        assert old.formula == new.formula
        np.testing.assert_array_equal(old.lattice_angstrom, new.lattice_angstrom)
        np.testing.assert_array_equal(old.fractional, new.fractional)


def test_none_is_one_that_detectors_are_judged_by() -> None:
    most = {(crystal.prototype, crystal.formula) for crystal in crystals(12)}
    assert len(JUDGED_BY) == 10
    assert not JUDGED_BY & most
    assert {prototype for prototype, _ in JUDGED_BY} & {prototype for prototype, _ in most}


def test_kin_are_of_the_same_structure_new_and_none_that_detectors_are_judged_by() -> None:
    known = common_crystals()
    every = with_kin(known, 4)
    assert tuple(every[: len(known)]) == known
    names = [(crystal.prototype, crystal.formula) for crystal in every]
    assert len(set(names)) == len(names) > 2.5 * len(known)
    assert not JUDGED_BY & set(names)
    sites: dict[str, set[bytes]] = {crystal.prototype: set() for crystal in known}
    for crystal in known:
        sites[crystal.prototype].add(crystal.fractional.tobytes())
    for crystal in every[len(known) :]:
        assert crystal.fractional.tobytes() in sites[crystal.prototype]
        assert 3 < crystal.volume_angstrom3 / len(crystal.numbers) < 71
    fewer = with_kin(known, 2)
    assert [crystal.formula for crystal in fewer] == [crystal.formula for crystal in every[: len(fewer)]]


def test_elements_are_swapped_within_families_only(known: list[Crystal]) -> None:
    from ase.data import atomic_numbers

    family = {atomic_numbers[symbol]: index for index, row in enumerate(FAMILIES) for symbol in row.split()}
    kinds: dict[str, set[tuple[tuple[int, int], ...]]] = {}
    for crystal in known:
        counts = Counter(family.get(int(number), -int(number)) for number in crystal.numbers)
        kinds.setdefault(crystal.prototype, set()).add(tuple(sorted(counts.items())))
    natural = {crystal.prototype: 0 for crystal in known}
    for crystal in known[: len(crystals(1))]:
        natural[crystal.prototype] += 1
    assert all(len(kinds[prototype]) <= number for prototype, number in natural.items())


def test_no_prototype_is_in_two_splits(known: list[Crystal]) -> None:
    splits: dict[str, set[str]] = {}
    for crystal in known:
        splits.setdefault(crystal.prototype, set()).add(split_of(crystal.prototype))
    assert all(len(found) == 1 for found in splits.values())
    share = Counter(next(iter(found)) for found in splits.values())
    # A tenth each of some 257: binomial, sigma 4.8.
    assert 12 <= share["test"] <= 40
    assert 12 <= share["validation"] <= 40


def test_a_larger_test_fraction_keeps_what_was_for_the_test() -> None:
    labels = [f"A_cF4_225_{i}" for i in range(300)]
    small = {label for label in labels if split_of(label, test=0.1) == "test"}
    large = {label for label in labels if split_of(label, test=0.2) == "test"}
    assert small < large


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
def test_the_space_group_is_that_of_the_structure(known: list[Crystal]) -> None:
    from pymatgen.core import Lattice, Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    diamond = next(crystal for crystal in known if crystal.prototype == "A_cF8_227_a")
    structure = Structure(Lattice(diamond.lattice_angstrom), diamond.numbers, diamond.fractional)
    assert diamond.space_group == 227
    assert SpacegroupAnalyzer(structure, 1e-3).get_space_group_number() == 227
