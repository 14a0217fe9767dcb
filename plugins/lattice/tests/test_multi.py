"""Several lattices in one scan."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.api import DataError

from .conftest import SQUARE, Crystal, dataset


def turn(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


@pytest.fixture
def two_grains():
    """Columns 0-9 grain A, 6-15 grain B, turned by 30 degrees, strained by 1 % in the last four; both in 6-9."""
    rng = np.random.default_rng(0)
    F = np.tile(np.eye(2), (16, 1, 1))
    F[12:, 0, 0] = 1.01
    a = Crystal(np.tile(np.eye(2), (16, 1, 1)), SQUARE, sigma=1e-4, q_max=0.9, origin=(0, 0)).peaks(rng)
    b = Crystal(F, turn(-30) @ SQUARE, sigma=1e-4, q_max=0.8, origin=(0, 0)).peaks(rng)
    b = [q[np.hypot(*q.T) > 0.01] if 6 <= i < 10 else q for i, q in enumerate(b)]  # one direct beam
    patterns = [a[i] if i < 6 else np.concatenate([a[i], b[i]]) if i < 10 else b[i] for i in range(16)]
    return dataset(patterns, (1, 16))


def test_both_lattices_are_found_and_measured(two_grains, solve):
    strain, lattice = solve(two_grains, n_lattices=2)
    assert strain.attrs["n_lattices"] == 2
    first, second = strain["valid"].values[0] == 1, strain["valid_2"].values[0] == 1
    if first[0]:
        of_a, of_b, e_b = first, second, strain["e_xx_2"].values[0]
    else:
        of_a, of_b, e_b = second, first, strain["e_xx"].values[0]
    assert list(np.flatnonzero(of_a)) == list(range(10))
    assert list(np.flatnonzero(of_b)) == list(range(6, 16))
    assert np.median(e_b[12:]) - np.median(e_b[6:12]) == pytest.approx(0.01, abs=5e-4)
    assert {"g1_2", "cov_2", "reason_2"} <= set(lattice.data_vars)
    assert "reference_2" in strain.attrs


def test_a_single_crystal_has_no_second_lattice(strained_scan, solve):
    strain, _ = solve(strained_scan(np.eye(2), sigma=1e-3, spurious=0.1), n_lattices=3)
    assert strain.attrs["n_lattices"] == 1
    assert "e_xx_2" not in strain


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("degrees", [0, 7, 17])
def test_in_a_twin_the_rows_in_common_are_not_the_other_crystal(solve, degrees, missing):
    """Along [011] of diamond every third row of a twin is one of the crystal's: a third of the peaks lie on it."""
    G = np.array([[0.2, -0.2], [0.2828, 0.2828]])
    normal = G[:, 1] / np.hypot(*G[:, 1])
    twin = (2 * np.outer(normal, normal) - np.eye(2)) @ G
    rng = np.random.default_rng(0)
    sides = [
        Crystal(np.tile(np.eye(2), (20, 1, 1)), turn(degrees) @ side, sigma=1.5e-3, missing=missing, origin=(0, 0))
        for side in (G, twin)
    ]
    strain, _ = solve(dataset([q for side in sides for q in side.peaks(rng)], (1, 40)), n_lattices=2)
    valid = np.stack([strain["valid"][0], strain["valid_2"][0]]) == 1
    np.testing.assert_array_equal(valid.sum(axis=0), 1)
    assert valid[0, :20].all() ^ valid[0, 20:].all()
    assert float(abs(strain["e_xy"]).max()) < 5e-3  # 0.02 to 0.06 in the twin, where it was fitted


def test_superlattice_reflections_may_be_absent_in_places(solve):
    rng = np.random.default_rng(0)
    fine = SQUARE / [2, 1]
    ordered, plain = (Crystal(np.tile(np.eye(2), (20, 1, 1)), G, sigma=1e-3, missing=0.1) for G in (fine, SQUARE))
    strain, _ = solve(dataset(ordered.peaks(rng) + plain.peaks(rng), (1, 40)))
    assert strain["valid"].all()


