"""Calibrations that are set: units change, pixels stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from ronchi.api import Context
from ronchi.builtin.calibration import Calibrate, Rotation
from ronchi.builtin.params_transforms import CalibrateParams, RotationParams
from ronchi.errors import CalibrationError
from ronchi.schema import fourd

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


def test_a_known_ring_sets_the_scale() -> None:
    """Gold 111, d = 2.355 angstrom, at 40 px: 0.010616 1/angstrom a pixel; the background shifts the ring by 0.1 %."""
    result = calibrate(ring(), ring=(32, 48), ring_d_angstrom=2.355)
    assert fourd.q_step(result) == pytest.approx((1 / 2.355 / 40,) * 2, rel=2e-3)
    assert "2.355" in result.attrs["q_step_source"]
    again = calibrate(result, ring=(0.34, 0.51), ring_d_angstrom=2.355)
    assert fourd.q_step(again) == pytest.approx(fourd.q_step(result), rel=1e-3)


@pytest.mark.parametrize("step", [(0.0, 0.01), (-0.01, 0.01), (7.8e-20, 0.01), (20.0, 20.0)])
def test_implausible_steps_are_refused(step: tuple[float, float]) -> None:
    with pytest.raises(CalibrationError, match="not plausible"):
        calibrate(ring(), q_step_inv_angstrom=step)


def test_contradictions_are_refused_before_the_run() -> None:
    for params in (
        {"ring": (1, 2)},
        {"ring": (1, 2), "ring_d_angstrom": 2, "q_step_inv_angstrom": (1, 1)},
        {"beam_energy_eV": -1},
    ):
        with pytest.raises(ValidationError):
            CalibrateParams.model_validate(params)
    with pytest.raises(CalibrationError, match="not positive"):
        calibrate(ring(), scan_step_angstrom=(0, 1))


@pytest.mark.parametrize(("given", "stored"), [(30, 30), (-30, -30), (270, -90), (180, 180), (-180, 180), (0, 0)])
def test_rotation_is_stored_in_one_turn_with_its_source(given: float, stored: float) -> None:
    data = ring()
    params = RotationParams.model_validate({"scan_rotation_deg": given, "source": "shadow image"})
    result = Rotation(params).apply(data=data, ctx=CTX)
    assert result.attrs["scan_rotation_deg"] == pytest.approx(stored)
    assert result.attrs["scan_rotation_source"] == "shadow image"
    assert "scan_rotation_deg" not in data.attrs
