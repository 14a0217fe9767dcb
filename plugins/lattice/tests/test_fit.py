"""The robust fit of each position: what it survives, what it refuses, how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi.errors import DataError
from ronchi_lattice import kernel
from ronchi_lattice.fit import tukey_covariance_factor
from ronchi_lattice.output import NOT_MEASURED

from .conftest import SQUARE, Crystal, dataset

STILL = np.tile(np.eye(2), (40, 1, 1))
COMPONENTS = ("e_xx", "e_yy", "e_xy", "theta")


def scan(rng, n=40, **crystal):
    return Crystal(STILL[:1].repeat(n, 0), SQUARE, **crystal).peaks(rng)


def worst(strain):
    return max(float(abs(strain[name]).max()) for name in COMPONENTS)


def test_missing_peaks(solve):
    patterns = scan(np.random.default_rng(0), missing=0.5)
    strain, _ = solve(dataset(patterns, (4, 10)))
    assert strain["valid"].all()
    assert worst(strain) < 1e-6


def test_stray_peaks_do_not_pull(solve):
    patterns = scan(np.random.default_rng(0), spurious=0.1, sigma=1e-5)
    strain, lattice = solve(dataset(patterns, (4, 10)))
    assert strain["valid"].all()
    assert worst(strain) < 3e-4  # noise alone gives 1e-4; one stray peak at 0.2 |g| unweighted, 5e-3
    assert lattice["n_used"].max() <= len(scan(np.random.default_rng(0))[0])


def test_dim_peaks_in_the_middle_do_not_lead_the_lattice_astray(solve):
    """Of a face-centred pattern odd rows are dim, and two of their peaks, off by 0.2 |g|, were all that fixed g1 there.

    The basis names 43 of 49 peaks; what was refined from these two, none of the bright ones.
    """
    G = np.array([[-0.104, 0.2], [0.325, 0.062]])
    h, k = np.meshgrid(np.arange(-4, 5, 2), np.arange(-6, 7))
    even = np.stack([h.ravel(), k.ravel()], axis=1) @ G.T
    even = even[np.hypot(*even.T) < 1.4]
    dim = np.array([[-1, 1], [-1, -1]]) @ G.T + [0, 0.042]
    stray = np.array([[1.5, 4.5], [3.5, -3.5], [-2.5, 3.5], [1.5, -4.5], [3.5, 2.5], [-2.5, -1.5]]) @ G.T
    rng = np.random.default_rng(0)
    patterns = [np.concatenate([even + rng.normal(0, 0.004, even.shape), dim, stray]) for _ in range(20)]
    peaks = dataset(patterns, (4, 5))
    peaks["intensity"][:] = np.tile(np.r_[np.ones(len(even)), np.full(len(dim) + len(stray), 0.05)], 20)
    cell = {"g1": G[:, 0], "g2": G[:, 1]}
    strain, _ = solve(peaks, basis=cell, reference=cell)
    assert strain["valid"].all()
    assert (strain["n_used"] >= len(even)).all()
    assert worst(strain) < 6e-3  # 3 standard errors of 0.002


@pytest.mark.parametrize("displacement", [(0.05, 0.0), (0.02, -0.03), (0.1, 0.11)])
def test_direct_beam_in_the_wrong_place(solve, displacement):
    patterns = scan(np.random.default_rng(0), origin=(0, 0))
    for q in patterns:
        q[np.argmin(np.hypot(*q.T))] += displacement
    strain, lattice = solve(dataset(patterns, (4, 10)))
    assert worst(strain) < 1e-6
    np.testing.assert_allclose(lattice["origin"], 0, atol=1e-6)


def test_duplicate_peaks_count_once(solve):
    patterns = [np.concatenate([q, q[::2] + 0.004]) for q in scan(np.random.default_rng(0))]
    single = len(scan(np.random.default_rng(0))[0])
    strain, lattice = solve(dataset(patterns, (4, 10)), reference={"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]})
    assert (lattice["n_used"] <= single).all()
    assert worst(strain) < 2e-3


def test_every_reflection_to_the_edge_is_used(solve):
    patterns = scan(np.random.default_rng(0), q_max=2.1)
    assert len(patterns[0]) > 200
    _, lattice = solve(dataset(patterns, (4, 10)))
    assert (lattice["n_used"] == len(patterns[0])).all()


def test_a_descan_of_many_pixels_is_followed(solve):
    rng = np.random.default_rng(0)
    descan = np.linspace([0, 0], [0.3, -0.2], 40)
    patterns = [q + shift for q, shift in zip(scan(rng, origin=(0, 0)), descan, strict=True)]
    strain, lattice = solve(dataset(patterns, (1, 40)))
    assert worst(strain) < 1e-6
    nodes = np.linalg.solve(SQUARE, (lattice["origin"].values[0] - descan).T)
    np.testing.assert_allclose(nodes, np.rint(nodes), atol=1e-6)  # the origin is one of the nodes


def test_a_lattice_that_turns_by_40_degrees_across_the_scan_is_followed(solve):
    angle = np.deg2rad(np.linspace(0, 40, 41))
    c, s = np.cos(angle), np.sin(angle)
    F = np.stack([c, -s, s, c], axis=-1).reshape(-1, 2, 2)
    patterns = Crystal(F, SQUARE, sigma=1e-4).peaks(np.random.default_rng(0))
    basis = {"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]}
    strain, _ = solve(dataset(patterns, (1, 41)), basis=basis, reference={"columns": [0, 1]})
    assert strain["valid"].all()
    np.testing.assert_allclose(strain["theta"][0], angle, atol=1e-3)
    assert abs(strain["e_xx"]).max() < 1e-3


def test_reasons_and_nan_where_there_is_no_fit(solve):
    rng = np.random.default_rng(0)
    patterns = scan(rng, n=8)
    patterns[1] = np.empty((0, 2))
    patterns[2] = patterns[2][:4]
    nodes = np.stack([SQUARE[:, 0] * m for m in range(-3, 4)])
    patterns[3] = nodes
    patterns[4] = rng.uniform(-1, 1, (50, 2))
    patterns[5][:, 0] = np.nan
    strain, lattice = solve(dataset(patterns, (2, 4)), basis={"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]})
    reason = lattice["reason"].values.ravel()
    assert list(reason[[1, 2, 3, 5]]) == [kernel.NO_PEAKS, kernel.TOO_FEW, kernel.COLLINEAR, kernel.NO_PEAKS]
    assert reason[4] in (kernel.TOO_FEW, kernel.OUTLIERS, kernel.NOT_CONVERGED)
    assert (reason[[0, 6, 7]] == kernel.FITTED).all()
    for name in COMPONENTS:
        assert (np.isnan(strain[name].values.ravel()) == (reason != 0)).all()
        assert (np.isnan(strain[f"se_{name}"].values.ravel()) == (reason != 0)).all()
    assert (strain["valid"].values.ravel() == (reason == 0)).all()
    assert len(lattice["reason"].attrs["flag_meanings"].split()) == len(lattice["reason"].attrs["flag_values"])


def test_random_peaks_are_hardly_ever_a_lattice(solve):
    rng = np.random.default_rng(3)
    patterns = scan(rng, n=20) + [rng.uniform(-1, 1, (rng.integers(5, 60), 2)) for _ in range(180)]
    _, lattice = solve(dataset(patterns, (1, 200)), basis={"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]})
    assert (lattice["reason"][0, :20] == 0).all()
    assert float((lattice["reason"][0, 20:] == 0).mean()) < 0.03


def test_rings_beside_a_crystal_are_hardly_ever_its_lattice(solve):
    """An amorphous film of the same distances: its peaks lie as far out as those of the crystal, at any angle."""
    rng = np.random.default_rng(3)
    radius = np.hypot(*SQUARE[:, 0])

    def rings():
        n = rng.integers(5, 14, 2)
        r = np.repeat([radius, rng.uniform(0.7, 2) * radius], n) * rng.normal(1, 0.04, n.sum())
        angle = rng.uniform(0, 2 * np.pi, n.sum())
        q = np.stack([r * np.sin(angle), r * np.cos(angle)], axis=1)
        apart = np.hypot(*(q[:, None] - q).transpose(2, 0, 1)) > 0.25 * radius
        return np.concatenate([[[0.0, 0.0]], q[(apart | ~np.tri(len(q), k=-1, dtype=bool)).all(axis=1)]])

    patterns = scan(rng, n=40, sigma=0.005, origin=(0, 0)) + [rings() for _ in range(3000)]
    _, lattice = solve(dataset(patterns, (1, 3040)), basis={"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]})
    assert (lattice["reason"][0, :40] == 0).all()
    # 3000 patterns: +-0.002. The estimate taken at its word gives 0.025.
    assert float((lattice["reason"][0, 40:] == 0).mean()) < 0.01


@pytest.mark.parametrize("n", [6, 0])
def test_a_scan_without_any_lattice_is_an_error(solve, n):
    with pytest.raises(DataError, match=f"any of {n} positions, which have 0 to 0 peaks"):
        solve(dataset([np.empty((0, 2))] * n, (2, 3)))


def test_a_locked_basis_that_fits_nowhere_is_named(solve):
    patterns = scan(np.random.default_rng(0))
    counts = f"{len(patterns[0])} to {len(patterns[0])} peaks"
    with pytest.raises(DataError, match=rf"near the basis g1 = \[12.0, 1.0\].*{counts}") as error:
        solve(dataset(patterns, (4, 10)), basis={"g1": [12, 1], "g2": [-1, 12]})
    assert "leave `basis` out" in error.value.fix


def test_one_position(solve):
    strain, lattice = solve(dataset(scan(np.random.default_rng(0), n=1, sigma=1e-3), (1, 1)))
    assert strain["valid"].item() == 1
    assert abs(strain["e_xx"].item()) < 1e-12
    assert strain["se_e_xx"].item() < 1e-12  # it is its own reference
    assert 0 < lattice["cov"].values[0, 0, 1, 1] < 1e-5


def test_the_map_covers_the_whole_scan_if_only_a_part_was_measured(solve):
    patterns = scan(np.random.default_rng(0), n=5)
    positions = np.array([14, 3, 0, 9, 7])
    coords = {"scan_y": xr.Variable("scan_y", [0.0, 5, 10], {"units": "angstrom", "long_name": "y"}),
              "scan_x": xr.Variable("scan_x", np.arange(6) * 4.0, {"units": "angstrom", "long_name": "x"})}  # fmt: skip
    strain, lattice = solve(dataset(patterns, (3, 6), positions=positions, scan_coords=coords))
    assert dict(strain.sizes)["scan_y"] == 3
    assert dict(strain.sizes)["scan_x"] == 6
    np.testing.assert_array_equal(strain["scan_x"], np.arange(6) * 4.0)
    assert sorted(np.flatnonzero(strain["valid"])) == sorted(positions)
    assert (lattice["reason"].values.ravel()[~strain["valid"].values.ravel().astype(bool)] == NOT_MEASURED).all()


def test_the_order_of_peaks_and_positions_does_not_matter(solve):
    rng = np.random.default_rng(0)
    patterns = scan(rng, n=12, sigma=0.002, missing=0.1, spurious=0.1)
    straight, _ = solve(dataset(patterns, (3, 4)))
    order = rng.permutation(12)
    mixed = dataset([rng.permutation(patterns[i]) for i in order], (3, 4), positions=order)
    shuffled, _ = solve(mixed)
    for name in COMPONENTS:
        np.testing.assert_allclose(shuffled[name], straight[name], atol=1e-9)


def test_the_input_is_left_alone(solve):
    peaks = dataset(scan(np.random.default_rng(0)), (4, 10), attrs={"q_distortion": [1.01, 0, 0, 1]})
    before = peaks.copy(deep=True)
    solve(peaks)
    xr.testing.assert_identical(peaks, before)


def heteroscedastic(rng, n, model_sigma):
    """Bright and faint disks: standard deviations over a factor of ten, and a model error on top."""
    nodes = Crystal(STILL[:1], SQUARE, origin=(0, 0)).peaks(np.random.default_rng(0))[0]
    sigma = rng.choice([2e-4, 6e-4, 2e-3], (n, len(nodes)))
    ratio, angle = rng.uniform(1, 3, sigma.shape), rng.uniform(0, np.pi, sigma.shape)
    c, s = np.cos(angle), np.sin(angle)
    long, short = (sigma * ratio) ** 2, sigma**2
    var = np.stack([long * c**2 + short * s**2, (long - short) * c * s, long * s**2 + short * c**2], axis=-1)
    u, v = rng.normal(size=(2, *sigma.shape))
    noise = np.stack([c * u * sigma * ratio - s * v * sigma, s * u * sigma * ratio + c * v * sigma], axis=-1)
    q = nodes + noise + rng.normal(0, model_sigma, (n, len(nodes), 2)) if model_sigma else nodes + noise
    flat = var.reshape(-1, 3)
    return dataset(list(q), (1, n), var_yy=flat[:, 0], var_yx=flat[:, 1], var_xx=flat[:, 2])


@pytest.mark.parametrize("model_sigma", [0.0, 1e-3])
@pytest.mark.parametrize("explicit", [True, False])
def test_error_bars_are_right(solve, model_sigma, explicit):
    peaks = heteroscedastic(np.random.default_rng(11), 1500, model_sigma)
    cell = {"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]}
    reference = cell if explicit else {"columns": [0, 8], "statistic": "mean"}
    strain, lattice = solve(peaks, reference=reference)
    far = strain.isel(scan_x=slice(8, None))
    for name in COMPONENTS:
        z = far[name] / far[f"se_{name}"]
        if not explicit:  # all share the error of the reference
            z = (far[name] - far[name].mean()) / far[f"se_{name}"]
        lower = 0.9 if explicit else 0.85  # without the error in common: sqrt(8 / 9) = 0.94
        assert lower < float(z.std()) < 1.1, name  # 1500 positions: +-0.02
        assert not explicit or abs(float(z.mean())) < 0.1
    assert float(lattice["chi2"].mean()) == pytest.approx(1, abs=0.15)
    expected = model_sigma if model_sigma else 0
    assert lattice.attrs["model_sigma"] == pytest.approx(expected, abs=1.5e-4)


def test_error_of_the_reference_is_part_of_the_error_bar(solve):
    z = []
    for seed in range(60):
        strain, _ = solve(
            heteroscedastic(np.random.default_rng(seed), 12, 0.0), reference={"columns": [0, 2], "statistic": "mean"}
        )
        z.append([strain[name][0, 2:] / strain[f"se_{name}"][0, 2:] for name in COMPONENTS])
    assert 0.9 < np.std(z) < 1.1  # 60 references: +-0.03; without the reference's part 1.22


def test_the_whole_covariance_of_a_peak_counts(solve):
    """Disks that are sure along one oblique direction only: the covariance yx carries most of what is known."""
    rng = np.random.default_rng(5)
    nodes = Crystal(STILL[:1], SQUARE, origin=(0, 0)).peaks(rng)[0]
    along = np.where(np.arange(len(nodes)) % 2, 1.0, -1.0)  # one half along y = x, the other along y = -x
    t, u = 3e-3 * rng.normal(size=(400, len(nodes))), 2e-4 * rng.normal(size=(400, len(nodes)))
    q = nodes + np.stack([t + u, along * (t - u)], axis=-1) / np.sqrt(2)
    var, mixed = (9e-6 + 4e-8) / 2, np.tile(along * (9e-6 - 4e-8) / 2, 400)
    cell = {"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]}
    spread = []
    for var_yx in (mixed, 0 * mixed):
        size = np.full(len(mixed), var)
        peaks = dataset(list(q), (1, 400), var_yy=size, var_yx=var_yx, var_xx=size)
        spread.append(float(solve(peaks, reference=cell)[0]["e_xx"].std()))
    assert spread[0] < 0.3 * spread[1]


def test_weights_follow_the_variances(solve):
    """Half of the peaks ten times worse: the error must be nearly that of the good half alone."""
    rng = np.random.default_rng(5)
    nodes = Crystal(STILL[:1], SQUARE, origin=(0, 0)).peaks(rng)[0]
    sigma = np.where(rng.random((400, len(nodes))) < 0.5, 3e-4, 3e-3)
    q = nodes + sigma[..., None] * rng.normal(size=(400, len(nodes), 2))
    reference = {"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]}
    var = sigma.ravel() ** 2
    weighted, _ = solve(dataset(list(q), (1, 400), var_yy=var, var_xx=var), reference=reference)
    good_half, _ = solve(dataset([p[s < 1e-3] for p, s in zip(q, sigma, strict=True)], (1, 400)), reference=reference)
    for name in COMPONENTS:
        assert float(weighted[name].std()) < 1.05 * float(good_half[name].std()), name


def test_overconfident_variances_of_bright_disks_do_not_decide_alone(solve):
    """Counting statistics say 1e-5 for a few disks; what all disks really scatter by is 2e-3."""
    rng = np.random.default_rng(5)
    nodes = Crystal(STILL[:1], SQUARE, origin=(0, 0)).peaks(rng)[0]
    q = nodes + 2e-3 * rng.normal(size=(400, len(nodes), 2))
    var = np.tile(np.where(np.arange(len(nodes)) < 4, 1e-10, 1e-7), 400)
    reference = {"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]}
    strain, lattice = solve(dataset(list(q), (1, 400), var_yy=var, var_xx=var), reference=reference)
    equal, _ = solve(dataset(list(q), (1, 400)), reference=reference)
    assert float(strain["e_xx"].std()) < 1.05 * float(equal["e_xx"].std())
    assert lattice.attrs["model_sigma"] == pytest.approx(2e-3, rel=0.06)


def test_the_direct_beam_weighs_no_more_than_the_other_disks(solve):
    """Its counts would make it a thousand times surer than all others: beyond their average that is not believed."""
    rng = np.random.default_rng(5)
    nodes = Crystal(STILL[:1], SQUARE, origin=(0, 0)).peaks(rng)[0]
    q = nodes + 1e-3 * rng.normal(size=(60, len(nodes), 2))
    direct = np.hypot(*nodes.T) < 1e-9
    results = []
    for ratio in (1e-2, 1e-6):
        var = np.tile(np.where(direct, ratio * 1e-6, 1e-6), 60)
        results.append(solve(dataset(list(q), (1, 60), var_yy=var, var_xx=var)))
    for name in ("g1", "origin", "cov"):
        np.testing.assert_allclose(results[0][1][name], results[1][1][name], rtol=1e-3, atol=1e-8)


def test_a_position_worse_than_the_others_gets_larger_error_bars(solve):
    rng = np.random.default_rng(2)
    patterns = scan(rng, sigma=5e-4)
    patterns[7] += rng.normal(0, 5e-3, patterns[7].shape)
    strain, lattice = solve(dataset(patterns, (1, 40)))
    assert lattice["chi2"][0, 7] > 20
    others = np.delete(strain["se_e_xx"].values[0], 7)
    assert float(strain["se_e_xx"][0, 7]) > 4 * np.median(others)


def test_covariance_factor_of_the_biweight():
    """Against a Monte Carlo of the location of 2-D normal numbers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 60, 2))
    location = x.mean(axis=1)
    for _ in range(30):
        w = np.clip(1 - ((x - location[:, None]) ** 2).sum(-1) / 16, 0, None) ** 2
        location = (w[..., None] * x).sum(1) / w.sum(1)[:, None]
    naive = np.mean(1 / w.sum(axis=1))
    assert location.var() / naive == pytest.approx(tukey_covariance_factor(4.0), rel=0.05)


