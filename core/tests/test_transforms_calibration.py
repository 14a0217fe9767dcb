"""Calibrations that are set: units change, pixels stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from ronchi.api import Context
from ronchi.builtin.calibration import Calibrate, CalibrateImages, Rotation
from ronchi.builtin.ellipse import Ellipse
from ronchi.builtin.params_images import CalibrateImagesParams
from ronchi.builtin.params_transforms import BinParams, CalibrateParams, CropParams, EllipseParams, RotationParams
from ronchi.builtin.transforms_geometry import Bin, Crop
from ronchi.errors import CalibrationError, ConfigError
from ronchi.manager import get_manager
from ronchi.schema import fourd, images
from ronchi.schema.common import variable

CTX = Context(rng=np.random.default_rng(0))


def ring(centre_px: tuple[float, float] = (60.5, 66.0)) -> xr.Dataset:
    """Uncalibrated pattern with a ring of 40 px."""
    y, x = np.indices((128, 128))
    r = np.hypot(y - centre_px[0], x - centre_px[1])
    pattern = 500 * np.exp(-((r - 40) ** 2) / (2 * 1.5**2)) + 50 * np.exp(-r / 20)
    return fourd.make(np.random.default_rng(0).poisson(pattern, (2, 2, 128, 128)).astype("u2"), centre_px=centre_px)


def calibrate(data: xr.Dataset, **params: Any) -> xr.Dataset:
    return Calibrate(CalibrateParams.model_validate(params)).apply(data=data, ctx=CTX)


def test_steps_and_beam_are_set_and_the_centre_pixel_stays() -> None:
    data = ring()
    result = calibrate(data, q_step_inv_angstrom=(0.01, 0.02), scan_step_angstrom=(3, 4), beam_energy_eV=2e5, dose=7)
    assert fourd.q_units(result) == "1/angstrom"
    assert fourd.scan_units(result) == "angstrom"
    assert fourd.q_step(result) == pytest.approx((0.01, 0.02))
    assert fourd.centre_px(result) == pytest.approx((60.5, 66.0))
    assert result["scan_x"].values.tolist() == [0, 4]
    assert (result.attrs["beam_energy_eV"], result.attrs["dose"]) == (2e5, 7)
    assert fourd.q_units(data) == "pixel"
    assert "beam_energy_eV" not in data.attrs


def test_what_is_not_named_stays() -> None:
    data = calibrate(ring(), q_step_inv_angstrom=(0.01, 0.01), semiangle_mrad=2)
    assert calibrate(data, camera_length_m=0.5).drop_attrs(deep=False).identical(data.drop_attrs(deep=False))
    assert calibrate(data, camera_length_m=0.5).attrs["semiangle_mrad"] == 2


def scattered(units: str = "pixel") -> xr.Dataset:
    """Uncalibrated scan whose positions lie beside its grid."""
    data = fourd.make(np.ones((6, 9, 8, 10), "u2"))
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 6, 9))
    return data.assign_coords(
        {
            name: variable(("scan_y", "scan_x"), np.indices((6, 9))[axis] + jitter[axis], units, name)
            for axis, name in enumerate(fourd.POSITIONS)
        }
    )


STEPS = {"scan_step_angstrom": (3.0, 5.0), "q_step_inv_angstrom": (0.01, 0.02)}


def crop(data: xr.Dataset, **params: Any) -> xr.Dataset:
    return Crop(CropParams.model_validate(params)).apply(data=data, ctx=CTX)


@pytest.mark.parametrize(
    "kept",
    [{"scan_x": (3, 8)}, {"scan_y": (2, 5), "qy": (1, None)}, {"qx": (6, 9)}, {"scan_y": (4, 5), "scan_x": (7, 8)}],
)
def test_crop_and_calibrate_may_change_places(kept: dict[str, Any]) -> None:
    data = scattered()
    after, before = calibrate(crop(data, **kept), **STEPS), crop(calibrate(data, **STEPS), **kept)
    xr.testing.assert_allclose(after, before, rtol=1e-12)
    for name in (*fourd.DIMS, *fourd.POSITIONS):
        assert after[name].attrs == before[name].attrs
    assert after["position_x"].attrs["units"] == "angstrom"
    assert float(after["position_x"][0, 0]) == pytest.approx(5 * float(crop(data, **kept)["position_x"][0, 0]))


def test_a_cropped_scan_keeps_its_place() -> None:
    data = crop(fourd.make(np.zeros((1, 300, 2, 2), "u1")), scan_x=(100, 200))
    assert calibrate(data, scan_step_angstrom=(5, 5))["scan_x"].values[[0, -1]].tolist() == [500, 995]


def test_a_binned_scan_keeps_its_place() -> None:
    """Bins of 2 x 3 positions and 2 x 2 pixels: steps as many times larger say the same."""
    bins = Bin(BinParams(scan=(2, 3), detector=(2, 2)))
    after = calibrate(
        bins.apply(data=scattered(), ctx=CTX), scan_step_angstrom=(6, 15), q_step_inv_angstrom=(0.02, 0.04)
    )
    xr.testing.assert_allclose(after, bins.apply(data=calibrate(scattered(), **STEPS), ctx=CTX), rtol=1e-12)


def test_a_second_calibration_replaces_the_first() -> None:
    once = calibrate(scattered(), scan_step_angstrom=(6, 7.5), q_step_inv_angstrom=(0.02, 0.03))
    twice = calibrate(calibrate(scattered(), **STEPS), scan_step_angstrom=(6, 7.5), q_step_inv_angstrom=(0.02, 0.03))
    xr.testing.assert_allclose(twice, once, rtol=1e-12)
    # A lone row in angstrom has lost its step, and follows the columns.
    row = crop(calibrate(scattered(), scan_step_angstrom=(3, 5)), scan_y=(4, 5))
    assert calibrate(row, scan_step_angstrom=(6, 10))["scan_y"].values.tolist() == [24]


def test_positions_that_were_measured_in_angstrom_stay() -> None:
    data = scattered("angstrom")
    for name in fourd.POSITIONS:
        assert calibrate(data, **STEPS)[name].variable.identical(data[name].variable)


def test_positions_in_pixels_on_a_scan_in_angstrom_are_its_steps() -> None:
    data = scattered()
    sized = calibrate(data.drop_vars(fourd.POSITIONS), scan_step_angstrom=(2, 2)).assign_coords(
        {name: data[name].variable for name in fourd.POSITIONS}
    )
    result = calibrate(sized, **STEPS)
    assert result["position_y"].attrs["units"] == "angstrom"
    xr.testing.assert_allclose(result, calibrate(data, **STEPS), rtol=1e-12)


def test_a_known_ring_sets_the_scale() -> None:
    """Gold 111, d = 2.355 angstrom, at 40 px: 0.010616 1/angstrom a pixel; the background shifts the ring by 0.1 %."""
    result = calibrate(ring(), ring=(32, 48), ring_d_angstrom=2.355)
    assert fourd.q_step(result) == pytest.approx((1 / 2.355 / 40,) * 2, rel=2e-3)
    assert "2.355" in result.attrs["q_step_source"]
    again = calibrate(result, ring=(0.34, 0.51), ring_d_angstrom=2.355)
    assert fourd.q_step(again) == pytest.approx(fourd.q_step(result), rel=1e-3)


@pytest.mark.parametrize("step", [(0.0, 0.01), (-0.01, 0.01), (7.8e-20, 0.01), (20.0, 20.0)])
def test_implausible_steps_are_refused(step: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="must be 1e-05 to 1 1/angstrom"):
        calibrate(ring(), q_step_inv_angstrom=step)


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"beam_energy_eV": 200}, r"beam_energy_eV: must be 1000 to 5e\+06 eV; 200 looks like keV: write 200000"),
        ({"beam_energy_eV": 200000000}, "write 200000"),
        ({"semiangle_mrad": 0.0017}, "semiangle_mrad: must be 0.01 to 200 mrad; 0.0017 looks like rad: write 1.7"),
        ({"semiangle_mrad": 1700}, "write 1.7"),
        ({"camera_length_m": 200}, "write 0.2"),
        (
            {"scan_step_angstrom": [5e-10, 6e-10]},
            r"scan_step_angstrom: .*; \[5e-10, 6e-10\] looks like m: write \[5, 6\]",
        ),
        ({"q_step_inv_angstrom": [2, 2]}, r"looks like 1/nm: write \[0.2, 0.2\]"),
    ],
)
def test_units_mistaken_are_refused_at_their_place(wrong: dict[str, Any], advice: str) -> None:
    """In all that takes calibrations from people: the transform, and readers of files that have none."""
    with pytest.raises(ConfigError, match=advice) as caught:
        get_manager().check_params("transform", "calibrate", wrong)
    assert str(caught.value).count("must be") == 1, "a pair is told of once"
    if "camera_length_m" not in wrong:
        with pytest.raises(ConfigError, match=advice):
            get_manager().check_params("reader", "npy", {"path": "scan.npy", **wrong})


def test_a_spacing_in_metres_is_refused() -> None:
    with pytest.raises(CalibrationError, match="ring_d_angstrom: the q step that follows is not plausible"):
        calibrate(ring(), ring=(32, 48), ring_d_angstrom=2.355e-10)


def test_contradictions_are_refused_before_the_run() -> None:
    for params in (
        {"ring": (1, 2)},
        {"ring": (1, 2), "ring_d_angstrom": 2, "q_step_inv_angstrom": (1, 1)},
        {"beam_energy_eV": -1},
    ):
        with pytest.raises(ValidationError):
            CalibrateParams.model_validate(params)
    with pytest.raises(ValidationError, match=r"must be 0\.001 to"):
        CalibrateParams.model_validate({"scan_step_angstrom": (0, 1)})


@pytest.mark.parametrize(("given", "stored"), [(30, 30), (-30, -30), (270, -90), (180, 180), (-180, 180), (0, 0)])
def test_rotation_is_stored_in_one_turn_with_its_source(given: float, stored: float) -> None:
    data = ring()
    params = RotationParams.model_validate({"scan_rotation_deg": given, "source": "shadow image"})
    result = Rotation(params).apply(data=data, ctx=CTX)
    assert result.attrs["scan_rotation_deg"] == pytest.approx(stored)
    assert result.attrs["scan_rotation_source"] == "shadow image"
    assert "scan_rotation_deg" not in data.attrs


@pytest.mark.parametrize("given", [{}, {"source": "shadow image"}, {"scan_rotation_deg": float("nan")}])
def test_no_rotation_is_set_without_a_number(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="scan_rotation_deg"):
        RotationParams.model_validate(given)


@pytest.mark.parametrize("steps", [(0.01, 0.01), (0.01, 0.0103)])
def test_a_distortion_follows_q_that_is_stretched(steps: tuple[float, float]) -> None:
    """Rings stay round: the matrix before and after is what the calibrated data would have given."""
    y, x = np.mgrid[-64:64, -64:64]
    seen = np.hypot(y * 1.04, x - 0.02 * y)
    data = fourd.make((1e4 * np.exp(-((seen - 40) ** 2) / 8) + 10).astype("f4")[None, None])
    first = Ellipse(EllipseParams(ring=(32, 48))).apply(data=data, ctx=CTX)
    followed = calibrate(first, q_step_inv_angstrom=steps).attrs["q_distortion"]
    afresh = Ellipse(EllipseParams(ring=(0.32, 0.48))).apply(data=calibrate(data, q_step_inv_angstrom=steps), ctx=CTX)
    np.testing.assert_allclose(followed, afresh.attrs["q_distortion"], atol=3e-4)


@pytest.mark.parametrize("bare", [False, True])
def test_images_get_a_size_and_a_part_of_them_keeps_its_place(bare: bool) -> None:
    movie = images.make(np.random.default_rng(0).random((2, 12, 9)).astype("f4"))
    given = movie.drop_vars(["y", "x"]) if bare else movie.isel(x=slice(3, None))

    def sized(data: xr.Dataset, step: tuple[float, float]) -> xr.Dataset:
        return CalibrateImages(CalibrateImagesParams(step_angstrom=step)).apply(data=data, ctx=CTX)

    # The second time it is calibrated anew, not on top of the first.
    for made in (sized(given, (0.2, 0.5)), sized(sized(given, (7.0, 9.0)), (0.2, 0.5))):
        np.testing.assert_allclose(made["y"], 0.2 * np.arange(12), atol=1e-12)
        np.testing.assert_allclose(made["x"], 0.5 * np.arange(0 if bare else 3, 9), atol=1e-12)
        assert made["y"].attrs["units"] == made["x"].attrs["units"] == "angstrom"
        np.testing.assert_array_equal(made["intensity"].values, given["intensity"].values)
