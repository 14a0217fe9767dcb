from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

from ronchi.errors import DataError
from ronchi_simulate.multislice.atoms import configurations, fill_region, from_ase, repeated, slice_count, slice_index
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.multislice.regions import divide


def columns(n: int = 7, cell: tuple[float, float, float] = (4.0, 3.0, 10.0), seed: int = 0):
    rng = np.random.default_rng(seed)
    return from_ase(Atoms("Si" * n, rng.uniform(-5, 15, (n, 3)), cell=cell))


def test_columns_are_ases_positions() -> None:
    atoms = from_ase(Atoms("CSi", [[1, 2, 3], [4, 5, 6]], cell=[7, 8, 9]))
    assert (atoms.x_angstrom[1], atoms.y_angstrom[1], atoms.z_angstrom[1]) == (4, 5, 6)
    assert atoms.cell_angstrom == (9, 8, 7)
    assert atoms.number.tolist() == [6, 14]
    assert atoms.u_angstrom.tolist() == [0, 0]


@given(
    origin=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    size=st.tuples(st.floats(0.5, 20), st.floats(0.5, 20)),
    seed=st.integers(0, 99),
)
def test_region_holds_every_periodic_image_once(origin, size, seed) -> None:
    atoms = columns(seed=seed)
    filled = fill_region(atoms, origin, size)
    shifts = np.arange(-14, 15)
    y = (atoms.y_angstrom[:, None] + 3.0 * shifts)[:, :, None] - origin[0]
    x = (atoms.x_angstrom[:, None] + 4.0 * shifts)[:, None, :] - origin[1]
    y, x, z = np.broadcast_arrays(y, x, atoms.z_angstrom[:, None, None])
    inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    expected = np.stack([y[inside], x[inside], z[inside]], 1)
    found = np.stack([filled.y_angstrom, filled.x_angstrom, filled.z_angstrom], 1)
    if len(expected) != len(found):  # an image within rounding of an edge may fall on either side
        edge = np.minimum(np.abs(y % size[0]), np.abs(x % size[1])).min()
        assert edge < 1e-5
        return
    order = lambda rows: rows[np.lexsort(rows.round(6).T)]  # noqa: E731
    np.testing.assert_allclose(order(found), order(expected), atol=1e-6)


@given(n=st.tuples(st.integers(1, 4), st.integers(1, 4)), error=st.floats(-1e-6, 1e-6))
def test_region_of_whole_cells_holds_each_atom_as_often(n, error) -> None:
    filled = fill_region(columns(), (0.3, -7.1), (n[0] * 3.0 * (1 + error), n[1] * 4.0 * (1 + error)))
    assert len(filled.number) == 7 * n[0] * n[1]


def test_slices_are_equal_and_hold_what_begins_in_them() -> None:
    assert slice_count(10.0, 2.0) == 5
    assert slice_count(10.1, 2.0) == 6
    assert slice_count(0.5, 2.0) == 1
    atoms = from_ase(Atoms("C6", [[0, 0, z] for z in (-0.1, 0, 1.9999, 2, 9.99, 10.2)], cell=[5, 5, 10]))
    assert slice_index(atoms, 5).tolist() == [0, 0, 0, 1, 4, 4]


def test_configurations_are_seeded_and_have_the_displacement_asked_for() -> None:
    atoms = Atoms("C4000", np.full((4000, 3), 5.0), cell=[10, 10, 10])
    atoms.set_array("u_angstrom", np.repeat([0.05, 0.1], 2000))
    first, second = configurations(from_ase(atoms), 2, np.random.default_rng(3))
    again = next(iter(configurations(from_ase(atoms), 1, np.random.default_rng(3))))
    np.testing.assert_array_equal(first.y_angstrom, again.y_angstrom)
    assert not np.array_equal(first.y_angstrom, second.y_angstrom)
    assert (first.u_angstrom == 0).all()
    for column in (first.z_angstrom, first.y_angstrom, first.x_angstrom):
        # Standard error of an rms of 2000 draws: 1.6 %.
        assert np.std(column[:2000]) == pytest.approx(0.05, rel=0.08)
        assert np.std(column[2000:]) == pytest.approx(0.1, rel=0.08)


