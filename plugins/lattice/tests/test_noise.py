"""What is learnt of the peaks' errors: from peaks of the lattice, with their leverage, by intensity or not."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from ronchi_lattice.fit import Settings, fit_scan
from ronchi_lattice.leverage import residuals
from ronchi_lattice.noise import model_error
from ronchi_lattice.peaklist import Peaks, read

from .conftest import SQUARE, Crystal, dataset

CELL = {"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]}
COMPONENTS = ("e_xx", "e_yy", "e_xy", "theta")


def nodes(q_max=1.0):
    return Crystal(np.eye(2)[None], SQUARE, origin=(0, 0), q_max=q_max).peaks(np.random.default_rng(0))[0]


def spread_of_z(strain):
    return [float((strain[name] / strain[f"se_{name}"]).std()) for name in COMPONENTS]


@pytest.mark.parametrize("ratio", [0.01, 1.0, 100.0])
def test_peaks_off_the_lattice_do_not_set_the_scale_of_intensities(solve, ratio):
    """A particle on a film: most peaks of the scan are stray ones, dimmer or brighter than the lattice's."""
    rng = np.random.default_rng(2)
    patterns = []
    for _ in range(200):
        q = nodes() + rng.normal(0, 1e-3, nodes().shape)
        q[rng.choice(len(q), 4, replace=False)] += rng.uniform(-0.05, 0.05, (4, 2))
        patterns.append(q)
    film = [rng.uniform(-1, 1, (30, 2)) for _ in range(400)]
    intensity = np.concatenate([np.full(200 * len(nodes()), 500.0), np.full(12_000, 500 * ratio)])
    peaks = dataset(patterns + film, (1, 600), intensity=intensity)
    strain, lattice = solve(peaks, basis=CELL, reference=CELL)
    particle = strain.isel(scan_x=slice(0, 200))
    assert particle["valid"].all()
    assert float(particle["e_xx"].std()) < 3.6e-4  # 3.0e-4 by the 1e-3 of noise, of 200 positions: +-5 %
    assert float(particle["se_e_xx"].median()) == pytest.approx(3.2e-4, rel=0.1)
    assert lattice.attrs["model_sigma"] == pytest.approx(1e-3, rel=0.06)


def test_a_crystal_at_few_positions_tells_its_own_errors(solve):
    """A sample of the scan meets no crystal, but chance lattices of stray peaks, which lie far from their nodes."""
    rng = np.random.default_rng(3)
    patterns = [rng.uniform(-1, 1, (20, 2)) for _ in range(1500)]
    for i in range(705, 720):
        patterns[i] = nodes() + rng.normal(0, 1e-3, nodes().shape)
        patterns[i][:3] += rng.uniform(-0.05, 0.05, (3, 2))
    strain, lattice = solve(dataset(patterns, (1, 1500)), basis=CELL, reference=CELL)
    crystal = strain.isel(scan_x=slice(705, 720))
    assert crystal["valid"].all()
    assert lattice.attrs["model_sigma"] == pytest.approx(1e-3, rel=0.1)
    assert float(crystal["se_e_xx"].median()) == pytest.approx(3.2e-4, rel=0.15)


@pytest.mark.parametrize(
    ("constant", "dimmed", "decades"),
    [(2e-3, 0.0, 0.5), (2e-3, 0.0, 1.5), (0.0, 1e-3, 0.5), (0.0, 1e-3, 1.5), (5e-4, 5e-4, 1.5)],
)
def test_error_bars_are_right_whether_dim_peaks_are_worse_or_not(solve, constant, dimmed, decades):
    rng = np.random.default_rng(1)
    intensity = 10 ** rng.normal(0, decades / 2, len(nodes()))
    variance = constant**2 + dimmed**2 * np.median(intensity) / intensity
    seen = variance < 0.01**2  # what lies farther off than that is found by chance
    q = nodes()[seen] + np.sqrt(variance[seen, None]) * rng.normal(size=(1000, int(seen.sum()), 2))
    peaks = dataset(list(q), (1, 1000), intensity=np.tile(intensity[seen], 1000))
    strain, lattice = solve(peaks, basis=CELL, reference=CELL)
    assert strain["valid"].all()
    assert all(0.9 < z < 1.15 for z in spread_of_z(strain))
    assert float(lattice["chi2"].mean()) == pytest.approx(1, abs=0.15)
    # The best that any weights can do, by the Gauss-Markov theorem.
    design = np.column_stack([np.ones(int(seen.sum())), np.rint(np.linalg.solve(SQUARE, nodes()[seen].T)).T])
    best = np.linalg.inv(design.T @ (design / variance[seen, None]))
    np.testing.assert_array_less(lattice["g1"].values[0].std(axis=0), 1.15 * np.sqrt(best[1, 1]))