@pytest.mark.parametrize("degrees", [36.0, 36.9, 38.0, 53.5])
def test_grains_side_by_side_are_not_one_denser_lattice(solve, degrees):
    """Squares turned by nearly 36.87 degrees have every fifth node in common, and lie on a lattice that neither has."""
    rng = np.random.default_rng(0)
    grains = [Crystal(np.tile(np.eye(2), (10, 1, 1)), turn(a) @ np.eye(2) / 4, sigma=1e-3) for a in (9, 9 - degrees)]
    strain, lattice = solve(dataset([q for grain in grains for q in grain.peaks(rng)], (1, 20)))
    valid = strain["valid"].values[0] == 1
    assert list(np.flatnonzero(valid)) in ([*range(10)], [*range(10, 20)])
    assert np.hypot(*lattice.attrs["basis_g1"]) == pytest.approx(0.25, rel=0.01)
    assert abs(strain["theta"].values[0, valid]).max() < 0.01
    both = solve(dataset([q for grain in grains for q in grain.peaks(rng)], (1, 20)), n_lattices=2)[0]
    assert ((both["valid"] == 1) | (both["valid_2"] == 1)).all()


@pytest.mark.parametrize("angles", [(0, 20, 40), (0, 20, 45, 70)])
def test_grains_of_equal_size_are_all_found(solve, angles):
    """None of them has more than its share of the differences between peaks."""
    rng = np.random.default_rng(0)
    patterns = []
    for angle in angles:
        patterns += Crystal(np.tile(np.eye(2), (20, 1, 1)), turn(angle) @ SQUARE, sigma=1e-3).peaks(rng)
    n = len(angles)
    strain, _ = solve(dataset(patterns, (n, 20)), n_lattices=n)
    assert strain.attrs["n_lattices"] == n
    valid = [strain[f"valid{'' if number == 1 else f'_{number}'}"].values == 1 for number in range(1, n + 1)]
    np.testing.assert_array_equal(np.sum(valid, axis=0), 1)
    assert all(len({bool(v) for v in row}) == 1 for grain in valid for row in grain)


def test_three_lattices_in_every_pattern_are_all_fitted(solve):
    """Each has a third of the peaks."""
    rng = np.random.default_rng(0)
    grains = [
        Crystal(np.tile(np.eye(2), (30, 1, 1)), turn(angle) @ SQUARE, sigma=1e-3, missing=0.1, origin=(0, 0)).peaks(rng)
        for angle in (0, 20, 50)
    ]
    patterns = [np.concatenate(of_position) for of_position in zip(*grains, strict=True)]
    strain, _ = solve(dataset(patterns, (1, 30)), n_lattices=3)
    assert strain.attrs["n_lattices"] == 3
    for name in ("valid", "valid_2", "valid_3"):
        assert (strain[name] == 1).mean() > 0.9


def test_the_first_lattice_does_not_mind_the_second(two_grains, solve):
    alone, _ = solve(two_grains, basis={"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]})
    np.testing.assert_allclose(alone["e_xx"][0, :10], 0, atol=1e-3)


@pytest.mark.parametrize(("columns", "with_strain"), [([0, 5], "grain A"), ([11, 16], "grain B")])
def test_the_reference_may_lie_in_any_one_grain(two_grains, solve, columns, with_strain):
    """The other one has no strain, but still says how well it is fitted."""
    strain, _ = solve(two_grains, n_lattices=2, reference={"columns": columns})
    of = {"grain A": slice(0, 6), "grain B": slice(10, 16)}
    for grain, where in of.items():
        ending = max(("", "_2"), key=lambda end: int(strain[f"n_used{end}"][0, where].sum()))
        assert (strain[f"n_used{ending}"][0, where] > 0).all()
        assert np.isfinite(strain[f"residual{ending}"][0, where]).all()
        assert np.isfinite(strain[f"e_xx{ending}"][0, where]).all() == (grain == with_strain)
        assert (strain[f"valid{ending}"][0, where] == 1).all() == (grain == with_strain)
        assert ("none: " in strain.attrs[f"reference{ending}"]) == (grain != with_strain)


def test_a_reference_that_no_grain_reaches_is_an_error(two_grains, solve):
    empty = dataset([np.empty((0, 2))] * 2 + _patterns(two_grains), (1, 18))
    with pytest.raises(DataError, match="no position of the reference region"):
        solve(empty, n_lattices=2, reference={"columns": [0, 2]})


def _patterns(peaks):
    q = np.stack([peaks["qy"].values, peaks["qx"].values], axis=1)
    return np.split(q, np.cumsum(peaks["n_peaks"].values)[:-1])
