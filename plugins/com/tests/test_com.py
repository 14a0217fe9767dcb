"""Centres of mass: values, types, masks, descan, blocks, state."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import ronchi
from ronchi.api import Context, DataError
from ronchi.schema import descriptors, fourd
from ronchi_com.com import CentreOfMass
from ronchi_com.params import ComParams

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ">u2", ">f4", "?"]


def encode(x: xr.DataArray, **params) -> xr.Dataset:
    return CentreOfMass(ComParams(**params)).transform(x)


def by_definition(patterns: np.ndarray, qy: np.ndarray, qx: np.ndarray, inside=True) -> np.ndarray:
    weight = np.where(inside, patterns, 0).astype(float)
    mass = weight.sum((-2, -1))
    return np.stack([(weight * qy[:, None]).sum((-2, -1)) / mass, (weight * qx).sum((-2, -1)) / mass], -1)


def counts(shape=(3, 4, 20, 17), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(3, shape)


def scan(patterns: np.ndarray, **more) -> xr.Dataset:
    return fourd.make(patterns, scan_step=(0.5, 0.3), q_step=(0.02, 0.03), centre_px=(9.3, 8.6), **more)


@pytest.mark.parametrize("dtype", TYPES)
def test_it_is_the_mean_of_q_whatever_the_type(dtype: str):
    patterns = (counts() > 2 if dtype == "?" else counts()).astype(dtype)
    data = scan(patterns.astype("u1") if dtype == "?" else patterns)
    x = data["intensity"].copy(data=patterns)
    z = encode(x)["z"]
    expected = by_definition(patterns, data["qy"].values, data["qx"].values)
    np.testing.assert_allclose(z, expected, rtol=0, atol=1e-14)  # sums of integers are exact
    assert z.attrs["units"] == "1/angstrom"
    assert list(z["component"].values) == ["com_y", "com_x"]


def test_the_data_are_not_written_to_and_may_lie_anyhow_in_memory():
    patterns = counts().astype("u2")
    turned = np.asfortranarray(patterns)
    every_other = np.repeat(patterns, 2, axis=-1)[..., ::2]
    patterns.flags.writeable = False
    results = [encode(scan(each)["intensity"]) for each in (patterns, turned, every_other)]
    assert results[0].identical(results[1])
    assert results[0].identical(results[2])


def test_magnitude_and_direction():
    patterns = np.zeros((1, 2, 9, 9), "u2")
    patterns[0, 0, 4 + 3, 4] = 5  # downwards
    patterns[0, 1, 4 + 3, 4 - 4] = 5
    result = encode(fourd.make(patterns)["intensity"])
    descriptors.validate(result)
    np.testing.assert_allclose(result["magnitude"], [[3, 5]], atol=1e-15)
    np.testing.assert_allclose(result["angle"], [[np.pi / 2, np.arctan2(3, -4)]], atol=1e-15)
    assert result["angle"].attrs["n_fold"] == 1
    np.testing.assert_array_equal(result["com_y"], [[3, 3]])
    np.testing.assert_array_equal(result["com_x"], [[0, -4]])


def test_no_counts_give_nan_and_constant_frames_the_middle():
    patterns = np.zeros((1, 3, 6, 8), "f4")
    patterns[0, 1], patterns[0, 2] = 7, -1
    result = encode(fourd.make(patterns)["intensity"])
    for name in ("com_y", "com_x", "angle", "magnitude"):
        np.testing.assert_array_equal(np.isnan(result[name]), [[True, False, True]])
    # Pixels from -3 to 2 and from -4 to 3: the middle of an even axis lies half a pixel before q = 0.
    np.testing.assert_array_equal(result["z"][0, 1], [-0.5, -0.5])


@pytest.mark.parametrize("descan", ["none", "mean"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_in_a_pixel_that_counts_is_refused_with_its_place(ctx, descan: str, value: float):
    patterns = counts((3, 4, 20, 17)).astype("f4")
    patterns[1, 2, 5, 7] = value
    x = scan(patterns)["intensity"]
    learner = CentreOfMass(ComParams(descan=descan))
    with pytest.raises(DataError, match=r"scan_y = 0\.5, scan_x = 0\.6 .*pixel \(5, 7\)"):
        learner.fit(x, ctx) if descan != "none" else learner.transform(x)
    bad = np.zeros((20, 17), bool)
    bad[5, 7] = True
    valid = np.ones((3, 4), bool)
    valid[1, 2] = False
    for masked in (x.assign_coords(bad_pixel=(("qy", "qx"), bad)), x.assign_coords(valid=(x.dims[:2], valid))):
        learner.fit(masked, ctx)
        assert np.isfinite(learner.transform(masked)["z"].values[valid]).all()
    # Outside of the ring it does not count.
    assert np.isfinite(encode(x, outer_radius=0.05)["z"]).all()


def test_a_blank_frame_has_no_centre_outside_of_the_pixels():
    """Noise about 0 adds up to next to nothing: what it is divided by makes any number."""
    patterns = np.random.default_rng(0).normal(0, 2, (20, 20, 16, 16)).astype("f4")
    patterns[:, :10, 6:11, 6:11] += 50
    data = fourd.make(patterns, q_step=(0.1, 0.2))
    result = ronchi.com(data, outer_radius=1.05)
    assert np.isfinite(result["z"][:, :10]).all()
    for name in ("com_y", "com_x"):
        assert np.nanmax(np.abs(result[name])) < 1.1
        np.testing.assert_array_equal(np.isnan(result[name]), np.isnan(result["magnitude"]))
    mass = np.where(np.hypot(data["qy"], data["qx"]) <= 1.05, patterns, 0).sum((-2, -1), dtype=float)
    assert np.isnan(result["com_y"].values[mass > 0]).any()  # not only where the sum is negative


@settings(max_examples=40, deadline=None)
@given(
    st.integers(-6, 6), st.integers(-6, 6), st.floats(0.01, 3), st.floats(0.01, 3), st.integers(0, 2**31),
    st.sampled_from(["u1", "i4", "f4"]),
)  # fmt: skip
def test_a_shifted_pattern_has_a_shifted_centre(dy: int, dx: int, step_y: float, step_x: float, seed: int, dtype: str):
    patterns = np.zeros((2, 1, 24, 20), dtype)
    patterns[0, 0, 7:16, 7:13] = counts((9, 6), seed) + np.eye(9, 6)
    patterns[1, 0] = np.roll(patterns[0, 0], (dy, dx), (0, 1))
    z = encode(fourd.make(patterns, q_step=(step_y, step_x))["intensity"])["z"].values[:, 0]
    np.testing.assert_allclose(z[1] - z[0], [dy * step_y, dx * step_x], rtol=0, atol=1e-12)


def test_annulus_in_units_of_q():
    data = scan(counts())
    qy, qx = data["qy"].values, data["qx"].values
    q = np.hypot(qy[:, None], qx)
    inside = (q >= 0.06) & (q <= 0.15)
    assert 0 < inside.sum() < inside.size
    result = encode(data["intensity"], inner_radius=0.06, outer_radius=0.15)
    expected = by_definition(counts(), qy, qx, inside)
    np.testing.assert_allclose(result["z"], expected, rtol=0, atol=1e-14)
    with pytest.raises(DataError, match=r"radii(?s:.*)the pattern reaches to 0\.3228"):
        encode(data["intensity"], inner_radius=5.0)


@pytest.mark.parametrize(("radius", "warned"), [(20.0, True), (0.25, False), (None, False)])
def test_an_outer_radius_that_leaves_out_nothing_is_told(caplog: pytest.LogCaptureFixture, radius, warned: bool):
    """20 px, written where 0.49 / angstrom is meant, would be all pixels; the corner is at 0.323 / angstrom."""
    ronchi.com(scan(counts()), outer_radius=radius)
    said = "outer_radius 20 leaves out no pixel: the pattern reaches to 0.3228 1/angstrom; 20 px are 0.4899 1/angstrom"
    assert caplog.messages == [said] * warned


def test_bad_pixels_and_missing_patterns_that_travel_as_coordinates():
    patterns = counts()
    patterns[..., 3, 5] = 10_000
    bad = np.zeros(patterns.shape[2:], bool)
    bad[3, 5] = True
    valid = np.ones(patterns.shape[:2], bool)
    valid[1, 2] = False
    data = scan(patterns)
    x = data["intensity"].assign_coords(bad_pixel=(("qy", "qx"), bad), valid=(("scan_y", "scan_x"), valid))
    z = encode(x)["z"].values
    expected = by_definition(patterns, data["qy"].values, data["qx"].values, ~bad)
    np.testing.assert_allclose(z[valid], expected[valid], rtol=0, atol=1e-14)
    assert np.isnan(z[~valid]).all()


def test_pipeline_blocks_and_laziness_change_nothing():
    patterns = counts((6, 5, 20, 17)).astype("u2")
    eager = ronchi.com(scan(patterns), descan="plane")
    lazy = ronchi.com(scan(da.from_array(patterns, chunks=(2, 2, 20, 17))), descan="plane")
    np.testing.assert_array_equal(eager["z"], lazy["z"])
    learner = CentreOfMass(ComParams(descan="plane"))
    x = scan(patterns)["intensity"]
    learner.fit(x, Context(rng=np.random.default_rng(0)))
    parts = [learner.transform(x.isel(scan_y=slice(i, i + 1))) for i in range(6)]
    np.testing.assert_array_equal(xr.concat(parts, "scan_y", data_vars="minimal")["z"], learner.transform(x)["z"])


def test_fitting_reads_the_data_once():
    patterns = counts((4, 4, 20, 17)).astype("u2")
    reads = np.zeros((4, 4), int)

    def read(block, block_info=None):
        if block_info:
            (y, _), (x, _) = block_info[0]["array-location"][:2]
            reads[y, x] += 1
        return block

    lazy = da.from_array(patterns, chunks=(1, 1, 20, 17)).map_blocks(read, dtype="u2", meta=np.empty(0, "u2"))
    x = scan(lazy)["intensity"]
    CentreOfMass(ComParams()).fit(x, Context(rng=np.random.default_rng(0)))
    assert reads.sum() == 0  # without descan there is nothing to learn
    CentreOfMass(ComParams(descan="mean")).fit(x, Context(rng=np.random.default_rng(0)))
    np.testing.assert_array_equal(reads, 1)


def test_state_comes_back_bit_for_bit(tmp_path):
    x = scan(counts((6, 5, 20, 17)))["intensity"]
    learner = CentreOfMass(ComParams(descan="parabola"))
    learner.fit(x, Context(rng=np.random.default_rng(0)))
    learner.save(tmp_path)
    again = CentreOfMass(ComParams(descan="parabola"))
    again.load(tmp_path)
    assert again.transform(x).identical(learner.transform(x))
    with pytest.raises(DataError, match="parabola"):
        CentreOfMass(ComParams()).load(tmp_path)
    CentreOfMass(ComParams()).save(tmp_path)
    CentreOfMass(ComParams()).load(tmp_path)
    with pytest.raises(DataError, match="parabola"):
        CentreOfMass(ComParams(descan="parabola")).load(tmp_path)


@pytest.mark.parametrize(("descan", "warned"), [("plane", True), ("mean", False)])
def test_a_surface_that_follows_one_domain_alone_is_warned_of(ctx, caplog, descan: str, warned: bool):
    patterns = counts((10, 20, 12, 12)) * 0 + 1
    patterns[..., 6, 6] = np.random.default_rng(1).integers(50, 60, (10, 20))
    patterns[:, :12, 6, 9], patterns[:, 12:, 6, 3] = 100, 100
    with caplog.at_level("WARNING", "ronchi"):
        CentreOfMass(ComParams(descan=descan)).fit(scan(patterns)["intensity"], ctx)
    assert ("descan: mean" in caplog.text) == warned


def test_what_cannot_be_done_is_said(ctx):
    x = scan(counts())["intensity"]
    with pytest.raises(DataError, match="not estimated"):
        encode(x, descan="mean")
    with pytest.raises(DataError, match="scan"):
        CentreOfMass(ComParams(descan="mean")).fit(x.rename(scan_y="frame"), ctx)
    with pytest.raises(DataError, match="samples"):
        encode(x[0, 0])
    with pytest.raises(DataError, match="no pattern has counts"):
        CentreOfMass(ComParams(descan="mean")).fit(x * 0, ctx)


def test_other_sample_dims_and_no_coordinates():
    patterns = counts((5, 6, 8))
    result = encode(xr.DataArray(patterns, dims=("sample", "y", "x")))
    assert result["z"].dims == ("sample", "component")
    assert result["z"].attrs["units"] == "pixel"
    np.testing.assert_allclose(result["z"], by_definition(patterns, np.arange(6) - 3, np.arange(8) - 4), atol=1e-14)


def test_one_row_and_one_position():
    for shape in ((1, 5, 6, 6), (5, 1, 6, 6), (1, 1, 6, 6)):
        result = ronchi.com(scan(counts(shape)), descan="plane")
        assert result["z"].shape == (*shape[:2], 2)
        assert np.isfinite(result["z"]).all()


def test_filled_pixels_count():
    patterns = counts()
    bad = np.zeros(patterns.shape[2:], "i1")
    bad[3, 5] = 1
    data = scan(patterns, bad_pixel=bad)
    filled = ronchi.transform(data, "bad-pixels", find=False, fill=True)
    expected = by_definition(filled["intensity"].values, data["qy"].values, data["qx"].values)
    np.testing.assert_allclose(ronchi.com(filled)["z"], expected, rtol=0, atol=1e-14)
    assert np.abs(ronchi.com(data)["z"].values - expected).max() > 1e-4


@pytest.mark.parametrize("descan", ["none", "plane"])
def test_the_centre_is_from_the_origin_of_each_pattern(descan: str):
    """A drift that `centre` has found is taken out, whether patterns were moved by whole pixels or not."""
    y, x = np.mgrid[:32, :32]
    drift = 16 + 0.1 * np.arange(12)[:, None] + 0.13 * np.arange(14)
    rho = np.hypot(y - drift[..., None, None], x - drift[..., None, None])
    data = scan(np.rint(1000 / (1 + np.exp((rho - 6) / 0.5))).astype("u2"))
    for how in ("coordinates", "shift"):
        centred = ronchi.transform(data, "centre", radius_px=6, apply=how)
        found = ronchi.com(centred, descan=descan)
        assert np.abs(found["z"].values / [0.02, 0.03]).max() < 0.02, "stairs of 0.3 px rms before"
        assert "origin_y" not in found.variables


def test_patterns_cut_by_hand_after_their_origins_were_counted_are_told_of(caplog):
    y, x = np.mgrid[:32, :32]
    drift = 16 + 0.1 * np.arange(12)[:, None] + 0.13 * np.arange(14)
    rho = np.hypot(y - drift[..., None, None], x - drift[..., None, None])
    data = scan(np.rint(1000 / (1 + np.exp((rho - 6) / 0.5))).astype("u2"))
    part = {"qy": slice(3, 30), "qx": slice(5, 32)}
    for how in ("coordinates", "shift", "note"):
        centred = ronchi.transform(data, "centre", radius_px=6, apply=how)
        fair = [centred, centred.isel(scan_x=slice(0, 3)), ronchi.transform(centred, "bin", detector=(2, 2))]
        fair.append(ronchi.transform(centred, "crop", qy=(3, 30), qx=(5, 32), by="index"))
        fair.append(ronchi.transform(fair[-1], "calibrate", q_step_inv_angstrom=(0.01, 0.015)))
        # Another zero of the axes is no cut.
        fair.append(
            centred.assign_coords({dim: centred[dim].copy(data=centred[dim] - centred[dim][3]) for dim in part})
        )
        for whole in fair:
            ronchi.com(whole)
        assert "before the first pixel" not in caplog.text
        ronchi.com(centred.isel(part))
        assert "with 3 rows and 5 columns more before the first pixel" in caplog.text
        caplog.clear()


@pytest.mark.parametrize(("radii", "most_px"), [({"outer_radius": 0.09}, 0.1), ({"outer_radius": 0.3}, 0.55)])
def test_the_radii_go_along_with_the_origin(radii, most_px):
    """Light that fills the circle has its centre in the middle; a whole disk in it lies there to half a pixel."""
    y, x = np.mgrid[:48, :48]
    drift = 24 + np.linspace(-2, 2, 10)[:, None] + np.linspace(-1, 1, 5)
    rho = np.hypot(y - drift[..., None, None], x - drift[..., None, None])
    data = fourd.make(np.rint(1000 / (1 + np.exp((rho - 8) / 0.5))).astype("u2"), q_step=(0.02, 0.02))
    for how in ("coordinates", "shift"):
        centred = ronchi.transform(data, "centre", radius_px=8, apply=how)
        assert np.abs(ronchi.com(centred, descan="none", **radii)["z"].values).max() / 0.02 < most_px