@pytest.mark.parametrize(("constant", "dimmed"), [(4.0, 0.0), (0.0, 4.0), (2.0, 2.0)])
@pytest.mark.parametrize("own", [0.0, 1.0])
def test_both_parts_of_the_model_error_are_found(constant, dimmed, own):
    rng = np.random.default_rng(0)
    dimness = 10 ** rng.normal(0, 0.5, 20_000)
    variance = own + constant + dimmed * dimness
    residual = np.sqrt(0.8 * variance[:, None]) * rng.normal(size=(20_000, 2))
    residual[::50] *= 10
    hk = rng.integers(-5, 5, (20_000, 2))
    cov = np.tile([0.8 * own, 0, 0.8 * own], (20_000, 1))
    found = model_error(residual, cov, np.full(20_000, 0.8), 0.8 * dimness, dimness, hk, 1e-12)
    assert found.constant == pytest.approx(constant, abs=0.3)
    assert found.dimmed == pytest.approx(dimmed, abs=0.3)


@pytest.mark.parametrize("constant", np.geomspace(8e-6, 3e-5, 5))
@pytest.mark.parametrize("ratio", [300, 1000, 3000])
def test_bright_disks_a_thousand_times_the_typical_one_are_fitted(ratio, constant):
    """Their scatter may ask for a constant part at the very end of what is looked at."""
    rng = np.random.default_rng(0)
    hk = np.array([(h, k) for h in range(-2, 3) for k in range(-2, 3) if h * h + k * k <= 4])
    basis = np.array([[0, 20.0], [20, 1]])
    q, intensity = [], []
    for _ in range(300):
        own = np.where((hk**2).sum(1) <= 1, 1.0, 1 / ratio) * np.exp(0.3 * rng.normal(size=len(hk)))
        sigma = 0.1 * np.sqrt(0.01 / own / ratio + constant)
        q.append(hk @ basis.T + rng.normal(size=(len(hk), 2)) * sigma[:, None])
        intensity.append(own)
    q, intensity = np.concatenate(q), np.concatenate(intensity)
    var = np.tile([1e-8, 0, 1e-8], (len(q), 1)) * rng.uniform(0.5, 1.5, (len(q), 1))
    dimness = np.median(intensity) / intensity
    peaks = Peaks(q, var, dimness, np.arange(301) * len(hk), np.arange(300), (300, 1))
    assert np.isfinite(fit_scan(peaks, basis, Settings())[2])


def test_what_moves_a_reflection_alike_everywhere_does_not_make_bright_peaks_worse():
    """On a zone axis the brightest reflections lie off the lattice at all positions: strain does not see it."""
    rng = np.random.default_rng(0)
    hk = np.array([(h, k) for h in range(-4, 5) for k in range(-4, 5)])
    dimness = 10 ** rng.normal(0, 0.5, len(hk))
    common = rng.normal(size=(len(hk), 2)) * np.where(dimness < 0.5, 2.0, 0.3)[:, None]
    random = np.sqrt(dimness)[:, None] * rng.normal(size=(60, len(hk), 2))
    even, dimmed = np.ones(60 * len(hk)), np.tile(dimness, 60)
    args = np.zeros((60 * len(hk), 3)), even, dimmed, dimmed, np.tile(hk, (60, 1)), 1e-12
    assert model_error((common + random).reshape(-1, 2), *args).constant == 0.0
    # The same displacements, of other reflections at each position.
    errors = np.array([rng.permuted(common[dimness < 0.5], axis=0) for _ in range(60)])
    random[:, dimness < 0.5] += errors
    assert model_error(random.reshape(-1, 2), *args).constant > 0.3


