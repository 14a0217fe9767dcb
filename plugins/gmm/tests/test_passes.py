"""NMF of data larger than memory: as good as in memory, and the same however the data are cut."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context
from ronchi_gmm.factors import Nmf
from ronchi_gmm.params import NmfParams
from ronchi_gmm.passes import settle

K, SHAPE = 4, (30, 30, 16, 16)
LOSSES = ["frobenius", "kullback-leibler"]
PART_MB = 0.15  # of 0.92: holds 146 of the 900 patterns


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Poisson counts of four spots whose weights vary, on a scan along which the first one grows."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:16, :16]
    centres, sigmas = rng.uniform(3, 13, (K, 2)), rng.uniform(1.5, 3, K)
    spots = [np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * s**2)) for (y, x), s in zip(centres, sigmas, strict=True)]
    weights = 20 * rng.gamma(0.7, size=(900, K))
    weights = weights[np.argsort(weights[:, 0])]
    return rng.poisson(np.tensordot(weights, spots, 1) + 0.2).reshape(SHAPE).astype("f4")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("ronchi.blocks.BLOCK_BYTES", 50_000)


def fitted(values: np.ndarray, chunks: tuple[int, int] = (30, 30), **params) -> Nmf:
    lazy = da.from_array(values, chunks=(*chunks, 16, 16))
    learner = Nmf(NmfParams(n_components=K, **params))
    learner.fit(xr.DataArray(lazy, dims=("scan_y", "scan_x", "qy", "qx")), Context(rng=np.random.default_rng(0)))
    return learner


def divergence(learner: Nmf, values: np.ndarray, loss: str) -> float:
    x = xr.DataArray(values, dims=("scan_y", "scan_x", "qy", "qx"))
    z = learner.transform(x)["z"].values.reshape(-1, K)
    model, rows = np.maximum(z @ learner.state["images"], 1e-12), values.reshape(len(z), -1)
    if loss == "frobenius":
        return float(((rows - model) ** 2).sum())
    return float((rows * np.log(np.where(rows > 0, rows / model, 1)) - rows + model).sum())


@pytest.mark.parametrize("loss", LOSSES)
def test_passes_explain_as_much_as_a_fit_in_memory(counts, loss):
    """Within 1 %: both end where a step wins 1e-4. A pass of mini-batches leaves 1.1 to 3 times the loss."""
    large, small = (fitted(counts, loss=loss, memory_mb=mb) for mb in (1000, PART_MB))
    assert divergence(small, counts, loss) < 1.01 * divergence(large, counts, loss)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("chunks", [(1, 30), (5, 30), (7, 11)])
def test_chunks_have_no_say(counts, chunks, loss):
    one, two = (fitted(counts, each, loss=loss, memory_mb=PART_MB).state["images"] for each in ((30, 30), chunks))
    np.testing.assert_allclose(two, one, atol=1e-3 * one.max())  # rounding alone


@pytest.mark.parametrize("chunks", [(5, 30), (7, 11)])
def test_chunks_have_no_say_in_memory(counts, chunks):
    """Bit for bit: the rows come in the order of the scan."""
    one, two = (fitted(counts, each, memory_mb=1000).state["images"] for each in ((30, 30), chunks))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("loss", LOSSES)
def test_max_iter_limits_the_passes_and_is_said(counts, loss, caplog, monkeypatch):
    passes: list[float] = []

    def counted(*args):
        found = settle(*args)
        passes[:] = found[2]
        return found

    monkeypatch.setattr("ronchi_gmm.factors.settle", counted)
    with caplog.at_level("WARNING", logger="ronchi"):
        fitted(counts, loss=loss, memory_mb=PART_MB, max_iter=2)
    assert len(passes) == 2
    assert "still falls after 2 passes" in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING", logger="ronchi"):
        fitted(counts, loss=loss, memory_mb=PART_MB)
    assert 2 < len(passes) < 100
    assert "still falls" not in caplog.text


@pytest.mark.parametrize("loss", LOSSES)
def test_a_block_of_vacuum_is_no_obstacle(counts, loss):
    spoilt = counts.copy()
    spoilt[:4] = 0
    learner = fitted(spoilt, (1, 30), loss=loss, memory_mb=PART_MB)
    large = fitted(spoilt, loss=loss, memory_mb=1000)
    assert divergence(learner, spoilt, loss) < 1.01 * divergence(large, spoilt, loss)
    vacuum = xr.DataArray(spoilt[:2], dims=("scan_y", "scan_x", "qy", "qx"))
    assert (learner.transform(vacuum)["z"] == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_no_pass_raises_the_loss(loss):
    """With the exact weights of one component, whose loss has its end in closed form."""
    rng = np.random.default_rng(0)
    rows = rng.gamma(2.0, size=(200, 1)) * rng.random((1, 30)) + 0.1 * rng.random((200, 30))
    rows = rows.astype("f4")

    def batches(images):
        weight = rows.sum(1) / images.sum() if loss != "frobenius" else rows @ images[0] / (images[0] @ images[0])
        yield rows, weight[:, None].astype("f4")

    images, _, losses = settle(batches, np.ones((1, 30), "f4"), loss, 50)
    assert (np.diff(losses) <= 1e-6 * losses[0]).all()
    # The best model of counts is the product of the sums over samples and over pixels.
    expected = np.linalg.svd(rows.astype(float))[2][0] if loss == "frobenius" else rows.sum(0, dtype=float)
    cosine = float(images[0] @ np.abs(expected)) / np.linalg.norm(images) / np.linalg.norm(expected)
    assert cosine > 0.9999
