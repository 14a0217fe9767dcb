"""One pass over a scan, against plain numpy on the whole array."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi import blocks
from ronchi.builtin.native import open_native
from ronchi.builtin.reduce import reduce_scan
from ronchi.builtin.reduce_kernels import RUN_PX, mask_runs
from ronchi.errors import DataError
from ronchi.schema import fourd

SHAPE = (5, 7, 12, 9)
DTYPES = ("u1", "u2", ">u2", "i2", "u4", "i4", "u8", "f4", ">f4", "f8")


def counts(dtype: str, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).poisson(3.0, shape).astype(dtype)


def plain(a: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """The same figures by whole-array arithmetic in double precision."""
    f = a.astype(np.float64)
    total = f.sum((2, 3))
    y, x = np.mgrid[: a.shape[2], : a.shape[3]]
    return {
        "sum": total,
        "m": (f * mask).sum((2, 3)),
        "com_y": (f * y).sum((2, 3)) / total - a.shape[2] // 2,
        "com_x": (f * x).sum((2, 3)) / total - a.shape[3] // 2,
        "mean_pattern": f.mean((0, 1)),
        "max_pattern": f.max((0, 1)),
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("soft", [False, True])
def test_equals_whole_array_arithmetic(dtype: str, soft: bool) -> None:
    a = counts(dtype)
    weight = np.random.default_rng(1).random(SHAPE[2:])
    mask = weight if soft else weight > 0.5
    found = reduce_scan(fourd.make(a), masks={"m": mask}, com=True, max_pattern=True)
    for name, expected in plain(a, mask).items():
        # Counts of 0 to 15 are summed without rounding; only weights and quotients round (double precision).
        exact = name in ("sum", "max_pattern") or (name == "m" and not soft)
        np.testing.assert_allclose(found[name], expected, rtol=0 if exact else 1e-12, atol=0 if exact else 1e-12)


def test_brightest_detector_does_not_overflow() -> None:
    a = np.full((1, 2, 700, 300), 65535, np.uint16)
    found = reduce_scan(fourd.make(a), masks={"all": np.ones((700, 300), bool)}, com=True)
    assert (found["sum"] == 65535 * 700 * 300).all()
    assert (found["all"] == found["sum"]).all()
    # Centre of mass of a uniform frame: the middle, 349.5 and 149.5 px; tolerance is double rounding.
    np.testing.assert_allclose([found.com_y[0, 0], found.com_x[0, 0]], [-0.5, -0.5], atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_longer_than_a_run_of_the_compiled_code(dtype: str) -> None:
    shape = (2, 2, 3, 2 * RUN_PX + 37)
    a = counts(dtype, seed=6, shape=shape)
    bad = np.zeros(shape[2:], bool)
    bad[1, RUN_PX - 1 : RUN_PX + 1] = True
    mask = np.random.default_rng(7).random(shape[2:]) > 0.1
    expected = plain(np.where(bad, 0, a), mask)
    found = reduce_scan(fourd.make(a, bad_pixel=bad), masks={"m": mask}, com=True)
    for name in ("sum", "m"):
        assert (found[name] == expected[name]).all()
    for name in ("com_y", "com_x"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-11)  # double rounding of a quotient


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 3 * RUN_PX), share=st.sampled_from([0.0, 0.1, 0.9, 1.0]))
def test_runs_are_the_masks_in_pieces_of_bounded_length(seed: int, width: int, share: float) -> None:
    inside = np.random.default_rng(seed).random((2, 3, width)) < share
    runs, start = mask_runs(inside)
    covered = np.zeros(inside.shape, int)
    for y in range(3):
        for mask, first, stop in runs[start[y] : start[y + 1]]:
            assert 0 < stop - first <= RUN_PX
            covered[mask, y, first:stop] += 1
    assert (covered == inside).all()


def test_virtual_image_alone_is_the_same_as_with_everything_else() -> None:
    data, mask = fourd.make(counts("f4")), np.random.default_rng(1).random(SHAPE[2:]) > 0.5
    alone = reduce_scan(data, masks={"m": mask}, sum_image=False, mean_pattern=False)
    assert list(alone) == ["m"]
    xr.testing.assert_identical(alone["m"], reduce_scan(data, masks={"m": mask}, com=True, max_pattern=True)["m"])


def test_negative_counts_are_summed_exactly() -> None:
    a = np.random.default_rng(2).integers(-32768, 32767, (2, 3, 300, 5)).astype(np.int16)
    found = reduce_scan(fourd.make(a), max_pattern=True)
    assert (found["sum"] == a.sum((2, 3), dtype=np.int64)).all()
    assert (found["max_pattern"] == a.max((0, 1))).all()


def test_centre_of_mass_is_in_the_units_of_q() -> None:
    a = np.zeros((1, 1, 10, 8), np.uint16)
    a[0, 0, 7, 2] = 5
    found = reduce_scan(fourd.make(a, q_step=(0.02, 0.05)), com=True)
    # Row 7 is 2 rows below the centre row 5, column 2 is 2 left of column 4; exact up to double rounding.
    np.testing.assert_allclose([found.com_y.item(), found.com_x.item()], [0.04, -0.1], atol=1e-12)
    assert found["com_y"].attrs["units"] == "1/angstrom"


def test_the_origin_of_each_pattern_holds_for_patterns_that_were_cut_by_hand() -> None:
    data = fourd.make(counts("u2"), q_step=(0.02, 0.03))
    for name, middle in (("origin_y", 6.2), ("origin_x", 4.4)):
        place = middle + np.random.default_rng(5).random(SHAPE[:2])
        data[name] = ("scan_y", "scan_x"), place, {"units": "pixel", "long_name": "the direct beam"}
    part = {"qy": slice(2, 11), "qx": slice(1, 8)}
    # Light in the part alone, so that the whole has the same centres.
    inside = np.zeros(SHAPE[2:], "u2")
    inside[part["qy"], part["qx"]] = 1
    data = fourd.with_axes_noted(data.assign(intensity=data["intensity"] * inside).assign(
        intensity=lambda ds: ds["intensity"].assign_attrs(units="counts", long_name="patterns")))  # fmt: skip
    whole, cut = (reduce_scan(each, com=True) for each in (data, data.isel(part)))
    for name in ("com_y", "com_x"):
        # Double precision.
        np.testing.assert_allclose(cut[name], whole[name], rtol=0, atol=1e-13)


def test_empty_pattern_has_no_centre_of_mass() -> None:
    a = counts("u2")
    a[1, 2] = 0
    found = reduce_scan(fourd.make(a), com=True)
    assert np.isnan(found["com_y"][1, 2])
    assert found["sum"][1, 2] == 0
    assert np.isfinite(found["com_y"]).sum() == 34


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_bad_pixels_count_for_nothing(dtype: str) -> None:
    a = counts(dtype)
    bad = np.zeros(SHAPE[2:], bool)
    bad[3, 4] = bad[3, 0] = bad[8, 8] = True
    clean = np.where(bad, 0, a)
    a[..., bad] = np.nan if dtype == "f4" else 60000
    mask = np.random.default_rng(1).random(SHAPE[2:])
    masks = {"m": mask, "h": mask > 0.3}
    found = reduce_scan(fourd.make(a, bad_pixel=bad), masks=masks, com=True, max_pattern=True)
    expected = plain(clean, mask)
    for name in ("sum", "m", "com_y", "com_x"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-12)  # double rounding
    for name in ("mean_pattern", "max_pattern"):
        assert np.isnan(found[name].values[bad]).all()
        np.testing.assert_allclose(found[name].values[~bad], expected[name][~bad], rtol=1e-12)  # double rounding


def test_positions_without_a_pattern_are_left_out() -> None:
    a = counts("u2")
    valid = np.ones(SHAPE[:2], bool)
    valid[0, 0] = valid[4, 6] = False
    a[~valid] = 60000
    found = reduce_scan(fourd.make(a, valid=valid), com=True, max_pattern=True)
    for name in ("sum", "com_y", "com_x"):
        assert (np.isnan(found[name].values) == ~valid).all()
    np.testing.assert_allclose(found["mean_pattern"], a[valid].mean(0), rtol=1e-12)  # double rounding
    assert (found["max_pattern"] == a[valid].max(0)).all()


def test_a_pixel_that_is_nan_stays_nan_where_it_is() -> None:
    a = counts("f4")
    a[1, 1, 5, 5] = np.nan
    found = reduce_scan(fourd.make(a))
    assert np.isnan(found["sum"].values).sum() == 1
    assert np.isnan(found["mean_pattern"].values).sum() == 1


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    block=st.integers(1, 40),
    chunked=st.booleans(),
    split=st.booleans(),
    dtype=st.sampled_from(["u2", "f4", "f8"]),
)
def test_result_does_not_depend_on_how_the_data_are_cut(
    rows: int, columns: int, block: int, chunked: bool, split: bool, dtype: str
) -> None:
    a = counts(dtype, seed=3)
    if a.dtype.kind == "f":
        # Sums of such numbers round, so that another order would show.
        a *= np.random.default_rng(4).random(SHAPE).astype(dtype)
    masks = {"hard": np.indices(SHAPE[2:])[1] % 5 > 0, "soft": np.random.default_rng(5).random(SHAPE[2:])}
    chunks = (rows, columns, 5 if split else 12, 9)
    data = fourd.make(da.from_array(a, chunks=chunks) if chunked else a)
    whole = reduce_scan(fourd.make(a), masks=masks, com=True, max_pattern=True)
    found = reduce_scan(data, masks=masks, com=True, max_pattern=True, block=block)
    if a.dtype.kind == "f":
        # Positions are visited along the chunks: a sum over them rounds in another order (double precision).
        np.testing.assert_allclose(found["mean_pattern"], whole["mean_pattern"], rtol=1e-13)
        found, whole = found.drop_vars("mean_pattern"), whole.drop_vars("mean_pattern")
    xr.testing.assert_identical(found, whole)


@settings(max_examples=50, deadline=None)
@given(
    height=st.integers(1, 9), width=st.integers(1, 9), rows=st.integers(1, 9), columns=st.integers(1, 9),
    block=st.integers(1, 90),
)  # fmt: skip
def test_regions_cover_the_scan_once_along_the_chunks(
    height: int, width: int, rows: int, columns: int, block: int
) -> None:
    a = da.zeros((height, width, 2, 2), chunks=(rows, columns, 2, 2), dtype=np.uint8)
    intensity = fourd.make(a)["intensity"]
    cut = blocks.regions(intensity, block)
    seen = np.concatenate([region.positions(width) for region in cut])
    assert sorted(seen) == list(range(height * width))
    assert all(r.rows.start % rows == 0 and r.columns.start % columns == 0 for r in cut)
    assert all(r.size <= max(block, rows * columns) for r in cut)


def test_every_dask_chunk_is_computed_once() -> None:
    computed: list[int] = []

    def note(part: np.ndarray) -> np.ndarray:
        computed.append(part.shape[0] * part.shape[1])
        return part

    a = counts("u2")
    lazy = da.from_array(a, chunks=(2, 3, 12, 9)).map_blocks(note, meta=np.zeros((0, 0, 0, 0), np.uint16))
    reduce_scan(fourd.make(lazy), block=4)
    assert sum(computed) == 35


def test_scan_order_blocks_of_lazy_data() -> None:
    a = counts("u2")
    intensity = fourd.make(da.from_array(a, chunks=(2, 3, 12, 9)))["intensity"]
    flat = a.reshape(-1, *SHAPE[2:])
    for start, stop, frames in blocks.iter_blocks(intensity, 4):
        assert (frames == flat[start:stop]).all()


def test_memory_mapped_and_netcdf_files(tmp_path: Path) -> None:
    a = counts("u2")
    whole = reduce_scan(fourd.make(a), com=True)
    np.save(tmp_path / "a.npy", a)
    mapped = fourd.make(np.load(tmp_path / "a.npy", mmap_mode="r"))
    xr.testing.assert_identical(reduce_scan(mapped, com=True, block=4), whole)
    fourd.make(a).to_netcdf(tmp_path / "a.nc", encoding={"intensity": {"chunksizes": (1, 1, 12, 9)}})
    xr.testing.assert_identical(reduce_scan(open_native(tmp_path / "a.nc").data, com=True), whole)
    for chunks in (None, {}, {"scan_y": 2, "scan_x": 3}):
        with xr.open_dataset(tmp_path / "a.nc", chunks=chunks) as lazy:
            found = reduce_scan(lazy, com=True, block=4)
        xr.testing.assert_identical(found, whole)


def test_memory_map_is_read_as_a_view(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", counts("u2"))
    intensity = fourd.make(np.load(tmp_path / "a.npy", mmap_mode="r"))["intensity"]
    for _, frames in blocks.iter_regions(intensity, 4):
        assert not frames.flags.owndata
        assert not frames.flags.writeable


def test_progress_ends_at_the_number_of_positions() -> None:
    calls: list[tuple[int, int]] = []
    reduce_scan(fourd.make(counts("u2")), block=7, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (35, 35)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        ({"m": np.ones((3, 3))}, "shape"),
        ({"com_y": np.ones(SHAPE[2:])}, "cannot be called"),
        ({"m": np.full(SHAPE[2:], np.nan)}, "finite"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(DataError, match=says):
        reduce_scan(fourd.make(counts("u2")), masks=masks)
