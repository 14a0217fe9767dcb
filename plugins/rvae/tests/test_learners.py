"""Learners on labelled data: what comes out, what is refused, and what is kept on disk."""

from __future__ import annotations

from collections.abc import Callable

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from scipy.stats import poisson
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from ronchi.api import Context, DataError
from ronchi.schema import decoded, descriptors
from ronchi_rvae.invariants import PolarInvariants
from ronchi_rvae.learner import principal_axes
from ronchi_rvae.params import PolarEmParams, PolarInvariantsParams, RrvaeParams, RvaeParams
from ronchi_rvae.polar_em import PolarEm
from ronchi_rvae.rvae import Rrvae, Rvae

MAKERS: dict[str, Callable[[], PolarInvariants | PolarEm]] = {
    "polar-invariants": lambda: PolarInvariants(PolarInvariantsParams()),
    "polar-em": lambda: PolarEm(PolarEmParams(max_classes=2, passes=2)),
    "rvae": lambda: Rvae(RvaeParams(max_classes=2, passes=2, epochs=2)),
    "rrvae": lambda: Rrvae(RrvaeParams(max_classes=2, passes=2, epochs=2)),
}


def context(seed: int = 0) -> Context:
    return Context(rng=np.random.default_rng(seed))


@pytest.fixture(params=MAKERS)
def learner(request):
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def few(crops) -> xr.DataArray:
    return crops(0, n_samples=120, noise_sigma=0.3).data["intensity"]


def test_results_follow_the_schema(learner, few):
    learner.fit(few, context())
    made = descriptors.validate(learner.transform(few))
    assert made["z"].dims == ("sample", "component")
    assert made.attrs["learner"] == learner.name
    assert np.isfinite(made["z"]).all()
    if learner.name != "polar-invariants":
        assert {"angle", "angle_R", "label", "label_prob", "nll"} <= set(made)
        assert ((made["angle_R"] >= 0) & (made["angle_R"] <= 1)).all()
        assert float(np.abs(made["label_prob"].sum("class") - 1).max()) < 1e-5
        assert ("shift" in made) == (learner.name != "rrvae")
    for side in learner.sides().values() if hasattr(learner, "sides") else ():
        decoded.validate(side)


def test_same_seed_same_result(learner, few):
    other = MAKERS[learner.name]()
    for one in (learner, other):
        one.fit(few, context(5))
    assert learner.transform(few).identical(other.transform(few))


def test_samples_that_cannot_be_used(learner, few):
    spoilt = few.copy(deep=True)
    spoilt[3, 5, 5] = np.nan
    spoilt = spoilt.assign_coords(valid=("sample", np.arange(120) != 7))
    learner.fit(spoilt, context())
    made = learner.transform(spoilt)
    missing = np.isnan(made["z"].values).any(1)
    assert np.flatnonzero(missing).tolist() == [3, 7]
    if "label" in made:
        assert np.flatnonzero(made["label"] == -1).tolist() == [3, 7]
        assert np.isnan(made["angle"].values[[3, 7]]).all()


def test_scans_keep_their_dims(learner, few):
    scan = xr.DataArray(
        few.values[:, :24, :24].reshape(10, 12, 24, 24),
        dims=("scan_y", "scan_x", "qy", "qx"),
        coords={"qy": np.arange(24) - 12.0, "qx": np.arange(24) - 12.0, "scan_y": np.arange(10.0)},
    ).chunk({"scan_y": 3})
    learner.fit(scan, context())
    made = learner.transform(scan.compute())
    assert made["z"].dims == ("scan_y", "scan_x", "component")
    assert made["scan_y"].values.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :3, :3], "must lie inside"),
        (lambda x: x.rename(y="qy", x="qx").assign_coords(qy=np.arange(25.0), qx=np.arange(25.0)), "put 0 of qy and"),
        (lambda x: x.rename(x="sample_x").isel(sample_x=0), "expected samples"),
        (lambda x: x.assign_coords(y=np.arange(25.0), x=2 * np.arange(25.0)), "square"),
    ],
)
def test_refused(learner, few, change, message):
    with pytest.raises(DataError, match=message):
        learner.fit(change(few), context())


def test_not_fitted(learner, few):
    with pytest.raises(DataError, match="not fitted"):
        learner.transform(few)


def test_other_windows_are_refused(learner, few):
    learner.fit(few, context())
    with pytest.raises(DataError, match="shape"):
        learner.transform(few[:, 1:-1, 1:-1])
    bad = few.assign_coords(bad_pixel=(("y", "x"), np.eye(25, dtype=bool)))
    with pytest.raises(DataError, match="bad in these data"):
        learner.transform(bad)


def test_other_pixel_sizes_are_refused(learner, few):
    axis = 0.1 * np.arange(25)
    learner.fit(few.assign_coords(y=axis, x=axis), context())
    learner.transform(few)
    learner.transform(few.assign_coords(y=1.005 * axis, x=axis))
    for other in ({"y": 1.1 * axis, "x": 1.1 * axis}, {"y": axis, "x": -axis}):
        with pytest.raises(DataError, match=r"fitted to pixels of 0\.1 1, these are"):
            learner.transform(few.assign_coords(other))


