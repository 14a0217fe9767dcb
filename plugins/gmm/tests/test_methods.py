"""What each method finds: classes against truth, components against the definition, the choice of BIC."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context, DataError
from ronchi_gmm.clusters import Kmeans
from ronchi_gmm.factors import Nmf
from ronchi_gmm.linear import Ica, Pca
from ronchi_gmm.mixture import Gmm
from ronchi_gmm.params import GmmParams, IcaParams, KmeansParams, NmfParams, PcaParams


def samples(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values.astype("f4"), dims=("sample", "y", "x"))


def agreement(found: np.ndarray, true: np.ndarray) -> float:
    """Part of the samples with the right class, under the best naming of the classes."""
    k = int(true.max()) + 1
    return max(float((np.array(names)[true] == found).mean()) for names in itertools.permutations(range(k)))


@pytest.mark.parametrize(
    ("covariance", "features"),
    [
        *((each, "scores") for each in ("full", "diag", "tied", "spherical")),
        ("spherical", "pixels"),
    ],
)
def test_gmm_finds_the_classes(crops, ctx: Context, covariance, features):
    learner = Gmm(GmmParams(n_classes=3, covariance=covariance, features=features))
    learner.fit(crops["intensity"], ctx)
    found = learner.transform(crops["intensity"])
    assert agreement(found["label"].values, crops["true_label"].values) > 0.98
    prob = found["label_prob"].values
    np.testing.assert_allclose(prob.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(prob.argmax(1), found["label"])
    assert np.isfinite(found["nll"]).all()


def test_mean_images_are_those_of_the_classes(crops, ctx: Context):
    learner = Gmm(GmmParams(n_classes=3))
    learner.fit(crops["intensity"], ctx)
    label = learner.transform(crops["intensity"])["label"].values
    means = learner.sides()["means"]
    for k in range(3):
        by_definition = crops["intensity"].values[label == k].mean(0)
        np.testing.assert_allclose(means["image"][k], by_definition, atol=0.02)  # a few samples are shared
    assert means["weight"].values.tolist() == sorted(means["weight"].values, reverse=True)
    assert float(means["weight"].sum()) == pytest.approx(1)


def test_bic_finds_the_number_of_classes(ctx: Context):
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [6, 0], [0, 7], [8, 8]])
    points = (centres[rng.integers(4, size=600)] + rng.normal(size=(600, 2)))[:, None]
    learner = Gmm(GmmParams(n_classes="bic"))
    learner.fit(samples(points), ctx)
    found = learner.transform(samples(points))
    assert found.sizes["class"] == 4
    assert int(found["bic"].values.argmin()) == 3  # of 1, 2, 3, 4, …
    assert found["bic"].size == 8


def test_the_likelihood_is_that_of_the_density(ctx: Context):
    """One round Gaussian in two dimensions: -log p = x^2/(2 s^2) + log(2 pi s^2), whatever the axes."""
    points = np.random.default_rng(0).normal(0, 2, (4000, 1, 2))
    learner = Gmm(GmmParams(n_classes=1, covariance="spherical"))
    learner.fit(samples(points), ctx)
    nll = learner.transform(samples(points))["nll"].values
    expected = (points**2).sum((1, 2)) / 8 + np.log(8 * np.pi)
    np.testing.assert_allclose(nll, expected, atol=0.4)  # mean and width of 4000 draws
    assert nll.mean() == pytest.approx(expected.mean(), abs=0.02)


def test_collapsing_covariances_are_said(ctx: Context):
    values = np.repeat(np.random.default_rng(0).random((3, 5, 5)), 4, axis=0)
    with pytest.raises(DataError, match=r"collapse[\s\S]*diag"):
        Gmm(GmmParams(n_classes=3, features="pixels", regularisation=0)).fit(samples(values), ctx)


def test_more_classes_than_samples_are_refused(crops, ctx: Context):
    with pytest.raises(DataError, match="5 usable samples are too few for 9 classes"):
        Gmm(GmmParams(n_classes=9)).fit(crops["intensity"][:5], ctx)
    with pytest.raises(DataError, match="5 usable samples are too few for 9 classes"):
        Kmeans(KmeansParams(n_classes=9)).fit(crops["intensity"][:5], ctx)


def test_kmeans_gives_distances_to_the_means(crops, ctx: Context):
    learner = Kmeans(KmeansParams(n_classes=3))
    learner.fit(crops["intensity"], ctx)
    found = learner.transform(crops["intensity"])
    assert agreement(found["label"].values, crops["true_label"].values) > 0.98
    means = learner.sides()["means"]["image"].values
    expected = np.sqrt(((crops["intensity"].values[:, None] - means) ** 2).sum((2, 3)))
    np.testing.assert_allclose(found["z"], expected, rtol=1e-5)
    for k in range(3):
        np.testing.assert_allclose(means[k], crops["intensity"].values[found["label"] == k].mean(0), atol=1e-5)


@pytest.mark.parametrize("whiten", [False, True])
def test_pca_is_the_singular_value_decomposition(crops, ctx: Context, whiten):
    x = crops["intensity"]
    learner = Pca(PcaParams(n_components=3, whiten=whiten))
    learner.fit(x, ctx)
    flat = x.values.reshape(300, -1).astype(float)
    u, s, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    expected = u[:, :3] * (np.sqrt(299) if whiten else s[:3])
    found = learner.transform(x)
    z = found["z"].values
    np.testing.assert_allclose(np.abs(z), np.abs(expected), atol=2e-3 * np.abs(expected).max())  # signs are free
    np.testing.assert_allclose(found["fraction"], s[:3] ** 2 / (s**2).sum(), rtol=1e-3)
    back = learner.decode(z).values.reshape(300, -1)
    np.testing.assert_allclose(
        back, flat.mean(0) + (u[:, :3] * s[:3]) @ np.linalg.svd(flat - flat.mean(0))[2][:3], atol=2e-2
    )


def test_pca_in_mini_batches_finds_the_same_plane(ctx: Context, monkeypatch):
    """Sorted samples: batches differ from each other, which a running mean has to survive."""
    monkeypatch.setattr("ronchi.blocks.BLOCK_BYTES", 100_000)  # 16 batches
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4000, 2)) * (9, 4)
    z = z[np.argsort(z[:, 0])]
    basis = np.linalg.qr(rng.normal(size=(100, 2)))[0]
    values = (z @ basis.T + rng.normal(0, 0.1, (4000, 100)) + 5).reshape(4000, 10, 10)
    learner = Pca(PcaParams(n_components=2, memory_mb=0.4))
    learner.fit(samples(values), ctx)
    assert np.linalg.svd(learner.state["components"] @ basis)[1].min() > 0.9999
    np.testing.assert_allclose(learner.state["mean"].reshape(10, 10), values.mean(0), atol=1e-3)


def test_ica_separates_what_pca_mixes(ctx: Context):
    """Two independent, uniform weights of two overlapping images."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, (2000, 2))
    images = np.array([[1.0, 1.0, 0.0, 0.2], [0.0, 0.7, 1.0, 0.0]])
    values = (weights @ images).reshape(2000, 2, 2) + 3
    learner = Ica(IcaParams(n_components=2))
    learner.fit(samples(values), ctx)
    z = learner.transform(samples(values))["z"].values
    mixed = np.abs(np.corrcoef(z.T, weights.T)[:2, 2:])
    assert mixed.max(1).min() > 0.999
    assert mixed.min() < 0.05
    np.testing.assert_allclose(z.std(0), 1, atol=0.02)
    np.testing.assert_allclose(learner.decode(z).values, values, atol=1e-4)


