"""Values as they are learned: counts and back, the vacuum probe, and what a likelihood allows."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context, DataError
from ronchi_rvae.intensity import Intensity
from ronchi_rvae.invariants import PolarInvariants
from ronchi_rvae.params import DiscParams, PolarEmParams, PolarInvariantsParams, RrvaeParams, RvaeParams
from ronchi_rvae.params_pixels import JrvaeParams, SpatialVaeParams, VaeParams
from ronchi_rvae.polar_em import PolarEm
from ronchi_rvae.rvae import Rrvae, Rvae
from ronchi_rvae.vae import Vae

Y, X = np.mgrid[:33, :33] - 16
DEAD = (Y == 0) & (X > -8) & (X < 8)
"""A dead row through the bright disk."""
PROBE = np.where(np.hypot(Y, X) < 8, 100.0, 0.0).astype(np.float32)


@pytest.mark.parametrize("rate", [0.05, 0.2, 1.0, 3.0, 20.0])
def test_means_of_stabilised_counts_go_back_to_the_rate(rate):
    counts = np.random.default_rng(0).poisson(rate, (4000, 5, 5)).astype(np.float32)
    intensity = Intensity.fitted(DiscParams(counts=True), counts, np.ones((5, 5), bool))
    mean = intensity.of(counts, np.ones((5, 5), bool)).mean(axis=0)
    # The closed form is good to 3 %, and 100 000 numbers leave up to 1.4 %.
    assert float(intensity.back(mean).mean()) == pytest.approx(rate, rel=0.045)


def test_less_than_no_counts_go_back_to_none():
    intensity = Intensity(counts=True, normalise="none")
    back = intensity.back(np.linspace(-3, 1.22, 50, dtype=np.float32))
    assert np.abs(back).max() < 1e-6


def test_decoded_means_of_few_counts_have_the_mean_of_the_data():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, (300, 1, 1))
    y, x = np.mgrid[:25, :25] - 12
    blob = np.exp(-((y - 6 * np.sin(angle)) ** 2 + (x - 6 * np.cos(angle)) ** 2) / 8)
    counts = np.random.default_rng(1).poisson(0.2 * (1 + 3 * blob)).astype(np.float32)
    learner = PolarEm(PolarEmParams(n_classes=1, counts=True, passes=2, max_shift_px=0))
    learner.fit(xr.DataArray(counts, dims=("sample", "y", "x")), Context(rng=np.random.default_rng(0)))
    inside = np.hypot(y, x) < 11
    found = learner.sides()["means"]["image"].values[0][inside].mean()
    # 300 images of 377 pixels leave 0.6 %.
    assert found == pytest.approx(counts[:, inside].mean(), rel=0.04)


def thicknesses() -> np.ndarray:
    """Patterns of the probe alone, at several sums, 0 at bad pixels; the first has something else."""
    frames = np.where(DEAD, 0, PROBE * np.linspace(1, 4, 7, dtype=np.float32)[:, None, None])
    frames[0, 12, 16] += 3
    return frames


def fitted_with(probe: np.ndarray, radius_px: float = 12) -> tuple[PolarInvariants, xr.DataArray]:
    """A learner of `thicknesses`, and these."""
    coords = {"probe": (("y", "x"), probe.astype(np.float32)), "bad_pixel": (("y", "x"), DEAD)}
    x = xr.DataArray(thicknesses(), dims=("sample", "y", "x"), coords=coords)
    learner = PolarInvariants(PolarInvariantsParams(subtract_probe=True, radius_px=radius_px, n_components=1))
    learner.fit(x, Context(rng=np.random.default_rng(0)))
    return learner, x


@pytest.mark.parametrize("at_dead", [0.0, 100.0, 1e5, -1e5, np.nan, np.inf])
@pytest.mark.parametrize("radius_px", [12, 6])
def test_a_probe_is_subtracted_whatever_it_has_at_bad_pixels(at_dead, radius_px):
    learner, x = fitted_with(np.where(DEAD, np.float32(at_dead), PROBE), radius_px)
    z = learner.transform(x)["z"].values[:, 0]
    assert np.abs(z[1:] - z[1]).max() < 1e-3 * abs(z[0] - z[1])


@pytest.mark.parametrize(
    "probe",
    [0 * PROBE, -PROBE, np.where(X == 3, np.nan, PROBE), np.where(DEAD, PROBE, 0)],
    ids=["none", "negative", "not finite", "at bad pixels alone"],
)
def test_probes_that_cannot_be_scaled_are_refused(probe):
    with pytest.raises(DataError, match="probe over good pixels") as caught:
        fitted_with(probe)
    assert caught.value.where == "subtract_probe"
    assert "subtract_probe: false" in caught.value.fix


@pytest.mark.parametrize("params", [RvaeParams, RrvaeParams, VaeParams, SpatialVaeParams, JrvaeParams])
@pytest.mark.parametrize("likelihood", ["poisson", "bernoulli"])
@pytest.mark.parametrize("change", [{"counts": True}, {"normalise": "mean"}, {"normalise": "contrast"}])
def test_counts_and_chances_are_learned_as_they_are(params, likelihood, change):
    with pytest.raises(ValueError, match=f"as they are: leave out `{next(iter(change))}`"):
        params(likelihood=likelihood, **change)
    assert params(likelihood="gaussian", **change).likelihood == "gaussian"


@pytest.mark.parametrize("params", [RvaeParams, RrvaeParams])
@pytest.mark.parametrize("likelihood", ["poisson", "bernoulli"])
def test_without_the_probe_they_are_no_counts(params, likelihood):
    with pytest.raises(ValueError, match="as they are: leave out `subtract_probe`"):
        params(likelihood=likelihood, subtract_probe=True)


@pytest.mark.parametrize(("learner", "params"), [(Rvae, RvaeParams), (Rrvae, RrvaeParams), (Vae, VaeParams)])
@pytest.mark.parametrize(
    ("likelihood", "low", "high", "message"),
    [
        ("poisson", -0.5, 3.0, "no counts"),
        ("bernoulli", -0.1, 1.0, "no chances"),
        ("bernoulli", 0.0, 1.5, "no chances"),
    ],
)
def test_values_that_the_likelihood_does_not_allow(learner, params, likelihood, low, high, message):
    values = np.random.default_rng(0).uniform(low, high, (30, 13, 13)).astype(np.float32)
    x = xr.DataArray(values, dims=("sample", "y", "x"))
    with pytest.raises(DataError, match=message) as caught:
        learner(params(likelihood=likelihood, epochs=1)).fit(x, Context(rng=np.random.default_rng(0)))
    assert caught.value.fix == "likelihood: gaussian"
