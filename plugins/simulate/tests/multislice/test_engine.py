"""Orientation and signs first, then physics that has a formula, then the request's own promises."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from ronchi.errors import ConfigError, DataError
from ronchi_simulate.multislice import diffract, fourier
from ronchi_simulate.multislice.atoms import from_ase
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.multislice.scattering import abtem_scattering
from ronchi_simulate.multislice.torch_engine import TorchMultislice
from ronchi_simulate.optics import Beam

CENTRE = 32
ASKEW = Beam(energy_eV=80e3, semiangle_mrad=25, defocus_angstrom=40, tilt_mrad=(20, -35))


def of_12_angstrom(atoms: Atoms, *beams: Beam, **options: object) -> NDArray[np.float32]:
    """Patterns of 64 x 64 of a cell of 12 angstrom, with waves of 96 x 96."""
    return diffract(atoms, beams, pattern_shape=(64, 64), q_step_inv_angstrom=1 / 12, **options)  # type: ignore[arg-type]


def centre_of_mass(pattern: NDArray[np.float32]) -> tuple[float, float]:
    """(y, x) in px from the centre."""
    q = np.arange(64) - CENTRE
    return float(pattern.sum(1) @ q / pattern.sum()), float(pattern.sum(0) @ q / pattern.sum())


@pytest.mark.parametrize("engine", ["torch", "abtem"])
@pytest.mark.parametrize(("side", "expected"), [((0.4, 0.0), (1, 0)), ((0.0, 0.4), (0, 1)), ((-0.4, 0.0), (-1, 0))])
def test_beam_is_deflected_towards_an_atom(engine, side, expected) -> None:
    atom = Atoms("Si", [[6, 6, 0.5]], cell=[12, 12, 1])
    position = (6 - side[0], 6 - side[1])  # the atom lies at +side of the probe
    pattern = of_12_angstrom(
        atom, Beam(energy_eV=80e3, semiangle_mrad=25), positions_angstrom=[position], engine=engine
    )
    moved = centre_of_mass(pattern[0, 0, 0])
    assert np.argmax(np.abs(moved)) == np.argmax(np.abs(expected))
    assert np.dot(moved, expected) > 0.05
    assert abs(np.dot(moved, expected[::-1])) < 1e-3


@pytest.mark.parametrize("engine", ["torch", "abtem"])
def test_rays_before_the_crossover_come_from_their_own_side(engine) -> None:
    """Underfocus by D: the ray at +x in the specimen has q_x = -x / (wavelength D), where an atom's shadow falls."""
    beam = Beam(energy_eV=80e3, semiangle_mrad=30, defocus_angstrom=120)
    empty = Atoms(cell=[12, 12, 1])
    atom = Atoms("Au", [[6 + 1.5, 6, 0.5]], cell=[12, 12, 1])
    change = (of_12_angstrom(atom, beam, engine=engine) - of_12_angstrom(empty, beam, engine=engine))[0, 0, 0]
    row, column = np.unravel_index(change.argmin(), change.shape)
    expected = -1.5 / (beam.wavelength_angstrom * 120) * 12  # px: -3.6
    assert column - CENTRE == pytest.approx(expected, abs=1.6)  # the shadow is as wide as its distance
    assert row == CENTRE


@pytest.mark.parametrize("engine", ["torch", "abtem"])
def test_beam_drifts_towards_the_tilt(engine) -> None:
    """An atom 40 angstrom deep is met in its middle if it lies at depth * tan(tilt) from the probe."""
    tilted = Beam(energy_eV=200e3, semiangle_mrad=20, tilt_mrad=(10, -20))
    drift = 40 * np.tan(np.array(tilted.tilt_mrad) * 1e-3)
    straight = Beam(energy_eV=200e3, semiangle_mrad=20)
    below = Atoms("Mo", [[6, 6, 40]], cell=[12, 12, 42])
    aside = Atoms("Mo", [[6 + drift[1], 6 + drift[0], 40]], cell=[12, 12, 42])
    options = {"engine": engine, "positions_angstrom": [[6, 6]]}
    met = of_12_angstrom(aside, tilted, **options)[0, 0, 0]
    np.testing.assert_allclose(met, of_12_angstrom(below, straight, **options)[0, 0, 0], atol=2e-3 * met.max())
    missed = of_12_angstrom(below, tilted, **options)[0, 0, 0]
    assert np.abs(missed - met).max() > 0.05 * met.max()