@pytest.mark.parametrize("n", [1, 7])
def test_a_few_positions_do_not_tell_that_bright_peaks_are_no_better(n):
    rng = np.random.default_rng(0)
    hk, dimness = np.arange(2000).reshape(-1, 2), 10 ** rng.normal(0, 0.5, 1000)
    residual, dimness = rng.normal(size=(1000 * n, 2)), np.tile(dimness, n)
    own, even = np.zeros((1000 * n, 3)), np.ones(1000 * n)
    found = model_error(residual, own, even, dimness, dimness, np.tile(hk, (n, 1)), 1e-12)
    assert found.constant == 0.0


@pytest.mark.parametrize(
    "indices",
    [
        [(0, 0), (1, 0), (-1, 0), (0, 1)],
        [(-2, 0), (-1, 0), (0, 0), (1, 0), (0, 1)],
        [(0, 0), (1, 0), (-1, 0), (2, 0), (-2, 0), (0, 1)],
    ],
)
def test_a_row_of_peaks_with_one_beside_it(solve, indices):
    """The one beside it fixes a vector alone: its residual is 0 whatever its error, and tells nothing."""
    rng = np.random.default_rng(0)
    base = np.array(indices) @ SQUARE.T
    patterns = [base + rng.normal(0, 1e-3, base.shape) for _ in range(1500)]
    strain, lattice = solve(dataset(patterns, (1, 1500)), basis=CELL, reference=CELL, min_peaks=4)
    assert all(0.95 < z < 1.12 for z in spread_of_z(strain))
    assert lattice.attrs["model_sigma"] == pytest.approx(1e-3, rel=0.07)


def three_peaks(**more):
    rng = np.random.default_rng(0)
    base = np.array([(0, 0), SQUARE[:, 0], SQUARE[:, 1]])
    return dataset([base + rng.normal(0, 1e-3, base.shape) for _ in range(40)], (1, 40), **more)


@pytest.mark.parametrize("variance", [None, np.nan, 0.0])
@pytest.mark.parametrize("reference", [CELL, {"columns": [0, 9]}])
def test_three_peaks_whose_errors_nothing_tells_have_strain_without_error_bars(solve, caplog, variance, reference):
    column = None if variance is None else np.full(120, variance)
    with caplog.at_level(logging.WARNING):
        strain, lattice = solve(three_peaks(var_yy=column, var_xx=column), min_peaks=3, basis=CELL, reference=reference)
    assert strain["valid"].all()
    assert float(abs(strain["e_xx"]).max()) < 0.05
    for name in COMPONENTS:
        assert np.isfinite(strain[name]).all()
        assert np.isnan(strain[f"se_{name}"]).all()
    assert np.isnan(lattice["cov"]).all()
    assert [record.message for record in caplog.records if "no standard errors" in record.message] != []
    assert len(caplog.records) == 1


def test_three_peaks_with_variances_from_the_detector_have_error_bars(solve):
    variance = np.random.default_rng(1).uniform(0.9e-6, 1.1e-6, 120)
    strain, _ = solve(three_peaks(var_yy=variance, var_xx=variance), min_peaks=3, basis=CELL, reference=CELL)
    assert all(0.7 < z < 1.3 for z in spread_of_z(strain))  # 40 positions: +-0.11


