"""Crops of motifs: drawn where the truth says, with the symmetry and the noise that it states."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ronchi.api import Context
from ronchi.builtin.motif_library import MOTIFS, motif_atoms
from ronchi.builtin.motifs import Motifs, draw_atoms, simulate_motifs
from ronchi.builtin.params_motifs import MotifName, MotifsParams
from ronchi.schema import crops


def make(seed: int = 0, **changes):
    return simulate_motifs(np.random.default_rng(seed), **changes)


def turned(atoms: np.ndarray, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([s * atoms[:, 1] + c * atoms[:, 0], c * atoms[:, 1] - s * atoms[:, 0], atoms[:, 2]], 1)


def same_atoms(a: np.ndarray, b: np.ndarray, radius: float = 3.4) -> bool:
    """Every atom of ``a`` within the radius lies on an equal one of ``b``."""
    inner = a[np.hypot(a[:, 0], a[:, 1]) < radius]
    distance, index = cKDTree(b[:, :2]).query(inner[:, :2])
    return bool((distance < 1e-3).all() and np.allclose(inner[:, 2], b[index, 2]))


def test_the_parameters_name_every_motif():
    assert set(MotifName.__args__) == set(MOTIFS)


@pytest.mark.parametrize("name", MOTIFS)
def test_symmetry_is_as_stated_and_no_higher(name: str):
    atoms, n = motif_atoms(name, 5), MOTIFS[name].n_fold
    assert same_atoms(atoms, turned(atoms, 2 * np.pi / n))
    for higher in (2 * n, 3 * n):
        assert not same_atoms(atoms, turned(atoms, 2 * np.pi / higher))


def test_twisted_motifs_are_mirror_images_and_chiral():
    left, right = motif_atoms("mos2-twisted-left", 5), motif_atoms("mos2-twisted-right", 5)
    assert same_atoms(left * (-1, 1, 1), right)
    assert not any(same_atoms(turned(left, angle), right) for angle in np.deg2rad(np.arange(0, 120, 0.5)))


def test_stone_wales_has_two_pentagons_and_bonds_of_about_one():
    atoms = motif_atoms("5-7-7-5", 5)[:, :2]
    pairs = np.array(sorted(cKDTree(atoms).query_pairs(1.25)))
    lengths = np.hypot(*(atoms[pairs[:, 0]] - atoms[pairs[:, 1]]).T)
    assert lengths.min() > 0.8  # relaxed: not the 0.67 of an unrelaxed turn
    inner = np.flatnonzero(np.hypot(*atoms.T) < 3)
    assert {int((pairs == atom).sum()) for atom in inner} == {3}  # every atom keeps three neighbours
    crop = motif_atoms("stone-wales", 5)
    nearest = crop[np.argsort(np.hypot(crop[:, 0], crop[:, 1]))[:2]]
    np.testing.assert_allclose(nearest[0, :2], 0, atol=1e-12)
    assert abs(nearest[1, 0]) < 1e-3
    assert 0.7 < nearest[1, 1] < 1.0  # the other atom of the turned bond, at angle 0


def test_the_first_neighbour_lies_at_the_angle_and_shift_of_the_truth():
    made = make(motifs=("pristine",), noise="none", n_samples=20)
    truth = made.sides["truth"]
    for crop, angle, shift in zip(
        made.data["intensity"].values, truth["angle"].values, truth["shift"].values, strict=True
    ):
        y, x = shift + 4.5 * np.array([np.sin(angle), np.cos(angle)])
        rows, columns = np.arange(25) - 12, np.arange(25) - 12
        weight = np.exp(-((rows[:, None] - y) ** 2 + (columns - x) ** 2) / 2)
        weight *= crop
        found = (weight * rows[:, None]).sum() / weight.sum(), (weight * columns).sum() / weight.sum()
        np.testing.assert_allclose(found, (y, x), atol=0.06)  # the neighbours pull a little


def test_crops_turned_by_a_quarter_are_drawn_as_np_rot90_would():
    """Odd windows, no shift: the pixel grid maps onto itself; +90 degrees turns x towards y (clockwise on screen)."""
    atoms = motif_atoms("f-glyph", 5)
    upright, quarter = (
        draw_atoms(4.5 * turned(atoms, angle)[None, :, :2], atoms[:, 2], 1.3, (25, 25))[0] for angle in (0, np.pi / 2)
    )
    np.testing.assert_allclose(quarter, np.rot90(upright, -1), atol=1e-12)


@pytest.mark.parametrize("size", [24, 25])
def test_the_centre_is_the_pixel_n_half(size: int):
    made = make(motifs=("silicon",), noise="none", n_samples=3, shift_range_px=0, size_px=size)
    crop = made.data["intensity"].values
    assert (crop[:, size // 2, size // 2] == crop.max((1, 2))).all()
    assert made.data["y"].values[size // 2] == 0
    assert made.sides["truth"]["template"].shape == (1, size, size)


def test_noise_has_the_stated_width_and_classes_equal_numbers():
    made, clean = make(n_samples=400), make(n_samples=400, noise="none")
    noise = made.data["intensity"].values - clean.data["intensity"].values
    assert noise.std() == pytest.approx(0.5, rel=0.01)  # 250,000 draws: 0.0014 relative
    assert abs(noise.mean()) < 0.004
    np.testing.assert_array_equal(np.bincount(made.sides["truth"]["label"].values), 100)
    assert made.data["intensity"].dtype == np.float32


def test_poisson_counts_have_the_stated_dose():
    made = make(n_samples=400, noise="poisson", dose_e_per_px=(10, 1000))
    counts, truth = made.data["intensity"].values, made.sides["truth"]
    assert counts.dtype == np.uint16
    expected = truth["dose"].values
    z = (counts.sum((1, 2)) - expected) / np.sqrt(expected)
    assert z.std() == pytest.approx(1, abs=0.15)  # 400 draws: 0.035
    per_pixel = expected / 625
    assert per_pixel.min() < 15
    assert per_pixel.max() > 700


def test_angles_and_shifts_stay_within_their_ranges_and_fill_them():
    truth = make(n_samples=2000, angle_range_deg=45, shift_range_px=0.3, noise="none").sides["truth"]
    assert 0.98 < np.abs(np.rad2deg(truth["angle"].values)).max() / 45 <= 1
    assert 0.98 < np.abs(truth["shift"].values).max() / 0.3 <= 1


def test_continuous_variation_is_in_the_truth_and_in_the_crop():
    made = make(motifs=("pristine",), n_samples=200, bond_spread=0.1, tilt_max_deg=30, noise="none")
    truth = made.sides["truth"]
    bond, tilt = truth["z"].values.T
    assert 0.9 <= bond.min() < 0.91
    assert 29 < tilt.max() <= 30
    assert int(truth["n_fold"][0]) == 1  # a tilt takes the threefold axis away
    # Longer bonds and less tilt put fewer atoms into the window.
    fewer = np.corrcoef(made.data["intensity"].mean(("y", "x")), bond**2 * np.cos(np.deg2rad(tilt)))[0, 1]
    assert fewer < -0.9


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    a, b, c = make(3), make(3), make(4)
    assert a.data.identical(b.data)
    assert a.sides["truth"].identical(b.sides["truth"])
    assert not a.data.equals(c.data)


def test_the_simulator_gives_crops_that_follow_their_schema():
    made = Motifs(MotifsParams(n_samples=30, n_frames=4)).simulate(Context(rng=np.random.default_rng(0)))
    crops.validate(made.data)
    np.testing.assert_array_equal(np.bincount(made.data["frame"].values), [8, 7, 8, 7])
    where = np.stack([made.data[name].values for name in ("frame", "position_y", "position_x")], 1)
    assert len(np.unique(where, axis=0)) == 30


@pytest.mark.parametrize(
    "wrong", [{"motifs": ("pristine", "pristine")}, {"dose_e_per_px": (5, 1)}, {"motifs": ()}, {"motifs": ("cubic",)}]
)
def test_what_makes_no_sense_is_refused(wrong: dict):
    with pytest.raises(ValueError, match=r"motifs|dose_e_per_px"):
        MotifsParams(**wrong)