@pytest.mark.parametrize("axis", [0, 1])
def test_circle_of_laue_lies_opposite_to_the_tilt(axis) -> None:
    """With t = tan(tilt), reflections at distance |t| / wavelength from -t / wavelength are in the Bragg condition."""
    crystal = bulk("Al", "fcc", a=4.0, cubic=True).repeat((3, 3, 25))
    g = 2 / 4.0
    tilt = [0.0, 0.0]
    beam = Beam(energy_eV=200e3, semiangle_mrad=1)
    tilt[axis] = 1e3 * np.arctan(g / 2 * beam.wavelength_angstrom)
    tilted = Beam(energy_eV=200e3, semiangle_mrad=1, tilt_mrad=(tilt[0], tilt[1]))
    pattern = of_12_angstrom(crystal, tilted, positions_angstrom=[[6.1, 6.2]])[0, 0, 0]
    px = round(g * 12)
    at = lambda n: pattern[CENTRE + n] if axis == 0 else pattern[:, CENTRE + n]  # noqa: E731
    assert at(-px)[CENTRE] > 5 * at(px)[CENTRE]


@pytest.mark.parametrize("has_fftw", [True, False])
@pytest.mark.parametrize("shape", [(64, 64), (72, 60)])
def test_torch_engine_is_the_formula_written_down_directly(shape, has_fftw, crowd, direct, monkeypatch) -> None:
    if not has_fftw:
        monkeypatch.setattr(fourier, "fftw_planner", lambda n_threads: None)
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


def disk_sum(pattern: NDArray[np.float32], qy_px: float, qx_px: float, radius_px: float) -> float:
    y, x = np.mgrid[: pattern.shape[0], : pattern.shape[1]] - CENTRE
    return float(pattern[np.hypot(y - qy_px, x - qx_px) <= radius_px].sum())


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


def test_thin_crystal_obeys_friedel() -> None:
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


def test_what_is_missing_is_what_the_band_limit_removes(crowd, direct) -> None:
    """On a grid too coarse for gold: what the limits of waves and transmission functions take, slice by slice."""
    crowd.numbers[:] = 79
    crowd.arrays["u_angstrom"][:] = 0
    beam = Beam(energy_eV=60e3, semiangle_mrad=25)
    found = of_12_angstrom(crowd, beam, positions_angstrom=[[5, 7]], wave_shape=(64, 64))[0, 0, 0].astype(np.float64)
    expected = direct(crowd, beam, (64, 64), (5, 7), 5).sum()
    assert 1 - expected > 0.004
    assert found.sum() == pytest.approx(expected, abs=2e-5)


def test_vacuum_is_the_probe_to_single_precision() -> None:
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


def test_exits_are_the_patterns_of_thinner_specimens(crowd) -> None:
    options = {"positions_angstrom": [[2, 3], [7.7, 4.1]]}
    series = of_12_angstrom(crowd, ASKEW, exits_angstrom=[0, 4, 10, 4], **options)
    thin = crowd[crowd.positions[:, 2] < 4]
    thin.set_cell([12, 12, 4])
    np.testing.assert_allclose(series[:, :, 1], of_12_angstrom(thin, ASKEW, **options)[:, :, 0], atol=1e-7)
    np.testing.assert_array_equal(series[:, :, 1], series[:, :, 3])
    np.testing.assert_allclose(series[:, :, 2], of_12_angstrom(crowd, ASKEW, **options)[:, :, 0], atol=1e-7)


def test_batches_and_other_beams_change_nothing(crowd) -> None:
    """Beams of two energies and tilts at three positions, together and one by one, in one batch and in many."""
    beams = [
        ASKEW,
        Beam(energy_eV=200e3, semiangle_mrad=10),
        Beam(energy_eV=80e3, semiangle_mrad=9, tilt_mrad=(20, -35)),
    ]
    positions = [[1.0, 2.0], [6.5, 11.0], [9.9, 0.2]]
    together = of_12_angstrom(crowd, *beams, positions_angstrom=positions)
    assert together.shape == (3, 3, 1, 64, 64)
    assert together.dtype == np.float32
    in_small = of_12_angstrom(crowd, *beams, positions_angstrom=positions, memory_mb=0.1)
    np.testing.assert_allclose(in_small, together, atol=1e-7)
    for index, beam in enumerate(beams):
        alone = of_12_angstrom(crowd, beam, positions_angstrom=positions[index : index + 1])
        np.testing.assert_allclose(alone[0, 0], together[index, index], atol=1e-7)


def test_moving_specimen_and_probe_together_changes_nothing(crowd) -> None:
    """By any amount, over the edges of the cell too."""
    here = of_12_angstrom(crowd, ASKEW, positions_angstrom=[[3, 4]])
    moved = crowd.copy()
    moved.positions += [5.4321, 7.7777, 0]
    there = of_12_angstrom(moved, ASKEW, positions_angstrom=[[3 + 7.7777, 4 + 5.4321]])
    np.testing.assert_allclose(there, here, atol=2e-5 * here.max())