def with_array(name: str, value: float) -> Atoms:
    atoms = Atoms("C", [[0, 0, 0]], cell=[5, 5, 5])
    atoms.set_array(name, np.array([value]))
    return atoms


@pytest.mark.parametrize(
    "atoms",
    [
        with_array("u_angstrom", -0.1),
        with_array("u_angstrom", np.inf),
        with_array("occupancy", -0.5),
        Atoms("C", [[0, 0, 0]], cell=[[5, 0, 0], [1, 5, 0], [0, 0, 5]]),
        Atoms("C", [[0, 0, 0]], cell=[5, 5, 0]),
        Atoms("C", [[0, np.nan, 0]], cell=[5, 5, 5]),
    ],
)
def test_what_cannot_be_sliced_is_refused(atoms: Atoms) -> None:
    with pytest.raises(DataError):
        from_ase(atoms)


@given(
    positions=st.lists(st.tuples(st.floats(-50, 150), st.floats(-50, 150)), min_size=1, max_size=12),
)
def test_every_probe_stands_at_its_place_in_its_window(positions) -> None:
    window = WaveGrid((48, 60), (0.25, 0.2))
    wanted = np.array(positions)
    seen = np.zeros(len(wanted), int)
    for region in divide(wanted, (100.0, 90.0), window):
        assert region.first_px is not None
        seen[region.positions] += 1
        step = np.array(window.step_angstrom)
        place = np.array(region.origin_angstrom) + (region.first_px + region.probe_px) * step
        np.testing.assert_allclose(place, wanted[region.positions], atol=1e-9)
        # In the middle of its window to half a pixel, and the window in the region.
        assert (np.abs(region.probe_px - np.array(window.shape) / 2) <= 0.5 + 1e-9).all()
        assert (region.first_px >= 0).all()
        assert (region.first_px + window.shape <= region.grid.shape).all()
        assert (np.array(region.grid.shape) <= 2 * np.array(window.shape) + 60).all()
    assert (seen == 1).all()


def test_window_of_whole_cells_is_shared_by_all_probes() -> None:
    window = WaveGrid((48, 60), (0.25, 0.2))
    (region,) = divide(np.array([[0.0, 0.0], [11.3, 2.0]]), (12.0, 6.0), window)
    assert region.first_px is None
    assert region.grid is window
    np.testing.assert_allclose(region.probe_px, [[0, 0], [45.2, 10]])


def test_parts_of_a_mean_atom_move_together() -> None:
    """As far as each one's own displacement: silicon and germanium halves of a site, in a crystal and its copies."""
    places = np.repeat([[1.0, 1.0, 1.0], [3.0, 1.5, 2.0], [2.0, 3.0, 1.0]], 2, axis=0)
    atoms = Atoms([14, 32] * 3, places, cell=[4, 4, 4], pbc=True)
    atoms.set_array("u_angstrom", np.array([0.1, 0.2] * 3))
    atoms.set_array("occupancy", np.full(6, 0.5))
    crystal = repeated(from_ase(atoms), 12.0)
    (moved,) = configurations(crystal, 1, np.random.default_rng(0))
    shift = np.stack([moved.y_angstrom - crystal.y_angstrom, moved.x_angstrom - crystal.x_angstrom], -1)
    order = np.lexsort((crystal.number, crystal.x_angstrom, crystal.y_angstrom))
    silicon, germanium = shift[order][::2], shift[order][1::2]
    np.testing.assert_allclose(germanium, 2 * silicon, atol=1e-12)
    assert len(np.unique(silicon.round(9), axis=0)) == 27
