"""The likelihood fit: exact without noise, at the Cramer-Rao bound with it, and the same for the same counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi_disks.disk_model import model_of_radius
from ronchi_disks.likelihood import EDGE, NOT_REFINED, fit_disks


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    radius=st.sampled_from([2.1, 4.0, 7.3]),
    fraction=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    offset=st.tuples(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6)),
    slope=st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4)),
)
def test_noise_free_disk_is_found_where_it_is(
    scene: SimpleNamespace, radius: float, fraction: Any, offset: Any, slope: Any
) -> None:
    truth = 15.0 + np.array([fraction])
    frames = 3.0 + 5000 * scene.disk((31, 31), truth[0], radius, slope=slope)[None]
    fits = scene.one_each(frames, truth + offset, radius, slope=1.0)
    assert np.abs(scene.error_of(fits, truth)).max() < 3e-3  # px; the tables' interpolation
    counts = 5000 * scene.disk((31, 31), truth[0], radius).sum()
    assert fits.intensity[0] == pytest.approx(counts, rel=0.01)
    np.testing.assert_allclose([fits.slope_y[0], fits.slope_x[0]], slope, atol=0.02)
    # A tenth of the model error, which is 2 % of the plateau and far above where the fit stops.
    assert fits.background[0] == pytest.approx(3.0, abs=10.0)


@pytest.mark.parametrize("counts", [1e2, 1e3, 1e4, 1e5])
@pytest.mark.parametrize(("radius", "edge"), [(3.0, 0.35), (5.0, 0.35), (9.0, 0.5)])
def test_error_is_at_the_cramer_rao_bound(scene: SimpleNamespace, radius: float, edge: float, counts: float) -> None:
    rng = np.random.default_rng(1)
    size, n = int(2 * radius) + 13, 300
    truth = size // 2 + rng.uniform(-0.5, 0.5, (n, 2))
    shapes = np.stack([scene.disk((size, size), c, radius, edge) for c in truth])
    frames = rng.poisson(counts * shapes / shapes.sum((1, 2), keepdims=True)).astype(np.uint16)
    fits = scene.one_each(frames, truth + rng.uniform(-0.3, 0.3, truth.shape), radius, edge, slope=0.0)
    fitted = fits.flags & NOT_REFINED == 0
    error = scene.error_of(fits, truth)[fitted]
    bound = np.sqrt(2 * edge * radius / counts)  # each axis, logistic edge, no background
    assert fitted.mean() > 0.97
    assert bound / np.sqrt((error**2).mean()) > 0.8  # seed 1; 600 errors know the rms to 3 %
    assert np.abs(error.mean(0)).max() < 4 * bound / np.sqrt(n)


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_standard_errors_are_honest(scene: SimpleNamespace, slope: float) -> None:
    rng = np.random.default_rng(5)
    frames, truth = scene.scan(rng, slope, n=40)
    fits, error = scene.fit_scan(frames, truth, rng)
    z = error / np.sqrt(np.stack([fits.var_yy, fits.var_xx], axis=1))
    assert 0.85 < z.std() < 1.15  # seed 5; 1280 errors know it to 2 %, unequal disks to less


def test_covariance_follows_a_cut_window(scene: SimpleNamespace) -> None:
    rng = np.random.default_rng(6)
    truth = np.array([[2.3, 20.0]]) + rng.uniform(-0.3, 0.3, (200, 2))
    frames = rng.poisson(np.stack([15 * scene.disk((40, 40), c, 5.0) for c in truth]))
    fits = scene.one_each(frames, truth, 5.0)
    assert (fits.flags & EDGE != 0).all()
    # Of one disk a slope may be learnt that it does not have, which makes either error larger.
    assert np.quantile(fits.var_yy / fits.var_xx, 0.05) > 1.3
    z = scene.error_of(fits, truth) / np.sqrt(np.stack([fits.var_yy, fits.var_xx], axis=1))
    assert 0.8 < z.std() < 1.2  # seed 6


@pytest.mark.parametrize(("counts", "read"), [(400, 1.0), (1500, 3.0)])
def test_readout_noise_counts_in_weights_and_errors(scene: SimpleNamespace, counts: float, read: float) -> None:
    """Weights of counting alone believe most in the dark, where the readout is all there is."""
    rng = np.random.default_rng(5)
    frames, truth = scene.scan(rng, slope=0.0, n=30, counts=counts)
    noisy = frames + rng.normal(0, read, frames.shape)
    found, error = scene.fit_scan(noisy, truth, np.random.default_rng(4), read_electrons=read)
    _, unaware = scene.fit_scan(noisy, truth, np.random.default_rng(4))
    assert not (found.flags & NOT_REFINED).any()
    z = error / np.sqrt(np.stack([found.var_yy, found.var_xx], 1))
    assert 0.9 < np.sqrt((z**2).mean()) < 1.1  # seed 5
    assert np.sqrt((error**2).mean()) < 0.85 * np.sqrt((unaware**2).mean())


def test_too_large_a_dark_reference_changes_nothing(scene: SimpleNamespace) -> None:
    """Light above a background below zero has its noise all the same."""
    rng = np.random.default_rng(6)
    frames, truth = scene.scan(rng, slope=0.0, n=20, counts=300)
    found, error = scene.fit_scan(frames - 2.0, truth, np.random.default_rng(4), read_electrons=np.sqrt(0.2))
    z = error / np.sqrt(np.stack([found.var_yy, found.var_xx], 1))
    assert 0.9 < np.sqrt((z**2).mean()) < 1.15  # seed 6; 2 where the noise was that of the difference


def test_bad_pixels_are_ignored(scene: SimpleNamespace) -> None:
    truth = np.array([[20.2, 19.7]])
    frames = np.round(400 * scene.disk((40, 40), truth[0], 5.0))[None]
    bad = np.zeros((40, 40), bool)
    bad[22, 23] = bad[25, 20] = True
    frames[:, bad] = 60000
    masked = scene.one_each(frames, truth + 0.3, 5.0, bad_pixel=bad)
    assert np.abs(scene.error_of(masked, truth)).max() < 0.01
    assert masked.flags[0] & EDGE
    unmasked = scene.one_each(frames, truth + 0.3, 5.0)
    assert np.abs(scene.error_of(unmasked, truth)).max() > 0.1


def test_results_do_not_depend_on_the_grouping_of_frames(scene: SimpleNamespace) -> None:
    rng = np.random.default_rng(7)
    frames, truth = scene.scan(rng, slope=0.3, n=3)
    together, _ = scene.fit_scan(frames, truth, np.random.default_rng(8))
    start = (truth + np.random.default_rng(8).uniform(-0.4, 0.4, truth.shape)).reshape(-1, 2)
    for n in range(3):
        y, x = start[16 * n : 16 * n + 16].T
        alone = fit_disks(frames[n : n + 1], np.array([16]), y, x, model_of_radius(5.0))
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a, b[16 * n : 16 * n + 16])


def test_gain_scales_counts_and_nothing_else(scene: SimpleNamespace) -> None:
    rng = np.random.default_rng(9)
    frames, truth = scene.scan(rng, slope=0.0, n=2)
    one, _ = scene.fit_scan(frames, truth, np.random.default_rng(10))
    many, _ = scene.fit_scan(frames * np.array([7.0, 0.01])[:, None, None], truth, np.random.default_rng(10),
                       counts_per_electron=np.array([7.0, 0.01]))  # fmt: skip
    np.testing.assert_allclose(many.y, one.y, atol=1e-4)  # px
    np.testing.assert_allclose(many.var_xx, one.var_xx, rtol=1e-3)
    np.testing.assert_allclose(many.intensity, one.intensity * np.repeat([7.0, 0.01], 16), rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_any_dtype_gives_the_same(scene: SimpleNamespace, dtype: Any) -> None:
    rng = np.random.default_rng(11)
    frames, truth = scene.scan(rng, slope=0.0, n=1)
    expected, _ = scene.fit_scan(frames, truth, np.random.default_rng(12))
    found, _ = scene.fit_scan(frames.astype(dtype), truth, np.random.default_rng(12))
    # Code that was compiled just now and code from disk round differently.
    np.testing.assert_allclose(found.y, expected.y, atol=1e-9)  # px


def test_nothing_to_fit_keeps_the_start(scene: SimpleNamespace) -> None:
    start = np.array([[20.2, 19.9], [-4.0, 20.0]])
    frame = np.zeros((2, 40, 40))
    fits = scene.one_each(frame, start, 5.0)
    assert (fits.flags & NOT_REFINED != 0).all()
    np.testing.assert_array_equal(np.stack([fits.y, fits.x], axis=1), start)
    assert np.isinf(fits.var_yy).all()
    assert (fits.intensity == 0).all()


def test_a_start_beside_the_disk_is_not_moved_far(scene: SimpleNamespace) -> None:
    truth = np.array([[20.0, 20.0]])
    frames = 100 * scene.disk((40, 40), truth[0], 5.0)[None]
    fits = scene.one_each(frames, truth + 3.5, 5.0)
    assert fits.flags[0] & NOT_REFINED
    assert fits.y[0] == 23.5


def test_no_frames_and_no_peaks() -> None:
    model = model_of_radius(5.0)
    none = np.empty(0)
    assert len(fit_disks(np.zeros((0, 40, 40)), np.empty(0, int), none, none, model).y) == 0
    assert len(fit_disks(np.zeros((3, 40, 40)), np.zeros(3, int), none, none, model).y) == 0


def test_a_disk_whose_counts_wrapped_around_is_refused(scene: SimpleNamespace) -> None:
    truth = np.array([[20.2, 19.7]])
    counts = np.round(90000 * scene.disk((40, 40), truth[0], 5.0)) + 30  # above the 65535 of uint16
    fits = scene.one_each(counts.astype(np.uint32).astype(np.uint16)[None], truth + 0.3, 5.0)
    assert fits.flags[0] & NOT_REFINED
