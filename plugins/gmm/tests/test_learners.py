"""All five learners alike: one schema, states that come back, blocks, masks, and what they refuse."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from threadpoolctl import threadpool_info

import ronchi
from ronchi.api import Context, DataError
from ronchi.manager import get_manager
from ronchi.schema import crops as crops_schema
from ronchi.schema import decoded, descriptors, fourd, model

PARAMS = {
    "pca": {"n_components": 3},
    "ica": {"n_components": 2},
    "nmf": {"n_components": 3, "clip": True},
    "kmeans": {"n_classes": 3},
    "gmm": {"n_classes": 3, "n_scores": 4},
}
LEARNERS = [*PARAMS]


def make(name: str, **params):
    return get_manager().create("descriptor_learner", name, {**PARAMS[name], **params})


def context(seed: int = 0) -> Context:
    return Context(rng=np.random.default_rng(seed))


def fitted(name: str, x: xr.DataArray, **params):
    learner = make(name, **params)
    learner.fit(x, context())
    return learner


@pytest.mark.parametrize("name", LEARNERS)
def test_results_follow_the_schema_and_sides_are_images(name, crops):
    learned = ronchi.learn(crops, name, **PARAMS[name])
    descriptors.validate(learned.data)
    assert learned.data["z"].dims == ("sample", "component")
    np.testing.assert_array_equal(learned.data.coords["frame"], crops["frame"])
    (images,) = (side for key, side in learned.sides.items() if key != "model")
    decoded.validate(images)
    assert images["image"].shape[1:] == (25, 25)
    np.testing.assert_array_equal(images["y"], crops["y"])
    assert set(learned.sides) == {"model", "components" if name in ("pca", "ica", "nmf") else "means"}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_bits_and_so_does_a_file(name, crops, tmp_path, seed):
    x = crops["intensity"]
    learner, twin = make(name), make(name)
    learner.fit(x, context(seed))
    twin.fit(x, context(seed))
    encoded = learner.transform(x)
    assert encoded.identical(twin.transform(x))
    learner.save(tmp_path)
    assert not any(path.suffix not in (".json", ".npz") for path in tmp_path.iterdir())
    loaded = make(name)
    loaded.load(tmp_path)
    assert loaded.transform(x).identical(encoded)
    for key, side in learner.sides().items():
        assert loaded.sides()[key].identical(side)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_in_a_file_encodes_new_data_without_a_fit(name, crops, tmp_path):
    old, new = crops.isel(sample=slice(200)), crops.isel(sample=slice(200, None))
    learned = ronchi.learn(old, name, **PARAMS[name])
    path = ronchi.write(learned.sides["model"], tmp_path / "model.nc")
    applied = ronchi.encode(new, name, model=path)
    fit = fitted(name, old["intensity"])
    # The verb draws its own numbers: the fit is its own, so compare with the model loaded by hand.
    for file, content in model.files_of(learned.sides["model"]).items():
        (tmp_path / file).write_bytes(content)
    fit.load(tmp_path)
    np.testing.assert_array_equal(applied["z"], fit.transform(new["intensity"])["z"])
    assert ronchi.encode(old, name, model=learned.sides["model"])["z"].equals(learned.data["z"])


@pytest.mark.parametrize("name", LEARNERS)
def test_scans_keep_their_dims_and_lazy_data_change_nothing(name, crops):
    values = crops["intensity"].values.reshape(15, 20, 25, 25)
    eager = fourd.make(values, scan_step=(0.5, 0.5), q_step=(0.1, 0.1))
    lazy = fourd.make(da.from_array(values, chunks=(4, 7, 25, 25)), scan_step=(0.5, 0.5), q_step=(0.1, 0.1))
    one, two = (ronchi.learn(data, name, **PARAMS[name]) for data in (eager, lazy))
    assert one.data["z"].dims == ("scan_y", "scan_x", "component")
    # Chunks come in another order, so sums differ in their last bits, and the fit a little.
    np.testing.assert_allclose(one.data["z"], two.data["z"], rtol=0.02, atol=0.02 * float(np.abs(one.data["z"]).max()))
    side = next(side for key, side in one.sides.items() if key != "model")
    assert side["image"].dims[1:] == ("qy", "qx")
    np.testing.assert_array_equal(side["qx"], eager["qx"])
    assert side["qx"].attrs["units"] == "1/angstrom"


@pytest.mark.parametrize("name", LEARNERS)
def test_blocks_encode_as_the_whole_does(name, crops):
    x = crops["intensity"]
    learner = fitted(name, x)
    whole = learner.transform(x)["z"].values
    parts = np.concatenate([learner.transform(x[i : i + 37])["z"].values for i in range(0, 300, 37)])
    np.testing.assert_allclose(parts, whole, rtol=0, atol=2e-3 * np.abs(whole).max())  # NMF iterates to a tolerance


@pytest.mark.parametrize("name", LEARNERS)
def test_bad_pixels_and_invalid_samples_have_no_say(name, crops):
    bad = np.zeros((25, 25), bool)
    bad[3, 4] = bad[:, 20] = True
    valid = np.ones(300, bool)
    valid[5:9] = False
    marked = {"bad_pixel": (("y", "x"), bad), "valid": ("sample", valid)}
    x = crops["intensity"].assign_coords(marked)
    spoilt = x.copy(data=np.where(bad, 1e6, x.values).astype("f4"))
    spoilt.values[5:9] = -3e5
    spoilt.values[11, 0, 0] = np.nan
    clean = x.copy(deep=True)
    clean.values[11, 0, 0] = np.nan
    a, b = (fitted(name, each).transform(each) for each in (spoilt, clean))
    xr.testing.assert_identical(a, b)
    lost = np.isnan(a["z"]).all("component")
    np.testing.assert_array_equal(np.flatnonzero(lost), [5, 6, 7, 8, 11])
    assert not np.isnan(a["z"].values[~lost]).any()
    if "label" in a:
        np.testing.assert_array_equal(a["label"].values < 0, lost)
    learner = fitted(name, spoilt)
    image = next(iter(learner.sides().values()))["image"].values
    np.testing.assert_array_equal(np.isnan(image[0]), bad)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_is_not_applied_to_samples_that_do_not_fit(name, crops):
    learner = fitted(name, crops["intensity"])
    with pytest.raises(DataError, match=r"fitted to samples of shape \(25, 25\), these have \(24, 25\)"):
        learner.transform(crops["intensity"][:, 1:])
    bad = np.zeros((25, 25), bool)
    bad[0, :3] = True
    with pytest.raises(DataError, match="3 pixels that the model uses are bad"):
        learner.transform(crops["intensity"].assign_coords(bad_pixel=(("y", "x"), bad)))
    with pytest.raises(DataError, match="not fitted"):
        make(name).transform(crops["intensity"])


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x[:1], "1 usable samples are too few"),
        (lambda x: x[:2], "2 usable samples are too few"),
        (lambda x: x * 0 + 7, "are equal"),
        (lambda x: x * 0, "are equal"),
        (lambda x: x * np.nan, "0 usable samples are too few"),
        (lambda x: x[0, 0], "expected samples"),
        (lambda x: x.assign_coords(bad_pixel=(("y", "x"), np.ones((25, 25)))), "every pixel is marked as bad"),
    ],
)
def test_what_cannot_be_learned_from_is_said(name, crops, spoil, message):
    with pytest.raises(DataError, match=message):
        fitted(name, spoil(crops["intensity"]))


@pytest.mark.parametrize("name", LEARNERS)
def test_non_square_and_even_windows_and_integer_counts(name):
    counts = np.random.default_rng(0).poisson(3, (40, 6, 11)).astype("u2")
    counts[:20, 2:4] += 9
    x = xr.DataArray(counts, dims=("sample", "y", "x"))
    found = fitted(name, x).transform(x)["z"].values
    assert np.isfinite(found).all()
    assert found[:20].mean(0) != pytest.approx(found[20:].mean(0), rel=0.05)


@pytest.mark.parametrize("name", LEARNERS)
def test_threads_stay_within_what_is_lent(name, crops, monkeypatch):
    seen: list[int] = []

    class Watching(type(make(name))):
        def _fit(self, samples, ctx):
            seen.extend(pool["num_threads"] for pool in threadpool_info())
            return super()._fit(samples, ctx)

        def _encode(self, rows):
            seen.extend(pool["num_threads"] for pool in threadpool_info())
            return super()._encode(rows)

    learner = Watching(make(name).params)
    learner.fit(crops["intensity"][:50], context())
    learner.transform(crops["intensity"][:5])
    assert seen
    assert set(seen) == {1}


@pytest.mark.parametrize("name", LEARNERS)
def test_data_larger_than_memory_are_fitted_nearly_as_well(name, crops):
    """450 kB hold 180 of the 300 crops: classes stay the same, components span about the same."""
    x = crops["intensity"]
    small, large = (fitted(name, x, memory_mb=mb) for mb in (0.45, 1000))
    if name in ("kmeans", "gmm"):
        pairs = np.histogram2d(*(each.transform(x)["label"].values for each in (small, large)), bins=3)[0]
        assert pairs.max(0).sum() > 0.98 * 300  # up to the names of the classes
    else:
        energy = [_explained(learner, x) for learner in (small, large)]
        assert energy[0] > energy[1] - 0.05


def _explained(learner, x) -> float:
    """Part of the variance that decoding gives back."""
    back = learner.decode(learner.transform(x)["z"].values).values
    return 1 - float(((x.values - back) ** 2).sum() / ((x.values - x.values.mean(0)) ** 2).sum())


@pytest.mark.parametrize("name", ["pca", "ica", "nmf", "gmm"])
def test_decoding_gives_the_samples_back_in_part(name, crops):
    x = crops["intensity"]
    assert _explained(fitted(name, x), x) > 0.2  # the noise is most of the variance


def test_descriptors_can_be_learned_from_too(crops):
    scores = ronchi.encode(crops, "pca", n_components=4)
    learned = ronchi.learn(scores, "gmm", n_classes=3)
    assert learned.data["label_prob"].dims == ("sample", "class")
    np.testing.assert_array_equal(learned.data.coords["frame"], crops["frame"])
    assert learned.sides["means"]["image"].dims == ("class", "row", "component")


def test_pipeline_keeps_model_and_means(tmp_path, monkeypatch, crops):
    monkeypatch.chdir(tmp_path)
    data = crops.drop_vars(["true_label", "template"]).drop_dims("class", errors="ignore")
    crops_schema.validate(data)
    ronchi.write(data, "crops.nc")
    config = {
        "schema": "ronchi.pipeline/1",
        "steps": {
            "load": {"reader": "native", "params": {"path": "crops.nc"}},
            "learn": {"descriptor_learner": "gmm", "data": "load", "params": {"n_classes": 3}},
            "again": {"descriptor_learner": "gmm", "data": "load", "model": "learn.model"},
        },
        "outputs": {"z": {"from": "again", "path": "z.nc"}, "model": {"from": "learn.model", "path": "model.nc"}},
    }
    run = ronchi.run(config, progress=False)
    assert run.ok, [step.error for step in run.steps.values()]
    assert run["again"]["z"].equals(run["learn"]["z"])
    assert run["again.means"].identical(run["learn.means"])
    assert ronchi.read(run.outputs["z"], side="means")["image"].shape == (3, 25, 25)
    assert ronchi.encode(ronchi.read("crops.nc"), "gmm", model=run.outputs["model"])["z"].equals(run["learn"]["z"])


@pytest.mark.parametrize("name", ["pca", "kmeans"])
def test_factors_of_descriptors_number_their_columns_otherwise_than_themselves(name):
    z = np.random.default_rng(0).random((40, 3))
    learned = ronchi.learn(descriptors.make(z, dims=("sample",)), name, **PARAMS[name])
    (images,) = (side for key, side in learned.sides.items() if key != "model")
    assert len(set(images["image"].dims)) == 3
    assert images["image"].shape[1:] == (1, 3)
    assert images["image"].dims[-1] in images.coords


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize(
    ("n_valid", "constant", "message"),
    [(2, False, r"\d usable samples are too few for"), (0, False, "0 usable samples"), (300, True, "are equal")],
)
def test_what_cannot_be_learned_from_is_said_of_data_larger_than_memory_too(name, crops, n_valid, constant, message):
    """450 kB hold 180 of the 300 crops; scikit-learn's own words would name neither the data nor what to do."""
    x = crops["intensity"].assign_coords(valid=("sample", np.arange(300) < n_valid))
    with pytest.raises(DataError, match=message) as raised:
        fitted(name, x * 0 + 0.1 if constant else x, memory_mb=0.45)
    assert raised.value.where == name
    assert raised.value.fix


@pytest.mark.parametrize("name", ["nmf", "kmeans"])
def test_a_memory_too_small_for_the_classes_is_not_called_too_few_samples(name, crops):
    """5 kB hold two crops, of the three that the fit begins with."""
    with pytest.raises(
        DataError, match=r"`memory_mb` 0.005 holds 2 samples, too few for 3[\s\S]*set `memory_mb` to 0.01"
    ):
        fitted(name, crops["intensity"], memory_mb=0.005)
    fitted(name, crops["intensity"], memory_mb=0.01)
