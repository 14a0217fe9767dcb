"""What a request promises: batches, exits, windows, phonons, progress, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ronchi.errors import ConfigError, DataError
from ronchi_simulate.multislice import diffract, torch_engine
from ronchi_simulate.multislice.atoms import from_ase
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.multislice.scattering import abtem_scattering
from ronchi_simulate.multislice.torch_engine import TorchMultislice
from ronchi_simulate.optics import Beam

CENTRE = 32
ASKEW = Beam(energy_eV=80e3, semiangle_mrad=25, defocus_angstrom=40, tilt_mrad=(20, -35))


def test_exits_are_the_patterns_of_thinner_specimens(of_12_angstrom, crowd) -> None:
    options = {"positions_angstrom": [[2, 3], [7.7, 4.1]]}
    series = of_12_angstrom(crowd, ASKEW, exits_angstrom=[0, 4, 10, 4], **options)
    thin = crowd[crowd.positions[:, 2] < 4]
    thin.set_cell([12, 12, 4])
    np.testing.assert_allclose(series[:, :, 1], of_12_angstrom(thin, ASKEW, **options)[:, :, 0], atol=1e-7)
    np.testing.assert_array_equal(series[:, :, 1], series[:, :, 3])
    np.testing.assert_allclose(series[:, :, 2], of_12_angstrom(crowd, ASKEW, **options)[:, :, 0], atol=1e-7)


def test_batches_and_other_beams_change_nothing(of_12_angstrom, crowd) -> None:
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


@pytest.mark.parametrize("engine", ["torch", "abtem"])
def test_positions_that_differ_in_their_tilt_share_a_potential(of_12_angstrom, crowd, engine, monkeypatch) -> None:
    """The same as beams of that tilt, one by one; positions whose windows lie apart in a larger cell, too."""
    tilts = [(5.0, 10.0), (0.0, 0.0), (-30.0, 4.0), (5.0, 10.0)]
    positions = [[1.0, 2.0], [6.5, 11.0], [9.9, 0.2], [3.0, 3.0]]
    beams = [Beam(energy_eV=80e3, semiangle_mrad=9, tilt_mrad=(1.0, -2.0)), Beam(energy_eV=80e3, semiangle_mrad=12)]
    made = []
    potential = torch_engine.SlicedPotential
    monkeypatch.setattr(torch_engine, "SlicedPotential", lambda *given: made.append(1) or potential(*given))
    crowd.arrays["u_angstrom"][:] = 0.08
    for cell in (crowd, crowd.repeat((3, 1, 1))):
        made.clear()
        together = of_12_angstrom(cell, *beams, positions_angstrom=positions, tilts_mrad=tilts, engine=engine)
        assert len(made) == (engine == "torch")
        for index, tilt in enumerate(tilts):
            turned = [replace(beam, tilt_mrad=tuple(np.add(beam.tilt_mrad, tilt))) for beam in beams]
            alone = of_12_angstrom(cell, *turned, positions_angstrom=positions[index : index + 1], engine=engine)
            np.testing.assert_allclose(together[:, index], alone[:, 0], atol=3e-3 * alone.max())
            if cell is crowd:
                np.testing.assert_allclose(together[:, index], alone[:, 0], atol=1e-7)


def test_moving_specimen_and_probe_together_changes_nothing(of_12_angstrom, crowd) -> None:
    """By any amount, over the edges of the cell too."""
    here = of_12_angstrom(crowd, ASKEW, positions_angstrom=[[3, 4]])
    moved = crowd.copy()
    moved.positions += [5.4321, 7.7777, 0]
    there = of_12_angstrom(moved, ASKEW, positions_angstrom=[[3 + 7.7777, 4 + 5.4321]])
    np.testing.assert_allclose(there, here, atol=2e-5 * here.max())


def test_crop_of_a_larger_specimen_is_the_specimen_around_the_probe(of_12_angstrom, crowd) -> None:
    """In a cell of 2 x 3 periods a window of one period is the period itself, wherever the probe stands."""
    whole = of_12_angstrom(crowd, ASKEW, positions_angstrom=[[3.3, 4.4], [6, 6]])
    large = crowd.repeat((3, 2, 1))
    # A period of vacuum at the far end: the window can no longer be taken for whole cells.
    large.set_cell([42, 30, 10])
    cropped = of_12_angstrom(large, ASKEW, positions_angstrom=[[12 + 3.3, 12 + 4.4], [6, 18]])
    np.testing.assert_allclose(cropped, whole, atol=3e-3 * whole.max())


def test_a_pattern_that_is_not_square_is_part_of_the_square_one(crowd) -> None:
    """The longer side says how far waves go: none of its pixels is dark for want of a grid."""
    whole = diffract(crowd, [ASKEW], pattern_shape=(64, 64), q_step_inv_angstrom=1 / 12)[0, 0, 0]
    wide = diffract(crowd, [ASKEW], pattern_shape=(20, 64), q_step_inv_angstrom=1 / 12)[0, 0, 0]
    np.testing.assert_allclose(wide, whole[22:42], atol=1e-7)


def test_smaller_cell_is_repeated(of_12_angstrom, crowd) -> None:
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


def test_frozen_phonons_are_a_seeded_mean(of_12_angstrom, crowd) -> None:
    def run(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return of_12_angstrom(crowd, ASKEW, frozen_phonons=n, rng=rng)

    three = run(3, np.random.default_rng(1))
    np.testing.assert_array_equal(run(3, np.random.default_rng(1)), three)
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(np.mean([run(1, rng) for _ in range(3)], axis=0), three, atol=1e-7)


def test_engine_simulates_different_specimens_at_once(of_12_angstrom, crowd) -> None:
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


def test_engine_needs_no_abtem_with_a_table(of_12_angstrom, crowd, monkeypatch) -> None:
    import sys

    table = {z: np.asarray(abtem_scattering()[z]) for z in (6, 14, 31, 79)}
    expected = of_12_angstrom(crowd, ASKEW)
    monkeypatch.setitem(sys.modules, "abtem", None)
    np.testing.assert_array_equal(of_12_angstrom(crowd, ASKEW, scattering=table), expected)


def test_progress_is_told_and_may_stop_the_work(of_12_angstrom, crowd) -> None:
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
        ({"tilts_mrad": [[1.0, 2.0], [3.0, 4.0]]}, "tilts_mrad"),
        ({"tilts_mrad": [[1.0, np.inf]]}, "tilts_mrad"),
        ({"frozen_phonons": 1}, "frozen_phonons"),
        ({"wave_shape": (63, 96)}, "wave_shape"),
    ],
)
def test_what_cannot_be_simulated_is_refused(of_12_angstrom, crowd, options, said) -> None:
    with pytest.raises(ConfigError, match=said):
        of_12_angstrom(crowd, ASKEW, **options)


def test_an_aperture_that_the_band_limit_would_cut_is_refused(crowd) -> None:
    """40 px on a grid of 96: of the beam .61 would be left, and nothing would say so."""
    wide = Beam(
        energy_eV=200e3, semiangle_mrad=40 / 24 * Beam(energy_eV=200e3, semiangle_mrad=1).wavelength_angstrom * 1e3
    )
    asked = {"pattern_shape": (96, 96), "wave_shape": (96, 96), "q_step_inv_angstrom": 1 / 24}
    with pytest.raises(ConfigError, match=r"reaches 1\.67 1/angstrom; waves of 96 x 96 carry 1\.2"):
        diffract(crowd, [wide], **asked)
    whole = diffract(crowd, [wide], **{**asked, "wave_shape": (192, 192)}, exits_angstrom=[0.0])
    assert whole.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("z", "told"), [(-2.5, "-2.5 to"), (12.5, "to 12.5")])
def test_atoms_before_or_behind_the_specimen_are_refused(of_12_angstrom, crowd, z: float, told: str) -> None:
    """Those that stick out by less than a slice belong to the outermost one."""
    beam = Beam(energy_eV=80e3, semiangle_mrad=10)
    crowd.positions[7, 2] = np.clip(z, -1.9, 11.9)
    of_12_angstrom(crowd, beam)
    crowd.positions[7, 2] = z
    with pytest.raises(DataError, match=rf"1 of 60 atoms lie outside .*{told}"):
        of_12_angstrom(crowd, beam)


@pytest.mark.parametrize(("wave_px", "n"), [(80, 1), (256, 0)])
def test_waves_too_coarse_are_told_of_unless_the_caller_has(
    of_12_angstrom, crowd, caplog, wave_px: int, n: int
) -> None:
    beam, size = Beam(energy_eV=80e3, semiangle_mrad=10), {"wave_shape": (wave_px, wave_px)}
    of_12_angstrom(crowd, beam, **size)
    assert caplog.text.count("patterns of atoms with Z = 79 are wrong by several per cent") == n
    of_12_angstrom(crowd, beam, **size, log=None)
    assert caplog.text.count("Z = 79") == n


def test_no_beam_is_refused(of_12_angstrom, crowd) -> None:
    with pytest.raises(ConfigError, match="no beams"):
        of_12_angstrom(crowd)


def test_abtem_refuses_what_it_cannot_damp(of_12_angstrom, crowd) -> None:
    crowd.arrays["u_angstrom"][np.flatnonzero(crowd.numbers == 79)[0]] = 0.2
    with pytest.raises(DataError, match="thermal displacements"):
        of_12_angstrom(crowd, ASKEW, engine="abtem")