def test_nmf_finds_images_that_add_up(ctx: Context):
    rng = np.random.default_rng(0)
    images = np.zeros((3, 6, 6))
    images[0, :2], images[1, 2:4], images[2, 4:] = 1.0, 2.0, 0.5
    weights = rng.gamma(1.0, size=(500, 3))
    values = np.tensordot(weights, images, 1)
    learner = Nmf(NmfParams(n_components=3))
    learner.fit(samples(values), ctx)
    found = learner.sides()["components"]["image"].values
    overlap = np.einsum("iyx,jyx->ij", found, images) / np.sqrt(
        (found**2).sum((1, 2))[:, None] * (images**2).sum((1, 2))
    )
    assert sorted(overlap.argmax(1)) == [0, 1, 2]
    assert overlap.max(1).min() > 0.99
    assert overlap[0].argmax() == 1  # carries the most intensity
    back = learner.decode(learner.transform(samples(values))["z"].values).values
    np.testing.assert_allclose(back, values, atol=0.05 * values.max())


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
@pytest.mark.parametrize("unit", [1e-9, 1e4])
def test_the_unit_of_the_values_has_no_say_in_nmf(ctx: Context, loss, unit):
    """Normalised patterns and bright ones: at 1e4 the start for values about 1 gave images with a cosine of 0.84."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    images = np.stack([np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18) for cy, cx in ((5, 5), (5, 10), (10, 7))])
    counts = rng.poisson(np.tensordot(rng.gamma(0.5, 10, (400, 3)), images, 1)).astype(float)
    learner = Nmf(NmfParams(n_components=3, loss=loss))
    learner.fit(samples(unit * counts / counts.mean()), ctx)
    found, true = (each.reshape(3, -1) for each in (learner.state["images"], images))
    cosine = (true @ found.T) / np.outer(np.linalg.norm(true, axis=1), np.linalg.norm(found, axis=1))
    assert cosine.max(1).min() > 0.99
    back = learner.decode(learner.transform(samples(unit * counts / counts.mean()))["z"].values).values
    assert np.mean((back / unit - counts / counts.mean()) ** 2) < 0.35  # what counting noise leaves is 0.33


def test_nmf_for_counts_and_negative_values(ctx: Context):
    counts = np.random.default_rng(0).poisson(4, (60, 4, 4))
    counts[:30, :2] += 20
    learner = Nmf(NmfParams(n_components=2, loss="kullback-leibler"))
    learner.fit(samples(counts), ctx)
    z = learner.transform(samples(counts))["z"].values
    assert (z >= 0).all()
    with pytest.raises(DataError, match=r"negative values \(lowest -1\)"):
        Nmf(NmfParams(n_components=2)).fit(samples(np.where(counts == 4, -1, counts)), ctx)


def test_unfinished_iterations_are_logged_not_printed(crops, ctx: Context, caplog):
    with caplog.at_level("WARNING", logger="ronchi"):
        Gmm(GmmParams(n_classes=5, max_iter=1)).fit(crops["intensity"], ctx)
    assert "did not converge" in caplog.text
