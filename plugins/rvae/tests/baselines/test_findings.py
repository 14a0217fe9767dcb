"""The learners ``spatial-vae``, ``jrvae``, ``vae`` and ``conv-ae`` find what the simulated crops were made with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi.api import DataError
from ronchi.builtin.metrics_angle import angle_resultant

VARIATIONAL = pytest.mark.parametrize("name", ["spatial-vae", "jrvae", "vae"])


def glyphs(crops, **changes: Any) -> tuple[xr.DataArray, xr.Dataset]:
    """Crops that turn by up to 10 degrees."""
    made = crops(
        **{
            "motifs": ("f-glyph",),
            "n_samples": 400,
            "size_px": 15,
            "bond_px": 4.0,
            "sigma_px": 1.0,
            "angle_range_deg": 10,
            "shift_range_px": 0.4,
            "noise_sigma": 0.1,
            **changes,
        }
    )
    return made.data["intensity"], made.sides["truth"]


@pytest.mark.parametrize("prior", ["proper", "published"])
def test_small_angles_and_shifts_are_found(crops, prior: str, fitted):
    x, truth = glyphs(crops)
    learner = fitted("spatial-vae", x, hidden=48, epochs=30, batch=25, learning_rate=3e-3, prior=prior)
    found, true = learner.transform(x), truth["angle"].values
    agreed = angle_resultant(found["angle"].values.astype(float), true)
    assert agreed.resultant > 0.9
    # Within 10 degrees the same angle for all would reach 0.995 above, and an error of 5 degrees here; seed 0.
    assert np.rad2deg(agreed.mae) < 2.5
    assert np.corrcoef(found["angle"], true)[0, 1] > 0.9  # from x towards y, as in the truth
    for axis in range(2):
        assert np.corrcoef(found["shift"][:, axis], truth["shift"][:, axis])[0, 1] > 0.7
    assert 0.9 < float(found["angle_R"].mean()) <= 1
    noise = learner.reconstruct(x).values - x.values
    used = learner.model.decoder.points.shape[0]
    assert np.sqrt((noise[:, np.hypot(*np.mgrid[-7:8, -7:8]) <= 6]).var()) < 0.15  # noise: 0.1, crops: 0.35
    assert used == (np.hypot(*np.mgrid[-7:8, -7:8]) <= 7.5).sum()


def test_classes_are_told_apart(crops, fitted):
    x, truth = glyphs(crops, motifs=("f-glyph", "vacancy"))
    learner = fitted("jrvae", x, n_classes=2, hidden=48, epochs=20, batch=25, learning_rate=3e-3)
    found = learner.transform(x)
    right = float((found["label"].values == truth["label"].values).mean())
    assert max(right, 1 - right) > 0.95  # seed 0
    np.testing.assert_allclose(found["label_prob"].sum("class"), 1, atol=1e-5)
    means = learner.sides()["means"]["image"].values
    templates = truth["template"].values
    order = [0, 1] if right > 0.5 else [1, 0]
    inside = np.hypot(*np.mgrid[-7:8, -7:8]) <= 7
    for k, label in enumerate(order):
        alike = [np.corrcoef(means[label][inside], template[inside])[0, 1] for template in templates]
        assert alike[k] > max(0.6, alike[1 - k] + 0.3)  # seed 0


def test_a_plain_vae_has_classes_too(crops, fitted):
    x, truth = glyphs(crops, motifs=("f-glyph", "vacancy"))
    found = fitted("vae", x, n_classes=2, hidden=48, epochs=20, batch=25, learning_rate=3e-3).transform(x)
    right = float((found["label"].values == truth["label"].values).mean())
    assert max(right, 1 - right) > 0.95  # seed 0


@pytest.mark.parametrize("name", ["vae", "conv-ae"])
def test_latents_rebuild_what_varies(crops, name: str, fitted):
    x, _ = glyphs(crops)
    learner = fitted(name, x, epochs=30, batch=25, **({"hidden": 48} if name == "vae" else {}))
    noise = 0.1**2
    rest = float((learner.reconstruct(x) - x).var()) - noise
    spread = float((x - x.mean("sample")).var()) - noise
    assert rest < 0.5 * spread  # seed 0; 0: all of it is rebuilt
    found = learner.transform(x)
    np.testing.assert_allclose(learner.decode(found["z"]), learner.reconstruct(x), atol=1e-4)


def test_a_condition_leaves_the_latents_other_things(crops, fitted):
    x, truth = glyphs(crops, motifs=("f-glyph", "vacancy"), angle_range_deg=0, shift_range_px=0)
    x = x.assign_coords(species=("sample", truth["label"].values + 5))
    told = fitted("vae", x, condition="species", hidden=48, epochs=15, batch=25, learning_rate=3e-3)
    blind = fitted("vae", x, hidden=48, epochs=15, batch=25, learning_rate=3e-3)

    def explained(learner: Any) -> float:
        z = learner.transform(x)["z"].values
        return float(np.abs(z[truth["label"] == 0].mean(0) - z[truth["label"] == 1].mean(0)).max())

    assert explained(told) < 0.3  # in standard deviations of the prior; seed 0
    assert explained(blind) > 1.5
    one, other = (told.decode(np.zeros((1, 2)), condition=k).values[0] for k in (5, 6))
    for image, template in zip((one, other), truth["template"].values, strict=True):
        assert np.corrcoef(image.ravel(), template.ravel())[0, 1] > 0.95
    with pytest.raises(DataError, match="no coordinate 'species'"):
        told.transform(x.drop_vars("species"))
    with pytest.raises(DataError, match="value 9 was not in the data"):
        told.transform(x.assign_coords(species=("sample", np.full(len(x), 9))))


@pytest.mark.parametrize("likelihood", ["poisson", "bernoulli"])
@VARIATIONAL
def test_other_likelihoods(crops, name: str, likelihood: str, fitted):
    rates = glyphs(crops, n_samples=100, size_px=13, noise="none", background=0.1)[0]
    rng = np.random.default_rng(0)
    values = rng.poisson(5 * rates) if likelihood == "poisson" else rng.random(rates.shape) < rates.clip(0, 1)
    x = rates.copy(data=values.astype(np.float32))
    learner = fitted(name, x, likelihood=likelihood, epochs=30, batch=10, learning_rate=1e-2)
    inside = np.hypot(*np.mgrid[-6:7, -6:7]) <= 6
    made, true = (v.values[:, inside] for v in (learner.reconstruct(x), x))
    assert (made >= 0).all()
    assert made.max() <= (1 if likelihood == "bernoulli" else np.inf)
    assert made.mean() == pytest.approx(true.mean(), rel=0.1)
    assert np.corrcoef(made.mean(0), true.mean(0))[0, 1] > 0.9  # the mean image; seed 0
    with pytest.raises(DataError, match="likelihood"):
        fitted(name, x - 1, likelihood=likelihood)
