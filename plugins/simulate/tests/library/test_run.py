"""What a run gives is what its truth says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ronchi.optics import wavelength_angstrom
from ronchi_simulate.library.crystals import Crystal
from ronchi_simulate.library.orientation import beam_along
from ronchi_simulate.library.plan import Run
from ronchi_simulate.library.run import atoms_of, rounded, simulate_run
from ronchi_simulate.params.library import LibraryParams

FCC = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
GOLD = Crystal("A_cF4_225_a", "Au", np.eye(3) * 4.078, FCC, np.full(4, 79))
N, STEP = 128, 0.02
TWO_CELLS = {"slice_angstrom": 2.039, "thickness_step_angstrom": 8.156, "thickness_max_angstrom": 8.156}


def run_of(crystal: Crystal, zone: tuple[int, int, int], **more: object) -> Run:
    tilt = more.pop("tilt_mrad", (0.0, 0.0))
    made = Run(
        index=0,
        crystal=crystal,
        split="train",
        zone_axis=zone,
        tilt_mrad=tilt,
        rotation=beam_along(crystal, zone, in_plane_deg=11.0, tilt_mrad=tilt),
        origin=np.array([0.2, 0.3, 0.4]),
        beam_energy_eV=200e3,
        semiangles_mrad=(2.0,),
        u_angstrom=0.08,
        seed=(1, 2),
    )
    return replace(made, **more)


def params_of(**more: object) -> LibraryParams:
    given = {
        "pattern_px": N,
        "q_step_inv_angstrom": STEP,
        "semiangles_mrad": (2.0,),
        "thickness_step_angstrom": 20.0,
        "thickness_max_angstrom": 20.0,
    }
    return LibraryParams(**{**given, **more})


def centroid(pattern: np.ndarray, at_px: np.ndarray, radius_px: float) -> np.ndarray:
    """Centre of the disk at a position: of what is above half its brightest pixel's height, as far as one radius."""
    rows, columns = np.indices(pattern.shape)
    near = np.hypot(rows - at_px[0], columns - at_px[1]) < radius_px + 2.5
    weight = np.where(near, pattern, 0.0)
    return np.array([(weight * rows).sum(), (weight * columns).sum()]) / weight.sum()


@pytest.fixture(scope="module")
def thin() -> tuple[np.ndarray, object, Run]:
    run = run_of(GOLD, (0, 0, 1))
    data = simulate_run(run, params_of(**TWO_CELLS))
    return data.intensity[0, 0], data.points, run


