"""Metrics of descriptors: by definition, by their bounds, and on truth that is spoilt by a known amount."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import ronchi
from ronchi.builtin.metrics_angle import angle_resultant
from ronchi.builtin.metrics_classes import adjusted_rand_index, contingency
from ronchi.builtin.metrics_images import best_rotation, poisson_nll, rotated, ssim_within
from ronchi.builtin.metrics_invariance import mutual_information, orbit_variance_ratio, r2_from_harmonics
from ronchi.builtin.motif_library import motif_atoms
from ronchi.builtin.motifs import draw_atoms, simulate_motifs
from ronchi.errors import DataError
from ronchi.schema import decoded, descriptors


@pytest.fixture(scope="module")
def made():
    return simulate_motifs(np.random.default_rng(0), n_samples=800, noise="none")


def found(made, angle=None, label=None, z=None) -> xr.Dataset:
    """A learner's result on the crops, with the truth where nothing else is given."""
    truth, n = made.sides["truth"], made.data.sizes["sample"]
    return descriptors.make(
        np.zeros((n, 1)) if z is None else z,
        dims=("sample",),
        angle=truth["angle"].values if angle is None else angle,
        label=truth["label"].values if label is None else label,
        coords={name: made.data[name].variable for name in ("frame", "atom")},
    )


# --- angles ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.floats(-4, 4), st.integers(0, 2**31))
def test_an_offset_and_the_symmetry_cost_nothing(n_fold: int, offset: float, seed: int):
    rng = np.random.default_rng(seed)
    true = rng.uniform(-np.pi, np.pi, 50)
    turned = true + offset + rng.integers(-3, 4, 50) * 2 * np.pi / n_fold
    result = angle_resultant(turned, true, n_fold)
    assert result.resultant == pytest.approx(1, abs=1e-12)
    assert result.mae == pytest.approx(0, abs=1e-6)
    assert np.exp(1j * n_fold * result.offset) == pytest.approx(np.exp(1j * n_fold * offset), abs=1e-9)


@pytest.mark.parametrize("n_fold", [1, 3])
@pytest.mark.parametrize("sigma", [0.02, 0.2])
def test_normal_errors_have_the_resultant_and_error_of_theory(n_fold: int, sigma: float):
    rng = np.random.default_rng(1)
    true = rng.uniform(-np.pi, np.pi, 40_000)
    result = angle_resultant(true + rng.normal(0, sigma, 40_000), true, n_fold)
    assert result.resultant == pytest.approx(np.exp(-((n_fold * sigma) ** 2) / 2), abs=2e-3)
    if n_fold * sigma < 0.3:
        assert result.mae == pytest.approx(sigma * np.sqrt(2 / np.pi), rel=0.02)


def test_chance_has_no_resultant():
    rng = np.random.default_rng(2)
    result = angle_resultant(*rng.uniform(-np.pi, np.pi, (2, 40_000)), 3)
    assert result.resultant < 0.02  # 1 / sqrt(40000) = 0.005
    assert np.rad2deg(result.mae) == pytest.approx(30, abs=0.5)  # a quarter of 120 degrees
    assert result.beyond == pytest.approx(0.5, abs=0.01)


def test_each_class_has_its_own_offset_and_symmetry(made):
    truth = made.sides["truth"]
    label, angle = truth["label"].values, truth["angle"].values.copy()
    angle += np.array([0.3, -2.0, 1.0, 0.1])[label]
    angle[label == 0] += 2 * np.pi / 3  # threefold: nothing lost
    angle[(label == 1) & (made.data["frame"].values % 2 == 0)] += np.pi  # no symmetry: half of it lost
    angle[::50] = np.nan
    figures = ronchi.score(found(made, angle), truth, "angle-resultant")
    assert figures["resultant_pristine"] == pytest.approx(1, abs=1e-9)
    assert figures["mae_deg_stone-wales"] == pytest.approx(0, abs=1e-4)
    assert figures["resultant_missing-neighbour"] < 0.2
    assert figures["resultant_min"] == figures["resultant_missing-neighbour"]
    assert figures["coverage"] == pytest.approx(0.98)
    assert figures["n_pristine"] + figures["n_missing-neighbour"] < 400


def test_results_on_some_samples_find_their_truth_by_frame_and_atom(made):
    some = found(made).isel(sample=np.random.default_rng(0).permutation(800)[:300])
    figures = ronchi.score(some, made.sides["truth"], "angle-resultant")
    assert figures["resultant_min"] == pytest.approx(1, abs=1e-12)
    assert ronchi.score(some, made.sides["truth"], "adjusted-rand")["ari"] == 1
    strange = some.assign_coords(atom=some["atom"] + 5000)
    with pytest.raises(DataError, match="300 of 300 samples are not in the truth"):
        ronchi.score(strange, made.sides["truth"], "angle-resultant")