def test_intensities_that_are_not_known_count_as_typical():
    rng = np.random.default_rng(0)
    q = nodes() + rng.normal(0, 1e-3, (50, len(nodes()), 2))
    unknown = read(dataset(list(q), (1, 50), intensity=np.zeros(50 * len(nodes()))))
    even = read(dataset(list(q), (1, 50)))
    for a, b in zip(fit_scan(unknown, SQUARE, Settings())[1:], fit_scan(even, SQUARE, Settings())[1:], strict=True):
        np.testing.assert_array_equal(getattr(a, "precision", a), getattr(b, "precision", b))


def test_brightness_is_told_by_the_counts_where_the_intensity_is_something_else():
    rng = np.random.default_rng(0)
    light = 10 ** rng.normal(0, 0.5, 50 * len(nodes()))
    light[7] = np.nan
    q = nodes() + 1e-3 / np.sqrt(np.nan_to_num(light, nan=1.0)).reshape(50, -1, 1) * rng.normal(
        size=(50, len(nodes()), 2)
    )
    other = rng.uniform(size=light.size)
    counted = read(dataset(list(q), (1, 50), intensity=other, disk_counts=light))
    plain = read(dataset(list(q), (1, 50), intensity=np.nan_to_num(light)))
    np.testing.assert_allclose(counted.dimness, plain.dimness, rtol=1e-6)
    assert not np.allclose(counted.dimness, read(dataset(list(q), (1, 50), intensity=other)).dimness, equal_nan=True)


def test_what_a_fit_leaves_of_errors_that_are_not_those_of_its_weights():
    """Against the scatter of many fits, with a direct beam that is surer than the fit takes it to be."""
    rng = np.random.default_rng(0)
    hk = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1)], np.int32)
    weight = np.array([30, 1, 0.5, 2, 1, 3.0])
    true = np.stack([rng.uniform(0.5, 2, 6), np.full(6, 0.2), rng.uniform(0.5, 2, 6)], axis=1)
    n = 20_000
    root = np.linalg.cholesky(true[:, [[0, 1], [1, 2]]])
    q = (hk @ SQUARE.T + (root @ rng.normal(size=(n, 6, 2, 1)))[..., 0]).reshape(-1, 2)
    position = np.repeat(np.arange(n), 6)
    residual, left = residuals(q, np.tile(hk, (n, 1)), np.tile(weight, n), position, np.tile(true, (n, 1)))
    y, x = residual.reshape(n, 6, 2).transpose(2, 1, 0)
    found = np.stack([(y * y).mean(axis=1), (y * x).mean(axis=1), (x * x).mean(axis=1)], axis=1)
    np.testing.assert_allclose(found, left[:6], rtol=0.04, atol=0.01)  # a variance of 20 000 is known to 1 %


@pytest.mark.parametrize("decades", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("constant", "dimmed"), [(0.0, 1e-3), (1e-3, 0.0)])
def test_error_bars_of_few_peaks_beside_a_bright_direct_beam(solve, decades, constant, dimmed):
    """Five to nine peaks, which hardly differ from what is fitted to them."""
    rng = np.random.default_rng(0)
    hk = np.array([(h, k) for h in (-1, 0, 1) for k in (-1, 0, 1)])
    brightness = np.where((hk == 0).all(axis=1), 100.0, 10 ** rng.normal(0, decades / 2, 9))
    q, var, intensity = [], [], []
    for _ in range(2000):
        seen = rng.permutation(9)[: rng.integers(5, 10)]
        counts = 1e-3**2 / brightness[seen]
        sigma = np.sqrt(counts + constant**2 + dimmed**2 / brightness[seen])
        q.append(hk[seen] @ SQUARE.T + sigma[:, None] * rng.normal(size=(len(seen), 2)))
        var.append(counts)
        intensity.append(brightness[seen])
    counts = np.concatenate(var)
    more = {"var_yy": counts, "var_yx": 0 * counts, "var_xx": counts, "intensity": np.concatenate(intensity)}
    strain, _ = solve(dataset(q, (1, 2000), **more), basis=CELL, reference=CELL)
    assert strain["valid"].mean() > 0.995
    assert all(0.94 < z < 1.07 for z in spread_of_z(strain))  # known to 0.016; 1.05 to 1.15 without what fits follow
