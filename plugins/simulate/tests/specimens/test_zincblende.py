"""Zincblende along its zones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ronchi.errors import ConfigError
from ronchi_simulate.params.zincblende4d import Zincblende4dParams
from ronchi_simulate.simulators.zincblende4d import blocks
from ronchi_simulate.specimens.mosaic import Grain
from ronchi_simulate.specimens.zincblende import Zone, beam_period, with_column_defect, zincblende

A = 5.6533
CENTRE = np.array([20.0, 20.0])


def block(zone: Zone, rotation_deg: float = 0.0, species: tuple[str, str] = ("Ga", "As")) -> Grain:
    thickness = 4 * beam_period(zone, A)
    return zincblende(species, A, zone, rotation_deg, CENTRE, np.zeros(2), np.full(2, 40.0), thickness, (0.09, 0.08))


@pytest.mark.parametrize("zone", ["001", "110"])
def test_every_atom_has_four_neighbours_of_the_other_kind(zone: Zone) -> None:
    grain = block(zone, 21.0)
    where = grain.positions_angstrom
    inside = ((where > 4) & (where < [36, 36, 4 * beam_period(zone, A) - 4])).all(1)
    distance, near = cKDTree(where).query(where[inside], 6)
    np.testing.assert_allclose(distance[:, 1:5], np.sqrt(3) / 4 * A, rtol=1e-9)
    assert distance[:, 5].min() > 0.7 * A
    assert (grain.numbers[near[:, 1:5]] != grain.numbers[inside][:, None]).all()
    # Eight atoms a cube.
    assert len(where) / (40**2 * 4 * beam_period(zone, A)) == pytest.approx(8 / A**3, rel=0.03)


@pytest.mark.parametrize("rotation_deg", [0.0, 90.0, 200.0])
def test_pairs_along_110_point_along_the_rotation(rotation_deg: float) -> None:
    grain = block("110", rotation_deg)
    anions = grain.positions_angstrom[grain.sublattice == 1][:, :2] - CENTRE
    nearest = anions[np.hypot(*anions.T).argmin()]
    assert np.hypot(*nearest) == pytest.approx(A / 4, rel=1e-9)
    assert np.rad2deg(np.arctan2(nearest[1], nearest[0])) % 360 == pytest.approx(rotation_deg, abs=1e-6)


def test_columns_along_001_are_square_and_pure() -> None:
    grain = block("001")
    columns = {k: grain.positions_angstrom[grain.sublattice == k][:, :2] for k in (0, 1)}
    offsets = columns[1] - CENTRE
    near = offsets[np.hypot(*offsets.T) < 0.3 * np.sqrt(2) * A]
    # The four columns of anions around one of cations.
    assert {tuple(np.rint(4 * place / A).astype(int)) for place in near} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    assert cKDTree(columns[0]).query(columns[1])[0].min() == pytest.approx(A / np.sqrt(8), rel=1e-9)


@pytest.mark.parametrize("kind", ["vacancy", "silicon"])
def test_a_part_of_one_column_is_hit(kind: str) -> None:
    whole = block("110")
    made = with_column_defect(whole, kind, CENTRE + 0.1, 0.5, np.random.default_rng(0))  # type: ignore[arg-type]
    changed = len(whole.numbers) - len(made.numbers) if kind == "vacancy" else int((made.numbers == 14).sum())
    assert changed == 2  # of four in the column
    np.testing.assert_allclose(made.defect_angstrom, CENTRE, atol=1e-9)


def test_thickness_is_whole_periods_and_domains_keep_their_distance() -> None:
    mosaic = blocks(Zincblende4dParams(margin_angstrom=0), np.random.default_rng(0))
    atoms = mosaic.atoms()
    assert atoms.cell.lengths()[2] == pytest.approx(10 * A / np.sqrt(2), rel=1e-9)
    assert cKDTree(atoms.positions).query(atoms.positions, 2)[0][:, 1].min() > 2
    assert set(atoms.numbers) == {31, 33}


def test_a_species_that_is_no_element_is_told() -> None:
    with pytest.raises(ConfigError, match="Gz"):
        block("001", species=("Gz", "As"))
