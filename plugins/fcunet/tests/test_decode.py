"""Peaks from maps and images, targets and losses, against what they mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from ronchi_fcunet.decode import beam_radius_px, peaks_of_image, peaks_of_maps
from ronchi_fcunet.losses import detection_loss, disk_loss, position_loss
from ronchi_fcunet.maps import DiskMaps
from ronchi_fcunet.strength import strong_odds
from ronchi_fcunet.targets import make_targets


def _visible(shape: tuple[int, int] = (20, 20), n: int = 1) -> torch.Tensor:
    return torch.ones(n, *shape, dtype=torch.bool)


def _perfect(points: torch.Tensor, shape: tuple[int, int], n: int) -> DiskMaps:
    targets = make_targets(points, _visible(shape, n))
    zeros = torch.zeros_like(targets.amplitude)
    return DiskMaps(
        logit=torch.where(targets.present, 6.0, -9.0),
        offset_px=targets.offset_px,
        log_sigma=torch.full_like(targets.offset_px, -3.0),
        correlation=zeros,
        amplitude=targets.amplitude,
        lit_logit=torch.where(targets.lit, 30.0, -30.0),
    )


@settings(max_examples=40, deadline=None)
@given(y=st.floats(2.0, 27.9), x=st.floats(2.0, 20.9))
def test_what_targets_say_is_what_is_decoded(y: float, x: float) -> None:
    points = torch.tensor([[0, y, x, 0.5, 1], [1, y, x, 0.7, 1]])
    found = peaks_of_maps(_perfect(points, (31, 24), 2), (31, 24), 0.5, 10)
    assert found.counts.tolist() == [1, 1]
    np.testing.assert_allclose(found.qy_px, y, atol=1e-4)
    np.testing.assert_allclose(found.qx_px, x, atol=1e-4)
    np.testing.assert_allclose(np.sqrt(found.intensity), [0.5, 0.7], atol=1e-6)
    np.testing.assert_allclose(found.var_yy, np.exp(-6), rtol=1e-5)


def test_the_likeliest_are_kept_where_there_are_too_many() -> None:
    grid = torch.stack(torch.meshgrid(torch.arange(4, 40, 6.0), torch.arange(4, 40, 6.0), indexing="ij"), -1)
    points = torch.cat([torch.zeros(36, 1), grid.reshape(-1, 2), torch.full((36, 1), 0.5), torch.ones(36, 1)], 1)
    maps = _perfect(points, (44, 44), 1)
    maps.logit[0, 2, 2] = 8.0
    found = peaks_of_maps(maps, (44, 44), 0.5, 1)
    assert found.counts.tolist() == [1]
    assert (found.qy_px[0], found.qx_px[0]) == pytest.approx((4.0, 4.0))


def test_of_two_points_in_a_cell_the_stronger_is_the_target() -> None:
    points = torch.tensor([[0, 10.1, 10.2, 0.9, 1], [0, 10.4, 10.3, 0.2, 1]])
    targets = make_targets(points, _visible())
    assert targets.amplitude.max() == pytest.approx(0.9)
    assert int(targets.present.sum()) == 1


def test_faint_points_are_not_asked_for_and_fainter_ones_are_nothing() -> None:
    points = torch.tensor([[0, 4.0, 4.0, 0.9, 1], [0, 10.0, 10.0, 0.01, 1], [0, 16.0, 16.0, 0.001, 1]])
    targets = make_targets(points, _visible())
    assert bool(targets.counted[0, 2, 2])
    assert not bool(targets.counted[0, 5, 5])
    assert bool(targets.counted[0, 8, 8])
    assert not bool(targets.present[0, 5, 5] | targets.present[0, 8, 8])
    # Whoever finds the faint one all the same says how weak it is, and nothing is asked about its place.
    assert targets.weighed[0, [2, 5, 8], [2, 5, 8]].tolist() == [True, True, False]
    assert not bool(targets.near[0, 5, 5])
    assert float(targets.amplitude[0, 5, 5]) == pytest.approx(0.01)
    maps = _perfect(points, (20, 20), 1)
    said_right = float(disk_loss(maps, targets)[0])
    maps.amplitude[0, 5, 5] = 0.1
    assert float(disk_loss(maps, targets)[0]) > said_right + 0.01


def test_disks_that_are_probably_weaker_than_asked_for_are_left_out() -> None:
    points = torch.tensor([[0, 4.0, 4.0, 0.5, 1], [0, 10.0, 10.0, 0.04, 1], [1, 14.0, 14.0, 0.3, 1]])
    maps = _perfect(points, (20, 20), 2)
    everything = peaks_of_maps(maps, (20, 20), 0.2, 10)
    assert everything.counts.tolist() == [2, 1]
    found = peaks_of_maps(maps, (20, 20), 0.2, 10, min_relative=0.2)
    assert found.qy_px.round(3).tolist() == [4.0, 14.0]
    # What is less likely is expected to be less strong.
    assert found.intensity[1] < 0.7 * everything.intensity[2]


@settings(max_examples=30, deadline=None)
@given(stated=st.floats(0.02, 0.9), least=st.floats(0.0, 0.5))
def test_the_odds_of_strong_disks_are_those_of_true_ones_spread_about_what_is_stated(
    stated: float, least: float
) -> None:
    true = stated * np.exp(0.7 * np.random.default_rng(0).normal(size=200_000))
    counted = true[true >= 0.03]
    said = 1 / (1 + np.exp(-float(strong_odds(torch.tensor(stated), least))))
    assert said == pytest.approx((counted >= least).mean(), abs=0.01)


@settings(max_examples=30, deadline=None)
@given(one=st.floats(-3.0, 4.0), other=st.floats(-3.0, 4.0))
def test_a_disk_that_may_be_in_either_of_two_cells_has_the_odds_of_both(one: float, other: float) -> None:
    maps = _perfect(torch.tensor([[0, 10.0, 10.0, 1.0, 1]]), (20, 20), 1)
    alone = []
    for cells in ([(5, 5, one)], [(5, 6, other)], [(5, 5, one), (5, 6, other)]):
        maps.logit[...] = -30.0
        for y, x, logit in cells:
            maps.logit[0, y, x] = logit
        maps.amplitude[...] = 1.0
        (score,) = peaks_of_maps(maps, (20, 20), 1e-9, 1, dark=True).score
        alone.append(np.exp(score))
    assert alone[2] == pytest.approx(alone[0] + alone[1], rel=1e-4)


def test_a_dark_lattice_point_is_no_disk_unless_dark_ones_are_wanted() -> None:
    points = torch.tensor([[0, 4.0, 4.0, 0.9, 1], [0, 14.0, 14.0, 0.8, 0]])
    maps = _perfect(points, (20, 20), 1)
    assert peaks_of_maps(maps, (20, 20), 0.2, 10).qy_px.round(3).tolist() == [4.0]
    assert peaks_of_maps(maps, (20, 20), 0.2, 10, dark=True).qy_px.round(3).tolist() == [4.0, 14.0]
    cost = float(disk_loss(maps, make_targets(points, _visible()))[0])
    maps.lit_logit[...] = 30.0
    assert float(disk_loss(maps, make_targets(points, _visible()))[0]) > cost + 1


@settings(max_examples=30, deadline=None)
@given(point=st.floats(-3.0, 8.0), light=st.floats(-4.0, 8.0))
def test_a_disk_is_as_likely_as_its_lattice_point_and_its_light_together(point: float, light: float) -> None:
    maps = _perfect(torch.tensor([[0, 10.0, 10.0, 1.0, 1]]), (20, 20), 1)
    maps.logit[...] = -30.0
    maps.logit[0, 5, 5], maps.lit_logit[0, 5, 5] = point, light
    alone = peaks_of_maps(maps, (20, 20), 1e-9, 1, dark=True).score[0]
    both = peaks_of_maps(maps, (20, 20), 1e-9, 1).score[0]
    assert 1 / (1 + np.exp(-both)) == pytest.approx(1 / (1 + np.exp(-alone)) / (1 + np.exp(-light)), rel=1e-4)


def test_what_the_detector_does_not_show_is_not_counted() -> None:
    visible = torch.ones(1, 20, 20, dtype=torch.bool)
    visible[:, :, 8:14] = False
    targets = make_targets(torch.tensor([[0, 4.0, 10.0, 0.9, 1]]), visible)
    assert not bool(targets.counted[0, 2, 5])


def test_the_position_loss_is_the_negative_log_likelihood() -> None:
    targets = make_targets(torch.tensor([[0, 9.3, 10.1, 1.0, 1]]), _visible())
    maps = _perfect(torch.tensor([[0, 9.3, 10.1, 1.0, 1]]), (20, 20), 1)
    maps.offset_px[...] += torch.tensor([0.1, -0.2])[None, :, None, None]
    maps.log_sigma[...] = torch.tensor([-1.0, -0.5])[None, :, None, None]
    maps.correlation[...] = 0.4
    s = np.exp([-1.0, -0.5])
    covariance = np.array([[s[0] ** 2, 0.4 * s[0] * s[1]], [0.4 * s[0] * s[1], s[1] ** 2]])
    expected = -multivariate_normal([0, 0], covariance).logpdf([0.1, -0.2]) - np.log(2 * np.pi)
    assert float(position_loss(maps, targets, targets.present)) == pytest.approx(expected, abs=1e-5)


def test_the_truth_costs_less_than_anything_else() -> None:
    points = torch.tensor([[0, 9.3, 10.1, 1.0, 1], [0, 15.2, 4.4, 0.3, 1]])
    targets, maps = make_targets(points, _visible()), _perfect(points, (20, 20), 1)
    best, parts = disk_loss(maps, targets)
    assert float(parts["amplitude"]) == 0
    maps.logit[0, 1, 1] = 5.0
    assert float(detection_loss(maps.logit, targets)) > float(parts["detection"]) + 1
    assert float(disk_loss(maps, targets)[0]) > float(best)


@settings(max_examples=30, deadline=None)
@given(dy=st.floats(-0.45, 0.45), dx=st.floats(-0.45, 0.45))
def test_maxima_of_images_are_found_below_a_pixel(dy: float, dx: float) -> None:
    y, x = np.mgrid[:32, :40]
    image = np.exp(-((y - 10 - dy) ** 2 + (x - 25 - dx) ** 2) / 8) + 2 * np.exp(-((y - 16) ** 2 + (x - 20) ** 2) / 2)
    images, centre = torch.from_numpy(image[None].astype(np.float32)), torch.tensor([[16.0, 20.0]])
    found = peaks_of_image(images, centre, torch.tensor([3.0]), 0.3, 10, 0.2)
    near = np.hypot(found.qy_px - 10, found.qx_px - 25).argmin()
    # A paraboloid through nine pixels of a Gaussian of 2 px is biased by less than 0.03 px.
    assert abs(found.qy_px[near] - 10 - dy) < 0.03
    assert abs(found.qx_px[near] - 25 - dx) < 0.03
    assert found.var_yy[near] == pytest.approx(0.04)


def test_a_beam_that_is_off_the_middle_sets_no_scale() -> None:
    y, x = np.mgrid[:48, :48]
    image = 20 * np.exp(-((y - 27) ** 2 + (x - 22) ** 2) / 2) + np.exp(-((y - 12) ** 2 + (x - 30) ** 2) / 2)
    images, radius = torch.from_numpy(image[None].astype(np.float32)), torch.tensor([4.0])
    assert peaks_of_image(images, torch.tensor([[27.0, 22.0]]), radius, 0.5, 10, 1.0).counts.tolist() == [2]
    assert peaks_of_image(images, torch.tensor([[40.0, 40.0]]), radius, 0.5, 10, 1.0).counts.tolist() == [1]


def test_equal_neighbours_are_one_disk_and_no_more_than_asked_for_come_back() -> None:
    maps = _perfect(torch.tensor([[0, 9.3, 10.1, 1.0, 1]]), (40, 40), 1)
    maps.logit[...], maps.amplitude[...], maps.lit_logit[...] = -9.0, 0.5, 30.0
    maps.logit[0, 4, 4:8] = 30.0
    assert peaks_of_maps(maps, (40, 40), 0.5, 10).counts.tolist() == [1]
    maps.logit[0, ::4, ::4] = 30.0
    assert peaks_of_maps(maps, (40, 40), 0.5, 3).counts.tolist() == [3]


def test_a_disk_on_the_border_of_two_cells_may_be_claimed_by_either() -> None:
    targets = make_targets(torch.tensor([[0, 9.45, 10.5, 0.8, 1]]), _visible())
    assert int(targets.present.sum()) == 1
    claimed = torch.nonzero(targets.near[0])
    assert len(claimed) > 1
    for y, x in claimed.tolist():
        place = torch.tensor([2 * y + 0.5, 2 * x + 0.5]) + targets.offset_px[0, :, y, x]
        torch.testing.assert_close(place, torch.tensor([9.45, 10.5]))
    assert not bool((targets.near & ~targets.present & targets.counted).any())


def test_the_reach_of_the_direct_beam_goes_by_the_disk() -> None:
    """A maximum at 6 px is the beam's own for disks of 9 px, and another disk for those of 4 px."""
    y, x = np.mgrid[:64, :64]
    image = 9 * np.exp(-((y - 32) ** 2 + (x - 32) ** 2) / 2) + 4 * np.exp(-((y - 32) ** 2 + (x - 38) ** 2) / 2)
    image += np.exp(-((y - 12) ** 2 + (x - 32) ** 2) / 2)
    images, centre = torch.from_numpy(image[None].astype(np.float32)), torch.tensor([[32.0, 32.0]])
    for radius, expected in ((4.0, 2), (9.0, 3)):
        assert peaks_of_image(images, centre, torch.tensor([radius]), 0.5, 10, 1.0).counts.tolist() == [expected]
    assert (beam_radius_px(2.0), beam_radius_px(10.0)) == (3.0, 8.0)
