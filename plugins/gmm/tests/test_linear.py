"""Principal components on a pedestal, and beside one of far more variance."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context
from ronchi_gmm.linear import Ica, Pca
from ronchi_gmm.mixture import Gmm
from ronchi_gmm.params import GmmParams, IcaParams, PcaParams

N, SIDE = 3000, 12
IN_MEMORY, IN_BATCHES = 1000, 0.5  # MB; the samples are 1.7


def plane(offset: float, sigmas: tuple[float, float], seed: int = 0) -> tuple[xr.DataArray, np.ndarray]:
    """Samples with two directions of uniform weights in white noise of 0.5, and the directions (p, 2)."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(SIDE**2, 2)))[0]
    weights = rng.uniform(-1, 1, size=(N, 2)) * np.sqrt(3) * sigmas
    values = offset + weights @ basis.T + rng.normal(0, 0.5, (N, SIDE**2))
    return xr.DataArray(values.reshape(N, SIDE, SIDE).astype("f4"), dims=("sample", "y", "x")), basis


def directions(learner) -> np.ndarray:
    return np.linalg.qr(learner.state["components"].T.astype(float))[0]


@pytest.mark.parametrize("memory_mb", [IN_MEMORY, IN_BATCHES])
@pytest.mark.parametrize("offset", [0, 8000, 60_000])
@pytest.mark.parametrize(
    ("learner", "params"),
    [(Pca, PcaParams(n_components=2)), (Ica, IcaParams(n_components=2)), (Gmm, GmmParams(n_classes=1, n_scores=2))],
)
def test_a_pedestal_hides_no_component(learner, params, offset, memory_mb, ctx: Context):
    """Pixels of 60000 with a deviation of 7.1 as those without: float32 squares of them would leave only noise."""
    x, basis = plane(offset, (80, 30))
    assert float(np.sqrt(x.astype(float).var("sample").mean())) == pytest.approx(7.1, abs=0.1)
    fit = learner(params.model_copy(update={"memory_mb": memory_mb}))
    fit.fit(x, ctx)
    assert np.linalg.svd(directions(fit).T @ basis)[1].min() > 0.999
    np.testing.assert_allclose(fit.state["mean"], x.values.astype(float).mean(0).ravel(), atol=0.01)  # float32 of 60000


def test_variance_and_fraction_do_not_depend_on_the_pedestal(ctx: Context):
    x, _ = plane(8000, (80, 30))
    learner = Pca(PcaParams(n_components=2))
    learner.fit(x, ctx)
    flat = x.values.reshape(N, -1).astype(float)
    exact = np.linalg.eigvalsh(np.cov(flat.T))[::-1]
    np.testing.assert_allclose(learner.state["variance"], exact[:2], rtol=1e-4)
    np.testing.assert_allclose(learner.state["fraction"], exact[:2] / exact.sum(), rtol=1e-4)


@pytest.mark.parametrize("memory_mb", [IN_MEMORY, IN_BATCHES])
def test_a_component_beside_one_of_a_hundred_million_times_its_variance(memory_mb, ctx: Context):
    x, basis = plane(0, (100_000, 10))
    learner = Pca(PcaParams(n_components=2, memory_mb=memory_mb))
    learner.fit(x, ctx)
    assert np.linalg.svd(directions(learner).T @ basis)[1].min() > 0.999


def test_fitting_leaves_the_data_as_they_were(ctx: Context):
    """The mean is subtracted in place: of a copy."""
    x, _ = plane(100, (80, 30))
    before = x.values.copy()
    for memory_mb in (IN_MEMORY, IN_BATCHES):
        Pca(PcaParams(n_components=2, memory_mb=memory_mb)).fit(x, ctx)
    np.testing.assert_array_equal(x.values, before)


def test_batches_that_begin_with_vacuum_are_no_obstacle(ctx: Context, monkeypatch):
    monkeypatch.setattr("ronchi.blocks.BLOCK_BYTES", 40_000)  # 43 batches
    x, basis = plane(50, (80, 30))
    x.values[:500] = 50
    learner = Pca(PcaParams(n_components=2, memory_mb=IN_BATCHES))
    learner.fit(x, ctx)  # a warning of a division by 0 would be an error
    assert np.linalg.svd(directions(learner).T @ basis)[1].min() > 0.999
    assert np.isfinite(learner.state["fraction"]).all()


def test_a_component_weaker_than_the_noise_of_a_batch_is_found_in_batches(ctx: Context, monkeypatch):
    """A batch alone does not show it: it stands out of the noise of all samples only."""
    monkeypatch.setattr("ronchi.blocks.BLOCK_BYTES", 400_000)  # 56 batches of 36 samples
    rng = np.random.default_rng(3)
    n, side, weak = 2000, 52, 1.1
    basis = np.linalg.qr(rng.normal(size=(side**2, 2)))[0]
    values = rng.normal(size=(n, 2)) * (30, weak) @ basis.T + rng.normal(0, 0.5, (n, side**2))
    x = xr.DataArray(values.reshape(n, side, side).astype("f4"), dims=("sample", "y", "x"))
    whole, batches = (Pca(PcaParams(n_components=2, memory_mb=mb)) for mb in (1000, 8))
    for learner in (whole, batches):
        learner.fit(x, ctx)
    as_good = np.abs(directions(whole)[:, 1] @ basis[:, 1])
    assert as_good > 0.8
    assert np.abs(directions(batches)[:, 1] @ basis[:, 1]) > 0.97 * as_good
    np.testing.assert_allclose(batches.state["variance"], whole.state["variance"], rtol=0.05)


def test_a_component_that_barely_stands_out_of_the_noise_is_that_of_an_exact_solver(ctx: Context):
    rng = np.random.default_rng(4)
    n, side = 1100, 33
    basis = np.linalg.qr(rng.normal(size=(side**2, 1)))[0]
    values = rng.normal(size=(n, 1)) * 0.58 @ basis.T + rng.normal(0, 0.5, (n, side**2))
    exact = np.linalg.eigh(np.cov(values.T))[1][:, -1]
    assert 0.3 < np.abs(exact @ basis[:, 0]) < 0.7
    learner = Pca(PcaParams(n_components=1))
    learner.fit(xr.DataArray(values.reshape(n, side, side).astype("f4"), dims=("sample", "y", "x")), ctx)
    assert np.abs(directions(learner)[:, 0] @ exact) > 0.99
