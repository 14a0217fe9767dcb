"""Files for HyperSpy: what HyperSpy itself opens is what was written; streaming, bounded, all or nothing."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

import ronchi
from ronchi.api import CalibrationError, OutputError, ReadError, SchemaError
from ronchi.cli.main import main
from ronchi.interop import from_hyperspy
from ronchi.schema import fourd, images, maps, peaks, strain

QUIET = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def patterns(*, lazy: bool = False) -> xr.Dataset:
    values = np.arange(4 * 6 * 16 * 12).reshape(4, 6, 16, 12).astype("u2")
    made = fourd.make(
        values, scan_step=(4.0, 5.0), q_step=(0.02, 0.03), centre_px=(7.5, 6.25), beam_energy_eV=200e3,
        camera_length_m=0.2, probe=np.ones((16, 12), "f4"), title="a/b scan",
    )  # fmt: skip
    return made.chunk(scan_y=1) if lazy else made


def movie() -> xr.Dataset:
    return images.make(np.arange(5 * 6 * 8, dtype=">f4").reshape(5, 6, 8), step=(0.2, 0.3))


def found() -> xr.Dataset:
    rng = np.random.default_rng(1)
    counts = np.arange(6) % 3
    n = int(counts.sum())
    return peaks.make(
        counts=counts, qy=rng.normal(size=n), qx=rng.normal(size=n), scan_shape=(2, 3), q_units="1/angstrom",
        q_step=(0.02, 0.02), q_origin_px=(8.0, 8.0), q_shape=(16, 16),
    )  # fmt: skip


def strained() -> xr.Dataset:
    rng = np.random.default_rng(2)
    shape = (3, 4)
    components = {name: rng.normal(size=shape) for name in strain.COMPONENTS}
    coords = {
        dim: xr.Variable(dim, np.arange(n) * 2.0, {"units": "angstrom", "long_name": dim})
        for dim, n in zip(("scan_y", "scan_x"), shape, strict=True)
    }
    return strain.make(
        components, dict.fromkeys(components, np.ones(shape)), residual=np.ones(shape), n_used=np.ones(shape, int),
        valid=np.ones(shape, bool), residual_units="pixel", frame="scan", reference="the substrate", coords=coords,
    )  # fmt: skip


def same(back: xr.Dataset, ds: xr.Dataset) -> None:
    for name, var in ds.variables.items():
        np.testing.assert_allclose(back[name].values, var.values, rtol=1e-12, atol=1e-12, err_msg=str(name))
        assert back[name].attrs["units"] == var.attrs["units"], name


@QUIET
@pytest.mark.parametrize("make", [patterns, lambda: patterns(lazy=True), movie, found, strained])
@pytest.mark.parametrize("lazy", [False, True])
def test_hyperspy_opens_what_was_written(tmp_path: Path, make, lazy: bool) -> None:
    if importlib.util.find_spec("hyperspy") is None:
        pytest.skip("HyperSpy is not installed: pip install hyperspy to run this test")
    import hyperspy.api as hs

    ds = make()
    path = ronchi.write(ds, tmp_path / "a.hspy")
    back = from_hyperspy(hs.load(path, lazy=lazy))
    same(back, ds)
    assert back.attrs.get("beam_energy_eV") == ds.attrs.get("beam_energy_eV")


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
@pytest.mark.parametrize("compress", [True, False])
def test_values_chunks_and_compression(tmp_path: Path, suffix: str, compress: bool) -> None:
    path = ronchi.write(patterns(lazy=True), tmp_path / f"a{suffix}", compress=compress, chunk_mb=0.001)
    file = h5py.File(path) if suffix == ".hspy" else zarr.open_group(path, mode="r")
    array = file["Experiments"]["a-b scan"]["data"]
    np.testing.assert_array_equal(array[:], patterns()["intensity"].values)
    assert array.chunks == (1, 2, 16, 12), "0.001 MB hold 2.7 patterns of 384 bytes, and 2 divide a row of 6"
    if suffix == ".hspy":
        assert array.compression == ("gzip" if compress else None)
    else:
        assert bool(array.compressors) is compress
        assert (path / "Experiments/a-b scan/data/0/0/0/0").is_file(), "HyperSpy's stores have nested chunks"


def test_the_projects_own_reader_takes_it_back(tmp_path: Path) -> None:
    back = ronchi.read(ronchi.write(patterns(), tmp_path / "a.hspy"))
    np.testing.assert_array_equal(back["intensity"].values, patterns()["intensity"].values)
    for dim in fourd.DIMS:
        np.testing.assert_allclose(back[dim].values, patterns()[dim].values, rtol=1e-12, atol=1e-12)
    assert back.attrs["beam_energy_eV"] == 200e3
    assert back.attrs["camera_length_m"] == pytest.approx(0.2)


def told() -> xr.Dataset:
    """Patterns with all that HyperSpy has no place for, and q = 0 outside of them."""
    scan, over = ("scan_y", "scan_x"), np.arange(12.0).reshape(3, 4)
    made = fourd.make(
        np.arange(3 * 4 * 6 * 8, dtype="u2").reshape(3, 4, 6, 8), q_step=(0.02, 0.03), centre_px=(-4.5, 9.25),
        probe=np.full((6, 8), 2.0), bad_pixel=np.eye(6, 8), valid=over > 2, scan_rotation_deg=0.0, dose=1e4,
        semiangle_mrad=1.5, instrument="a microscope", q_distortion=np.array([1.01, 0.0, 0.002, 0.99]),
        origin_method="correlation", origin_residual_px=0.25, **{"a.b/c": np.array([1.0, 2.0])},
    )  # fmt: skip
    for name in ("origin_y", "origin_x", "origin_residual"):
        made[name] = scan, over, {"units": "pixel", "long_name": name}
    made = fourd.with_axes_noted(made)
    places = {f"position_{a}": (scan, over * k, {"units": "angstrom", "long_name": a}) for a, k in (("y", 2), ("x", 3))}
    return made.assign_coords(places)


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
@pytest.mark.parametrize("make", [told, lambda: told().chunk(scan_y=1), patterns, movie, found, strained])
def test_nothing_is_lost_on_the_way_there_and_back(tmp_path: Path, make, suffix: str) -> None:
    ds = make()
    if suffix == ".zspy" and ds.attrs["ronchi_schema"] == peaks.NAME:
        suffix = ".hspy"
    back = ronchi.read(ronchi.write(ds, tmp_path / f"a{suffix}"))
    assert set(back.variables) == set(ds.variables)
    same(back, ds)
    for name, value in ds.attrs.items():
        np.testing.assert_array_equal(back.attrs[name], value, err_msg=name)
    for name in {"origin_y", "origin_x"} & set(ds.variables):
        np.testing.assert_allclose(back[name].attrs["of_axis"], ds[name].attrs["of_axis"], rtol=1e-12)
    lazy = {name for name, var in back.variables.items() if var.chunks}
    assert lazy == ({"intensity"} if back.attrs["is_lazy"] else set())
    assert bool(lazy) == ("frame" in ds.dims or "qy" in ds.dims)
    xr.testing.assert_identical(pickle.loads(pickle.dumps(back)).load(), back.load())


def test_variables_and_attributes_without_a_place_are_told_of(tmp_path: Path, caplog) -> None:
    ds = patterns().assign_attrs(many=np.arange(2000.0))
    ds["height"] = ("scan_y", "scan_x"), np.ones((4, 6)), {"units": "nm", "long_name": "height"}
    back = ronchi.read(ronchi.write(ds, tmp_path / "a.hspy"))
    assert "height is left out" in caplog.text
    assert "the attributes many are left out" in caplog.text
    assert "height" not in back
    caplog.clear()
    ronchi.write(told(), tmp_path / "b.hspy")
    assert "left out" not in caplog.text


def test_attributes_that_json_cannot_hold_cost_no_file(tmp_path: Path, caplog) -> None:
    odd = {
        "index": {(1, 2): 3},
        "rows": [[1], [2, 3]],
        "mixed": [1, "a"],
        "when": np.datetime64("2026-01-02T03:04", "ns"),
    }
    back = ronchi.read(ronchi.write(patterns().assign_attrs(odd), tmp_path / "a.hspy"))
    assert "the attributes index are left out" in caplog.text
    assert {name: back.attrs.get(name) for name in odd} == {**odd, "index": None, "when": str(odd["when"])}


@pytest.mark.parametrize("entry", ["no json", "[1]", "null", 7])
def test_an_entry_of_another_program_is_left_alone(tmp_path: Path, entry: object) -> None:
    path = ronchi.write(patterns(), tmp_path / "a.hspy")
    with h5py.File(path, "r+") as file:
        next(iter(file["Experiments"].values()))["metadata/ronchi"].attrs["attrs"] = entry
    same(ronchi.read(path), patterns())


def truth() -> xr.Dataset:
    return strained()[list(strain.COMPONENTS)].assign_attrs(is_truth=1)


@pytest.mark.parametrize(
    ("make", "dims"), [(found, ("peak",)), *((m, ("scan_y", "scan_x")) for m in (strained, truth))]
)
def test_variables_that_no_schema_knows_come_back(tmp_path: Path, make, dims: tuple[str, ...], caplog) -> None:
    """Beside what HyperSpy shows as columns or maps too; of texts, which it cannot, it is told that they are not."""
    ds = make()
    shape = [ds.sizes[dim] for dim in dims]
    ds["height"] = dims, np.arange(float(np.prod(shape))).reshape(shape), {"units": "nm", "long_name": "height"}
    same(ronchi.read(ronchi.write(ds, tmp_path / "a.hspy")), ds)
    assert "left out" not in caplog.text
    ds["name"] = dims, np.full(shape, "a"), {"units": "1", "long_name": "name"}
    ronchi.write(ds, tmp_path / "b.hspy")
    assert "name is left out" in caplog.text


def test_warnings_of_a_simulation_name_the_file_that_is_left(tmp_path: Path, caplog) -> None:
    path = tmp_path / "scan.hspy"
    assert main(["simulate", "disks", "--set", "scan_shape=[1, 2]", "-q", "-o", str(path)]) == 0
    said = [record.getMessage() for record in caplog.records if record.name == "ronchi.simulate"]
    assert said
    assert all(text.startswith(f"{path}: the side output") for text in said)


def test_what_the_user_says_of_a_file_comes_before_what_it_says(tmp_path: Path) -> None:
    path = ronchi.write(movie(), tmp_path / "a.hspy")
    assert ronchi.read(path).attrs["ronchi_schema"] == images.NAME
    assert ronchi.read(path, "rosettasciio", scan_shape=(5, 1)).sizes["scan_y"] == 5


@QUIET
@pytest.mark.parametrize(
    ("change", "shape"),
    [
        (lambda s: s.inav[1:3, :2], (2, 2, 6, 8)),
        (lambda s: s.isig[2:, 1:], (3, 4, 5, 6)),
        (lambda s: s.transpose(signal_axes=(0, 1)), (6, 8, 3, 4)),
        (lambda s: s.mean(axis=0), (1, 3, 6, 8)),
        (lambda s: s.change_dtype("float64") or s, (3, 4, 6, 8)),
    ],
)
def test_what_hyperspy_made_of_it_is_read_as_it_now_is(tmp_path: Path, change, shape: tuple[int, ...]) -> None:
    """The metadata, and the note in them, stay as they were."""
    if importlib.util.find_spec("hyperspy") is None:
        pytest.skip("HyperSpy is not installed: pip install hyperspy to run this test")
    import hyperspy.api as hs

    ronchi.write(told(), tmp_path / "a.hspy")
    signal = hs.load(tmp_path / "a.hspy")
    changed = change(signal) or signal
    changed.save(tmp_path / "b.hspy")
    back = ronchi.read(tmp_path / "b.hspy")
    assert back["intensity"].shape == shape
    np.testing.assert_array_equal(back["intensity"].values.ravel(), changed.data.ravel())


@QUIET
@pytest.mark.parametrize("even", [True, False])
def test_coordinates_one_by_one_are_a_step_only_if_they_are_even(tmp_path: Path, even: bool) -> None:
    if importlib.util.find_spec("hyperspy") is None:
        pytest.skip("HyperSpy is not installed: pip install hyperspy to run this test")
    import hyperspy.api as hs

    signal = hs.signals.Signal2D(np.ones((2, 3, 5, 6)))
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.2, "1/nm"
    axis = signal.axes_manager.signal_axes[0]
    axis.convert_to_non_uniform_axis()
    axis.axis = np.arange(6) * 0.2 - 0.6 if even else np.arange(6.0) ** 2
    signal.save(tmp_path / "a.hspy")
    ds = ronchi.read(tmp_path / "a.hspy")
    if even:
        assert fourd.q_step(ds) == pytest.approx((0.02, 0.02), rel=1e-9)
        assert fourd.centre_px(ds)[1] == pytest.approx(3.0)
    else:
        assert fourd.q_units(ds) == "pixel"
        assert "no finite number" in ds.attrs["calibration_refused"]
    with pytest.raises(CalibrationError, match="not uniform"):
        from_hyperspy(signal)


@QUIET
def test_one_map_of_a_strain_file_is_an_image(tmp_path: Path) -> None:
    if importlib.util.find_spec("hyperspy") is None:
        pytest.skip("HyperSpy is not installed: pip install hyperspy to run this test")
    import hyperspy.api as hs

    ronchi.write(strained(), tmp_path / "a.hspy")
    hs.load(tmp_path / "a.hspy").inav[0].save(tmp_path / "b.hspy")
    assert ronchi.read(tmp_path / "b.hspy").attrs["ronchi_schema"] == images.NAME


def test_a_note_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    path = ronchi.write(told(), tmp_path / "a.hspy")
    with h5py.File(path, "r+") as file:
        node = file["Experiments/__unnamed__/metadata/ronchi"]
        del node["probe"]
        node.attrs["probe"] = "gone"
    back = ronchi.read(path)
    assert "probe" not in back
    assert back.attrs["scan_rotation_deg"] == 0


def test_an_axis_that_was_given_another_unit_is_judged_as_in_any_file(tmp_path: Path, caplog) -> None:
    path = ronchi.write(told(), tmp_path / "a.hspy")
    with h5py.File(path, "r+") as file:
        file["Experiments/__unnamed__/axis-2"].attrs["units"] = "mrad"
    back = ronchi.read(path)
    assert back["qy"].attrs["units"] == "pixel"
    assert "beam energy" in back.attrs["notes"]
    assert "left in pixels: pattern step 0.02 mrad (ky)" in caplog.text


@pytest.mark.parametrize("key", ["columns", "q_step"])
def test_a_damaged_note_of_peaks_is_a_read_error(tmp_path: Path, key: str) -> None:
    path = ronchi.write(found(), tmp_path / "a.hspy")
    with h5py.File(path, "r+") as file:
        node = file["Experiments/__unnamed__/metadata/ronchi"]
        del node[next(name for name in node if name.endswith(key))]
        node.attrs[key] = "gone"
    with pytest.raises(ReadError, match=r"a\.hspy"):
        ronchi.read(path)


def test_convert_streams_with_progress(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from ronchi.cli.main import main

    source = ronchi.write(patterns(), tmp_path / "a.nc")
    assert main(["convert", str(source), str(tmp_path / "b.hspy"), "--writer-param", "compress=false"]) == 0
    assert "convert: 100 %" in capfd.readouterr().err
    same(ronchi.read(tmp_path / "b.hspy"), patterns()[["intensity"]])


def test_what_the_format_cannot_hold_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.zspy: .*peaks cannot be written.*\n.*\.hspy"):
        ronchi.write(found(), tmp_path / "a.zspy")
    with pytest.raises(SchemaError, match=r"'hyperspy' takes .*, got maps/1\n.*\.nc"):
        ronchi.write(maps.make({}, {}), tmp_path / "a.hspy")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
def test_a_damaged_input_is_named_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 60000, (8, 8, 64, 64)).astype("u2")
    source = ronchi.write(fourd.make(noise), tmp_path / "a.nc")
    content = bytearray(source.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 65536] = bytes(65536)
    source.write_bytes(content)
    with pytest.raises(ReadError, match=r"a\.nc, variable 'intensity': the data cannot be read"):
        ronchi.write(ronchi.read(source), tmp_path / f"b{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
def test_memory_is_bounded_by_the_blocks(tmp_path: Path, suffix: str) -> None:
    """A scan of 512 MB in blocks of 8 MB: less than 150 MB more than before."""
    code = """
        import sys
        import dask.array as da
        import ronchi
        from ronchi.pipeline.resources import peak_rss_mb
        from ronchi.schema import fourd
        small = fourd.make(da.ones((2, 2, 16, 16), chunks=(1, 2, 16, 16), dtype="u2"))
        ronchi.write(small, sys.argv[1] + "/small" + sys.argv[2])
        before = peak_rss_mb()
        large = fourd.make(da.ones((128, 128, 128, 128), chunks=(1, 128, 128, 128), dtype="u2"))
        ronchi.write(large, sys.argv[1] + "/large" + sys.argv[2])
        print(peak_rss_mb() - before)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), suffix],
        capture_output=True, text=True, timeout=120, check=True, env=os.environ,
    )  # fmt: skip
    assert float(run.stdout) < 150, run.stdout