def test_truth_may_be_a_table_of_atoms_or_a_scan():
    rng = np.random.default_rng(0)
    table = xr.Dataset(
        {"angle": ("atom", rng.uniform(-3, 3, 50)), "grain": ("atom", rng.integers(0, 2, 50))},
        attrs={"ronchi_schema": "atoms/1", "is_truth": 1},
    )
    atom = rng.permutation(50)[:20]
    some = descriptors.make(
        np.zeros((20, 1)),
        dims=("sample",),
        angle=-table["angle"].values[atom] + 1,
        coords={"atom": xr.Variable("sample", atom, {"units": "1", "long_name": "atom"})},
    )
    figures = ronchi.score(some, table, "angle-resultant", n_fold=3, reverse=True, classes="grain")
    assert figures["resultant_min"] == pytest.approx(1, abs=1e-12)
    with pytest.raises(DataError, match="n_fold"):
        ronchi.score(some, table, "angle-resultant")
    scan = descriptors.make(np.zeros((3, 4, 1)), dims=("scan_y", "scan_x"), angle=rng.uniform(-3, 3, (3, 4)), n_fold=3)
    assert ronchi.score(scan, scan, "angle-resultant")["resultant_0"] == pytest.approx(1)


def test_weights_count():
    angle = np.array([0.0, 0.0, 0.0, np.pi])
    truth = descriptors.make(np.zeros((4, 1)), dims=("sample",), angle=np.zeros(4))
    truth["dipole"] = ("sample", np.array([1.0, 1, 1, 0]), {"units": "1", "long_name": "dipole"})
    result = descriptors.make(np.zeros((4, 1)), dims=("sample",), angle=angle)
    assert ronchi.score(result, truth, "angle-resultant")["resultant_0"] == pytest.approx(0.5)
    assert ronchi.score(result, truth, "angle-resultant", weight="dipole")["resultant_0"] == pytest.approx(1)


# --- invariance -----------------------------------------------------------------------------------------------------


def test_regression_finds_functions_of_the_angle_and_nothing_in_noise():
    rng = np.random.default_rng(0)
    angle, fold = rng.uniform(-np.pi, np.pi, 2000), np.arange(2000) % 5
    assert r2_from_harmonics(np.cos(3 * angle) + 0.5, angle, fold, 6) == pytest.approx(1)
    assert r2_from_harmonics(np.cos(7 * angle), angle, fold, 6) < 0
    half = np.sqrt(0.5) * rng.normal(size=2000) + np.cos(2 * angle)
    assert r2_from_harmonics(half, angle, fold, 6) == pytest.approx(0.5, abs=0.03)
    assert -0.03 < r2_from_harmonics(rng.normal(size=2000), angle, fold, 6) < 0.01
    assert np.isnan(r2_from_harmonics(np.ones(2000), angle, fold, 6))