def test_crop_of_a_larger_specimen_is_the_specimen_around_the_probe(crowd) -> None:
    """In a cell of 2 x 3 periods a window of one period is the period itself, wherever the probe stands."""
    whole = of_12_angstrom(crowd, ASKEW, positions_angstrom=[[3.3, 4.4], [6, 6]])
    large = crowd.repeat((3, 2, 1))
    # A period of vacuum at the far end: the window can no longer be taken for whole cells.
    large.set_cell([42, 30, 10])
    cropped = of_12_angstrom(large, ASKEW, positions_angstrom=[[12 + 3.3, 12 + 4.4], [6, 18]])
    np.testing.assert_allclose(cropped, whole, atol=3e-3 * whole.max())


def test_smaller_cell_is_repeated(crowd) -> None:
    once = of_12_angstrom(crowd.repeat((2, 2, 1)), Beam(energy_eV=80e3, semiangle_mrad=10), wave_shape=(96, 96))
    assert once.shape[-2:] == (64, 64)
    small = diffract(
        crowd, [ASKEW], pattern_shape=(128, 128), wave_shape=(192, 192), q_step_inv_angstrom=1 / 24,
        positions_angstrom=[[3, 3]],
    )  # fmt: skip
    large = diffract(
        crowd.repeat((2, 2, 1)), [ASKEW], pattern_shape=(128, 128), wave_shape=(192, 192), q_step_inv_angstrom=1 / 24,
        positions_angstrom=[[3, 3]],
    )  # fmt: skip
    np.testing.assert_allclose(small, large, atol=1e-7)


def test_frozen_phonons_are_a_seeded_mean(crowd) -> None:
    def run(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return of_12_angstrom(crowd, ASKEW, frozen_phonons=n, rng=rng)

    three = run(3, np.random.default_rng(1))
    np.testing.assert_array_equal(run(3, np.random.default_rng(1)), three)
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(np.mean([run(1, rng) for _ in range(3)], axis=0), three, atol=1e-7)


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


def test_engine_simulates_different_specimens_at_once(crowd) -> None:
    """Two runs with specimens, beams and slices of their own are what each is alone."""
    other = crowd[:30]
    other.set_cell([12, 12, 8])
    grid = WaveGrid((96, 96), (0.125, 0.125))
    engine = TorchMultislice(grid, (64, 64), scattering=abtem_scattering())
    straight = Beam(energy_eV=200e3, semiangle_mrad=10)
    two = engine.patterns(
        [from_ase(crowd), from_ase(other)],
        [[ASKEW], [straight]],
        [5, 4],
        np.array([[2, 5], [1, 4]]),
        np.array([[[24.0, 48.0]], [[72.0, 10.5]]]),
    ).numpy()
    assert two.shape == (2, 1, 1, 2, 64, 64)
    first = of_12_angstrom(crowd, ASKEW, exits_angstrom=[4, 10], positions_angstrom=[[3, 6]])
    second = of_12_angstrom(other, straight, exits_angstrom=[2, 8], positions_angstrom=[[9, 1.3125]])
    np.testing.assert_allclose(two[0], first, atol=1e-6)
    np.testing.assert_allclose(two[1], second, atol=1e-6)


def test_engine_needs_no_abtem_with_a_table(crowd, monkeypatch) -> None:
    import sys

    table = {z: np.asarray(abtem_scattering()[z]) for z in (6, 14, 31, 79)}
    expected = of_12_angstrom(crowd, ASKEW)
    monkeypatch.setitem(sys.modules, "abtem", None)
    np.testing.assert_array_equal(of_12_angstrom(crowd, ASKEW, scattering=table), expected)


def test_progress_is_told_and_may_stop_the_work(crowd) -> None:
    told: list[tuple[int, int]] = []
    of_12_angstrom(
        crowd, ASKEW, frozen_phonons=2, rng=np.random.default_rng(0), progress=lambda *done: told.append(done)
    )
    assert told == [(n, 10) for n in range(1, 11)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        of_12_angstrom(crowd, ASKEW, progress=stop)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"exits_angstrom": [11.5]}, "exits_angstrom"),
        ({"exits_angstrom": []}, "exits_angstrom"),
        ({"positions_angstrom": [1.0, 2.0]}, "positions_angstrom"),
        ({"positions_angstrom": [[np.nan, 2.0]]}, "positions_angstrom"),
        ({"slice_angstrom": 0}, "slice_angstrom"),
        ({"frozen_phonons": 1}, "frozen_phonons"),
        ({"wave_shape": (63, 96)}, "wave_shape"),
    ],
)
def test_what_cannot_be_simulated_is_refused(crowd, options, said) -> None:
    with pytest.raises(ConfigError, match=said):
        of_12_angstrom(crowd, ASKEW, **options)


def test_no_beam_is_refused(crowd) -> None:
    with pytest.raises(ConfigError, match="no beams"):
        of_12_angstrom(crowd)


def test_abtem_refuses_what_it_cannot_damp(crowd) -> None:
    crowd.arrays["u_angstrom"][np.flatnonzero(crowd.numbers == 79)[0]] = 0.2
    with pytest.raises(DataError, match="thermal displacements"):
        of_12_angstrom(crowd, ASKEW, engine="abtem")
