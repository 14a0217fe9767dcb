"""How many classes BIC may find in few samples, and what a mixture may take of the memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context, DataError
from ronchi_gmm.mixture import Gmm
from ronchi_gmm.params import GmmParams


def samples(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values.astype("f4"), dims=("sample", "y", "x"))


def fitted(values: np.ndarray, **params) -> Gmm:
    learner = Gmm(GmmParams(**params))
    learner.fit(samples(values), Context(rng=np.random.default_rng(0)))
    return learner


@pytest.mark.parametrize("covariance", ["full", "diag", "tied", "spherical"])
@pytest.mark.parametrize("n", [12, 20, 30, 50, 80])
def test_white_noise_is_one_class_however_few_the_samples(n, covariance, caplog):
    """A class of fewer members than dimensions has a likelihood without bound, which BIC alone would take."""
    noise = np.random.default_rng(0).normal(size=(n, 8, 8))
    with caplog.at_level("WARNING", logger="ronchi"):
        learner = fitted(noise, covariance=covariance)
    assert len(learner.state["weights"]) == 1
    assert "raise max_classes" not in caplog.text


def test_a_limit_by_the_samples_is_said(caplog):
    """Two times (8 scores + 1) samples a class: 50 are enough for two."""
    with caplog.at_level("WARNING", logger="ronchi"):
        learner = fitted(np.random.default_rng(0).normal(size=(50, 8, 8)))
    assert learner.state["bic"].shape == (2,)
    assert "50 samples of 8 features tell at most 2 classes" in caplog.text


@pytest.mark.parametrize(("max_classes", "warned"), [(2, True), (8, False)])
def test_only_a_bic_that_still_falls_asks_for_more_classes(max_classes, warned, caplog):
    rng = np.random.default_rng(0)
    centres = 12 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    points = (centres[np.arange(400) % 4] + rng.normal(size=(400, 2)))[:, None]
    with caplog.at_level("WARNING", logger="ronchi"):
        learner = fitted(points, max_classes=max_classes)
    assert len(learner.state["weights"]) == min(4, max_classes)
    assert ("raise max_classes" in caplog.text) == warned


def test_a_small_class_is_found_if_its_members_span_the_scores():
    """12 of 300 samples, over 4 scores: more than the 5 below which its covariance would be singular."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 2, 4))
    values[:12, 0] += 12
    learner = fitted(values, n_scores=4)
    label = learner.transform(samples(values))["label"].values
    assert (label[:12] == 1).all()
    assert (label[12:] == 0).all()


def test_a_class_of_two_outliers_is_left_out_and_said(caplog):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100, 2, 4))
    values[:2, 0] += 30
    with caplog.at_level("INFO", logger="ronchi"):
        learner = fitted(values, n_scores=4)
    assert "classes left out: one has 2 samples, less than 5" in caplog.text
    assert np.isnan(learner.state["bic"]).any()
    assert (learner.state["weights"] > 5 / 100).all()


def test_covariances_larger_than_memory_are_refused_before_a_pass(monkeypatch):
    """Twice 3 arrays of 3 classes of 40^2 x 40^2 in float64, and two more: 410 MB."""
    values = np.random.default_rng(0).normal(size=(30, 40, 40))
    monkeypatch.setattr("ronchi_gmm.samples.iter_samples", lambda x: pytest.fail("read"))
    message = r"`full` of 3 classes over 1600 pixels need 410 MB, more than `memory_mb` 300[\s\S]*diag[\s\S]*bin"
    with pytest.raises(DataError, match=message):
        fitted(values, n_classes=3, features="pixels", memory_mb=300)
    with pytest.raises(DataError, match="`tied` of 3 classes over 1600 pixels need 164 MB"):
        fitted(values, n_classes=3, features="pixels", covariance="tied", memory_mb=100)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_covariances_take_about_what_was_estimated(k):
    """Twice 3 arrays of k x 400^2 x 8 bytes, and two more; samples of 0.2 MB are nothing beside that."""
    estimate_mb = 8e-6 * 400**2 * (6 * k + 2)
    values = np.random.default_rng(0).normal(size=(60, 20, 20))
    fitted(values, n_classes=1, features="pixels", covariance="diag", memory_mb=1)  # imports
    tracemalloc.start()
    fitted(values, n_classes=k, features="pixels", memory_mb=1.01 * estimate_mb, n_init=3)
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert 0.5 < peak_mb / estimate_mb < 1.2