def test_large_patterns_are_refused_before_the_memory_is_full(learner):
    """256 px need tens of GB: said at once, with what to do; nothing of the size is made first."""
    patterns = xr.DataArray(
        da.zeros((4, 5, 256, 256), chunks=1, dtype=np.float32), dims=("scan_y", "scan_x", "qy", "qx")
    )
    with pytest.raises(
        DataError, match=r"20 images by 16\d{3} numbers.*takes \d\d\.\d GB; `memory_mb` is 8000"
    ) as caught:
        learner.fit(patterns, context())
    assert "transform: bin" in caught.value.fix


def test_blocks_of_less_memory_give_the_same(learner, few, monkeypatch):
    learner.fit(few, context())
    whole = learner.transform(few)
    monkeypatch.setattr("ronchi_rvae.learner._BLOCK_MB", 7 * learner.basis.described_mb)
    xr.testing.assert_allclose(learner.transform(few), whole, rtol=1e-4, atol=1e-4)


def test_principal_axes_of_long_rows_are_those_of_the_covariance(monkeypatch):
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(200, 4)) * [9, 7, 5, 3] @ rng.normal(size=(4, 300)) + rng.normal(size=(200, 300)) + 5
    mean, axes = principal_axes(rows.astype(np.float32), 4)
    monkeypatch.setattr("ronchi_rvae.learner._DENSE", 100)
    for made, expected in zip(principal_axes(rows.astype(np.float32), 4), (mean, axes), strict=True):
        np.testing.assert_allclose(made, expected, atol=1e-5)


def test_as_many_classes_as_are_allowed_are_told_of(crops, caplog):
    images = crops(0, n_samples=400, noise_sigma=0.1).data["intensity"]
    for most, told in ((2, True), (8, False)):
        caplog.clear()
        PolarEm(PolarEmParams(max_classes=most, passes=2)).fit(images, context())
        assert ("max_classes" in caplog.text) == told


def test_bad_pixels_have_no_say(few):
    bad = np.zeros((25, 25), bool)
    bad[4, 9] = bad[20, 12] = True
    masked = few.assign_coords(bad_pixel=(("y", "x"), bad))
    spoilt = masked.where(~xr.DataArray(bad, dims=("y", "x")), 1e4)
    made = []
    for data in (masked, spoilt):
        learner = MAKERS["polar-em"]()
        learner.fit(data, context())
        made.append(learner.transform(data))
    assert made[0].identical(made[1])


def test_units_do_not_matter(few):
    made = []
    for unit in (1.0, 1e-6):
        learner = MAKERS["polar-em"]()
        learner.fit(few * np.float32(unit), context())
        made.append(learner.transform(few * np.float32(unit)))
    assert (made[0]["label"] == made[1]["label"]).all()
    turned = np.exp(1j * (made[0]["angle"] - made[1]["angle"]))
    assert float(np.abs(turned - 1).max()) < 1e-2


def test_invariants_do_not_turn(draw):
    """The same crop at many angles: its descriptors vary less than those of others by far."""
    angles = np.deg2rad(np.arange(0, 360, 10))
    names = ("f-glyph", "stone-wales", "silicon", "pristine")
    images = np.stack([draw(name, angle=a) for name in names for a in angles])
    x = xr.DataArray(images, dims=("sample", "y", "x"))
    learner = PolarInvariants(PolarInvariantsParams(n_components=3))
    learner.fit(x, context())
    z = learner.transform(x)["z"].values.reshape(4, 36, 3)
    assert z.var(axis=1).sum() / z.reshape(-1, 3).var(axis=0).sum() / 4 < 1e-3


def test_normalised_images_lose_their_brightness(crops):
    made = crops(1, n_samples=120, noise="none")
    learner = PolarEm(PolarEmParams(n_classes=1, normalise="contrast", passes=2))
    x = made.data["intensity"]
    learner.fit(x, context())
    brighter = learner.transform(3 * x + 5)
    assert np.allclose(brighter["z"], learner.transform(x)["z"], atol=1e-2)


def test_counts_are_stabilised(crops):
    made = crops(2, n_samples=200, noise="poisson", dose_e_per_px=(20.0, 20.0))
    learner = PolarEm(PolarEmParams(n_classes=4, counts=True, passes=4))
    learner.fit(made.data["intensity"], context())
    # Anscombe's numbers have a standard deviation of 1.
    assert np.sqrt(learner.mixture.variance) * learner._intensity.scale == pytest.approx(1, abs=0.12)
    with pytest.raises(DataError, match="below 0"):
        learner.fit(made.data["intensity"] - 100.0, context())


@pytest.fixture(scope="module")
def trained(crops):
    learner = Rvae(RvaeParams(epochs=20))
    learner.fit(crops(3, n_samples=1600).data["intensity"], context())
    return learner


