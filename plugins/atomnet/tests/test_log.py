"""The classical finder: what it finds does not depend on how the image lies, and nothing is found in nothing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.schema import images
from ronchi_atomnet.blobs import find_blobs
from ronchi_atomnet.log_finder import LogFinder
from ronchi_atomnet.params import LogParams
from ronchi_atomnet.spacing import blob_sigma, estimate_period, noise_level


def points_of(found: xr.Dataset) -> np.ndarray:
    return np.stack([found["y"].values, found["x"].values], 1)


def worst(found: np.ndarray, true: np.ndarray) -> float:
    """Largest distance of a true point from what was found."""
    return float(np.sqrt(((found[:, None] - true) ** 2).sum(-1)).min(0).max())


@pytest.mark.parametrize("bond", [5.0, 7.1, 11.0, 18.0])
@pytest.mark.parametrize("angle_deg", [0.0, 17.0])
def test_period_of_graphene_whatever_its_scale_and_angle(draw, honeycomb, bond, angle_deg):
    shape = (int(20 * bond), int(17 * bond))
    image = draw(honeycomb(bond, shape, angle_deg), shape, 0.28 * bond, 30.0, 5.0)
    noisy = np.random.default_rng(0).poisson(image).astype(float)
    # Distance of the planes (10): 3/2 of a bond; a step of the spectrum is 5 % here.
    assert estimate_period(noisy) == pytest.approx(1.5 * bond, rel=0.05)


def test_noise_is_seen_through_atoms(draw, honeycomb):
    image = draw(honeycomb(), (120, 140), 2.0, 50.0) + np.random.default_rng(0).normal(0, 3, (120, 140))
    assert noise_level(image) == pytest.approx(3, rel=0.05)


@settings(max_examples=8, deadline=None)
@given(angle=st.floats(0, 60), bond=st.floats(5, 14), seed=st.integers(0, 99))
def test_graphene_is_found_whole_at_any_angle_and_scale(angle, bond, seed):
    rng = np.random.default_rng(seed)
    shape = (int(16 * bond), int(14 * bond))
    a, n = bond * np.sqrt(3), 20
    i, j = np.meshgrid(np.arange(-n, n), np.arange(-n, n), indexing="ij")
    cell = np.stack([(j * np.sqrt(3) / 2) * a, (i + j / 2) * a], -1).reshape(-1, 2)
    t = np.deg2rad(angle)
    turn = np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
    true = np.concatenate([cell, cell + np.array([bond, 0])]) @ turn.T + np.array(shape) / 2
    sigma, y, x = 0.28 * bond, *np.ogrid[: shape[0], : shape[1]]
    near = ((true > -3 * sigma) & (true < np.array(shape) + 3 * sigma)).all(1)
    image = 5 + 60 * sum(np.exp(-((y - p) ** 2 + (x - q) ** 2) / (2 * sigma**2)) for p, q in true[near])
    found = points_of(LogFinder(LogParams()).find(images.make(rng.poisson(image).astype(float)), ctx_of(seed)))
    inner = ((true > sigma) & (true < np.array(shape) - 1 - sigma)).all(1)
    assert worst(found, true[inner]) < 0.12 * bond
    inside = ((found > sigma) & (found < np.array(shape) - 1 - sigma)).all(1)
    assert worst(true, found[inside]) < 0.12 * bond


def ctx_of(seed):
    from ronchi.api import Context

    return Context(rng=np.random.default_rng(seed))


def test_transposed_and_mirrored_images_have_transposed_and_mirrored_atoms(draw, honeycomb, ctx):
    image = np.random.default_rng(3).poisson(draw(honeycomb(angle_deg=11), (120, 140), 2.0, 60.0)).astype(float)
    finder = LogFinder(LogParams())
    plain = points_of(finder.find(images.make(image), ctx))
    turned = points_of(finder.find(images.make(image.T.copy()), ctx))
    mirrored = points_of(finder.find(images.make(image[:, ::-1].copy()), ctx))
    # The order of the sweeps differs: what is left of the iteration is this small.
    assert worst(turned[:, ::-1], plain) < 0.02
    assert worst(np.stack([mirrored[:, 0], 139 - mirrored[:, 1]], 1), plain) < 0.02


def test_brightness_and_contrast_of_a_frame_change_no_position(draw, honeycomb, ctx):
    image = np.random.default_rng(4).poisson(draw(honeycomb(), (120, 140), 2.0, 60.0)).astype(float)
    finder = LogFinder(LogParams())
    plain, other = (points_of(finder.find(images.make(each), ctx)) for each in (image, 0.001 * image))
    assert worst(plain, other) < 1e-6
    assert len(plain) == len(other)
    # Of a hundred times an atom, as a camera adds to its counts, and of 16-bit numbers that have a sign.
    finder = LogFinder(LogParams(sigma_px=2.0))
    plain, *raised = (points_of(finder.find(images.make(image + by), ctx)) for by in (0.0, 6e3, -3e4, 1e6))
    for each in raised:
        assert len(each) == len(plain)
        # Pixels count alike there, and not by their counts: as much as noise moves an atom.
        assert worst(each, plain) < 0.15
    found = finder.find(images.make(np.stack([image, 5 * image])), ctx)
    assert (np.bincount(found["frame"].values) == len(plain)).all()


@pytest.mark.parametrize("apart", [2.2, 3.0, 5.0])
def test_atoms_that_touch_are_two(draw, ctx, apart):
    """Down to 2.2 standard deviations, where the image itself has hardly a saddle between them."""
    true = np.array([[30.0, 30.0], [30.0, 30.0 + apart * 3.0], [60.0, 90.0]])
    image = np.random.default_rng(5).poisson(draw(true, (90, 120), 3.0, 900.0)).astype(float)
    found = points_of(LogFinder(LogParams(sigma_px=2.0)).find(images.make(image), ctx))
    assert len(found) == 3
    assert worst(found, true) < 1.0 if apart < 3 else worst(found, true) < 0.25


def test_silicon_is_told_by_its_brightness(draw, honeycomb, ctx):
    true = honeycomb(border=6)
    height = np.where(np.arange(len(true)) % 17 == 0, 4.0, 1.0) * 60
    image = np.random.default_rng(6).poisson(draw(true, (120, 140), 2.0, height)).astype(float)
    found = LogFinder(LogParams(species_above=(2.0,))).find(images.make(image, step=(0.2, 0.2)), ctx)
    assert int(found["species"].sum()) == (height > 60).sum()
    bright = points_of(found)[found["species"].values == 1] / 0.2
    assert worst(bright, true[height > 60]) < 0.5
    assert found.attrs["step_angstrom"] == [pytest.approx(0.2)] * 2


def test_dark_atoms_are_found_when_asked_for(draw, honeycomb, ctx):
    true = honeycomb(border=8)
    image = 500 - draw(true, (120, 140), 2.0, 60.0)
    found = LogFinder(LogParams(dark=True)).find(images.make(image), ctx)
    assert found.sizes["atom"] == len(true)


def test_noise_alone_has_hardly_an_atom():
    rng = np.random.default_rng(7)
    counts = [len(find_blobs(rng.normal(0, 1, (200, 200)), 2.0, 0.3, 0.05)[0]) for _ in range(8)]
    assert sum(counts) <= 3


@pytest.mark.parametrize("blank", [0.0, np.nan], ids=["zeros", "missing"])
@pytest.mark.parametrize("radius_px", [95, 70, 60])
def test_a_blank_part_does_not_make_atoms_of_the_noise_of_the_rest(blank, radius_px, ctx):
    """As in the round field of an aperture, or in the corners of an image that was turned."""
    y, x = np.ogrid[:200, :200]
    beyond = np.hypot(y - 100, x - 100) > radius_px
    image = np.random.default_rng(13).normal(10, 1, (200, 200))
    # Squares across the border tell too much: 7 % here.
    assert noise_level(np.where(beyond, 0, image)) == pytest.approx(1, rel=0.1)
    found = points_of(LogFinder(LogParams(sigma_px=2.0)).find(images.make(np.where(beyond, blank, image)), ctx))
    # The border of blank zeros is a feature itself, of some 50 maxima, and 5 % of all may be of noise.
    inner = np.hypot(*(found - 100).T) < radius_px - 6
    assert inner.sum() <= (8 if blank == 0 else 2)


def test_limits_of_species_that_do_not_ascend_are_refused():
    with pytest.raises(ValueError, match="ascend"):
        LogParams(species_above=(3.0, 2.0))


@pytest.mark.parametrize("counts", [0.01, 0.02, 0.05])
def test_single_counts_are_no_atoms(counts, ctx):
    image = np.random.default_rng(14).poisson(counts, (200, 200))
    found = LogFinder(LogParams(sigma_px=2.0)).find(images.make(image), ctx)
    # A pair of counts within an atom is rarer than one a hundred pixels, and no more than that.
    assert found.sizes["atom"] <= 4


@pytest.mark.parametrize("image", [np.full((1, 30, 40), 7.0), np.full((2, 30, 40), np.nan), np.zeros((1, 2, 2))])
def test_images_of_nothing_have_no_atoms(image, ctx):
    assert LogFinder(LogParams()).find(images.make(image), ctx).sizes["atom"] == 0


def test_one_blob_as_large_as_the_image_is_one_atom(draw, ctx):
    image = draw(np.array([[30.0, 30.0]]), (60, 60), 12.0)
    found = points_of(LogFinder(LogParams()).find(images.make(image), ctx))
    assert worst(found, np.array([[30.0, 30.0]])) < 0.1


def test_missing_pixels_hide_their_atoms_only(draw, honeycomb, ctx):
    true = honeycomb(border=8)
    image = draw(true, (120, 140), 2.0, 60.0) + np.random.default_rng(8).normal(0, 1, (120, 140))
    image[40:70, 50:60] = np.nan
    found = points_of(LogFinder(LogParams()).find(images.make(image), ctx))
    hidden = ((true > [38, 48]) & (true < [71, 61])).all(1)
    assert worst(found, true[~hidden]) < 1
    assert not ((found > [39.6, 49.6]) & (found < [69.4, 59.4])).all(1).any()


def test_atoms_of_a_part_lie_where_they_are_in_the_whole(draw, honeycomb, ctx):
    true = honeycomb(border=8)
    image = draw(true, (120, 140), 2.0, 60.0) + np.random.default_rng(10).normal(0, 1, (120, 140))
    part = images.make(image, step=(0.2, 0.2)).isel(y=slice(40, None), x=slice(30, None))
    found = LogFinder(LogParams(sigma_px=2.0)).find(part, ctx)
    inner = (true > [44, 34]).all(1)
    assert worst(points_of(found) / 0.2, true[inner]) < 1
    assert found.attrs["image_start"] == pytest.approx([8.0, 6.0])


def test_frames_are_read_one_by_one(draw, honeycomb, ctx):
    import dask
    import dask.array as da

    held, most = [0], [0]
    image = draw(honeycomb(), (120, 140), 2.0, 60.0)

    def load(number):
        held[0] += 1
        most[0] = max(most[0], held[0])
        held[0] -= 1
        assert number == len(read)
        read.append(number)
        return np.random.default_rng(number).poisson(image).astype(np.float32)[None]

    read: list[int] = []
    frames = [da.from_delayed(dask.delayed(load)(n), (1, 120, 140), np.float32) for n in range(4)]
    found = LogFinder(LogParams(sigma_px=2.0)).find(images.make(da.concatenate(frames)), ctx)
    assert read == [0, 1, 2, 3]
    assert sorted(set(found["frame"].values.tolist())) == read


def test_sigma_of_blobs_without_a_lattice(draw):
    rng = np.random.default_rng(9)
    points = rng.uniform(10, 190, (25, 2))
    image = draw(points, (200, 200), 3.0, 200.0) + rng.normal(0, 2, (200, 200))
    assert 1.5 < blob_sigma(image) < 6


def test_pixels_that_are_not_square_are_warned_of(draw, honeycomb, ctx, caplog):
    image = draw(honeycomb(), (120, 140))
    finder = LogFinder(LogParams())
    finder.find(images.make(image, step=(0.2, 0.205)), ctx)
    assert not caplog.text
    finder.find(images.make(image, step=(0.2, 0.3)), ctx)
    assert "1.5 times as long along one axis" in caplog.text
