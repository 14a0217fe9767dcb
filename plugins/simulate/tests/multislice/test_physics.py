"""Physics that has a formula."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from ronchi_simulate.multislice import diffract, fourier
from ronchi_simulate.multislice.scattering import abtem_scattering
from ronchi_simulate.optics import Beam

CENTRE = 32
ASKEW = Beam(energy_eV=80e3, semiangle_mrad=25, defocus_angstrom=40, tilt_mrad=(20, -35))


def disk_sum(pattern: NDArray[np.float32], qy_px: float, qx_px: float, radius_px: float) -> float:
    y, x = np.mgrid[: pattern.shape[0], : pattern.shape[1]] - CENTRE
    return float(pattern[np.hypot(y - qy_px, x - qx_px) <= radius_px].sum())


@pytest.mark.parametrize("has_fftw", [True, False])
@pytest.mark.parametrize("shape", [(64, 64), (72, 60)])
def test_torch_engine_is_the_formula_written_down_directly(
    of_12_angstrom, shape, has_fftw, crowd, direct, monkeypatch
) -> None:
    if not has_fftw:
        monkeypatch.setattr(fourier, "fftw_planner", lambda: None)
    position = (3.21, 8.76)
    found = of_12_angstrom(crowd, ASKEW, positions_angstrom=[position], wave_shape=(96, 96))[0, 0, 0]
    expected = direct(crowd, ASKEW, (96, 96), position, 5)[16:80, 16:80]
    # Single precision and the spreading of atoms, over five slices of a heavy specimen.
    np.testing.assert_allclose(found, expected, atol=5e-5 * expected.max())
    grid = diffract(
        crowd, [ASKEW], pattern_shape=shape, wave_shape=shape, q_step_inv_angstrom=1 / 12, positions_angstrom=[position]
    )[0, 0, 0]
    expected = direct(crowd, ASKEW, shape, position, 5)
    np.testing.assert_allclose(grid, expected, atol=5e-5 * expected.max())


def test_thin_crystal_scatters_kinematically(projected) -> None:
    """Each disk holds (sigma |V_g| / area)^2 of the beam, and twice the thickness four times as much."""
    cell = 16.8
    unit = bulk("GaAs", "zincblende", a=5.6, cubic=True)
    beam = Beam(energy_eV=300e3, semiangle_mrad=1.2)
    patterns = {}
    for n_cells in (1, 2):
        crystal = unit.repeat((3, 3, n_cells))
        crystal.set_array("u_angstrom", np.full(len(crystal), 0.1))
        # One slice of 0.05 angstrom a cell: the same projection without any path for phases to build up.
        crystal.positions[:, 2] = 0.01
        crystal.set_cell([cell, cell, 0.05])
        patterns[n_cells] = diffract(
            crystal, [beam], pattern_shape=(64, 64), wave_shape=(128, 128), q_step_inv_angstrom=1 / cell
        )[0, 0, 0]
        if n_cells == 1:
            thin = crystal
    for hk in [(2, 2), (4, 0), (6, 2), (-4, 4)]:  # where all atoms are in phase
        qy, qx = np.array(hk) / 5.6
        v_g = abs(projected(thin, np.array([[qy]]), np.array([[qx]]))[0, 0])
        expected = (beam.interaction_constant * v_g / cell**2) ** 2
        got = [disk_sum(patterns[n], qy * cell, qx * cell, 1.5) for n in (1, 2)]
        # The next order is a few percent of the amplitude for one cell of GaAs.
        assert got[0] == pytest.approx(expected, rel=0.08)
        assert got[1] / got[0] == pytest.approx(4, rel=0.12)


def test_thin_crystal_obeys_friedel(of_12_angstrom) -> None:
    """Without centre of symmetry: I(q) = I(-q) as long as the specimen is weak, and no longer."""
    rng = np.random.default_rng(2)
    atoms = Atoms(rng.choice([31, 33, 49], 40), rng.uniform(0, [12, 12, 2], (40, 3)), cell=[12, 12, 2], pbc=True)
    beam = Beam(energy_eV=300e3, semiangle_mrad=0.5)
    asymmetry = {}
    for scale in (0.02, 1.0):
        table = {z: np.array([[scale], [1.0]]) * np.asarray(abtem_scattering()[z]) for z in (31, 33, 49)}
        pattern = of_12_angstrom(atoms, beam, scattering=table)[0, 0, 0][1:, 1:]
        pattern = np.where(np.hypot(*(np.mgrid[:63, :63] - 31)) > 3, pattern, 0)  # beside the bright disk
        turned = pattern[::-1, ::-1]
        asymmetry[scale] = np.abs(pattern - turned).sum() / pattern.sum()
    assert asymmetry[0.02] < 0.02
    assert asymmetry[1.0] > 5 * asymmetry[0.02]


@pytest.mark.parametrize(("symbol", "sampling_px", "loss"), [("C", 256, 1e-4), ("Si", 256, 1e-4)])
def test_energy_is_conserved_where_the_grid_holds_all_scattering(symbol, sampling_px, loss) -> None:
    rng = np.random.default_rng(4)
    atoms = Atoms([symbol] * 400, rng.uniform(0, [12, 12, 100], (400, 3)), cell=[12, 12, 100], pbc=True)
    atoms.set_array("u_angstrom", np.full(400, 0.08))
    pattern = diffract(
        atoms,
        [Beam(energy_eV=200e3, semiangle_mrad=5)],
        pattern_shape=(sampling_px, sampling_px),
        wave_shape=(sampling_px, sampling_px),
        q_step_inv_angstrom=1 / 12,
        exits_angstrom=[0, 50, 100],
    )
    totals = pattern[0, 0].astype(np.float64).sum((1, 2))
    np.testing.assert_allclose(totals, 1, atol=loss)


def test_what_is_missing_is_what_the_band_limit_removes(of_12_angstrom, crowd, direct) -> None:
    """On a grid too coarse for gold: what the limits of waves and transmission functions take, slice by slice."""
    crowd.numbers[:] = 79
    crowd.arrays["u_angstrom"][:] = 0
    beam = Beam(energy_eV=60e3, semiangle_mrad=25)
    found = of_12_angstrom(crowd, beam, positions_angstrom=[[5, 7]], wave_shape=(64, 64))[0, 0, 0].astype(np.float64)
    expected = direct(crowd, beam, (64, 64), (5, 7), 5).sum()
    assert 1 - expected > 0.004
    assert found.sum() == pytest.approx(expected, abs=2e-5)


def test_vacuum_is_the_probe_to_single_precision(of_12_angstrom) -> None:
    beam = Beam(energy_eV=60e3, semiangle_mrad=12, defocus_angstrom=500, tilt_mrad=(3, 4))
    patterns = of_12_angstrom(Atoms(cell=[12, 12, 1000]), beam, exits_angstrom=[0, 500, 1000])[0, 0]
    assert patterns[0].astype(np.float64).sum() == pytest.approx(1, abs=1e-6)
    # 500 slices: what rounding of complex64 leaves.
    np.testing.assert_allclose(
        patterns[1:], np.broadcast_to(patterns[0], patterns[1:].shape), atol=2e-4 * patterns.max()
    )


def test_disks_lie_on_the_reciprocal_lattice() -> None:
    """A crystal turned by any angle, that no window fits: centroids of disks against g, to 0.02 px."""
    q_step, angle = 0.021, np.deg2rad(17.3)
    window = 1 / q_step
    g_per_order, beam = 2 / 5.4309, Beam(energy_eV=200e3, semiangle_mrad=2)
    n = 14
    crystal = bulk("Si", "diamond", a=5.4309, cubic=True).repeat((n, n, 1))
    centred = crystal.positions[:, :2] - crystal.positions[:, :2].mean(0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    positions = np.column_stack([centred @ turn.T + window / 2, crystal.positions[:, 2]])
    inside = ((positions[:, :2] >= 0) & (positions[:, :2] < window)).all(1)
    atoms = Atoms(crystal.numbers[inside], positions[inside], cell=[window, window, 5.4309], pbc=True)
    atoms.set_array("u_angstrom", np.full(len(atoms), 0.08))
    size = 128
    pattern = diffract(atoms, [beam], pattern_shape=(size, size), q_step_inv_angstrom=q_step)[0, 0, 0]
    radius_px = beam.disk_radius_inv_angstrom / q_step
    y, x = np.mgrid[:size, :size] - size // 2
    for h, k in [(1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1)]:
        gx, gy = turn @ np.array([h, k]) * g_per_order * (2 if (h and k == 0) or (k and h == 0) else 1) / q_step
        near = np.hypot(y - gy, x - gx) <= radius_px + 3
        weight = pattern[near].astype(np.float64)
        found = np.array([weight @ y[near], weight @ x[near]]) / weight.sum()
        np.testing.assert_allclose(found, [gy, gx], atol=0.02)


def test_atoms_of_a_small_cell_move_each_by_itself() -> None:
    """What leaves the reflections goes between them, as of a cell as large as the window."""
    cell, between = bulk("Al", "fcc", a=4.0, cubic=True), {}
    q, k = np.mgrid[:96, :96] - 48
    diffuse = ((q % 6 != 0) | (k % 6 != 0)) & (np.hypot(q, k) < 40)
    for name, layer in (("small", cell), ("large", cell.repeat((6, 6, 1)))):
        layer.set_array("u_angstrom", np.full(len(layer), 0.15))
        pattern = diffract(
            layer,
            [Beam(energy_eV=200e3, semiangle_mrad=0)],
            pattern_shape=(96, 96),
            q_step_inv_angstrom=1 / 24,
            slice_angstrom=4.0,
            frozen_phonons=8,
            rng=np.random.default_rng(8),
        )[0, 0, 0]
        between[name] = pattern[diffuse].sum()
    assert between["large"] > 1e-4
    assert between["small"] == pytest.approx(between["large"], rel=0.1)


def test_frozen_phonons_damp_reflections_like_debye_and_waller() -> None:
    """A plane wave through one layer: exp(-4 pi^2 u^2 g^2) of a reflection is left, by displacements as by damping."""
    layer = bulk("Al", "fcc", a=4.0, cubic=True).repeat((6, 6, 1))
    patterns = {}
    for u_angstrom in (0.0, 0.15):
        layer.set_array("u_angstrom", np.full(len(layer), u_angstrom))
        for n in (0, 24):
            patterns[u_angstrom, n] = diffract(
                layer,
                [Beam(energy_eV=200e3, semiangle_mrad=0)],
                pattern_shape=(96, 96),
                q_step_inv_angstrom=1 / 24,
                slice_angstrom=4.0,
                frozen_phonons=n,
                rng=np.random.default_rng(8),
            )[0, 0, 0]
    np.testing.assert_allclose(patterns[0.0, 24], patterns[0.0, 0], atol=1e-6)
    for h, k in [(2, 0), (2, 2), (-4, 0), (0, 4), (4, 2)]:
        at = (48 + 6 * k, 48 + 6 * h)
        left = np.exp(-4 * np.pi**2 * 0.15**2 * (h**2 + k**2) / 16)
        assert patterns[0.15, 0][at] / patterns[0.0, 0][at] == pytest.approx(left, rel=0.03)
        # 24 configurations of 144 atoms: the phase of a reflection is known to some percent.
        assert patterns[0.15, 24][at] / patterns[0.0, 0][at] == pytest.approx(left, rel=0.12)
