"""What is particular to this detector: its exact derivatives, its error bars, its indifference to a disk's inside."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ronchi.api import Context, DataError, Geometry, PeakBatch
from ronchi_radial_gradient.detector import RadialGradient
from ronchi_radial_gradient.params import RadialGradientParams
from ronchi_radial_gradient.rim import Rim, Ring, ascend

SHAPE = (40, 44)


def disk(centre: tuple[float, float], radius: float = 5.0, edge: float = 0.5) -> NDArray[np.float64]:
    """A soft disk of height 1."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray(1 / (1 + np.exp((np.hypot(y - centre[0], x - centre[1]) - radius) / edge)))


def detect(frames: NDArray[np.generic], bad: NDArray[np.bool_] | None = None, **params: float) -> PeakBatch:
    detector = RadialGradient(RadialGradientParams.model_validate(params))
    geometry = Geometry(shape=SHAPE, centre_px=(20.0, 22.0), bad_pixel=bad)
    detector.prepare(geometry, disk((20, 22)), Context(rng=np.random.default_rng(0)))
    return detector.detect(frames)


@pytest.mark.parametrize("radius", [3.0, 5.0, 9.5])
def test_weights_see_no_even_and_no_sloping_background(radius: float) -> None:
    rim = Rim(radius, 1.0)
    y, x = np.mgrid[-20:21, -20:21]
    weights = rim.weights(np.hypot(y, x))
    positive = weights.clip(min=0).sum()
    for background in (np.ones(y.shape), 1 + 0.05 * y, 1 - 0.05 * x):
        assert abs((weights * background).sum()) < 2e-3 * positive  # sampled on pixels, the sum is zero to this


def test_newton_steps_end_where_the_gradient_is_greatest() -> None:
    """On a grid of centres 0.01 px apart no gradient is greater."""
    rim = Rim(5.0, 1.0)
    ring = Ring(rim)
    image = disk((20.23, 21.61)).astype(np.float32)
    pixels = image[20 + ring.dy, 22 + ring.dx][None]
    centre, _, found = ascend(rim, ring, pixels, np.array([[0.0, 0.0]]))
    assert found.all()
    offsets = np.linspace(-0.6, 0.6, 121)
    gradient = [[(pixels[0] * rim.weights(np.hypot(ring.dy - y, ring.dx - x))).sum() for x in offsets] for y in offsets]
    at = np.unravel_index(np.argmax(gradient), (121, 121))
    assert centre[0] == pytest.approx([offsets[at[0]], offsets[at[1]]], abs=0.006)


def test_centres_of_disks_without_noise() -> None:
    """Rows and columns, at any part of a pixel; what is left is the pixels' size (seed 1)."""
    centres = np.random.default_rng(1).uniform(14, 26, (30, 2))
    batch = detect(np.array([1000 * disk((y, x)) for y, x in centres], np.float32))
    assert (batch.counts == 1).all()
    assert np.abs(np.stack([batch.qy_px, batch.qx_px], 1) - centres).max() < 0.01


def test_uneven_light_inside_moves_the_centre_little() -> None:
    """A slope of 60 % from centre to rim moves the centre of mass by 0.75 px, and the rim hardly."""
    y, _ = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = disk((20, 22)) * (1 + 0.6 * (y - 20) / 5)
    mass = (image * (y - 20)).sum() / image.sum()
    assert mass > 0.7
    batch = detect(1000 * image[None])
    assert batch.counts[0] == 1
    assert abs(batch.qy_px[0] - 20) < 0.4 * mass
    assert abs(batch.qx_px[0] - 22) < 0.01


def test_error_bars_are_those_of_repeated_shots() -> None:
    """400 disks of 800 electrons on 0.5 a pixel: the scatter is what the variances say, within 15 % (seed 2)."""
    mean = 10 * disk((20.3, 21.8)) + 0.5
    batch = detect(np.random.default_rng(2).poisson(mean, (400, *SHAPE)).astype(np.uint16), min_score=6)
    near = np.hypot(batch.qy_px - 20.3, batch.qx_px - 21.8) < 2
    assert near.sum() == 400
    for position, variance in ((batch.qy_px, batch.var_yy), (batch.qx_px, batch.var_xx)):
        assert np.std(position[near]) == pytest.approx(np.sqrt(variance[near].mean()), rel=0.15)
    assert batch.intensity[near].mean() == pytest.approx(10 * disk((20.3, 21.8)).sum(), rel=0.03)


def test_score_and_position_do_not_depend_on_the_gain() -> None:
    frames = np.random.default_rng(3).poisson(20 * disk((19.7, 22.4)) + 1, (3, *SHAPE)).astype(np.float32)
    usual, brighter = detect(frames), detect(64 * frames, counts_per_electron=64)
    assert usual.counts.sum() >= 3
    for name in ("counts", "qy_px", "qx_px", "score", "flags"):
        assert np.array_equal(getattr(usual, name), getattr(brighter, name)), name
    assert brighter.var_yy == pytest.approx(usual.var_yy, rel=1e-5)


def test_background_alone_gives_next_to_nothing() -> None:
    """At most half a disk a pattern at three levels of background (seed 4)."""
    for level in (0.2, 2.0, 50.0):
        frames = np.random.default_rng(4).poisson(level, (40, *SHAPE)).astype(np.uint16)
        assert detect(frames).counts.sum() <= 20


def test_flags_of_borders_and_bad_pixels() -> None:
    bad = np.zeros(SHAPE, bool)
    bad[15, 22] = True
    image = 500 * disk((20, 22))
    image[15, 22] = 60000
    batch = detect(image[None], bad=bad)
    assert batch.flags.tolist() == [8]
    assert np.hypot(batch.qy_px - 20, batch.qx_px - 22).max() < 0.1
    assert detect(500 * disk((7, 22))[None]).flags.tolist() == [1]


def test_patterns_that_cannot_be_searched() -> None:
    with pytest.raises(DataError, match="NaN or infinity"):
        detect(np.full((1, *SHAPE), np.nan))
    with pytest.raises(DataError, match="prepared for"):
        detect(np.zeros((1, 8, 8)))
    with pytest.raises(DataError, match="does not fit"):
        detect(np.zeros((1, *SHAPE)), probe_radius_px=25.0)
    assert detect(np.zeros((0, *SHAPE))).counts.shape == (0,)
