"""Virtual detectors: where they lie, what they add up, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from ronchi.api import Context
from ronchi.builtin.masks import annulus_mask, disk_mask, point_mask, rectangle_mask
from ronchi.builtin.params_images import OverviewParams, VirtualImageParams
from ronchi.builtin.virtual import Overview, VirtualImage, beam_radius, virtual_image
from ronchi.errors import CalibrationError, DataError, ReadError
from ronchi.schema import fourd

CTX = Context(rng=np.random.default_rng(0))


@pytest.fixture
def data():
    """Poisson background with a disk of radius 4 px at q = 0 on a detector that is not square."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[-16:16, -12:12]
    disk = 50.0 * (np.hypot(y, x) < 4)
    return fourd.make(rng.poisson(disk + 1, (3, 4, 32, 24)).astype(np.uint16), q_step=(0.1, 0.1))


@pytest.fixture
def uneven():
    """A disk of radius 4 px along y and 8 px along x, round in q: pixels twice as high as they are wide."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[-16:16, -24:24]
    disk = 50.0 * (np.hypot(y, x / 2) < 4)
    return fourd.make(rng.poisson(disk + 1, (3, 4, 32, 48)).astype(np.uint16), q_step=(0.1, 0.05))


def test_disk_follows_the_units_of_unequal_axes() -> None:
    qy, qx = np.arange(-20, 20) * 0.1, np.arange(-40, 40) * 0.05
    mask = disk_mask(qy, qx, (0.3, -0.2), 1.0)
    rows, columns = np.nonzero(mask)
    # Half a pixel of either axis is the most that a mask of pixel centres can be off.
    assert qy[rows].mean() == pytest.approx(0.3, abs=0.05)
    assert qx[columns].mean() == pytest.approx(-0.2, abs=0.025)
    assert mask.sum() * 0.005 == pytest.approx(math.pi, rel=0.02)


@pytest.mark.parametrize("radius", [2.3, 5.0, 9.7])
@pytest.mark.parametrize("step_x", [1.0, 0.5])
def test_antialiased_disk_has_the_area_of_the_circle(radius: float, step_x: float) -> None:
    qy, qx = np.arange(-15.0, 16), np.arange(-15, 15, step_x)
    mask = disk_mask(qy, qx, (0.2, -0.3), radius, antialias=True)
    # The ramp takes the edge for straight: at a radius of 2 px, that is off by less than 2 %.
    assert mask.sum() * step_x == pytest.approx(math.pi * radius**2, rel=0.02)
    assert mask.min() == 0
    assert mask.max() == 1


@pytest.mark.parametrize("antialias", [False, True])
def test_disk_and_annulus_share_no_pixel_and_miss_none(antialias: bool) -> None:
    q = np.arange(-8.0, 8)
    together = disk_mask(q, q, (0, 0), 3.0, antialias=antialias).astype(float) + annulus_mask(
        q, q, (0, 0), 3.0, antialias=antialias
    )
    np.testing.assert_allclose(together, 1.0, atol=1e-15)


def test_point_is_the_nearest_pixel() -> None:
    qy, qx = np.arange(-4, 4) * 0.5, np.arange(-3, 3) * 0.2
    assert np.argwhere(point_mask(qy, qx, (0.7, -0.35))).tolist() == [[5, 1]]
    with pytest.raises(DataError, match="outside"):
        point_mask(qy, qx, (0.0, 5.0))


def test_rectangle_has_its_area() -> None:
    q = np.arange(-10.0, 10)
    assert rectangle_mask(q, q, (0, 0), (4, 6)).sum() == 24
    # Overlap with a rectangle is a product of lengths, so it is exact up to double rounding.
    assert rectangle_mask(q, q, (0.3, 0.1), (3.7, 5.2), antialias=True).sum() == pytest.approx(3.7 * 5.2, rel=1e-12)


def test_q_and_px_name_the_same_detector(data) -> None:
    in_q = virtual_image(data, "annulus", (0.1, -0.2), (0.55, 0.9))["virtual"]
    in_px = virtual_image(data, "annulus", (17, 10), (5.5, 9), units="px")["virtual"]
    assert (in_q == in_px).all()
    assert (in_q > 0).all()


def test_point_image_is_the_pixel_itself(data) -> None:
    image = virtual_image(data, "point", (3, 4), units="px", name="pixel")["pixel"]
    assert (image == data["intensity"][:, :, 3, 4]).all()


def test_radius_defaults_to_the_direct_beam(data) -> None:
    # 3.7 px are found for 4 px: both cover the pixels up to sqrt(13) px, and no others.
    assert (virtual_image(data)["virtual"] == virtual_image(data, radius=0.4)["virtual"]).all()


def test_disk_on_an_uneven_grid_is_round_in_q(uneven) -> None:
    y, x = np.mgrid[-16:16, -24:24]
    expected = uneven["intensity"].values[..., np.hypot(y, x / 2) < 4].sum(-1)
    # The last pixels inside 4 px of y lie at sqrt(15.25) = 3.905, the next ones at 4: rounding decides nothing.
    assert (virtual_image(uneven, radius=0.395)["virtual"] == expected).all()
    in_q = virtual_image(uneven, "rectangle", (0.1, -0.2), size=(0.5, 0.4))["virtual"]
    in_px = virtual_image(uneven, "rectangle", (17, 20), size=(5, 8), units="px")["virtual"]
    assert (in_q == in_px).all()
    # The radius of an ellipse in px is the geometric mean of its axes; it is found to half a pixel.
    assert beam_radius(uneven) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"mode": "disk", "center": (9.0, 9.0), "radius": 0.1}, "covers no pixel"),
        ({"mode": "star"}, "not known"),
        ({"mode": "disk", "radius": (1.0, 2.0)}, "one radius"),
        ({"mode": "rectangle"}, "size"),
        ({"mode": "mask"}, "needs a mask"),
        ({"mode": "disk", "radius": 1.0, "units": "mrad"}, "units"),
    ],
)
def test_detectors_that_make_no_sense_are_refused(data, kwargs, says) -> None:
    with pytest.raises(DataError, match=says):
        virtual_image(data, **kwargs)


def test_unknown_radius_of_a_flat_pattern_is_refused() -> None:
    flat = fourd.make(np.ones((2, 2, 16, 16), np.uint16))
    with pytest.raises(CalibrationError, match="radius"):
        Overview(OverviewParams()).apply(data=flat, ctx=CTX)


def test_transform_makes_the_same_image(data, tmp_path: Path) -> None:
    made = VirtualImage(VirtualImageParams(mode="annulus", inner=0.5, outer=0.9, name="adf")).apply(data=data, ctx=CTX)
    assert (made["adf"] == virtual_image(data, "annulus", radius=(0.5, 0.9))["virtual"]).all()
    weights = np.random.default_rng(0).random((32, 24))
    np.save(tmp_path / "mask.npy", weights)
    params = VirtualImageParams(mode="mask", path=tmp_path / "mask.npy")
    expected = (data["intensity"].values * weights).sum((2, 3))
    # Double-precision sums of 768 terms.
    np.testing.assert_allclose(VirtualImage(params).apply(data=data, ctx=CTX)["virtual"], expected, rtol=1e-12)
    with pytest.raises(ReadError, match="npy"):
        VirtualImage(VirtualImageParams(mode="mask", path=tmp_path / "none.npy")).apply(data=data, ctx=CTX)


def test_overview_holds_everything_and_splits_the_counts(data) -> None:
    found = Overview(OverviewParams(bf_radius=0.45, adf_inner=0.45)).apply(data=data, ctx=CTX)
    assert set(found.data_vars) == {"sum", "bf", "adf", "com_y", "com_x", "mean_pattern", "max_pattern"}
    assert (found["bf"] + found["adf"] == found["sum"]).all()
    assert found["adf"].attrs["detector_inner"] == 0.45


@pytest.mark.parametrize(
    "fields", [{"mode": "rectangle"}, {"mode": "mask"}, {"mode": "annulus", "inner": 2.0, "outer": 1.0}]
)
def test_incomplete_parameters_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VirtualImageParams.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"mode": "annulus", "radius": 2.0}, "'annulus' makes no use of `radius`; it takes center, inner, outer"),
        ({"mode": "disk", "inner": 1.0, "outer": 2.0}, "no use of `inner`, `outer`"),
        ({"mode": "point", "size": (1, 1), "antialias": True}, "no use of `size`, `antialias`"),
        ({"mode": "mask", "path": "mask.npy", "center": (0, 1)}, "no use of `center`"),
        ({"mode": "rectangle", "size": (1, 1), "path": "mask.npy"}, "no use of `path`"),
    ],
)
def test_parameters_that_the_mode_does_not_use_are_named(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        VirtualImageParams.model_validate(fields)
    VirtualImageParams.model_validate({**VirtualImageParams().model_dump(), "name": "all defaults spelt out"})


@pytest.mark.parametrize(
    ("params", "said", "name"),
    [
        ({"radius": 0.3}, {"radius": 0.3}, "disk of radius 0.3 1/angstrom"),
        ({"radius": 3, "units": "px", "center": (16, 12)}, {"radius": 3.0}, "disk of radius 3 px"),
        ({"mode": "annulus", "inner": 0.5, "outer": 1.2}, {"inner": 0.5, "outer": 1.2}, "from 0.5 to 1.2 1/angstrom"),
        ({"mode": "annulus", "inner": 0.5}, {"inner": 0.5}, "annulus from 0.5 1/angstrom"),
    ],
)
def test_an_image_says_which_detector_made_it(data, params, said, name) -> None:
    attrs = VirtualImage(VirtualImageParams(**params)).apply(data=data, ctx=CTX)["virtual"].attrs
    assert {
        key: attrs.get(f"detector_{key}") for key in ("radius", "inner", "outer") if f"detector_{key}" in attrs
    } == said
    assert attrs["long_name"].endswith(name)
    assert attrs["detector_units"] == ("pixel" if params.get("units") == "px" else "1/angstrom")


def test_a_detector_of_a_few_pixels_is_warned_of(data, caplog: pytest.LogCaptureFixture) -> None:
    VirtualImage(VirtualImageParams(radius=0.1)).apply(data=data, ctx=CTX)
    assert caplog.text.count("covers 5 pixels") == 0
    VirtualImage(VirtualImageParams(radius=0.05)).apply(data=data, ctx=CTX)
    assert "covers 1 pixel only: its size is in 1/angstrom" in caplog.text


@pytest.mark.parametrize("params", [{"radius": 4}, {"mode": "annulus", "inner": 0.5, "outer": 9}])
def test_a_radius_beyond_the_pattern_is_warned_of(data, caplog: pytest.LogCaptureFixture, params) -> None:
    """4 px written where 0.4 / angstrom is meant: every pixel would count."""
    VirtualImage(VirtualImageParams(**params)).apply(data=data, ctx=CTX)
    (said,) = caplog.messages
    assert "beyond every pixel: the pattern goes along y from -1.6 to 1.5 and x from -1.2 to 1.1 1/angstrom" in said
    assert said.endswith("a size in px needs `units: px`")


@pytest.mark.parametrize("params", [{"radius": 1.9}, {"radius": 4, "units": "px"}, {"mode": "annulus", "inner": 0.5}])
def test_a_radius_within_the_pattern_is_not(data, caplog: pytest.LogCaptureFixture, params) -> None:
    VirtualImage(VirtualImageParams(**params)).apply(data=data, ctx=CTX)
    assert not caplog.messages


def test_an_empty_detector_is_told_with_the_way_to_px(data) -> None:
    with pytest.raises(DataError, match=r"covers no pixel") as caught:
        virtual_image(data, "annulus", radius=(6, 9))
    assert caught.value.fix.endswith("x from -1.2 to 1.1 1/angstrom; a size in px needs `units: px`")
    with pytest.raises(DataError, match=r"'adf' covers no pixel") as caught:
        Overview(OverviewParams(bf_radius=4)).apply(data=data, ctx=CTX)
    assert caught.value.fix.endswith("a size in px needs `units: px`")


def test_an_overview_in_px_is_that_in_q(data) -> None:
    in_q = Overview(OverviewParams(bf_radius=0.45, adf_inner=0.55, adf_outer=0.95)).apply(data=data, ctx=CTX)
    sizes = {"bf_radius": 4.5, "adf_inner": 5.5, "adf_outer": 9.5}
    for center in (None, (16.0, 12.0)):
        in_px = Overview(OverviewParams(**sizes, units="px", center=center)).apply(data=data, ctx=CTX)
        for name in ("bf", "adf"):
            np.testing.assert_array_equal(in_px[name], in_q[name])
    assert in_px["adf"].attrs["detector_units"] == "pixel"
    assert in_px["adf"].attrs["long_name"] == "virtual dark field, annulus from 5.5 to 9.5 px"


def test_a_halo_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Light that falls off from the middle has no radius; half of its height is far from all of it."""
    rho = np.hypot(*np.mgrid[-48:48, -48:48])
    rng = np.random.default_rng(6)
    for beam in (500 * np.exp(-rho / 8), 200 / (1 + np.exp((rho - 10) / 0.5)), 300 * (rho < 3)):
        found = Overview(OverviewParams()).apply(data=fourd.make(rng.poisson(beam, (2, 3, 96, 96))), ctx=CTX)
        assert ("is a halo without an edge" in caplog.text) == (beam[48, 48] == 500)
        caplog.clear()
        assert found["bf"].sum() < found["sum"].sum()


def test_a_detector_in_px_lies_around_the_beam_by_default(data) -> None:
    assert (virtual_image(data, radius=3.9, units="px")["virtual"] == virtual_image(data, radius=0.39)["virtual"]).all()