def test_disks_of_a_thin_crystal_are_at_the_reflections(thin) -> None:
    pattern, points, run = thin
    radius = 2e-3 / wavelength_angstrom(run.beam_energy_eV) / STEP
    strength = np.abs(points.structure_factor_V) * np.exp(-((points.excitation_error / 0.03) ** 2))
    inner = np.abs(points.q_inv_angstrom).max(axis=1) < (N // 2 - radius - 4) * STEP
    strong = np.flatnonzero(inner & (strength > 0.25 * strength[1:].max()))
    assert len(strong) >= 9
    expected = points.q_inv_angstrom[strong] / STEP + N // 2
    found = np.array([centroid(pattern, at, radius) for at in expected])
    # What moves them, by 0.02 px, is how the rocking curve slopes over the disk; it grows with the thickness.
    assert np.abs(found - expected).max() < 0.05


def test_a_thin_crystal_scatters_as_its_structure_factors_say(thin) -> None:
    """Kinematic: I_g / I_0 = (sigma V_g t)^2 sinc^2(s t), for two cells of silicon within a tenth."""
    from ronchi.optics import interaction_constant

    silicon = Crystal("A_cF8_227_a", "Si", np.eye(3) * 5.431, np.concatenate([FCC, FCC + 0.25]), np.full(8, 14))
    run = run_of(silicon, (0, 0, 1), semiangles_mrad=(1.5,))
    t = 2 * 5.431
    params = params_of(
        semiangles_mrad=(1.5,), slice_angstrom=t / 8, thickness_step_angstrom=t, thickness_max_angstrom=t
    )
    data = simulate_run(run, params)
    pattern, points = data.intensity[0, 0], data.points
    radius = 1.5e-3 / wavelength_angstrom(run.beam_energy_eV) / STEP
    rows, columns = np.indices(pattern.shape)
    for index in np.flatnonzero((points.excitation_error > -0.02) & (np.abs(points.structure_factor_V) > 1.0))[1:9]:
        at = points.q_inv_angstrom[index] / STEP + N // 2
        disk = pattern[np.hypot(rows - at[0], columns - at[1]) < radius + 2].sum()
        strength = interaction_constant(run.beam_energy_eV) * np.abs(points.structure_factor_V[index]) * t
        expected = strength**2 * np.sinc(points.excitation_error[index] * t) ** 2
        assert disk == pytest.approx(expected, rel=0.1), points.hkl[index]


def test_a_tilt_moves_the_circle_of_laue_and_no_disk() -> None:
    """The excitation errors tell on which side of the pattern a tilted crystal shines."""
    run = run_of(GOLD, (0, 0, 1), tilt_mrad=(0.0, 12.0))
    data = simulate_run(run, params_of(thickness_max_angstrom=60.0, thickness_step_angstrom=60.0))
    pattern, points = data.intensity[0, 0], data.points
    rows, columns = np.indices(pattern.shape)
    kept = (np.abs(points.structure_factor_V) > 2) & (np.linalg.norm(points.q_inv_angstrom, axis=1) < 1.1)
    disks, predicted = [], []
    for index in np.flatnonzero(kept)[1:]:
        at = points.q_inv_angstrom[index] / STEP + N // 2
        disks.append(pattern[np.hypot(rows - at[0], columns - at[1]) < 5].sum())
        s = points.excitation_error[index]
        predicted.append(np.abs(points.structure_factor_V[index]) ** 2 * np.sinc(s * 60) ** 2)
    # Dynamical by then, but the side that is excited is plain; with the sign of s wrong it is below 0.
    assert np.corrcoef(np.log(np.array(disks) + 1e-8), np.log(np.array(predicted) + 1e-3))[0, 1] > 0.6


def test_the_beam_is_all_there_and_the_probe_is_a_pattern_without_specimen() -> None:
    data = simulate_run(run_of(GOLD, (0, 1, 1)), params_of())
    np.testing.assert_allclose(data.probe.sum(axis=(1, 2)), 1, rtol=1e-6)
    # Gold throws a few per cent of 20 angstrom's scattering beyond 1.28 / angstrom.
    assert 0.9 < data.intensity.sum() < 1.0
    weak = simulate_run(
        run_of(replace(GOLD, numbers=np.full(4, 1), lattice_angstrom=np.eye(3) * 8), (0, 0, 1)), params_of()
    )
    assert np.abs(weak.intensity[0, 0] - weak.probe[0]).max() < 0.02 * weak.probe.max()


def test_a_wider_window_keeps_small_probes_off_its_seam() -> None:
    run = run_of(GOLD, (0, 0, 1), semiangles_mrad=(1.0,))
    beside = []
    for binning in (1, 2):
        thick = {"thickness_step_angstrom": 100.0, "thickness_max_angstrom": 100.0}
        params = params_of(semiangles_mrad=(1.0,), binning=binning, **thick)
        data = simulate_run(run, params)
        pattern = data.intensity[0, 0].copy()
        rows, columns = np.indices(pattern.shape)
        for q in data.points.q_inv_angstrom:
            at = q / STEP + N // 2
            pattern[np.hypot(rows - at[0], columns - at[1]) < 5] = 0
        beside.append(pattern.sum())
    # 5.2e-4 and 2.9e-4 of the beam, beside all disks.
    assert beside[1] < 0.7 * beside[0]
    assert beside[1] < 4e-4


def test_the_window_is_full_of_crystal() -> None:
    params = params_of()
    atoms = atoms_of(run_of(GOLD, (1, 1, 1)), params)
    side = params.binning / STEP
    np.testing.assert_allclose(atoms.cell.lengths(), [side, side, 20.0])
    # 8 or 9 planes in 20 angstrom.
    assert len(atoms) == pytest.approx(4 / 4.078**3 * side**2 * 20, rel=0.08)
    assert (atoms.arrays["u_angstrom"] == 0.08).all()


def test_rounding_is_below_shot_noise() -> None:
    rng = np.random.default_rng(0)
    values = 10 ** rng.uniform(-9, 0, 20000).astype(np.float32)
    error = np.abs(rounded(values) - values)
    assert (error <= np.maximum(values * 2.0**-11, 2.0**-32)).all()
    # Shot noise of 4e6 electrons in the pattern, and a hundredth of an electron.
    assert (error * 4e6 < np.sqrt(values * 4e6) + 0.01).all()
