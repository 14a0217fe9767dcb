"""The learners ``spatial-vae``, ``jrvae``, ``vae`` and ``conv-ae`` on simulated crops."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.api import Context, DataError
from ronchi.builtin.metrics_angle import angle_resultant
from ronchi.errors import ConfigError
from ronchi.manager import get_manager
from ronchi.schema import descriptors, fourd
from ronchi_rvae.plugin_pixels import ronchi_descriptor_learners

QUICK: dict[str, dict[str, Any]] = {
    "spatial-vae": {"hidden": 16, "epochs": 2},
    "jrvae": {"hidden": 16, "epochs": 2, "n_classes": 3},
    "vae": {"hidden": 16, "epochs": 2},
    "conv-ae": {"epochs": 2},
}
ALL = pytest.mark.parametrize("name", QUICK)
POSED = pytest.mark.parametrize("name", ["spatial-vae", "jrvae"])
VARIATIONAL = pytest.mark.parametrize("name", ["spatial-vae", "jrvae", "vae"])


def a_context(seed: int = 0, **changes: Any) -> Context:
    return Context(rng=np.random.default_rng(seed), **changes)


def make(name: str, **changes: Any) -> Any:
    return get_manager().create("descriptor_learner", name, {**QUICK[name], **changes})


def fitted(name: str, x: xr.DataArray, seed: int = 0, **changes: Any) -> Any:
    learner = make(name, **changes)
    learner.fit(x, a_context(seed))
    return learner


@pytest.fixture(scope="module")
def few(crops) -> xr.DataArray:
    """60 crops of 13 x 13 in 10 frames."""
    return crops(n_samples=60, size_px=13, motifs=("f-glyph", "vacancy"), angle_range_deg=10).data["intensity"]


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


# What they are for


@pytest.mark.parametrize("prior", ["proper", "published"])
def test_small_angles_and_shifts_are_found(crops, prior: str):
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


def test_classes_are_told_apart(crops):
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


def test_a_plain_vae_has_classes_too(crops):
    x, truth = glyphs(crops, motifs=("f-glyph", "vacancy"))
    found = fitted("vae", x, n_classes=2, hidden=48, epochs=20, batch=25, learning_rate=3e-3).transform(x)
    right = float((found["label"].values == truth["label"].values).mean())
    assert max(right, 1 - right) > 0.95  # seed 0


@pytest.mark.parametrize("name", ["vae", "conv-ae"])
def test_latents_rebuild_what_varies(crops, name: str):
    x, _ = glyphs(crops)
    learner = fitted(name, x, epochs=30, batch=25, **({"hidden": 48} if name == "vae" else {}))
    noise = 0.1**2
    rest = float((learner.reconstruct(x) - x).var()) - noise
    spread = float((x - x.mean("sample")).var()) - noise
    assert rest < 0.5 * spread  # seed 0; 0: all of it is rebuilt
    found = learner.transform(x)
    np.testing.assert_allclose(learner.decode(found["z"]), learner.reconstruct(x), atol=1e-4)


def test_a_condition_leaves_the_latents_other_things(crops):
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
def test_other_likelihoods(crops, name: str, likelihood: str):
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


# Results


@ALL
def test_results_follow_the_schema(name: str, few):
    learner = fitted(name, few)
    found = descriptors.validate(learner.transform(few))
    assert found["z"].dims == ("sample", "component")
    assert found.sizes["component"] == 2
    assert np.isfinite(found["nll"]).all()
    assert found["bound"].dims == found["bound_held_out"].dims == ("epoch",)
    assert found.sizes["epoch"] == 2
    posed = name in {"spatial-vae", "jrvae"}
    assert ("angle" in found, "shift" in found, "angle_R" in found) == (posed,) * 3
    assert ("label" in found, "label_prob" in found) == (name == "jrvae",) * 2
    if posed:
        assert found["angle"].attrs["n_fold"] == 1
        assert found["shift"].attrs["units"] == "pixel"
    sides = learner.sides()
    assert sides["manifold"]["image"].shape == (9, 9, 13, 13)
    assert ("means" in sides) == (name == "jrvae")


@ALL
def test_reloaded_models_encode_alike_bit_for_bit(name: str, few, tmp_path: Path):
    learner = fitted(name, few)
    learner.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    for path in tmp_path.glob("*.json"):
        json.loads(path.read_text())
    again = make(name)
    again.load(tmp_path)
    assert again.transform(few).identical(learner.transform(few))
    assert again.reconstruct(few).identical(learner.reconstruct(few))
    for side, images in learner.sides().items():
        assert again.sides()[side].identical(images)


@ALL
def test_models_go_through_the_platform(name: str, few, tmp_path: Path):
    data = few.to_dataset().assign_attrs(ronchi_schema="crops/1")
    learned = ronchi.learn(data, name, **QUICK[name])
    path = ronchi.write(learned.sides["model"], tmp_path / "model.nc")
    applied = ronchi.encode(data, name, model=path)
    for variable in learned.data.variables:
        np.testing.assert_array_equal(applied[variable], learned.data[variable])


@ALL
def test_same_seed_same_result(name: str, few):
    one, same, other = (fitted(name, few, seed).transform(few)["z"] for seed in (0, 0, 1))
    assert one.equals(same)
    assert not one.equals(other)


@ALL
def test_scans_keep_their_dims(name: str, few):
    data = fourd.make(few.values[:12].reshape(3, 4, 13, 13), scan_step=(0.5, 0.5))
    found = fitted(name, data["intensity"]).transform(data["intensity"])
    assert found["z"].dims == ("scan_y", "scan_x", "component")
    np.testing.assert_array_equal(found["scan_x"], data["scan_x"])


def test_shifts_can_be_left_out(few):
    found = fitted("spatial-vae", few, shift_prior_px=0.0).transform(few)
    assert "angle" in found
    assert "shift" not in found


@pytest.mark.parametrize(("noise", "learned"), [("unit", False), ("learned", True)])
def test_the_noise_is_learned_unless_told_otherwise(few, noise: str, learned: bool):
    variance = float(fitted("spatial-vae", few, noise=noise).model.log_variance.detach())
    assert (variance != 0) == learned


# Windows


@pytest.mark.parametrize("shape", [(13, 13), (12, 12), (9, 13), (12, 7)])
@POSED
def test_images_turn_about_the_middle_pixel_in_one_unit(name: str, shape: tuple[int, int], few):
    x = few[:, : shape[0], : shape[1]]
    learner = fitted(name, x)
    places = learner.model.decoder.points.numpy() * learner._unit_px(learner._window)
    y, x_px = shape[0] // 2, shape[1] // 2
    # The pixel N // 2 is at (0, 0), pixels are 1 apart along both axes, and the circle lies inside of the window.
    reach = min(y + 0.5, shape[0] - 0.5 - y, x_px + 0.5, shape[1] - 0.5 - x_px)
    grid = [(j - x_px, i - y) for i, j in itertools.product(range(shape[0]), range(shape[1]))]
    expected = [place for place in grid if np.hypot(*place) <= reach]
    np.testing.assert_allclose(places, expected, atol=1e-5)
    assert learner.decode(np.zeros((1, 2))).shape == (1, *shape)


@ALL
def test_corners_beyond_the_circle_have_no_say(name: str, few):
    corner = few.copy(data=few.values.copy())
    corner[:, :2, :2] += 5
    options = {} if name in {"spatial-vae", "jrvae"} else {"mask": "circle"}
    learner = fitted(name, few, **options)
    assert learner.transform(corner)["z"].equals(learner.transform(few)["z"])
    assert not learner.reconstruct(few).values[:, :2, :2].any()


@ALL
def test_bad_pixels_have_no_say(name: str, few):
    bad = np.zeros((13, 13), bool)
    bad[6, 5] = True
    masked = few.assign_coords(bad_pixel=(("y", "x"), bad))
    hot = masked.copy(data=masked.values.copy())
    hot[:, 6, 5] = np.nan
    assert fitted(name, hot).transform(hot)["z"].equals(fitted(name, masked).transform(masked)["z"])


@ALL
def test_samples_that_cannot_be_used(name: str, few):
    x = few.copy(data=few.values.copy())
    x[3, 5, 5] = np.nan
    x = x.assign_coords(valid=("sample", np.arange(len(x)) != 7))
    found = fitted(name, x).transform(x)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found["z"][:, 0])), [3, 7])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found["nll"])), [3, 7])
    if "label" in found:
        np.testing.assert_array_equal(np.flatnonzero(found["label"] == -1), [3, 7])


@ALL
def test_one_sample(name: str, few):
    found = fitted(name, few[:1]).transform(few[:1])
    assert np.isfinite(found["z"]).all()
    assert "bound_held_out" not in found


@ALL
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:0], "nothing to learn"),
        (lambda x: x * 0 + 3, "constant"),
        (lambda x: x * np.nan, "nothing to learn"),
        (lambda x: x[:, 0], "expected samples"),
        (lambda x: x[:, :3, :3], "too small|at least"),
        (lambda x: x.assign_coords(bad_pixel=(("y", "x"), np.ones((13, 13), bool))), "bad"),
        (lambda x: x.assign_coords(y=x["y"] * 2), "square"),
    ],
)
def test_refused(name: str, few, change, message: str):
    with pytest.raises(DataError, match=message):
        fitted(name, change(few))


@ALL
def test_not_fitted_and_other_windows(name: str, few):
    with pytest.raises(DataError, match="not fitted"):
        make(name).transform(few)
    with pytest.raises(DataError, match="shape"):
        fitted(name, few).transform(few[:, :11, :11])


def test_a_circle_beyond_the_window_is_refused(few):
    with pytest.raises(DataError, match=r"at most 6\.5 px"):
        fitted("spatial-vae", few, radius_px=8.0)


# Training


def test_whole_frames_are_held_out(few, monkeypatch: pytest.MonkeyPatch):
    from ronchi_rvae import pixels

    seen: dict[str, Any] = {}

    def spy(groups, share, rng):
        seen["groups"] = groups
        return original(groups, share, rng)

    original = pixels.hold_out
    monkeypatch.setattr(pixels, "hold_out", spy)
    x = few.assign_coords(valid=("sample", np.arange(60) % 2 == 0))
    fitted("vae", x)
    np.testing.assert_array_equal(seen["groups"], few["frame"].values[::2])


@ALL
def test_a_stopped_fit_goes_on_where_it_was(name: str, few, tmp_path: Path):
    whole = fitted(name, few, epochs=4)
    calls: list[int] = []

    def stop(done: int, total: int) -> None:
        if total == 4 and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(name, epochs=4).fit(few, a_context(progress=stop, scratch=tmp_path))
    again = make(name, epochs=4)
    again.fit(few, a_context(progress=lambda done, total: calls.append(done) if total == 4 else None, scratch=tmp_path))
    assert calls == [3, 4, 4]
    assert again.transform(few).identical(whole.transform(few))
    # Other parameters, data or another seed start anew.
    with pytest.raises(KeyboardInterrupt):
        make(name, epochs=4).fit(few, a_context(progress=stop, scratch=tmp_path))
    other = make(name, epochs=4)
    other.fit(few, a_context(seed=1, scratch=tmp_path))
    assert other.transform(few).identical(fitted(name, few, seed=1, epochs=4).transform(few))


# What is advertised


def test_advertised_and_found():
    specs = list(ronchi_descriptor_learners())
    assert [spec.name for spec in specs] == list(QUICK)
    assert {spec.name for spec in specs} <= set(ronchi.algorithms("descriptor_learner"))
    for spec in specs:
        assert spec.create().name == spec.name
        for name, field in spec.params.model_fields.items():
            assert field.description, name


def test_advertising_imports_nothing_heavy():
    code = (
        "import sys, ronchi_rvae.plugin_pixels; print(sorted({'numpy', 'torch', 'xarray', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("jrvae", {"n_classes": 1}),
        ("spatial-vae", {"prior": "flat"}),
        ("spatial-vae", {"starts": 0}),
        ("spatial-vae", {"angle_prior_rad": 0}),
        ("vae", {"likelihood": "poisson", "counts": True}),
        ("conv-ae", {"held_out": 1.0}),
    ],
)
def test_bad_parameters_are_refused(name: str, params: dict[str, Any]):
    with pytest.raises(ConfigError):
        get_manager().create("descriptor_learner", name, params)