@pytest.mark.parametrize("c", [100.0, 1e3, 1e6])
def test_without_outliers_the_covariance_is_that_of_least_squares(c):
    assert tukey_covariance_factor(c) == pytest.approx(1, abs=1e-3)


def test_a_position_given_twice_is_an_error(solve):
    patterns = Crystal(np.tile(np.eye(2), (6, 1, 1)), SQUARE).peaks(np.random.default_rng(0))
    with pytest.raises(DataError, match="more than once: 1, the first is scan_y 1, scan_x 1"):
        solve(dataset(patterns, (2, 3), positions=[4, 1, 2, 3, 0, 4]))


def test_a_retry_does_not_depend_on_what_is_retried_elsewhere_in_the_scan(solve):
    """Two chains of lattices that shrink or grow along x step by step, far apart: the reach of each is its own."""
    rng = np.random.default_rng(0)

    def crystal(scale):
        return Crystal(np.eye(2)[None], np.diag([1, scale]) @ SQUARE, sigma=1e-4).peaks(rng)[0]

    growing = [crystal(1)] * 6 + [crystal(1.2), crystal(1.42)]
    for other in ([crystal(1)] * 4, [crystal(0.68), crystal(0.8), crystal(1), crystal(1)]):
        patterns = [*growing, np.empty((0, 2)), np.empty((0, 2)), *other]
        strain, _ = solve(
            dataset(patterns, (1, 14)), basis={"g1": SQUARE[:, 0], "g2": SQUARE[:, 1]}, reference={"columns": [0, 6]}
        )
        assert strain["valid"].values[0, :8].all()