def test_mutual_information_of_a_known_density():
    """z = angle + noise uniform in (0, w), on the circle: log(2 pi / w) nats."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 4000)
    for width in (0.5, 2.0):
        z = np.mod(angle + rng.uniform(0, width, 4000), 2 * np.pi)
        assert mutual_information(z, angle) == pytest.approx(np.log(2 * np.pi / width), abs=0.15)
    assert abs(mutual_information(rng.normal(size=4000), angle)) < 0.03
    z = rng.normal(size=4000)
    assert mutual_information(np.exp(3 * z), angle) == pytest.approx(mutual_information(z, angle), abs=1e-9)
    # What no harmonic below 7 shows: the sign of a fast wave.
    assert mutual_information(np.cos(9 * angle) + 0.1 * z, angle, 3) > 0.5


def test_orbit_ratio_is_the_part_within_orbits():
    rng = np.random.default_rng(0)
    orbit = np.repeat(np.arange(100), 36)
    between, within = rng.normal(0, 2, 100)[orbit], rng.normal(0, 1, 3600)
    assert orbit_variance_ratio(between + within, orbit) == pytest.approx(1 / 5, rel=0.25)  # 100 orbits
    assert orbit_variance_ratio(between, orbit) == pytest.approx(0, abs=1e-12)
    assert orbit_variance_ratio(within, orbit) == pytest.approx(1, abs=0.05)


def test_invariance_of_a_result_is_told_by_component():
    made = simulate_motifs(
        np.random.default_rng(0), motifs=("pristine", "square"), n_samples=720, n_rotations=36, noise="none"
    )
    truth = made.sides["truth"]
    rng = np.random.default_rng(1)
    angle, label = truth["angle"].values, truth["label"].values
    z = np.stack([label + 0.1 * rng.normal(size=720), np.cos(3 * angle) * (label == 0) + 0.3 * rng.normal(size=720)], 1)
    figures = ronchi.score(found(made, z=z), truth, "latent-invariance")
    assert figures["r2_z0"] < 0.01
    assert figures["mi_nats_z0"] < 0.05
    assert figures["orbit_z0"] < 0.1
    assert figures["r2_within_z1"] > 0.7  # only of one class: all together it is less
    assert figures["r2_z1"] < figures["r2_within_z1"]
    assert figures["orbit_z1"] > 0.9
    assert figures["r2_within_max"] == figures["r2_within_z1"]
    assert figures["n"] == 720


def test_rotations_of_a_neighbourhood_are_the_same_neighbourhood():
    made = simulate_motifs(np.random.default_rng(0), motifs=("f-glyph",), n_samples=8, n_rotations=4, noise="none")
    truth = made.sides["truth"]
    np.testing.assert_array_equal(truth["orbit"], np.repeat([0, 1], 4))
    np.testing.assert_allclose(np.exp(4j * truth["angle"].values).std(), 0, atol=1)
    step = np.angle(np.exp(1j * np.diff(truth["angle"].values[:4])))
    np.testing.assert_allclose(step, np.pi / 2, atol=1e-12)
    assert (np.diff(truth["shift"].values[:4], axis=0) == 0).all()


# --- classes --------------------------------------------------------------------------------------------------------


def test_rand_index_by_counting_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    b[:30] = a[:30]
    same = [(a[i] == a[j], b[i] == b[j]) for i in range(60) for j in range(i)]
    n = len(same)
    both, in_a, in_b = (sum(x) for x in zip(*((p and q, p, q) for p, q in same), strict=True))
    expected = in_a * in_b / n
    by_definition = (both - expected) / ((in_a + in_b) / 2 - expected)
    assert adjusted_rand_index(contingency(a, b)) == pytest.approx(by_definition, abs=1e-12)
    assert adjusted_rand_index(contingency(b, a)) == pytest.approx(by_definition, abs=1e-12)


def test_names_of_classes_do_not_matter_and_chance_scores_nothing(made):
    truth = made.sides["truth"]
    label = truth["label"].values
    renamed = np.array([7, 2, 0, 5])[label]
    figures = ronchi.score(found(made, label=renamed), truth, "adjusted-rand")
    assert (figures["ari"], figures["accuracy"], figures["n_found"]) == (1, 1, 4)
    split = np.where((label == 0) & (np.arange(800) % 2 == 0), 9, label)
    figures = ronchi.score(found(made, label=split), truth, "adjusted-rand")
    assert figures["purity"] == 1
    lost_half = min((split == 9).sum(), (split == 0).sum())
    assert figures["accuracy"] == pytest.approx(1 - lost_half / 800)
    random = ronchi.score(found(made, label=np.random.default_rng(0).integers(0, 4, 800)), truth, "adjusted-rand")
    assert abs(random["ari"]) < 0.02
    lost = np.where(np.arange(800) < 80, -1, label)
    assert ronchi.score(found(made, label=lost), truth, "adjusted-rand")["coverage"] == pytest.approx(0.9)
    with pytest.raises(DataError, match="no 'label'"):
        ronchi.score(found(made).drop_vars("label"), truth, "adjusted-rand")


# --- images ---------------------------------------------------------------------------------------------------------


def glyph(angle: float = 0.0, size: int = 25) -> np.ndarray:
    atoms = motif_atoms("f-glyph", 5)
    c, s = np.cos(angle), np.sin(angle)
    y, x = 4.5 * (s * atoms[:, 1] + c * atoms[:, 0]), 4.5 * (c * atoms[:, 1] - s * atoms[:, 0])
    return draw_atoms(np.stack([y, x], 1)[None], atoms[:, 2], 1.3, (size, size))[0]


@pytest.mark.parametrize("size", [24, 25])
@pytest.mark.parametrize("angle", [0.3, -2.0])
def test_images_turn_from_x_to_y_about_the_middle(size: int, angle: float):
    np.testing.assert_allclose(rotated(glyph(size=size), angle), glyph(angle, size), atol=0.03)  # splines


@pytest.mark.parametrize("angle", [0.0, 1.234, -2.5])
def test_the_best_rotation_is_found_whatever_gain_and_offset(angle: float):
    similarity, back = best_rotation(3 * glyph(angle) + 7, glyph())
    assert similarity > 0.99
    assert np.exp(1j * back) == pytest.approx(np.exp(-1j * angle), abs=0.02)


def test_similarity_falls_with_noise_and_refuses_negatives():
    rng = np.random.default_rng(0)
    inside = np.ones((25, 25), bool)
    noisy = [ssim_within(glyph() + rng.normal(0, s, (25, 25)), glyph(), inside, 1.5) for s in (0.0, 0.1, 0.5)]
    assert noisy[0] == pytest.approx(1)
    assert noisy[0] > noisy[1] > noisy[2]
    assert ssim_within(-glyph(), glyph(), inside, 1.5) < 0.6


def test_decoded_images_are_matched_to_templates(made):
    truth = made.sides["truth"]
    turned = np.stack([rotated(image, 0.7 + i) for i, image in enumerate(truth["template"].values.astype(float))])
    images = decoded.make(turned[::-1], dims=("class", "y", "x"))
    figures = ronchi.score(images, truth, "ssim")
    assert figures["ssim_min"] > 0.97
    worse = ronchi.score(images.isel({"class": [0]}), truth, "ssim")
    assert worse["ssim_pristine"] < figures["ssim_pristine"] - 0.02
    with pytest.raises(DataError, match="have"):
        ronchi.score(decoded.make(turned[:, 1:], dims=("class", "y", "x")), truth, "ssim")


def test_mirror_images_are_found_if_allowed():
    truth = simulate_motifs(np.random.default_rng(0), motifs=("f-glyph",), n_samples=1, noise="none").sides["truth"]
    images = decoded.make(truth["template"].values[:, ::-1], dims=("class", "y", "x"))
    assert ronchi.score(images, truth, "ssim")["ssim_min"] < 0.9
    assert ronchi.score(images, truth, "ssim", mirror=True)["ssim_min"] > 0.99


@pytest.mark.parametrize("sigma", [None, 0.5, 1.0])
def test_likelihood_of_the_truth_is_that_of_its_noise(sigma):
    clean, noisy = (
        simulate_motifs(np.random.default_rng(0), n_samples=300, noise=noise) for noise in ("none", "gaussian")
    )
    model = clean.data
    figures = ronchi.score(model, noisy.data, "pose-nll", **({} if sigma is None else {"sigma": sigma}))
    used = sigma or 0.5
    assert figures["nll_per_px"] == pytest.approx(0.125 / used**2 + np.log(used) + 0.919, abs=0.005)
    assert figures["rmse"] == pytest.approx(0.5, abs=0.003)
    blurred = model.assign(intensity=model["intensity"].copy(data=model["intensity"].values * 0.9))
    assert ronchi.score(blurred, noisy.data, "pose-nll")["nll_per_px"] > figures["nll_per_px"] or sigma


def test_pixels_that_were_not_learned_do_not_count():
    clean, noisy = (
        simulate_motifs(np.random.default_rng(0), n_samples=50, noise=noise) for noise in ("none", "gaussian")
    )
    y, x = np.mgrid[:25, :25] - 12
    beyond = np.hypot(y, x) > 10
    images = clean.data["intensity"].values.copy()
    images[:, beyond] = np.nan
    images[3] = np.nan
    images[5, 12, 12] = np.nan
    made = clean.data.assign(intensity=clean.data["intensity"].copy(data=images))
    figures = ronchi.score(made, noisy.data, "pose-nll")
    assert figures["rmse"] == pytest.approx(0.5, abs=0.01)  # of 15,000 pixels
    assert figures["n"] == 48
    told = {"units": "1", "long_name": "beyond the circle"}
    marked = noisy.data.assign(bad_pixel=(("y", "x"), beyond, told))
    kept = clean.data.isel(sample=[i for i in range(50) if i not in (3, 5)])
    same = ronchi.score(kept, marked.isel(sample=kept["atom"].values), "pose-nll")
    assert figures["nll_per_px"] == pytest.approx(same["nll_per_px"], abs=1e-9)


def test_templates_are_as_alike_where_the_rest_was_not_learned():
    truth = simulate_motifs(np.random.default_rng(0), motifs=("f-glyph",), n_samples=1, noise="none").sides["truth"]
    y, x = np.mgrid[:25, :25] - 12
    images = truth["template"].values.astype(float)
    images[:, np.hypot(y, x) > 10.5] = np.nan
    assert ronchi.score(decoded.make(images, dims=("class", "y", "x")), truth, "ssim")["ssim_min"] > 0.97


def test_poisson_likelihood_is_least_at_the_mean():
    counts = np.random.default_rng(0).poisson(4.0, 100_000).astype(float)
    values = [poisson_nll(counts, np.full(100_000, mean)).mean() for mean in (3.8, 4.0, 4.2)]
    assert values[1] == min(values)
    assert values[1] == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 4) - 1 / 48, abs=0.01)  # its entropy


def test_reconstructions_must_be_one_a_sample(made):
    model = made.data.isel(sample=slice(5))
    with pytest.raises(DataError, match="reconstructions have shape"):
        ronchi.score(model, made.data, "pose-nll")
