"""The parts of the detector, each against what it is for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, poisson

from ronchi.api import DataError
from ronchi.bad_pixels import BadPixelFill
from ronchi.disk import ProbeShape, measure_disk
from ronchi_crosscorr.grid import Grid, fast_size
from ronchi_crosscorr.photometry import SECTORS, aperture, measure, significance
from ronchi_crosscorr.refine import newton, parabola
from ronchi_crosscorr.search import local_maxima, make_room
from ronchi_crosscorr.template import Template


@settings(max_examples=30, deadline=None)
@given(
    radius=st.floats(2.0, 14.0),
    y=st.floats(30.0, 60.0),
    x=st.floats(30.0, 60.0),
    background=st.floats(0.0, 100.0),
)
def test_radius_and_centre_of_a_probe_are_measured_below_a_pixel(
    scene: SimpleNamespace, radius: float, y: float, x: float, background: float
) -> None:
    probe = scene.disks((90, 94), np.array([[y, x]]), radius, 1000 * radius**2, background)
    shape = measure_disk(probe)
    assert abs(shape.radius_px - radius) < 0.05
    assert np.hypot(shape.centre_px[0] - y, shape.centre_px[1] - x) < 0.05


def test_a_probe_with_noise_and_hot_pixels_is_measured(scene: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    probe = rng.poisson(scene.disks((128, 128), np.array([[63.3, 64.8]]), 5.0, 8000.0, 0.3)).astype(float)
    probe[10, 20] = probe[100, 7] = 2000.0
    shape = measure_disk(probe)
    assert abs(shape.radius_px - 5.0) < 0.1
    assert np.hypot(shape.centre_px[0] - 63.3, shape.centre_px[1] - 64.8) < 0.1


@pytest.mark.parametrize("kind", ["disk", "edge", "radial-gradient"])
@pytest.mark.parametrize("frame", [(64, 64), (63, 70)])
def test_computed_templates_are_centred_and_trenches_balance(kind: str, frame: tuple[int, int]) -> None:
    kernel = Template(kind, ProbeShape(6.0, 0.35, (0.0, 0.0))).kernel(frame)
    assert kernel.shape == frame
    assert abs(kernel.sum() - (1.0 if kind == "disk" else 0.0)) < 1e-9
    y, x = np.indices(frame)
    weight = np.clip(kernel, 0, None)
    assert abs((weight * y).sum() / weight.sum() - frame[0] // 2) < 1e-9
    assert abs((weight * x).sum() / weight.sum() - frame[1] // 2) < 1e-9


def test_ellipse_keeps_the_area_and_turns_from_x_towards_y() -> None:
    kernel = Template("disk", ProbeShape(8.0, 0.35, (0.0, 0.0)), None, (1.5, 30.0)).kernel((64, 64))
    y, x = np.indices(kernel.shape) - 32
    moments = np.array(
        [[(kernel * x * x).sum(), (kernel * x * y).sum()], [(kernel * x * y).sum(), (kernel * y * y).sum()]]
    )
    values, vectors = np.linalg.eigh(moments)
    long_axis = vectors[:, 1]
    assert abs(np.rad2deg(np.arctan2(long_axis[1], long_axis[0])) % 180 - 30) < 0.5
    assert abs(np.sqrt(values[1] / values[0]) - 1.5) < 0.03
    assert abs(kernel.max() * np.pi * 64 - 1) < 0.03


@given(n=st.integers(1, 2000))
def test_fast_sizes_are_even_smooth_and_not_far(n: int) -> None:
    size = fast_size(n)
    assert size >= n
    assert size % 2 == 0
    assert size <= max(2, 1.3 * n + 2)


@pytest.mark.parametrize(("radius", "binning"), [(2.0, 1), (7.9, 1), (9.0, 2), (12.5, 3), (40.0, 10)])
def test_only_large_disks_are_binned_and_pixels_map_back(radius: float, binning: int) -> None:
    grid = Grid.make((250, 251), radius)
    assert grid.binning == binning
    # The centre of the first block of k pixels.
    assert grid.to_frame(np.array([0.0]))[0] == (binning - 1) / 2


def test_neighbours_do_not_spoil_the_background(scene: SimpleNamespace) -> None:
    site = np.array([[48.0, 48.0]])
    near = np.array([[48.0, 60.5], [57.0, 39.0]])
    ap = aperture(5.0, 0.35, 96)
    scratch, number = np.empty((3, len(ap.flat)), np.float32), np.empty(2 * SECTORS, np.int64)
    for others in (np.empty((0, 2)), near):
        image = scene.disks((96, 96), site, 5.0, 1000.0, 2.0) + scene.disks((96, 96), others, 5.0, 50000.0)
        counts, _, _, _, evenness, _ = measure(image.astype(np.float32), 96, 96, 48, 48, ap, 1.0, 0.0, scratch, number)
        assert abs(counts - 1000) < 60
        assert evenness == 1.0


@settings(max_examples=50, deadline=None)
@given(dy=st.floats(-0.5, 0.5), dx=st.floats(-0.5, 0.5), shear=st.floats(-0.5, 0.5))
def test_a_smooth_maximum_is_found_exactly(dy: float, dx: float, shear: float) -> None:
    y, x = np.mgrid[:16, :16].astype(float)
    u, v = y - 8 - dy, x - 7 - dx
    surface = np.exp(-(u * u + v * v + shear * u * v) / 18).astype(np.float32)
    quick = parabola(surface, 8, 7)
    exact = newton(surface, 8, 7, quick[0], quick[1], np.empty((2, 3, 7)))
    assert quick[2]
    assert np.hypot(quick[0] - dy, quick[1] - dx) < 0.05
    assert np.hypot(exact[0] - dy, exact[1] - dx) < 2e-3


def test_maxima_are_those_of_the_definition_and_plateaus_count_once() -> None:
    c = np.random.default_rng(2).normal(size=(40, 37)).astype(np.float32)
    c[20, 10:12] = 9.0
    room = make_room(40, 37, 400)
    n = local_maxima(c, 40, 37, 1, room)
    found = set(zip(room.ys[:n].tolist(), room.xs[:n].tolist(), strict=True))
    expected = {
        (y, x)
        for y in range(1, 39)
        for x in range(1, 36)
        if c[y, x] == c[y - 1 : y + 2, x - 1 : x + 2].max() and (y, x) != (20, 11)
    }
    assert found == expected
    assert not room.marks.any()


def test_bad_pixels_take_the_value_of_a_plane_through_their_neighbours() -> None:
    y, x = np.mgrid[:32, :32].astype(float)
    plane = 3 + 0.1 * y - 0.2 * x
    bad = np.zeros((32, 32), bool)
    bad[10, 12] = bad[20:22, 5:8] = True
    broken = np.where(bad, np.nan, plane)
    filled = BadPixelFill(bad)(broken[None])[0]
    assert np.abs(filled - plane).max() < 0.2
    with pytest.raises(DataError, match="every pixel"):
        BadPixelFill(np.ones((4, 4), bool))


@pytest.mark.parametrize(("counts", "expected"), [(5, 0.1), (8, 0.5), (20, 3.0), (60, 25.0), (700, 500.0)])
def test_significance_is_that_of_the_poisson_tail(counts: int, expected: float) -> None:
    exact = norm.isf(poisson.sf(counts - 1, expected))
    # The root of the deviance passes the tail of discrete counts by some tenths.
    assert abs(significance(counts - expected, expected, 0.0) - exact) < 0.35


def test_significance_of_many_counts_is_the_excess_over_its_standard_deviation() -> None:
    assert significance(3e5, 1e10, 0.0) == pytest.approx(3.0, rel=1e-3)
    assert significance(3e5, 1e10, 1.0) == pytest.approx(3.0 / 2**0.5, rel=1e-3)
    assert significance(1e-3, 1e10, 0.0) == pytest.approx(1e-8, rel=1e-3)
    assert significance(-5.0, 100.0, 0.0) < 0
