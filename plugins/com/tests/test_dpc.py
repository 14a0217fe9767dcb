"""The transform dpc: frames, units, refusals, real patterns."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import ronchi
from ronchi.api import CalibrationError, DataError
from ronchi.optics import interaction_constant
from ronchi.schema import descriptors, fourd
from ronchi_com.dpc import Dpc
from ronchi_com.params import DpcParams

MAPS = ("field_y", "field_x", "phase", "divergence", "curl", "charge_density")


@pytest.fixture
def dpc(ctx):
    def run(data, **params):
        return Dpc(DpcParams(**params)).apply(data=data, ctx=ctx)

    return run


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("rotation_deg", [0.0, 77.0, -150.0])
def test_everything_comes_back_from_a_turned_detector(atoms, com_data, dpc, rotation_deg: float, flipped: bool):
    step = (0.3, 0.4)
    field = atoms((40, 36), step)
    data = com_data(*field.measured(rotation_deg, flipped), step)
    result = dpc(data)
    descriptors.validate(result)
    assert result.attrs["rotation_deg"] == pytest.approx(rotation_deg, abs=0.01)
    assert result.attrs["rotation_sd_deg"] < 0.01
    assert (result.attrs["flipped"], result.attrs["sign_resolved"], result.attrs["calibrated"]) == (flipped, 1, 1)
    tolerance = 2e-3
    for name, truth in {
        "field_y": field.com_y,
        "field_x": field.com_x,
        "phase": field.phase - field.phase.mean(),
    }.items():
        np.testing.assert_allclose(result[name], truth, rtol=0, atol=tolerance * np.ptp(truth), err_msg=name)
    inner = np.s_[4:-4, 4:-4]
    np.testing.assert_allclose(
        result["divergence"].values[inner], field.divergence[inner], rtol=0, atol=0.02 * np.ptp(field.divergence)
    )
    assert np.abs(result["curl"].values[inner]).max() < 0.02 * np.ptp(field.divergence)
    assert result["z"].identical(data["z"])


def test_units_and_names(atoms, com_data, dpc):
    field = atoms()
    result = dpc(com_data(field.com_y, field.com_x, beam_energy_eV=80e3), rotation=0)
    units = {name: result[name].attrs["units"] for name in MAPS}
    assert units == {
        "field_y": "1/angstrom", "field_x": "1/angstrom", "phase": "rad", "divergence": "1/angstrom^2",
        "curl": "1/angstrom^2", "charge_density": "e/angstrom^2",
    }  # fmt: skip
    for name in MAPS:
        assert result[name].dims == ("scan_y", "scan_x")
        assert "relative" not in result[name].attrs["long_name"]


@pytest.mark.parametrize(
    ("scan_units", "q_units"), [("pixel", "1/angstrom"), ("angstrom", "pixel"), ("pixel", "pixel")]
)
def test_uncalibrated_is_called_relative(atoms, com_data, dpc, scan_units: str, q_units: str):
    field = atoms()
    data = com_data(field.com_y, field.com_x, scan_units=scan_units, q_units=q_units, beam_energy_eV=80e3)
    result = dpc(data)
    assert result.attrs["calibrated"] == 0
    assert result["phase"].attrs["units"] == "1"
    assert result["charge_density"].attrs["units"] != "e/angstrom^2"
    for name in MAPS:
        assert "relative" in result[name].attrs["long_name"]


def test_charge_of_a_nucleus(com_data, dpc):
    """A Gaussian charge of 6 e: its field by Gauss's law, its deflection by the interaction constant."""
    y, x = np.meshgrid(*[(np.arange(61) - 30) * 0.1] * 2, indexing="ij")
    r2, sigma, charge = y * y + x * x, 0.3, 6.0
    permittivity = 0.0055263494  # e / (V angstrom)
    inside = charge * -np.expm1(-r2 / (2 * sigma**2)) / (2 * np.pi * permittivity)
    slope = -inside / np.where(r2 > 0, r2, np.inf)  # of the projected potential, over r
    sigma_e = interaction_constant(80e3)
    data = com_data(
        sigma_e * slope * y / (2 * np.pi), sigma_e * slope * x / (2 * np.pi), (0.1, 0.1), beam_energy_eV=80e3
    )
    density = dpc(data)["charge_density"].values
    expected = charge * np.exp(-r2 / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    inner = np.s_[3:-3, 3:-3]
    np.testing.assert_allclose(density[inner], expected[inner], rtol=0, atol=0.005 * expected.max())
    assert density[inner].sum() * 0.01 == pytest.approx(charge, rel=0.005)


def test_an_elliptical_detector_changes_nothing_once_its_matrix_is_known(atoms, com_data, dpc):
    field = atoms()
    matrix = np.array([[1.06, 0.03], [0.03, 0.95]])
    seen = np.stack(field.measured(30), -1) @ np.linalg.inv(matrix).T
    data = com_data(seen[..., 0], seen[..., 1], q_distortion=matrix.ravel())
    result = dpc(data)
    assert result.attrs["q_distortion_applied"] == 1
    assert result.attrs["rotation_deg"] == pytest.approx(30, abs=0.01)
    for name, truth in {"field_y": field.com_y, "field_x": field.com_x}.items():
        np.testing.assert_allclose(result[name], truth, rtol=0, atol=2e-3 * np.ptp(truth), err_msg=name)
    np.testing.assert_allclose(result["z"], np.stack(field.measured(30), -1), rtol=0, atol=1e-14)
    np.testing.assert_array_equal(data["z"], seen)
    # A second time nothing is left to do.
    np.testing.assert_array_equal(dpc(result)["field_y"], result["field_y"])


def test_the_ellipse_step_reaches_the_field():
    """Patterns seen through an ellipse: com gives them as measured, with all that it derives, dpc undistorted."""
    rng = np.random.default_rng(2)
    data = fourd.make(rng.poisson(3, (6, 6, 12, 12)).astype("u2"), scan_step=(1.0, 1.0), q_step=(0.05, 0.05))
    plain, seen = (
        ronchi.com(each) for each in (data, ronchi.transform(data, "ellipse", method="given", ratio=1.1, angle_deg=20))
    )
    np.testing.assert_array_equal(plain["z"], seen["z"])
    assert "q_distortion_applied" not in seen.attrs
    matrix = np.reshape(seen.attrs["q_distortion"], (2, 2))
    result = ronchi.dpc(seen, rotation=0.0)
    expected = plain["z"].values @ matrix.T
    np.testing.assert_allclose(result["z"], expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(np.stack([result["com_y"], result["com_x"]], -1), expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(result["magnitude"], np.hypot(*np.moveaxis(expected, -1, 0)), rtol=0, atol=1e-15)
    with pytest.raises(CalibrationError, match="q_distortion"):
        ronchi.dpc(seen.assign_attrs(q_distortion=[1.0, 0.0, 0.0, -1.0]), rotation=0.0)


def test_noise_is_refused_or_kept_with_a_word(com_data, dpc):
    com = np.random.default_rng(3).normal(0, 0.01, (2, 20, 20))
    with pytest.raises(CalibrationError, match="rotation") as caught:
        dpc(com_data(*com))
    assert "on_unclear" in caught.value.fix
    kept = dpc(com_data(*com), on_unclear="keep")
    assert kept.attrs["rotation_resolved"] == 0
    assert kept.attrs["rotation_sd_deg"] > 10
    with pytest.raises(CalibrationError):
        dpc(com_data(*np.zeros((2, 20, 20))))
    assert dpc(com_data(*com), rotation=12.0).attrs["rotation_resolved"] == 1


def test_where_the_rotation_comes_from(atoms, com_data, dpc, caplog):
    field = atoms()
    com = field.measured(30)
    with caplog.at_level(logging.WARNING, "ronchi"):
        known = dpc(com_data(*com, scan_rotation_deg=30.0))
        assert (known.attrs["rotation_deg"], known.attrs["rotation_source"]) == (30, "scan_rotation_deg")
        assert np.isnan(known.attrs["rotation_sd_deg"])
        assert dpc(com_data(*com, scan_rotation_deg=30.0), rotation="known").attrs["rotation_deg"] == 30
        given = dpc(com_data(*com, scan_rotation_deg=10.0), rotation=390.0)
        assert (given.attrs["rotation_deg"], given.attrs["rotation_source"]) == (30, "given")
        fitted = dpc(com_data(*com, scan_rotation_deg=10.0), rotation="fit")
        assert fitted.attrs["rotation_deg"] == pytest.approx(30, abs=0.01)
        assert not caplog.records
        dpc(com_data(*com, scan_rotation_deg=-30.0))
        assert "scan_rotation_deg is -30.0" in caplog.text
        caplog.clear()
        dpc(com_data(*field.measured(30, True), scan_rotation_deg=30.0))
        assert "mirrored" in caplog.text
    with pytest.raises(CalibrationError, match="scan_rotation_deg"):
        dpc(com_data(*com), rotation="known")
    flipped = dpc(com_data(*field.measured(30, True)), rotation=30.0, flip=True)
    np.testing.assert_allclose(flipped["field_y"], field.com_y, atol=1e-15)


def test_an_unknown_sign_is_said(com_data, dpc, caplog):
    y, x = np.mgrid[:40, :40] * 0.45
    with caplog.at_level(logging.WARNING, "ronchi"):
        result = dpc(com_data(np.sin(y), np.sin(1.3 * x)))
    assert result.attrs["sign_resolved"] == 0
    assert "sign" in result["phase"].attrs["long_name"]
    assert "sign" in caplog.text


def test_what_the_sign_rests_on_is_said(atoms, com_data, dpc, caplog):
    com = atoms().measured(30)
    data = com_data(*com, scan_rotation_deg=30.0)
    with caplog.at_level(logging.WARNING, "ronchi"):
        assert dpc(data, rotation="fit").attrs["sign_source"] == "atoms"
        assert dpc(data, rotation=30.0).attrs["sign_source"] == "given"
        assert dpc(data).attrs["sign_source"] == "scan_rotation_deg"
        assert not caplog.records
    with caplog.at_level(logging.WARNING, "ronchi"):
        holes = dpc(com_data(-com[0], -com[1]), sign="unknown")
    assert (holes.attrs["sign_source"], holes.attrs["sign_resolved"]) == ("unknown", 0)
    assert holes.attrs["rotation_deg"] == pytest.approx(30, abs=0.01)
    assert "sign unknown" in holes["phase"].attrs["long_name"]
    assert "180" in caplog.text


def test_an_angle_off_by_half_a_turn_is_warned_of(atoms, com_data, dpc, caplog):
    data = com_data(*atoms().measured(30), scan_rotation_deg=-150.0)
    with caplog.at_level(logging.WARNING, "ronchi"):
        assert dpc(data).attrs["rotation_deg"] == -150
        assert "scan_rotation_deg is -150.0, but the data show 30.0" in caplog.text
        caplog.clear()
        dpc(data, sign="unknown")
        assert not caplog.records


def test_invalid_positions_stay_invalid(atoms, com_data, dpc):
    field = atoms()
    y, x = field.measured()
    y[5:9, 30], x[20, 20] = np.nan, np.nan
    hole = ~np.isfinite(y + x)
    result = dpc(com_data(y, x))
    for name in ("field_y", "field_x", "phase", "divergence"):
        np.testing.assert_array_equal(np.isnan(result[name]), hole)
    expected = np.where(hole, np.nan, field.phase)
    np.testing.assert_allclose(result["phase"], expected - np.nanmean(expected), rtol=0, atol=5e-3)


def test_too_small_scans(com_data, dpc):
    rng = np.random.default_rng(0)
    for shape in ((1, 30), (30, 1)):
        with pytest.raises(DataError, match="two rows and two columns"):
            dpc(com_data(*rng.normal(size=(2, *shape))), rotation=0.0)
    small = com_data(*rng.normal(size=(2, 7, 30)))
    with pytest.raises(CalibrationError, match="too small") as caught:
        dpc(small)
    assert "12 x 12" in caught.value.fix
    with pytest.raises(CalibrationError, match="do not show") as caught:
        dpc(com_data(*rng.normal(size=(2, 9, 9))))
    assert "12 x 12" in caught.value.fix
    assert np.isfinite(dpc(small, rotation=5.0)["phase"]).all()
    assert np.isfinite(dpc(com_data(*rng.normal(size=(2, 2, 2))), rotation=5.0)["phase"]).all()


def test_other_descriptors_are_refused(com_data, dpc):
    data = com_data(*np.zeros((2, 6, 6)))
    with pytest.raises(DataError, match="com_y"):
        dpc(data.assign_coords(component=["z0", "z1"]))
    with pytest.raises(DataError, match="no scan"):
        dpc(descriptors.make(np.zeros((6, 2)), dims=("sample",), component=("com_y", "com_x")))


def test_the_field_of_patterns_points_to_the_atom():
    """From patterns to the field: a disk that is drawn to the atom wherever the probe stands."""
    n, atom = 16, (7.0, 8.0)
    patterns = np.zeros((n, n, 24, 24), "u2")
    rows, columns = np.indices((24, 24)) - 12
    for i, j in np.ndindex(n, n):
        away = np.array([atom[0] - i, atom[1] - j])
        shift = 2.0 * away * np.exp(-(away @ away) / 8)
        patterns[i, j] = 1000 / (1 + np.exp(4 * (np.hypot(rows - shift[0], columns - shift[1]) - 6)))
    result = ronchi.dpc(ronchi.com(fourd.make(patterns, scan_step=(0.2, 0.2), q_step=(0.05, 0.05))))
    assert result.attrs["rotation_deg"] == pytest.approx(0, abs=0.5)
    assert result.attrs["flipped"] == 0
    phase = result["phase"].values
    assert np.unravel_index(phase.argmax(), phase.shape) == atom
    charge = result["charge_density"].values
    assert np.unravel_index(charge.argmax(), charge.shape) == atom


@pytest.mark.parametrize(("flip", "resolved"), [("auto", 0), (False, 1), (True, 1)])
def test_a_flip_that_nobody_told_of_is_not_resolved(atoms, com_data, dpc, flip, resolved: int):
    step = (0.2, 0.2)
    result = dpc(com_data(*atoms((40, 36), step).measured(0, False), step), rotation=0.0, flip=flip)
    assert result.attrs["flip_resolved"] == resolved


def test_graphene_by_multislice(shared_data):
    """The scan of this simulation is not turned against its patterns, and carbon attracts electrons."""
    path = shared_data / "sim" / "graphene4d.nc"
    data, truth = ronchi.read(path), ronchi.read(path, side="truth")
    result = ronchi.dpc(ronchi.com(data), rotation="fit")
    assert abs(result.attrs["rotation_deg"]) < 3 * result.attrs["rotation_sd_deg"] < 3
    assert (result.attrs["flipped"], result.attrs["flip_resolved"], result.attrs["sign_resolved"]) == (0, 1, 1)
    nearness = -truth["nn_distance"].values.ravel()
    assert np.corrcoef(result["phase"].values.ravel(), nearness)[0, 1] > 0.8  # bright where atoms are
