"""What the strain is relative to."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi.api import DataError
from ronchi_lattice.fit import Fits
from ronchi_lattice.params import LatticeParams, Reference
from ronchi_lattice.peaklist import read
from ronchi_lattice.reference import ReferenceLattice, make_reference
from ronchi_lattice.solver import LatticeSolver

from .conftest import SQUARE, Crystal, dataset

LEVELS = np.array([0.0] * 6 + [0.01] * 10)


def reference_of(G: np.ndarray, sigma: np.ndarray, statistic: str = "median") -> ReferenceLattice:
    """Reference of the lattices G (n, 2, 2), each component of which is known to sigma (n,)."""
    fits = Fits.empty(len(G), 0)
    fits.params.reshape(-1, 2, 3)[:, :, 1:] = G
    fits.cov[:] = sigma[:, None, None] ** 2 * np.eye(6)
    fits.reason[:] = 0
    peaks = read(dataset([np.empty((0, 2))] * len(G), (1, len(G))))
    coords = {name: xr.Variable(name, np.arange(n)) for name, n in (("scan_y", 1), ("scan_x", len(G)))}
    return make_reference(fits, peaks, SQUARE, Reference(statistic=statistic), coords)


@pytest.fixture
def steps():
    """Six unstrained columns and ten with e_xx = 1 %, 5 angstrom apart, three rows."""
    F = np.tile(np.eye(2), (16, 1, 1))
    F[:, 0, 0] += LEVELS
    patterns = Crystal(np.tile(F, (3, 1, 1)), SQUARE).peaks(np.random.default_rng(0))
    coords = {
        name: xr.Variable(name, np.arange(n) * 5.0, {"units": "angstrom", "long_name": name})
        for name, n in (("scan_y", 3), ("scan_x", 16))
    }
    return dataset(patterns, (3, 16), scan_coords=coords)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ({"scan_x": [0, 25]}, "scan_x 0 to 25 angstrom"),
        ({"columns": [0, 6]}, "columns 0:6"),
        ({"scan_x": [0, 25], "rows": [1, 3]}, "rows 1:3"),
        ({"scan_y": [4, 11], "columns": [0, 3], "statistic": "mean"}, "mean over 6 fitted positions"),
        ({"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]}, "explicit cell"),
        ({"g1": SQUARE[:, 0] + SQUARE[:, 1], "g2": SQUARE[:, 1]}, "explicit cell"),
    ],
)
def test_strain_against_the_substrate(steps, solve, reference, words):
    strain, _ = solve(steps, reference=reference)
    np.testing.assert_allclose(strain["e_xx"], np.tile(LEVELS, (3, 1)), atol=1e-6)
    assert words in strain.attrs["reference"]


def test_the_whole_scan_by_default(steps, solve):
    strain, _ = solve(steps)
    np.testing.assert_allclose(strain["e_xx"][:, 6:], 0, atol=1e-6)  # the median: most columns are strained
    assert strain.attrs["reference"] == "median over 48 fitted positions of the whole scan"


def bent(degrees, n, rows=1, G=SQUARE, **spoilt):
    """A crystal that turns from minus to plus ``degrees`` along a row, and has no strain."""
    angles = np.deg2rad(np.linspace(-degrees, degrees, n))
    F = np.array([[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in angles])
    return dataset(Crystal(np.tile(F, (rows, 1, 1)), G, **spoilt).peaks(np.random.default_rng(0)), (rows, n)), angles


@pytest.mark.parametrize("statistic", ["median", "mean"])
@pytest.mark.parametrize("degrees", [3, 10, 28])
def test_a_crystal_that_turns_is_not_strained_against_the_whole_scan(solve, degrees, statistic):
    """The mean of turned vectors is shorter than they are: by 0.4 % at 10 degrees. At 28 they pile up nowhere."""
    peaks, angles = bent(degrees, 61, sigma=1e-4)
    strain, _ = solve(peaks, reference={"statistic": statistic})
    assert strain["valid"].all()
    for name in ("e_xx", "e_yy", "e_xy"):
        assert float(abs(strain[name]).max()) < 3e-4  # 8 times the error of 3e-5 that noise leaves
    np.testing.assert_allclose(np.diff(strain["theta"][0]), np.diff(angles), atol=3e-4)


@pytest.mark.parametrize("degrees", [13, 20])
def test_a_crystal_that_turns_is_not_taken_for_a_denser_one(solve, degrees):
    """Far from the common start, hexagonal patterns were fitted by lattices of which every other node is empty."""
    side = np.deg2rad([20, 80])
    G = 0.3 * np.stack([np.sin(side), np.cos(side)])
    peaks, _ = bent(degrees, 200, 4, G, sigma=2e-3, missing=0.2, spurious=0.1)
    strain, _ = solve(peaks)
    assert strain["valid"].mean() > 0.99
    assert (abs(strain["e_xx"]) < 0.05).mean() > 0.99


def test_the_mean_leaves_out_outliers(solve):
    F = np.tile(np.eye(2), (30, 1, 1))
    F[4, 0, 0] = 1.04
    peaks = dataset(Crystal(F, SQUARE, sigma=1e-4).peaks(np.random.default_rng(0)), (1, 30))
    strain, _ = solve(peaks, reference={"statistic": "mean"})
    kept = int(strain.attrs["reference"].split()[2])
    assert 26 <= kept <= 29  # column 4, and perhaps one or two that noise puts beyond 3.5 deviations
    assert float(strain["e_xx"][0, 4]) == pytest.approx(0.04, abs=5e-4)


@pytest.mark.parametrize("spoilt", [0, 1, 5])
def test_the_error_of_a_median_is_not_that_of_its_worst_position(spoilt):
    """Against 600 references of 25 positions, some of them known ten times worse than the others."""
    rng = np.random.default_rng(0)
    sigma = np.where(np.arange(25) < spoilt, 1e-2, 1e-3)
    found, said, responses = [], [], []
    for _ in range(600):
        error = sigma[:, None] * rng.normal(size=(25, 4))
        reference = reference_of(SQUARE + error.reshape(-1, 2, 2), sigma)
        found.append((reference.G - SQUARE).ravel())
        said.append(np.sqrt(np.diag(reference.cov)))
        responses.append(reference.share)
        np.testing.assert_allclose(reference.share.sum(), 1)
    assert 0.9 < np.std(found) / np.mean(said) < 1.1  # 600 references of 4 components: +-0.015
    assert np.ptp(responses[0] * sigma) < 1e-12 * sigma.max()


def test_the_mean_of_equal_positions_is_known_better_by_the_root_of_their_number():
    equal = reference_of(np.tile(SQUARE, (25, 1, 1)), np.full(25, 1e-3), "mean")
    np.testing.assert_allclose(equal.cov, 1e-6 / 25 * np.eye(4))


@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_the_mean_of_a_few_positions_rejects_none_of_them(solve, n):
    for seed in range(12):
        patterns = Crystal(np.tile(np.eye(2), (12, 1, 1)), SQUARE, sigma=1e-3).peaks(np.random.default_rng(seed))
        strain, _ = solve(dataset(patterns, (1, 12)), reference={"columns": [0, n], "statistic": "mean"})
        assert strain.attrs["reference"].startswith(f"mean over {n} fitted positions")
        assert strain["valid"].all()
        assert np.isfinite(strain["e_xx"]).all()


def test_the_mean_keeps_half_of_the_positions_at_least():
    """Two of eight are outliers in each component: all eight in one or another."""
    G = np.tile(SQUARE, (8, 1, 1)) + 1e-6 * np.random.default_rng(0).normal(size=(8, 2, 2))
    for i in range(8):
        G[i].ravel()[i // 2] += 0.01
    reference = reference_of(G, np.full(8, 1e-6), "mean")
    assert np.count_nonzero(reference.share) >= 4
    assert np.isfinite(reference.G).all()


@pytest.mark.parametrize("region", [{"scan_x": [400, 500]}, {"columns": [20, 30]}, {"scan_x": [1, 4]}])
def test_a_reference_region_beside_the_scan_is_an_error_that_says_where_the_scan_is(steps, solve, region):
    with pytest.raises(DataError, match="holds no position") as error:
        solve(steps, reference=region)
    assert "holds some of scan_y 0 to 10 angstrom in steps of 5, scan_x 0 to 75 angstrom in" in error.value.fix
    assert error.value.fix.endswith("in steps of 5 (rows 0:3, columns 0:16)")


@pytest.mark.parametrize(
    ("region", "told"),
    [
        ({"columns": [10, 30]}, "columns 10:30"),
        ({"scan_x": [50, 90], "rows": [0, 4]}, "rows 0:4, scan_x 50 to 90"),
        ({"columns": [10, 16]}, ""),
        ({"scan_x": [50, 79], "scan_y": [-4, 9]}, ""),
    ],
)
def test_a_reference_region_that_the_scan_cuts_is_told(steps, solve, caplog, region, told):
    solve(steps, reference=region)
    said = f"the reference region {told} goes beyond the scan, which has scan_y 0 to 10 angstrom in steps of 5, scan_x"
    assert [message.startswith(said) for message in caplog.messages] == [True] * bool(told)


@pytest.mark.parametrize(("n_crystal", "is_told"), [(1, True), (2, True), (3, False)])
def test_a_reference_region_of_which_few_patterns_have_the_lattice_is_told(solve, caplog, n_crystal, is_told):
    """What fits by chance in another grain would move the whole map."""
    rng = np.random.default_rng(0)
    patterns = Crystal(np.tile(np.eye(2), (12, 1, 1)), SQUARE, sigma=1e-3).peaks(rng)
    patterns[n_crystal:5] = [rng.uniform(-1, 1, (40, 2)) for _ in range(5 - n_crystal)]
    patterns[5] = np.empty((0, 2))  # where nothing was found there is nothing to tell
    solve(dataset(patterns, (1, 12)), reference={"columns": [0, 6]})
    assert (f"lattice 1 shows in only {n_crystal} of the 5 patterns" in caplog.text) == is_told
    caplog.clear()
    solve(dataset(patterns, (1, 12)))
    assert not caplog.text


@pytest.mark.parametrize(
    ("levels", "is_told"),
    [
        ([0.0] * 20 + [0.01] * 20, True),
        ([0.0] * 19 + [0.01] * 21, False),  # the reference is one of the two
        (np.linspace(0, 0.01, 40), False),
        ([0.0] * 40, False),
    ],
)
@pytest.mark.parametrize("sigma", [0.0, 3e-4])
def test_a_reference_between_two_crystals_is_told(solve, caplog, levels, is_told, sigma):
    F = np.tile(np.eye(2), (40, 1, 1))
    F[:, 0, 0] += levels
    patterns = Crystal(np.tile(F, (4, 1, 1)), SQUARE, sigma=sigma).peaks(np.random.default_rng(0))
    with caplog.at_level("WARNING"):
        solve(dataset(patterns, (4, 40)))
    assert ("between two lattices" in caplog.text) == is_told


def test_a_reference_region_without_a_fit_is_an_error(solve):
    patterns = Crystal(np.tile(np.eye(2), (8, 1, 1)), SQUARE).peaks(np.random.default_rng(0))
    patterns[:3] = [np.empty((0, 2))] * 3
    with pytest.raises(DataError, match=r"columns 0:3.*has a fitted lattice"):
        solve(dataset(patterns, (1, 8)), reference={"columns": [0, 3]})


@pytest.mark.parametrize("degrees", [0, 10, 25, 40])
def test_a_rectangular_cell_turned_against_the_sample_gives_its_angle_and_no_strain(solve, degrees):
    cell, angle = np.array([[0, 0.4], [0.2, 0]]), np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    F = np.tile([[c, -s], [s, c]], (10, 1, 1))
    patterns = Crystal(F, cell, sigma=1e-4, q_max=1.2).peaks(np.random.default_rng(0))
    strain, _ = solve(dataset(patterns, (1, 10)), reference={"g1": cell[:, 0], "g2": cell[:, 1]})
    np.testing.assert_allclose(strain["theta"], angle, atol=5e-4)
    for name in ("e_xx", "e_yy", "e_xy"):
        np.testing.assert_allclose(strain[name], 0, atol=5e-4)


@pytest.mark.parametrize("name", ["turned by half a turn", "left-handed", "one vector reversed"])
def test_all_names_of_an_oblique_cell_give_the_same_strain(strained_scan, solve, name):
    G = np.array([[0.05, 0.24], [0.20, 0.06]])
    cell = {"turned by half a turn": -G, "left-handed": G[:, ::-1], "one vector reversed": G * [-1, 1]}[name]
    peaks = strained_scan(np.array([[1.02, 0.01], [0.0, 0.99]]), G=G)
    strain, _ = solve(peaks, reference={"g1": cell[:, 0], "g2": cell[:, 1]})
    for component, expected in {"e_xx": 0.0199876, "e_yy": -0.0099625, "e_xy": 0.0050746, "theta": -0.0049751}.items():
        assert strain[component].values[0, -1] == pytest.approx(expected, abs=2e-6), component


def test_a_cell_that_does_not_index_the_lattice_is_an_error(steps, solve):
    with pytest.raises(DataError, match="does not index"):
        solve(steps, reference={"g1": [0, 0.4], "g2": [0.4, 0]})


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"g1": [0, 1]}, "both g1 and g2"),
        ({"g1": [0, 1], "g2": [0, 2]}, "parallel"),
        ({"g1": [0, 1], "g2": [1, 0], "scan_x": [0, 1]}, "not both"),
        ({"scan_x": [5, 1]}, "backwards"),
        ({"columns": [3, 3]}, "select nothing"),
    ],
)
def test_references_that_make_no_sense(steps, solve, reference, message):
    with pytest.raises(ValueError, match=message):
        solve(steps, reference=reference)


def test_a_region_outside_the_scan_is_refused_before_the_disks_are_searched() -> None:
    scan = {
        dim: xr.DataArray(np.arange(n) * 6.0, dims=dim, attrs={"units": "angstrom"})
        for dim, n in (("scan_y", 2), ("scan_x", 40))
    }
    solver = LatticeSolver(LatticeParams.model_validate({"reference": {"scan_x": [1000, 1040]}}))
    with pytest.raises(DataError, match="holds no position of the scan") as error:
        solver.check(scan["scan_y"], scan["scan_x"])
    assert "scan_x 0 to 234 angstrom" in error.value.fix
    LatticeSolver(LatticeParams.model_validate({"reference": {"columns": [0, 3]}})).check(
        scan["scan_y"], scan["scan_x"]
    )


@pytest.mark.parametrize("n", [3, 5, 9, 50])
@pytest.mark.parametrize("mixed", [1.0, 10.0])
def test_the_error_of_a_median_of_a_few_is_not_too_small(n, mixed):
    """Where one position in two is known ten times better than the others."""
    rng = np.random.default_rng(n)
    sigma = 1e-3 * np.where(np.arange(n) % 2, 1.0, mixed)
    found = [reference_of(np.eye(2) + rng.normal(size=(n, 2, 2)) * sigma[:, None, None], sigma) for _ in range(400)]
    error = np.std([each.G[0, 0] for each in found])
    told = np.mean([np.sqrt(each.cov[0, 0]) for each in found])
    assert 0.5 < error / told < 1.6  # 1.5 for 9 positions of which some are known badly, below 1 for fewer