def test_latents_tell_classes_and_not_angles(crops, trained):
    held_out = crops(4, n_samples=800)
    truth = held_out.sides["truth"]
    made = trained.transform(held_out.data["intensity"])
    z, angle = made["z"].values.astype(float), truth["angle"].values
    mixed = GaussianMixture(4, n_init=5, random_state=0).fit_predict(z)
    assert adjusted_rand_score(truth["label"].values, mixed) > 0.9
    assert adjusted_rand_score(truth["label"].values, made["label"].values) > 0.94
    waves = np.stack([wave(k * angle) for k in range(4) for wave in (np.cos, np.sin)], 1)
    weights = np.linalg.lstsq(waves[:400], z[:400], rcond=None)[0]
    assert 1 - (z[400:] - waves[400:] @ weights).var(0).sum() / z[400:].var(0).sum() < 0.02
    for label, fold, least in ((0, 3, 0.998), (1, 1, 0.97), (2, 3, 0.998), (3, 1, 0.999)):
        rows = truth["label"].values == label
        assert abs(np.exp(1j * fold * (made["angle"].values - angle))[rows].mean()) > least, label
    assert float(np.sqrt(((made["shift"] - truth["shift"]) ** 2).mean())) < 0.14


def test_training_curve_and_manifold(trained):
    curve = trained._curves["bound"]
    assert curve[-1] > curve[0]
    manifold = trained.sides()["manifold"]
    assert manifold["image"].dims == ("z1", "z0", "y", "x")
    decoded_image = trained.decode(np.array([[0.0, 0.0]]))
    centre = manifold["image"].sel(z1=0, z0=0, method="nearest")
    assert np.allclose(decoded_image[0], centre, atol=1e-4, equal_nan=True)


def test_decoded_means_are_the_motifs(crops, draw):
    made = crops(5, n_samples=400, noise_sigma=0.2, motifs=("f-glyph",))
    learner = PolarEm(PolarEmParams())
    learner.fit(made.data["intensity"], context())
    means = learner.sides()["means"]
    assert means["n_fold"].values.tolist() == [1]
    turn = np.angle(
        np.exp(1j * (made.sides["truth"]["angle"] - learner.transform(made.data["intensity"])["angle"])).mean()
    )
    y, x = np.mgrid[:25, :25] - 12
    inside = np.hypot(y, x) < 11
    difference = (means["image"][0].values - draw("f-glyph", angle=turn))[inside]
    # 400 crops leave 0.2 / 20 of noise; the band limit takes 4 % of the peak.
    assert np.abs(difference).max() < 0.09


@pytest.mark.parametrize(
    ("likelihood", "options"),
    [("poisson", {"noise": "poisson", "dose_e_per_px": (8.0, 8.0)}), ("bernoulli", {"noise": "none"})],
)
def test_other_likelihoods(crops, likelihood, options):
    made = crops(6, n_samples=300, motifs=("f-glyph", "stone-wales"), **options)
    x = made.data["intensity"].astype("float32")
    x = x if likelihood == "poisson" else x.clip(0, 1)
    learner = Rvae(RvaeParams(likelihood=likelihood, epochs=6, n_classes=2, passes=4))
    learner.fit(x, context())
    found = learner.transform(x)
    assert adjusted_rand_score(made.sides["truth"]["label"].values, found["label"].values) > 0.95
    images = learner.decode(found["z"].groupby(found["label"]).mean()).values
    low, high = float(np.nanmin(images)), float(np.nanmax(images))
    assert low > -0.15 * high
    assert high == pytest.approx(float(x.mean("sample").max()), rel=1.0)


@pytest.mark.parametrize(("dose", "share", "most"), [(2.0, 0.0, 8), (20.0, 0.0, 14), (2.0, 0.05, 12)])
def test_counts_have_the_likelihood_of_counts(crops, dose, share, most):
    """``nll`` is that of Poisson counts at the true rates in nats, whatever unit the fit works in; seeds 7, 1 and 0."""
    still = {"angle_range_deg": 0.0, "shift_range_px": 0.0}
    made = crops(7, n_samples=300, motifs=("f-glyph",), noise="poisson", dose_e_per_px=(dose, dose), **still)
    x = made.data["intensity"].astype("float32")
    bad = np.random.default_rng(1).random((25, 25)) < share
    x = x.assign_coords(bad_pixel=(("y", "x"), bad))
    learner = Rvae(RvaeParams(likelihood="poisson", epochs=60, learning_rate=1e-2, n_classes=1, passes=4))
    learner.fit(x, context())
    rates = np.maximum(x.values.mean(axis=0), 1e-3)
    used, weight = learner.basis.covered & ~bad, learner.basis.sampled_real()[1]
    expected = -(poisson.logpmf(x.values, rates)[:, used] @ weight).mean()
    made = learner.transform(x)
    # The angle, known to a degree or two out of a turn, costs 5 nats, and the band limit 5 more at 20 counts.
    assert 0 < float(made["nll"].mean()) - expected < most
    assert float(made["bound"][-1]) == pytest.approx(-float(made["nll"].mean()), abs=3)
