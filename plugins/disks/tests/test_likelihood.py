"""The likelihood fit: exact without noise, at the Cramer-Rao bound with it, unmoved by slopes and neighbours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_disks.disk_model import model_of_probe, model_of_radius
from ronchi_disks.likelihood import EDGE, NOT_REFINED, OVERLAP, SMOOTH, DiskFits, fit_disks

Array = NDArray[np.float64]


def disk(shape: tuple[int, int], centre: Any, radius: float, edge: float = 0.35, slope: Any = (0.0, 0.0)) -> Array:
    """Soft disk of plateau 1 with a relative slope from centre to rim."""
    dy, dx = np.arange(shape[0])[:, None] - centre[0], np.arange(shape[1])[None, :] - centre[1]
    rim = 1 / (1 + np.exp(np.clip((np.hypot(dy, dx) - radius) / edge, -40, 40)))
    return np.asarray(rim * (1 + (slope[0] * dy + slope[1] * dx) / radius))


def one_each(frames: Array, start: Array, radius: float, edge: float = 0.35, **options: Any) -> DiskFits:
    """Fit one disk a frame."""
    y, x = np.ascontiguousarray(start.T)
    return fit_disks(frames, np.ones(len(frames), int), y, x, model_of_radius(radius, edge), **options)


def error_of(fits: DiskFits, truth: Array) -> Array:
    """Position errors (peak, 2)."""
    return np.stack([fits.y, fits.x], axis=1) - truth


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    radius=st.sampled_from([2.1, 4.0, 7.3]),
    fraction=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    offset=st.tuples(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6)),
    slope=st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4)),
)
def test_noise_free_disk_is_found_where_it_is(radius: float, fraction: Any, offset: Any, slope: Any) -> None:
    truth = 15.0 + np.array([fraction])
    frames = 3.0 + 5000 * disk((31, 31), truth[0], radius, slope=slope)[None]
    fits = one_each(frames, truth + offset, radius, slope=1.0)
    assert np.abs(error_of(fits, truth)).max() < 3e-3  # px; the tables' interpolation
    counts = 5000 * disk((31, 31), truth[0], radius).sum()
    assert fits.intensity[0] == pytest.approx(counts, rel=0.01)
    np.testing.assert_allclose([fits.slope_y[0], fits.slope_x[0]], slope, atol=0.02)
    # A tenth of the model error, which is 2 % of the plateau and far above where the fit stops.
    assert fits.background[0] == pytest.approx(3.0, abs=10.0)


@pytest.mark.parametrize("counts", [1e2, 1e3, 1e4, 1e5])
@pytest.mark.parametrize(("radius", "edge"), [(3.0, 0.35), (5.0, 0.35), (9.0, 0.5)])
def test_error_is_at_the_cramer_rao_bound(radius: float, edge: float, counts: float) -> None:
    rng = np.random.default_rng(1)
    size, n = int(2 * radius) + 13, 300
    truth = size // 2 + rng.uniform(-0.5, 0.5, (n, 2))
    shapes = np.stack([disk((size, size), c, radius, edge) for c in truth])
    frames = rng.poisson(counts * shapes / shapes.sum((1, 2), keepdims=True)).astype(np.uint16)
    fits = one_each(frames, truth + rng.uniform(-0.3, 0.3, truth.shape), radius, edge, slope=0.0)
    fitted = fits.flags & NOT_REFINED == 0
    error = error_of(fits, truth)[fitted]
    bound = np.sqrt(2 * edge * radius / counts)  # each axis, logistic edge, no background
    assert fitted.mean() > 0.97
    assert bound / np.sqrt((error**2).mean()) > 0.8  # seed 1; 600 errors know the rms to 3 %
    assert np.abs(error.mean(0)).max() < 4 * bound / np.sqrt(n)


def scan(rng: np.random.Generator, slope: float, n: int = 12, counts: float = 1500) -> tuple[Array, Array]:
    """Frames of 16 disks of radius 5, and where they are (frame, disk, 2)."""
    sites = 14.0 + 24.0 * np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), -1).reshape(-1, 2)
    truth = sites + rng.uniform(-0.5, 0.5, (n, 16, 2))
    frames = np.full((n, 100, 100), 0.2)
    for frame, places in zip(frames, truth, strict=True):
        for place in places:
            drawn = rng.normal(0, slope, 2).clip(-0.55, 0.55)  # counts stay positive at the rim's foot
            frame[:] += (counts / 78.5 * disk((100, 100), place, 5.0, slope=drawn)).clip(0)
    return rng.poisson(frames).astype(np.uint16), truth


def fit_scan(frames: Array, truth: Array, rng: np.random.Generator, **options: Any) -> tuple[DiskFits, Array]:
    start = (truth + rng.uniform(-0.4, 0.4, truth.shape)).reshape(-1, 2)
    counts = np.full(len(frames), truth.shape[1])
    fits = fit_disks(frames, counts, start[:, 0], start[:, 1], model_of_radius(5.0), **options)
    return fits, error_of(fits, truth.reshape(-1, 2))


@pytest.mark.parametrize(("counts", "read"), [(400, 1.0), (1500, 3.0)])
def test_readout_noise_counts_in_weights_and_errors(counts: float, read: float) -> None:
    """Weights of counting alone believe most in the dark, where the readout is all there is."""
    rng = np.random.default_rng(5)
    frames, truth = scan(rng, slope=0.0, n=30, counts=counts)
    noisy = frames + rng.normal(0, read, frames.shape)
    found, error = fit_scan(noisy, truth, np.random.default_rng(4), read_electrons=read)
    _, unaware = fit_scan(noisy, truth, np.random.default_rng(4))
    assert not (found.flags & NOT_REFINED).any()
    z = error / np.sqrt(np.stack([found.var_yy, found.var_xx], 1))
    assert 0.9 < np.sqrt((z**2).mean()) < 1.1  # seed 5
    assert np.sqrt((error**2).mean()) < 0.85 * np.sqrt((unaware**2).mean())


def test_too_large_a_dark_reference_changes_nothing() -> None:
    """Light above a background below zero has its noise all the same."""
    rng = np.random.default_rng(6)
    frames, truth = scan(rng, slope=0.0, n=20, counts=300)
    found, error = fit_scan(frames - 2.0, truth, np.random.default_rng(4), read_electrons=np.sqrt(0.2))
    z = error / np.sqrt(np.stack([found.var_yy, found.var_xx], 1))
    assert 0.9 < np.sqrt((z**2).mean()) < 1.15  # seed 6; 2 where the noise was that of the difference


def test_slopes_do_not_pass_for_shifts() -> None:
    rng = np.random.default_rng(2)
    frames, truth = scan(rng, slope=0.35, counts=20000)
    _, learnt = fit_scan(frames, truth, rng)
    _, ignored = fit_scan(frames, truth, rng, slope=0.0)
    assert np.sqrt((learnt**2).mean()) < 0.03  # px, seed 2; the noise alone is 0.02
    assert np.sqrt((ignored**2).mean()) > 0.1


def test_learning_that_there_are_no_slopes_costs_little() -> None:
    rng = np.random.default_rng(3)
    frames, truth = scan(rng, slope=0.0, n=40)
    _, learnt = fit_scan(frames, truth, np.random.default_rng(4))
    _, told = fit_scan(frames, truth, np.random.default_rng(4), slope=0.0)
    _, free = fit_scan(frames, truth, np.random.default_rng(4), slope=1.0)
    rms = [float(np.sqrt((e**2).mean())) for e in (told, learnt, free)]
    assert rms[1] < 1.08 * rms[0]  # seed 3
    assert rms[2] > 1.25 * rms[0]


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_standard_errors_are_honest(slope: float) -> None:
    rng = np.random.default_rng(5)
    frames, truth = scan(rng, slope, n=40)
    fits, error = fit_scan(frames, truth, rng)
    z = error / np.sqrt(np.stack([fits.var_yy, fits.var_xx], axis=1))
    assert 0.85 < z.std() < 1.15  # seed 5; 1280 errors know it to 2 %, unequal disks to less


def test_covariance_follows_a_cut_window() -> None:
    rng = np.random.default_rng(6)
    truth = np.array([[2.3, 20.0]]) + rng.uniform(-0.3, 0.3, (200, 2))
    frames = rng.poisson(np.stack([15 * disk((40, 40), c, 5.0) for c in truth]))
    fits = one_each(frames, truth, 5.0)
    assert (fits.flags & EDGE != 0).all()
    # Of one disk a slope may be learnt that it does not have, which makes either error larger.
    assert np.quantile(fits.var_yy / fits.var_xx, 0.05) > 1.3
    z = error_of(fits, truth) / np.sqrt(np.stack([fits.var_yy, fits.var_xx], axis=1))
    assert 0.8 < z.std() < 1.2  # seed 6


def test_bad_pixels_are_ignored() -> None:
    truth = np.array([[20.2, 19.7]])
    frames = np.round(400 * disk((40, 40), truth[0], 5.0))[None]
    bad = np.zeros((40, 40), bool)
    bad[22, 23] = bad[25, 20] = True
    frames[:, bad] = 60000
    masked = one_each(frames, truth + 0.3, 5.0, bad_pixel=bad)
    assert np.abs(error_of(masked, truth)).max() < 0.01
    assert masked.flags[0] & EDGE
    unmasked = one_each(frames, truth + 0.3, 5.0)
    assert np.abs(error_of(unmasked, truth)).max() > 0.1


def on_a_halo(n: int, counts: float, peak: float, seed: int) -> tuple[NDArray[np.uint16], Array]:
    """Frames of a ring of 8 disks around a beam whose halo falls off by e in 15 px, and where they are."""
    rng, angle = np.random.default_rng(seed), 0.2 + np.arange(8) * np.pi / 4
    y, x = np.mgrid[:100, :100] - 50.0
    halo = 0.5 + peak * np.exp(-np.hypot(y, x) / 15)
    truth = 50 + 24 * np.stack([np.sin(angle), np.cos(angle)], 1) + rng.uniform(-0.5, 0.5, (n, 8, 2))
    frames = [halo + sum(counts / 78.5 * disk((100, 100), c, 5.0) for c in places) for places in truth]
    return rng.poisson(frames).astype(np.uint16), truth


def test_a_halo_does_not_pull_disks_inwards() -> None:
    frames, truth = on_a_halo(20, counts=1000, peak=60, seed=15)
    outwards = (truth - 50).reshape(-1, 2) / np.hypot(*(truth - 50).reshape(-1, 2).T)[:, None]
    fits, error = fit_scan(frames, truth, np.random.default_rng(16))
    flat, ignored = fit_scan(frames, truth, np.random.default_rng(16), background_slope=0.0)
    inwards = -(ignored * outwards).sum(1)[flat.flags & NOT_REFINED == 0]
    assert inwards.mean() > 0.3  # px: more than a percent of the distance of the disks
    assert (fits.flags & NOT_REFINED != 0).mean() < 0.03
    assert abs(np.mean((error * outwards).sum(1))) < 0.06  # seed 15; 160 disks know it to 0.012 px
    z = error / np.sqrt(np.stack([fits.var_yy, fits.var_xx], axis=1))
    assert 0.85 < np.sqrt((z**2).mean()) < 1.2


def smooth_light(kind: str) -> Array:
    """Patterns without a disk, some electrons a pixel."""
    y, x = np.mgrid[:128, :128] - 64.0
    rho = np.hypot(y, x)
    return {
        "ring of an amorphous film": 5 + 20 * np.exp(-((rho - 35) ** 2) / 72),
        "narrow ring": 5 + 20 * np.exp(-((rho - 35) ** 2) / 18),
        "shadow of an annular detector": np.where(rho < 50, 5.0, 0.2),
    }[kind]


@pytest.mark.parametrize("kind", ["ring of an amorphous film", "narrow ring", "shadow of an annular detector"])
def test_rings_and_shadows_are_no_disks(kind: str) -> None:
    rng, angle = np.random.default_rng(22), np.linspace(0, 2 * np.pi, 16, endpoint=False)
    frames = rng.poisson(smooth_light(kind), (10, 128, 128)).astype(np.uint16)
    radius = 46.0 if kind.startswith("shadow") else 35.0
    places = 64 + radius * np.stack([np.sin(angle), np.cos(angle)], 1)
    places = np.tile(places, (10, 1)) + rng.uniform(-1, 1, (160, 2))
    fits = fit_disks(frames, np.full(10, 16), places[:, 0], places[:, 1], model_of_radius(5.0))
    # Where the fit comes to an end at all.
    told, believed = (fits.flags & SMOOTH != 0).sum(), (fits.flags & NOT_REFINED == 0).sum()
    assert told > (1 if kind.startswith("shadow") else 3) * believed


@pytest.mark.parametrize(("radius", "counts"), [(2.0, 60), (3.0, 60), (5.0, 60), (8.0, 150)])
def test_faint_disks_are_not_taken_for_bends_of_the_background(radius: float, counts: float) -> None:
    rng = np.random.default_rng(23)
    size = int(2 * radius) + 15
    truth = size / 2 + rng.uniform(-0.5, 0.5, (400, 2))
    frames = rng.poisson([0.3 + counts / (np.pi * radius**2) * disk((size, size), c, radius) for c in truth])
    fits = one_each(frames, truth, radius)
    assert (fits.flags & SMOOTH != 0).mean() < 0.01


def test_learning_that_the_background_is_flat_costs_little() -> None:
    frames, truth = scan(np.random.default_rng(17), slope=0.0, n=40, counts=300)
    frames = frames + np.random.default_rng(18).poisson(3.0, frames.shape).astype(np.uint16)
    rms = {}
    for spread in (0.0, None, 1.0):
        _, error = fit_scan(frames, truth, np.random.default_rng(19), background_slope=spread)
        rms[spread] = float(np.sqrt((error**2).mean()))
    assert rms[None] < 1.08 * rms[0.0]  # seed 17
    assert rms[1.0] > 1.1 * rms[0.0]


@pytest.mark.parametrize("radius", [12.0, 20.0])
def test_a_start_that_a_slope_has_moved_is_near_enough_for_a_large_disk(radius: float) -> None:
    size = int(2 * radius) + 21
    truth = np.array([[size / 2 + 0.2, size / 2 - 0.4]])
    # A correlation puts a disk of a slope s at s R / 4 from its place.
    start = truth + 0.15 * radius
    frames = 500 * disk((size, size), truth[0], radius, slope=(0.6, 0.6))[None]
    fits = one_each(frames, start, radius)
    assert fits.flags[0] & NOT_REFINED == 0
    assert np.abs(error_of(fits, truth)).max() < 0.03  # px


@pytest.mark.parametrize(("radius", "spacing"), [(2.0, 5.2), (2.5, 5.5), (3.0, 6.6)])
def test_small_disks_that_all_but_touch_are_refined(radius: float, spacing: float) -> None:
    """Without the pixels of their neighbours too few are left of each, until those are known."""
    rng = np.random.default_rng(20)
    sites = 10 + spacing * np.stack(np.meshgrid(*[np.arange(10)] * 2, indexing="ij"), -1).reshape(-1, 2)
    truth = sites + rng.uniform(-0.2, 0.2, sites.shape)
    size = int(20 + 9 * spacing)
    height = 1000 / (np.pi * radius**2)
    frame = rng.poisson(0.2 + sum(height * disk((size, size), c, radius) for c in truth))
    y, x = (truth + rng.uniform(-0.2, 0.2, truth.shape)).T
    fits = fit_disks(frame[None], np.array([len(truth)]), y, x, model_of_radius(radius))
    assert (fits.flags & NOT_REFINED != 0).mean() < 0.02
    z = error_of(fits, truth) / np.sqrt(np.stack([fits.var_yy, fits.var_xx], axis=1))
    assert 0.8 < np.sqrt((z**2).mean()) < 1.25  # seed 20; 200 errors know it to 5 %


@pytest.mark.parametrize("distance", [1.3, 1.7, 2.4])
def test_overlapping_disks_are_told_apart(distance: float) -> None:
    truth = np.array([[20.3, 18.1], [20.3 + 0.6 * 5 * distance, 18.1 + 0.8 * 5 * distance]])
    frame = 2 + 300 * disk((50, 50), truth[0], 5.0) + 120 * disk((50, 50), truth[1], 5.0)
    y, x = (truth + np.array([[0.3, -0.2], [-0.2, 0.3]])).T
    fits = fit_disks(frame[None], np.array([2]), y, x, model_of_radius(5.0), slope=0.0)
    assert (fits.flags == OVERLAP).all()
    assert np.abs(error_of(fits, truth)).max() < 0.03  # px
    assert fits.intensity[0] / fits.intensity[1] == pytest.approx(2.5, rel=0.03)


def test_results_do_not_depend_on_the_grouping_of_frames() -> None:
    rng = np.random.default_rng(7)
    frames, truth = scan(rng, slope=0.3, n=3)
    together, _ = fit_scan(frames, truth, np.random.default_rng(8))
    start = (truth + np.random.default_rng(8).uniform(-0.4, 0.4, truth.shape)).reshape(-1, 2)
    for n in range(3):
        y, x = start[16 * n : 16 * n + 16].T
        alone = fit_disks(frames[n : n + 1], np.array([16]), y, x, model_of_radius(5.0))
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a, b[16 * n : 16 * n + 16])


def test_gain_scales_counts_and_nothing_else() -> None:
    rng = np.random.default_rng(9)
    frames, truth = scan(rng, slope=0.0, n=2)
    one, _ = fit_scan(frames, truth, np.random.default_rng(10))
    many, _ = fit_scan(frames * np.array([7.0, 0.01])[:, None, None], truth, np.random.default_rng(10),
                       counts_per_electron=np.array([7.0, 0.01]))  # fmt: skip
    np.testing.assert_allclose(many.y, one.y, atol=1e-4)  # px
    np.testing.assert_allclose(many.var_xx, one.var_xx, rtol=1e-3)
    np.testing.assert_allclose(many.intensity, one.intensity * np.repeat([7.0, 0.01], 16), rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_any_dtype_gives_the_same(dtype: Any) -> None:
    rng = np.random.default_rng(11)
    frames, truth = scan(rng, slope=0.0, n=1)
    expected, _ = fit_scan(frames, truth, np.random.default_rng(12))
    found, _ = fit_scan(frames.astype(dtype), truth, np.random.default_rng(12))
    np.testing.assert_array_equal(found.y, expected.y)


def test_nothing_to_fit_keeps_the_start() -> None:
    start = np.array([[20.2, 19.9], [-4.0, 20.0]])
    frame = np.zeros((2, 40, 40))
    fits = one_each(frame, start, 5.0)
    assert (fits.flags & NOT_REFINED != 0).all()
    np.testing.assert_array_equal(np.stack([fits.y, fits.x], axis=1), start)
    assert np.isinf(fits.var_yy).all()
    assert (fits.intensity == 0).all()


def test_a_start_beside_the_disk_is_not_moved_far() -> None:
    truth = np.array([[20.0, 20.0]])
    frames = 100 * disk((40, 40), truth[0], 5.0)[None]
    fits = one_each(frames, truth + 3.5, 5.0)
    assert fits.flags[0] & NOT_REFINED
    assert fits.y[0] == 23.5


def test_no_frames_and_no_peaks() -> None:
    model = model_of_radius(5.0)
    none = np.empty(0)
    assert len(fit_disks(np.zeros((0, 40, 40)), np.empty(0, int), none, none, model).y) == 0
    assert len(fit_disks(np.zeros((3, 40, 40)), np.zeros(3, int), none, none, model).y) == 0


@pytest.mark.parametrize("counts", [100, 5000])
def test_a_round_probe_gives_its_radius_without_its_noise(counts: int) -> None:
    rng = np.random.default_rng(13)
    probe = rng.poisson(counts * disk((64, 64), (31.4, 32.3), 6.2)).astype(float)
    model = model_of_probe(probe, 6.5, (31.0, 32.0))
    assert model.radius_px == pytest.approx(6.2, abs=0.02 if counts > 1000 else 0.1)  # seed 13
    middle = model.table[len(model.table) // 2, 0]
    assert middle[np.hypot(model.offset_y, model.offset_x) < 4].std() < 1e-3


def bullseye(centre: Any) -> Array:
    """A disk of radius 9 with a dark ring of 2 px."""
    rings = disk((64, 64), centre, 9.0) - 0.8 * (disk((64, 64), centre, 6.5, 0.5) - disk((64, 64), centre, 4.0, 0.5))
    return 2000 * rings


def test_a_structured_probe_is_interpolated() -> None:
    model = model_of_probe(bullseye((32.0, 32.0)), 9.0, (32.0, 32.0))
    for fraction in (0.25, 0.5):
        truth = np.array([[30.0 + fraction, 33.0 - fraction]])
        y, x = (truth + 0.4).T
        fits = fit_disks(bullseye(truth[0])[None], np.array([1]), y, x, model, slope=0.0)
        assert np.abs(error_of(fits, truth)).max() < 0.02  # px


def test_a_dark_probe_is_refused() -> None:
    with pytest.raises(DataError, match="not brighter"):
        model_of_probe(np.zeros((64, 64)), 5.0, (32.0, 32.0))


@pytest.fixture(scope="module")
def shared() -> Path:
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder


def test_multislice_disks_lie_on_the_lattice(shared: Path) -> None:
    """Dynamical disks of an unstrained, tilted crystal: their slopes move a slope-free fit far off the lattice."""
    import xarray as xr

    path = shared / "sim" / "sige_tilt.nc"
    with xr.open_dataset(path) as ds, xr.open_dataset(path, group="truth") as truth:
        where = np.argwhere((truth.is_substrate.values > 0) & (truth.dist_interface.values > 20))
        frames = ds.intensity.values[tuple(where.T)]
        step, a = float(ds.qx[1] - ds.qx[0]), truth.attrs["substrate_a_angstrom"]
        model = model_of_probe(ds.probe.values, 2.2, (48.0, 48.0))
    g = np.array([[np.sqrt(2) / a, 1 / a], [-np.sqrt(2) / a, 1 / a]]) / step
    sites = np.array([(h, k) for h in range(-4, 5) for k in range(-4, 5)]) @ g + 48
    sites = sites[(np.abs(sites - 48) < 40).all(1)]
    y, x = np.tile(sites + 0.3, (len(frames), 1)).T
    rms = {}
    for slope in (None, 0.0):
        fits = fit_disks(frames, np.full(len(frames), len(sites)), y, x, model, slope=slope)
        bright = fits.intensity > 500
        error = error_of(fits, np.tile(sites, (len(frames), 1)))[bright]
        rms[slope] = float(np.sqrt((error**2).mean()))
    assert len(error) > 100
    assert rms[None] < 0.08  # px
    assert rms[None] < 0.6 * rms[0.0]


def test_structured_disks_converge() -> None:
    """Bright, steep disks with a structure that the model has not: full Fisher steps swing on a fifth of them."""
    rng = np.random.default_rng(14)
    truth = 12 + rng.uniform(-0.5, 0.5, (300, 2))
    shapes = []
    for centre, slope in zip(truth, rng.normal(0, 0.5, truth.shape), strict=True):
        dy, dx = np.arange(25)[:, None] - centre[0], np.arange(25)[None, :] - centre[1]
        saddle = 1 + 0.6 * (dy**2 - dx**2) / 2.1**2
        shapes.append((disk((25, 25), centre, 2.1, 0.2, slope) * saddle).clip(0))
    frames = rng.poisson(500 * np.stack(shapes) + 0.02).astype(np.uint16)
    fits = one_each(frames, truth + rng.uniform(-0.4, 0.4, truth.shape), 2.1, 0.2, slope=0.5)
    assert (fits.flags & NOT_REFINED != 0).mean() < 0.01  # seed 14
    assert np.sqrt((error_of(fits, truth) ** 2).mean()) < 0.2  # px


def test_a_disk_whose_counts_wrapped_around_is_refused() -> None:
    truth = np.array([[20.2, 19.7]])
    counts = np.round(90000 * disk((40, 40), truth[0], 5.0)) + 30  # above the 65535 of uint16
    fits = one_each(counts.astype(np.uint32).astype(np.uint16)[None], truth + 0.3, 5.0)
    assert fits.flags[0] & NOT_REFINED
