"""Rotation, mirror and sign from deflections of which they are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ronchi_com.rotation import fit_rotation, rotate


def difference(a: float, b: float, period: float = 360.0) -> float:
    return (a - b + period / 2) % period - period / 2


def fit(com, step=(1.0, 1.0), seed: int = 0, **more):
    return fit_rotation(*com, step, np.random.default_rng(seed), **more)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("rotation_deg", [*range(-165, 181, 15), 0.3, 89.9, -90.2])
def test_every_rotation_and_mirror_is_found(atoms, rotation_deg: float, flipped: bool):
    found = fit(atoms().measured(rotation_deg, flipped))
    assert abs(difference(found.rotation_deg, rotation_deg)) < 0.01  # deg; 0.0002 is reached
    assert -180 < found.rotation_deg <= 180
    assert found.flipped == flipped
    assert found.clear
    assert found.flip_resolved
    assert found.sign_resolved
    assert found.sd_deg < 0.01
    assert found.curl_fraction < 1e-5


@pytest.mark.parametrize(("shape", "step"), [((30, 60), (0.3, 0.7)), ((60, 25), (2.0, 1.0)), ((45, 45), (0.02, 0.02))])
def test_unequal_steps_and_sides(atoms, shape, step):
    field = atoms(shape, step, n=6)
    found = fit(field.measured(-123.4, True), step)
    assert abs(difference(found.rotation_deg, -123.4)) < 0.01
    assert found.flipped


@settings(max_examples=60, deadline=None)
@given(st.floats(-400, 400), st.booleans(), st.integers(0, 2**31))
def test_rotating_turns_x_towards_y(rotation_deg: float, flipped: bool, seed: int):
    y, x = np.random.default_rng(seed).normal(size=(2, 3, 4))
    new_y, new_x = rotate(y, x, rotation_deg, flipped)
    # As complex numbers x + iy: the scan's axes lie at +rotation, so components turn by -rotation.
    expected = (x + 1j * (-y if flipped else y)) * np.exp(-1j * np.deg2rad(rotation_deg))
    np.testing.assert_allclose(new_x + 1j * new_y, expected, rtol=0, atol=1e-12)


def test_a_known_mirror_is_taken_as_it_is(atoms):
    com = atoms().measured(20, True)
    assert fit(com, flip=True).flipped
    wrong = fit(com, flip=False)
    assert not wrong.flipped
    assert wrong.curl_fraction > 0.2  # the wrong mirror leaves curl at every angle


def test_linear_descan_does_not_matter(atoms):
    field = atoms(n=8)
    y, x = field.measured(33)
    descan = 0.02 * field.y - 0.05 * field.x + 1.0
    found = fit((y + descan, x - 0.7 * descan))
    assert abs(difference(found.rotation_deg, 33)) < 0.01


def test_missing_positions_are_left_out(atoms):
    y, x = atoms(n=8).measured(33)
    y[np.random.default_rng(3).random(y.shape) < 0.01] = np.nan
    x[10:16, 20:26] = np.nan
    assert abs(difference(fit((y, x)).rotation_deg, 33)) < 0.02


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_the_standard_deviation_is_honest(atoms, noise: float):
    pulls = []
    for seed in range(60):
        found = fit(atoms(n=20, seed=seed).measured(10, noise=noise, seed=seed + 1000), seed=seed)
        pulls.append(difference(found.rotation_deg, 10, 180) / found.sd_deg)
    assert 0.75 < np.std(pulls) < 1.3  # 60 samples know it to 9 %
    assert abs(np.mean(pulls)) < 0.5


@pytest.mark.parametrize(("shape", "step"), [((12, 12), (1, 1)), ((8, 60), (1, 1)), ((40, 30), (1, 0.4))])
def test_noise_is_not_taken_for_a_rotation(shape, step):
    rng = np.random.default_rng(8)
    found = [fit(rng.normal(size=(2, *shape)), step, seed=seed) for seed in range(150)]
    assert sum(each.clear for each in found) <= 2  # of 150, at a nominal rate of 1 in 5000
    assert sum(each.sign_resolved for each in found) <= 2
    assert np.median([each.sd_deg for each in found]) > 15


@pytest.mark.parametrize("side", [8, 10])
def test_noise_in_a_small_scan_is_not_taken_for_a_rotation(side):
    rng = np.random.default_rng(9)
    found = [fit(rng.normal(size=(2, side, side)), seed=seed) for seed in range(600)]
    assert sum(each.clear for each in found) <= 1  # blocks taken as independent make it 4 of 600 and more


def jittered(com, size: float, seed: int):
    """The beam goes to another place with each row."""
    rng = np.random.default_rng(seed)
    return [each + rng.normal(0, size, (len(each), 1)) for each in com]


@pytest.mark.parametrize("side", [10, 12, 24])
def test_the_standard_deviation_of_a_small_scan_is_honest(atoms, side: int):
    pulls = []
    for seed in range(60):
        com = atoms((side, side), n=side // 4, seed=seed).measured(20, noise=0.1, seed=seed + 100)
        found = fit(com, flip=False)
        if found.clear:
            pulls.append(difference(found.rotation_deg, 20, 180) / found.sd_deg)
    assert len(pulls) > 20
    assert np.sqrt(np.mean(np.square(pulls))) < 1.25  # blocks of positions alone make it 1.5


@pytest.mark.parametrize("walk", [False, True])
def test_rows_that_jump_are_not_taken_for_a_rotation(walk: bool):
    clear = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        jumps = rng.normal(0, 1, (2, 48, 1)) * [[[0.1]], [[1.0]]]
        clear += fit(rng.normal(0, 0.3, (2, 48, 48)) + (jumps.cumsum(1) if walk else jumps), seed=seed).clear
    assert clear <= 1  # of 40


def test_rows_that_jump_do_not_move_the_angle(atoms):
    com = atoms(n=20).measured(20)
    still, moved = fit(com), fit(jittered(com, 0.3 * np.std(com), 5))
    assert abs(difference(still.rotation_deg, moved.rotation_deg)) < 0.01
    assert moved.sd_deg == pytest.approx(still.sd_deg, rel=1e-3)


@pytest.mark.parametrize("amplitude", [(0.0, 0.5), (0.2, 0.5), (0.0, 3.0)])
@pytest.mark.parametrize("flyback", [0, 7.3])
def test_hum_is_not_taken_for_a_rotation(amplitude, flyback: float):
    clear = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        time = np.arange(64)[:, None] * (64 + flyback) + np.arange(64)
        hum = [a * np.sin(2 * np.pi * time / 37.3 + p) for a, p in zip(amplitude, rng.uniform(0, 6, 2), strict=True)]
        clear += fit(rng.normal(0, 1, (2, 64, 64)) + hum, seed=seed).clear
    assert clear <= 1  # of 40


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_few_positions_can_show_the_rotation(atoms, noise):
    found = [fit(atoms((12, 12), n=3, seed=seed).measured(40, noise=noise, seed=seed), seed=seed) for seed in range(20)]
    assert np.mean([each.clear for each in found]) > 0.9


def test_a_weak_signal_is_still_seen(atoms):
    found = [fit(atoms(seed=seed).measured(40, noise=1.5, seed=seed), seed=seed) for seed in range(20)]
    assert np.mean([each.clear for each in found]) > 0.9
    assert max(abs(difference(each.rotation_deg, 40, 180)) for each in found) < 12


def test_nothing_at_all_is_not_clear():
    found = fit(np.zeros((2, 10, 10)))
    assert not found.clear
    assert not found.sign_resolved
    assert not fit(np.full((2, 10, 10), np.nan)).clear


def test_the_sign_follows_the_nuclei(atoms):
    """Electrons go towards nuclei: with attraction turned into repulsion, the frame turns by half a circle."""
    y, x = atoms().measured(25)
    assert abs(difference(fit((-y, -x)).rotation_deg, 25 + 180)) < 0.01


def test_holes_look_like_atoms_half_a_turn_off(atoms):
    """A film with pores pushes where atoms pull: only who knows the sample can tell, so that can be said."""
    pores = atoms().measured(25)
    pores = (-pores[0], -pores[1])
    taken_for_atoms, said = fit(pores), fit(pores, atoms=False)
    assert taken_for_atoms.sign_resolved
    assert abs(difference(taken_for_atoms.rotation_deg, 25 + 180)) < 0.01
    assert not said.sign_resolved
    assert abs(difference(said.rotation_deg, 25)) < 0.01
    assert said.clear


def test_blobs_of_either_sign_have_none():
    """A smooth random potential: neighbours go together, so there are far fewer of them than positions."""
    found = []
    for seed in range(100):
        phase = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(48, 48)), 3, mode="wrap")
        found.append(fit(np.gradient(phase), seed=seed).sign_resolved)
    assert sum(found) <= 2  # of 100


def test_a_wave_has_no_sign():
    y, x = np.mgrid[:40, :40] * 0.45
    found = fit((np.sin(y), np.sin(1.3 * x)))
    assert found.clear
    assert not found.sign_resolved
    assert -90 <= found.rotation_deg <= 90


@pytest.mark.parametrize("rotation_deg", [0.0, 40.0])
def test_a_field_of_one_direction_hides_the_mirror_but_not_the_field(rotation_deg: float):
    x = np.broadcast_to(np.arange(40.0), (30, 40))
    field = -(x - 20) / 9 * np.exp(-((x - 20) ** 2) / 18)
    c, s = np.cos(np.deg2rad(rotation_deg)), np.sin(np.deg2rad(rotation_deg))
    com = (s * field, c * field)
    found = fit(com)
    assert found.clear
    assert not found.flipped
    assert not found.flip_resolved
    back_y, back_x = rotate(*com, found.rotation_deg, found.flipped)
    np.testing.assert_allclose(np.abs(back_x), np.abs(field), atol=1e-6)
    np.testing.assert_allclose(back_y, 0, atol=1e-6)


def test_noise_on_a_field_of_one_direction_does_not_settle_the_mirror():
    x = np.broadcast_to(np.arange(40.0), (30, 40))
    field = -(x - 20) / 9 * np.exp(-((x - 20) ** 2) / 18)
    settled = 0
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(0, 0.02, (2, 30, 40))
        settled += fit((0.6 * field + noise[0], 0.8 * field + noise[1]), seed=seed).flip_resolved
    assert settled <= 5  # of 40, at a nominal rate of 2 in 100
