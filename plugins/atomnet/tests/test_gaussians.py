"""The fit: as exact as noise allows, with the errors that it states."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi_atomnet.gaussians import fit_gaussians


def grid(step: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    rows, columns = (np.arange(step, n - step, step) for n in shape)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    return points + rng.uniform(-0.5, 0.5, points.shape)


def test_without_noise_positions_width_and_heights_are_exact(draw):
    rng = np.random.default_rng(0)
    true, height = grid(7.0, (64, 80), rng), 100.0
    image = draw(true, sigma=2.0, height=height)
    fit = fit_gaussians(image, true + rng.uniform(-0.7, 0.7, true.shape), 2.4)
    # Neighbours at 3.5 standard deviations overlap: the width comes to its end slowly.
    assert fit.sigma_px == pytest.approx(2.0, rel=1e-3)
    assert np.abs(fit.points - true).max() < 2e-3
    assert fit.height == pytest.approx(np.full(len(true), height), rel=5e-3)


@pytest.mark.parametrize(("height", "rel"), [(60.0, 0.008), (6.0, 0.04)], ids=["clear", "few counts"])
def test_width_of_equal_atoms_in_noise_is_not_that_of_those_that_noise_makes_bright(draw, height, rel):
    """Of the brighter half it is 2 % short at 60 counts, and a fifth at 6."""
    rng = np.random.default_rng(4)
    true = grid(14.0, (400, 400), rng)
    image = rng.poisson(draw(true, (400, 400), 2.0, height, height / 3)).astype(float)
    found = [fit_gaussians(image, true, start).sigma_px for start in (1.6, 2.0, 2.5)]
    assert found[1] == pytest.approx(2.0, rel=rel)
    assert found == pytest.approx([found[1]] * 3, rel=2e-3)


def test_width_of_atoms_that_hardly_stand_out_stays(draw):
    """Noise alone would make them half as wide, and their errors half of what they are."""
    rng = np.random.default_rng(5)
    true = grid(8.0, (160, 160), rng)
    image = rng.poisson(draw(true, (160, 160), 1.0, 3.0, 1.0)).astype(float)
    assert fit_gaussians(image, true, 1.1).sigma_px == 1.1


def test_a_slope_below_the_atoms_draws_none_uphill(draw):
    rng = np.random.default_rng(6)
    true, shape = grid(14.0, (300, 300), rng), (300, 300)
    # Four heights of an atom across the image: without its slope atoms lie .19 px too far uphill, 3 of their errors.
    image = rng.poisson(draw(true, shape) + 400 * np.arange(300) / 300).astype(float)
    fit = fit_gaussians(image, true + rng.uniform(-0.3, 0.3, true.shape), 2.0)
    z = (fit.points - true) / np.sqrt(fit.variance)
    # 400 atoms: the mean of z is known to .05, its rms to 3 %.
    assert np.abs(z.mean(0)).max() < 0.2
    assert np.sqrt((z**2).mean()) == pytest.approx(1, abs=0.12)


def test_pixels_that_were_not_measured_have_no_say(draw):
    rng = np.random.default_rng(7)
    true, shape = grid(14.0, (300, 300), rng), (300, 300)
    image = rng.poisson(draw(true, shape)).astype(float)
    good = rng.random(shape) > 0.05
    # Rows that are missing pass beside the middle of every atom.
    good[np.arange(15, 300, 14)] = False
    fit = fit_gaussians(np.where(good, image, 1000.0), true, 2.0, good=good)
    z = (fit.points - true) / np.sqrt(fit.variance)
    assert fit.sigma_px == pytest.approx(2.0, rel=0.01)
    assert np.sqrt((z**2).mean()) == pytest.approx(1, abs=0.12)
    all_of_it = fit_gaussians(image, true, 2.0)
    assert np.median(fit.variance[:, 0] / all_of_it.variance[:, 0]) > 1.1


def test_width_of_a_dense_lattice_comes_from_one_that_is_too_large(draw):
    """What does not fit at first is no noise: taken for it, the width stays a fifth too large, and atoms 1.3 px off."""
    rng = np.random.default_rng(7)
    row, column = np.mgrid[:16, :14]
    true = np.stack([row * 3 * np.sqrt(3), 6.0 * column + 3.0 * (row % 2)], -1).reshape(-1, 2) + 4
    true = true + rng.normal(0, 0.2, true.shape)
    image = rng.poisson(draw(true, (86, 88), 2.0, 200.0, 60.0)).astype(float)
    fit = fit_gaussians(image, true + rng.uniform(-0.6, 0.6, true.shape), 2.4)
    inside = ((true > 8) & (true < np.array(image.shape) - 9)).all(1)
    assert fit.sigma_px == pytest.approx(2.0, rel=0.06)
    assert np.sqrt(((fit.points - true)[inside] ** 2).mean()) < 0.2


def test_what_runs_away_is_as_bright_as_the_image_where_it_was_found(draw):
    rng = np.random.default_rng(8)
    true, shape = grid(14.0, (100, 100), rng), (100, 100)
    # The flank of an atom that the border cuts off: 4 counts more in the first row.
    image = rng.poisson(draw(np.append(true, [[-5.0, 50.0]], 0), shape)).astype(float)
    fit = fit_gaussians(image, np.append(true, [[0.0, 50.0]], 0), 2.0)
    assert np.isnan(fit.variance[-1]).all()
    assert fit.points[-1].tolist() == [0.0, 50.0]
    # The atom that it ran after has 100, of which the border lets 44 be known as well as 160.
    assert 0 < fit.height[-1] < 20
    assert np.median(fit.height) == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("noise", ["camera", "counts"])
def test_errors_are_near_the_least_possible_ones_and_as_stated(draw, noise):
    """Cramér-Rao: the inverse of the sum over pixels of (d mu / dy)^2 / variance."""
    rng = np.random.default_rng(1)
    sigma, height, background, shape = 2.0, 60.0, 10.0, (300, 300)
    true = grid(16.0, shape, rng)
    ideal = draw(true, shape, sigma, height, background)
    image = rng.poisson(ideal).astype(float) if noise == "counts" else ideal + rng.normal(0, 5, shape)
    fit = fit_gaussians(image, true + rng.uniform(-0.5, 0.5, true.shape), sigma)
    y, x = np.mgrid[-8:9, -8:9]
    spot = height * np.exp(-(y**2 + x**2) / (2 * sigma**2))
    variance = spot + background if noise == "counts" else 25.0
    bound = 1 / np.sqrt(((spot * y / sigma**2) ** 2 / variance).sum())
    rms = np.sqrt(((fit.points - true) ** 2).mean())
    # 324 atoms give 648 coordinates: the rms is known to 3 %. The window costs 1 %, the noise line a little more.
    assert 0.93 < rms / bound < 1.12
    z = np.sqrt(((fit.points - true) ** 2 / fit.variance).mean())
    assert z == pytest.approx(1, abs=0.1)
    z = np.sqrt(((fit.height - height) ** 2 / fit.height_variance).mean())
    assert z == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("apart", [1.5, 2.0, 3.0])
def test_errors_of_pairs_are_as_stated(draw, apart):
    """An atom is known no better than its neighbour lets it: at 2 standard deviations half as well as one alone."""
    rng = np.random.default_rng(3)
    sigma, z = 3.0, []
    middle = np.stack(np.meshgrid(*[25.0 + 40 * np.arange(8)] * 2), -1).reshape(-1, 2)
    angle = rng.uniform(0, np.pi, len(middle))
    half = apart * sigma / 2 * np.stack([np.sin(angle), np.cos(angle)], -1)
    true = np.concatenate([middle + half, middle - half])
    for _ in range(3):
        image = rng.poisson(draw(true, (330, 330), sigma)).astype(float)
        fit = fit_gaussians(image, true + rng.normal(0, 0.2, true.shape), sigma, fit_width=False)
        z.append((fit.points - true) / np.sqrt(fit.variance))
    # 384 pairs know the spread to 3 %.
    assert np.sqrt(np.square(z).mean()) == pytest.approx(1, abs=0.12)


def test_a_dense_lattice_is_fitted_to_its_end(draw):
    """Triangular, three standard deviations apart: an error goes from one atom to the next and back, many times."""
    rng = np.random.default_rng(4)
    sigma, z = 3.0, []
    rows, columns = np.mgrid[:14, :12]
    true = np.stack([20 + rows * 9 * np.sqrt(3) / 2, 20 + (columns + rows % 2 / 2) * 9.0], -1).reshape(-1, 2)
    true += rng.normal(0, 0.15, true.shape)
    for _ in range(2):
        image = rng.poisson(draw(true, (150, 150), sigma)).astype(float)
        fit = fit_gaussians(image, true + rng.normal(0, 0.2, true.shape), sigma, fit_width=False)
        assert np.isfinite(fit.variance).all()
        z.append((fit.points - true) / np.sqrt(fit.variance))
    assert np.sqrt(np.square(z).mean()) == pytest.approx(1, abs=0.15)


def test_what_cannot_be_told_apart_states_no_error(draw):
    """At two standard deviations a lattice is flat to a percent: hardly an error may be stated, and none too small."""
    rng = np.random.default_rng(5)
    sigma = 3.0
    rows, columns = np.mgrid[:14, :12]
    true = np.stack([20 + rows * 6 * np.sqrt(3) / 2, 20 + (columns + rows % 2 / 2) * 6.0], -1).reshape(-1, 2)
    image = rng.poisson(draw(true, (110, 110), sigma)).astype(float)
    fit = fit_gaussians(image, true + rng.normal(0, 0.2, true.shape), sigma, fit_width=False)
    wrong = np.abs(fit.points - true) > 5 * np.sqrt(fit.variance)
    assert np.isnan(fit.variance).mean() > 0.9
    assert not wrong.any()


@pytest.mark.parametrize(("first", "second", "sigma"), [([20, 0.3], [22, 0.1], 2.0), ([20, -0.4], [21, -0.4], 1.0)])
def test_errors_are_numbers_or_none(draw, first, second, sigma):
    """Next to the border nothing may be told of one of two: it has no error then, and not an infinite one."""
    true = np.array([first, second, [40.0, 50.0]])
    for seed in range(12):
        image = np.random.default_rng(seed).poisson(draw(true, (60, 60), sigma, 30.0, 4.0)).astype(float)
        variance = fit_gaussians(image, true, sigma, fit_width=False).variance
        assert not np.isinf(variance).any()
        assert np.isfinite(variance[2]).all()


def test_atoms_at_one_and_a_half_standard_deviations_are_fitted_apart(draw):
    true = np.array([[20.0, 20.0], [20.0, 23.0], [40.0, 50.0]])
    image = draw(true, sigma=2.0)
    # The width comes from the atoms that stand alone; sweeps in turn converge slowly for such neighbours.
    fit = fit_gaussians(image, true + np.array([[0.3, -0.2], [-0.2, 0.3], [0.2, 0.2]]), 2.0, fit_width=False)
    assert np.abs(fit.points - true).max() < 0.35
    apart = np.hypot(*(fit.points[1] - fit.points[0]))
    assert apart == pytest.approx(3.0, abs=0.5)


def test_a_start_on_nothing_stays_where_it_is_without_an_error(draw):
    rng = np.random.default_rng(2)
    true = np.array([[30.0, 30.0], [30.0, 60.0]])
    image = draw(true, sigma=2.0) + rng.normal(0, 0.5, (64, 80))
    start = np.array([[30.2, 29.8], [30.0, 60.3], [36.5, 30.0]])
    fit = fit_gaussians(image, start, 2.0)
    assert np.abs(fit.points[:2] - true).max() < 0.1
    assert fit.height[2] < 3
    assert np.isfinite(fit.points).all()


def test_the_image_is_left_alone_and_no_atoms_are_no_error(draw):
    image = draw(np.array([[20.0, 20.0]]))
    before = image.copy()
    fit = fit_gaussians(image, np.empty((0, 2)), 2.0)
    assert len(fit.points) == 0
    assert np.array_equal(image, before)
    assert np.array_equal(fit.residual, before)
