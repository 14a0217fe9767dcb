"""Schemas accept what follows them, and name what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi import schema
from ronchi.api import PeakBatch
from ronchi.errors import SchemaError
from ronchi.schema import atoms, descriptors, fourd, images, maps, peaks, scores, strain


def cube(**options):
    return fourd.make(np.zeros((2, 3, 8, 7), np.uint16), **options)


def test_fourd_centre_of_an_even_axis_is_half_its_length():
    ds = cube(q_step=(0.02, 0.03))
    assert float(ds.qy[4]) == 0
    assert float(ds.qx[3]) == 0
    np.testing.assert_allclose(fourd.q_step(ds), (0.02, 0.03), rtol=1e-12)
    np.testing.assert_allclose(fourd.centre_px(ds), (4, 3), atol=1e-12)
    assert fourd.q_units(ds) == "1/angstrom"
    assert fourd.scan_units(ds) == "pixel"


def test_a_lone_row_of_a_detector_has_the_step_of_the_other_axis():
    ds = cube(q_step=(0.02, 0.03))
    np.testing.assert_allclose(fourd.q_step(ds.isel(qy=[2])), (0.03, 0.03), rtol=1e-12)
    np.testing.assert_allclose(fourd.q_step(ds.isel(qx=[2])), (0.02, 0.02), rtol=1e-12)
    assert fourd.q_step(ds.isel(qy=[2], qx=[1])) == (1, 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda ds: ds.drop_vars("intensity"), "'intensity' of fourd/1 is missing"),
        (lambda ds: ds.drop_vars("qx"), "coordinate 'qx' is missing"),
        (lambda ds: ds.transpose("qy", ...), "has dims"),
        (lambda ds: ds.assign_attrs(ronchi_schema="peaks/1"), "expected the schema 'fourd/1'"),
        (lambda ds: ds.assign_attrs(ronchi_schema=""), "is missing"),
        (lambda ds: ds.isel(scan_y=slice(0)), "'scan_y' is empty"),
        (lambda ds: ds.assign(intensity=ds.intensity.astype(object)), "dtype object"),
        (lambda ds: ds.assign(intensity=ds.intensity.astype(complex)), "dtype complex"),
        (lambda ds: ds.assign(note=("scan_y", np.zeros(2))), "'note' has no attribute 'units'"),
        (lambda ds: ds.assign_coords(qx=("qx", np.arange(7.0), {"units": "1/nm", "long_name": "q"})), "units '1/nm'"),
        (lambda ds: ds.assign_coords(qx=("qx", np.arange(7.0) ** 2, ds.qx.attrs)), "not finite, increasing and even"),
    ],
)
def test_fourd_names_the_fault(spoil, message):
    with pytest.raises(SchemaError, match=message):
        fourd.validate(spoil(cube()))


@pytest.mark.parametrize("name", ["beam_energy_eV", "semiangle_mrad", "camera_length_m", "scan_rotation_deg", "dose"])
@pytest.mark.parametrize("value", ["200 keV", np.array([2e5, 3e5]), np.nan, -np.inf, True, [1.0]])
def test_fourd_wants_plain_finite_numbers(name, value):
    with pytest.raises(SchemaError, match=f"attribute '{name}' is .*, expected a finite number") as caught:
        fourd.validate(cube().assign_attrs({name: value}))
    assert repr(value) in str(caught.value)
    for good in (1, 2.5, np.float32(3), np.int64(4)):
        fourd.validate(cube().assign_attrs({name: good}))


def test_fourd_refuses_three_dimensions():
    with pytest.raises(SchemaError, match="expected 4 dimensions"):
        fourd.make(np.zeros((2, 8, 8)))


def batch(counts):
    n = int(np.sum(counts))
    zeros = np.zeros(n, np.float32)
    return PeakBatch(
        counts=np.array(counts, np.int32), qy_px=np.arange(n, dtype=float), qx_px=np.full(n, 3.0), intensity=zeros,
        score=zeros, var_yy=zeros + 4, var_yx=zeros, var_xx=zeros + 1, flags=zeros.astype(np.uint16),
    )  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_peaks_are_ragged_and_give_pixels_back(counts):
    data = cube(q_step=(0.5, 0.25))
    ds = peaks.from_batch(batch(counts), data)
    y, x = peaks.pixels(ds)
    np.testing.assert_allclose(y, np.arange(sum(counts)), atol=1e-12)
    np.testing.assert_allclose(x, 3.0, atol=1e-12)
    assert float(ds.var_yy.sum()) == pytest.approx(sum(counts) * 4 * 0.25)
    for position, count in enumerate(counts):
        here = peaks.at(ds, position // 3, position % 3)
        assert here.sizes["peak"] == count
        first = sum(counts[:position])
        np.testing.assert_allclose(peaks.pixels(here)[0], np.arange(first, first + count), atol=1e-12)


def test_the_light_of_disks_is_kept_where_a_detector_tells_it():
    silent = batch([1, 2, 0, 0, 1, 1])
    assert "disk_counts" not in peaks.from_batch(silent, cube())
    told = replace(silent, disk_counts=np.array([5, np.nan, 7, 8, 9], np.float32))
    ds = peaks.from_batch(told, cube())
    np.testing.assert_array_equal(ds["disk_counts"], told.disk_counts)
    assert ds["disk_counts"].attrs["units"] == "counts"
    assert float(peaks.at(ds, 1, 2)["disk_counts"][0]) == 9


def test_peaks_are_left_out_by_who_knows_of_no_light():
    """As before there was a column of it; but what is told has to be told of the peaks that are left, too."""
    found = batch([1, 2, 0, 0, 1, 1])
    columns = ("qy_px", "qx_px", "intensity", "score", "var_yy", "var_yx", "var_xx", "flags")
    fewer = {name: getattr(found, name)[:3] for name in columns}
    assert np.isnan(replace(found, **fewer).disk_counts).tolist() == [True] * 3
    told = replace(found, disk_counts=np.ones(5, np.float32))
    assert replace(told, **fewer).disk_counts.shape == (5,)


def test_peaks_counts_must_add_up():
    ds = peaks.from_batch(batch([1, 2, 0, 0, 1, 1]), cube())
    with pytest.raises(SchemaError, match="adds up to 5, but there are 4"):
        peaks.validate(ds.isel(peak=slice(4)))
    with pytest.raises(SchemaError, match="outside scan_shape"):
        peaks.validate(ds.assign_attrs(scan_shape=np.array([1, 3])))


def test_peaks_at_an_unknown_position():
    ds = peaks.from_batch(batch([1, 1]), cube(), positions=np.array([0, 4]))
    assert peaks.at(ds, 1, 1).sizes["peak"] == 1
    with pytest.raises(IndexError, match=r"\(0, 1\)"):
        peaks.at(ds, 0, 1)


def strain_map(values, valid):
    components = dict.fromkeys(strain.COMPONENTS, values)
    return strain.make(
        components, components, residual=values, n_used=np.ones(values.shape, int), valid=valid, residual_units="pixel",
        frame="detector", reference="mean", coords={},
    )  # fmt: skip


def test_unfit_strain_is_nan_and_never_a_number():
    strain_map(np.array([[0.0, np.nan]]), np.array([[1, 0]]))
    with pytest.raises(SchemaError, match="has numbers where 'valid' is 0"):
        strain_map(np.zeros((1, 2)), np.array([[1, 0]]))


def test_strain_says_frame_and_convention():
    ds = strain_map(np.zeros((1, 2)), np.ones((1, 2)))
    assert "expansion > 0" in ds.attrs["sign_convention"]
    with pytest.raises(SchemaError, match="'reference' is missing"):
        strain.validate(xr.Dataset(ds.data_vars, attrs={k: v for k, v in ds.attrs.items() if k != "reference"}))
    with pytest.raises(SchemaError, match="frame is 'sideways'"):
        strain.validate(ds.assign_attrs(frame="sideways"))


def test_descriptors_angle_needs_its_symmetry():
    ds = descriptors.make(np.zeros((2, 3, 2)), dims=("scan_y", "scan_x"), angle=np.zeros((2, 3)), n_fold=6)
    assert ds.angle.attrs["n_fold"] == 6
    del ds.angle.attrs["n_fold"]
    with pytest.raises(SchemaError, match="n_fold"):
        descriptors.validate(ds)


def test_small_schemas_round_trip_through_the_registry():
    made = [
        images.make(np.zeros((4, 5))),
        atoms.make(frame=[0], y=[1.0], x=[2.0]),
        maps.make({"bf": xr.Variable(("scan_y", "scan_x"), np.zeros((2, 2)), {"units": "1", "long_name": "BF"})}, {}),
        scores.make({"rms": 0.5}),
    ]
    for ds in made:
        assert schema.validate(ds) is ds
    with pytest.raises(SchemaError, match="unknown schema 'cheese/1'"):
        schema.validate(scores.make({}).assign_attrs(ronchi_schema="cheese/1"))
    with pytest.raises(SchemaError, match="allowed: \\(scan_y, scan_x\\)"):
        maps.make({"bad": xr.Variable(("scan_y",), np.zeros(2), {"units": "1", "long_name": "x"})}, {})


def test_positions_off_the_grid_are_checked_and_follow_into_peaks_and_maps() -> None:
    place = np.arange(6.0).reshape(2, 3)
    text = {"units": "angstrom", "long_name": "position"}
    data = fourd.make(np.ones((2, 3, 8, 8), "u2")).assign_coords(
        position_y=(("scan_y", "scan_x"), place, text), position_x=(("scan_y", "scan_x"), -place, text)
    )
    assert fourd.validate(data) is data
    with pytest.raises(SchemaError, match="position_y"):
        fourd.validate(data.assign_coords(position_y=("scan_x", place[0], text)))
    none = np.zeros(0)
    batch = PeakBatch(
        counts=np.zeros(6, np.int32), qy_px=none, qx_px=none, flags=none.astype(np.uint16),
        **{name: none.astype("f4") for name in ("intensity", "score", "var_yy", "var_yx", "var_xx")},
    )  # fmt: skip
    np.testing.assert_array_equal(peaks.from_batch(batch, data)["position_x"], -place)
    from ronchi.verbs import virtual_image

    np.testing.assert_array_equal(virtual_image(data, "disk", radius=2.0)["position_y"], place)
