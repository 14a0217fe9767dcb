"""Which axes are scan, pattern and frame: order, singles, surplus, scans that are told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.errors import ConfigError, ReadError
from ronchi.manager import get_manager
from ronchi.pipeline.run import run_pipeline
from ronchi.schema import fourd
from ronchi_rosettasciio.formats import FORMATS
from ronchi_rosettasciio.layout import Layout, choose, is_usable, plan
from ronchi_rosettasciio.signals import Axis, Signal


def axis(name: str, size: int, unit: str = "", *, navigate: bool = True, scale: float = 1.0) -> Axis:
    return Axis(name, size, scale, 0.0, unit, navigate)


def made(*axes: Axis, dtype: str = "u2", name: str = "made", **signal_type: str) -> Signal:
    shape = tuple(each.size for each in axes)
    data = np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    return Signal(name, data, axes, {"Signal": signal_type})


def frame(rows: int = 3, columns: int = 5, unit: str = "1/nm") -> tuple[Axis, Axis]:
    return axis("ky", rows, unit, navigate=False), axis("kx", columns, unit, navigate=False)


def planned(signal: Signal, form: str = "hspy", **given) -> Layout:
    options = {"scan_shape": None, "content": "auto", "extra_index": (), "where": "file", **given}
    return plan(signal, FORMATS[form], **options)


@settings(deadline=None)
@given(st.permutations(["scanY", "scanX", "detY", "detX", "colour"]))
def test_axes_with_names_come_into_order(names: list[str]):
    sizes = {"scanY": 2, "scanX": 3, "detY": 4, "detX": 5, "colour": 1}
    signal = made(*(axis(name, sizes[name]) for name in names))
    layout = planned(signal, "emd")
    assert layout.shape == (2, 3, 4, 5)
    y, x, qy, qx = (names.index(name) for name in ("scanY", "scanX", "detY", "detX"))
    expected = signal.data.transpose(names.index("colour"), y, x, qy, qx)[0]
    np.testing.assert_array_equal(layout.apply(signal.data), expected)


def test_rows_of_py4dstem_are_called_x_and_stay_rows():
    signal = made(*(axis(name, n) for name, n in (("Rx", 2), ("Ry", 3), ("Qx", 4), ("Qy", 5))))
    layout = planned(signal, "py4dstem")
    assert layout.shape == (2, 3, 4, 5)
    np.testing.assert_array_equal(layout.apply(signal.data), signal.data)


def test_one_pattern_is_a_scan_of_one_position():
    assert planned(made(*frame())).shape == (1, 1, 3, 5)


def test_a_list_of_patterns_is_a_scan_of_one_row():
    layout = planned(made(axis("z", 7), *frame()))
    assert layout.shape == (1, 7, 3, 5)
    assert "`scan_shape`" in layout.notes[0]


def test_a_line_scan_keeps_its_step(tmp_path):
    from ronchi_rosettasciio.calibrate import calibrate

    signal = made(axis("x", 7, "nm", scale=2.0), *frame())
    layout = planned(signal)
    assert layout.shape == (1, 7, 3, 5)
    assert calibrate(signal, FORMATS["hspy"], layout, {}).step == (20.0, 20.0)


def test_lengths_make_images_and_a_movie_of_them():
    lengths = frame(unit="nm")
    assert planned(made(*lengths)).shape == (1, 3, 5)
    layout = planned(made(axis("time", 7, "s"), *lengths))
    assert (layout.patterns, layout.shape) == (False, (7, 3, 5))


@pytest.mark.parametrize("content", ["patterns", "images"])
def test_what_it_is_can_be_told(content):
    layout = planned(made(axis("z", 7), *frame(unit="")), content=content)
    assert layout.patterns == (content == "patterns")


def test_a_kind_of_signal_or_of_format_tells_patterns():
    assert planned(made(*frame(unit=""), signal_type="electron_diffraction")).patterns
    assert planned(made(*frame(unit="")), "mib").patterns
    assert not planned(made(*frame(unit=""))).patterns


def test_images_that_nothing_says_to_be_images_name_the_parameter():
    for unit in ("", "px", "furlong"):
        assert "`content: patterns`" in planned(made(*frame(unit=unit))).notes[0]
    negative = (axis("y", 3, "nm", navigate=False, scale=-1.0), axis("x", 5, "nm", navigate=False, scale=-1.0))
    assert "`content: patterns`" in planned(made(*negative)).notes[0]
    assert not planned(made(*frame(unit="nm"))).notes
    assert not planned(made(*frame(unit="")), content="images").notes
    assert not planned(made(*frame(unit="")), content="patterns").notes


@pytest.mark.parametrize(
    ("step", "assumed", "told"),
    [
        ({"transform": "bin", "data": "load", "params": {"detector": 2}}, "auto", "patterns"),
        ({"atom_finder": "log", "images": "load"}, "patterns", "images"),
    ],
)
def test_a_pipeline_that_needs_the_other_kind_names_the_parameter(step, assumed, told, tmp_path):
    """And works with it."""
    import tifffile

    kind, name = next(iter(step.items()))
    if name not in get_manager().names(kind):
        pytest.skip(f"no {kind} {name!r}: `pip install -e plugins/atomnet` to run this test")
    y, x = np.indices((64, 64)) % 16 - 8
    tifffile.imwrite(tmp_path / "a.tif", np.exp(-(y**2 + x**2) / 8).astype("f4"))
    load = {"reader": "auto", "params": {"path": str(tmp_path / "a.tif"), "content": assumed}}
    pipeline = {"schema": "ronchi.pipeline/1", "name": "a", "steps": {"load": load, "next": step}}

    def run(*overrides: str) -> bool:
        return run_pipeline(pipeline, out=tmp_path / "out", overrides=overrides, progress=False).ok

    with pytest.raises(
        ConfigError, match=rf"'load' turned out to be .*\n.*`--set load\.params\.content={told}`; other"
    ):
        run()
    assert run(f"load.params.content={told}")


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6))
def test_a_scan_that_is_told_is_row_by_row(rows: int, columns: int):
    signal = made(axis("z", rows * columns), *frame())
    layout = planned(signal, scan_shape=(rows, columns))
    np.testing.assert_array_equal(layout.apply(signal.data), signal.data.reshape(rows, columns, 3, 5))


def test_a_scan_that_does_not_fit_is_refused_with_one_that_does():
    with pytest.raises(ReadError, match=r"does not fit 12 patterns") as fault:
        planned(made(axis("z", 12), *frame()), scan_shape=(5, 2))
    assert "[3, 4]" in fault.value.fix


@settings(deadline=None)
@given(st.integers(0, 2), st.integers(0, 1))
def test_surplus_axes_are_picked_from(depth: int, exposure: int):
    axes = (axis("depth", 3), axis("exposure", 2), axis("y", 2), axis("x", 4), *frame())
    signal = made(*axes)
    layout = planned(signal, extra_index=(depth, exposure))
    np.testing.assert_array_equal(layout.apply(signal.data), signal.data[depth, exposure])
    assert not layout.notes


def test_a_movie_of_images_with_a_surplus_axis_says_what_it_leaves_out():
    layout = planned(made(axis("a", 2), axis("time", 3), *frame(unit="nm")), content="images")
    assert layout.shape == (3, 3, 5)
    assert "'a' (2 long)" in layout.notes[0]


def test_spectra_are_no_frames():
    energy = axis("Energy", 100, "eV", navigate=False)
    assert not is_usable(made(axis("y", 3), axis("x", 3), energy))
    assert not is_usable(made(*frame(), dtype="c8"))
    assert is_usable(made(*frame(), dtype="f2"))


def test_the_data_set_with_most_dimensions_is_taken():
    image, movie, scan = (
        made(*frame(), name="image"),
        made(axis("t", 9), *frame(30, 50), name="movie"),
        made(axis("y", 2), axis("x", 2), *frame(), name="scan"),
    )
    signals = [image, movie, scan]
    assert choose(signals, None, "file") is scan
    assert choose(signals, "movie", "file") is movie
    assert choose(signals, 0, "file") is image
    assert choose(signals, "0", "file") is image
    for unknown in ("other", 3, -1, "-1"):
        with pytest.raises(ReadError, match="found: 0: image 3x5 uint16; 1: movie 9x30x50 uint16; 2: scan"):
            choose(signals, unknown, "file")


def test_a_data_set_of_spectra_is_refused_by_name():
    spectra = made(axis("y", 3), axis("x", 3), axis("Energy", 10, "eV", navigate=False), name="EDS")
    with pytest.raises(ReadError, match="'EDS' holds no images"):
        choose([spectra], "EDS", "file")
    with pytest.raises(ReadError, match="no images or patterns"):
        choose([spectra], None, "file")


@pytest.mark.parametrize(
    ("name", "dataset", "shape"),
    [
        ("rsciio/emd/fei_example_dpc_titles.emd", "DF4-C", (1, 2, 2)),
        ("kikuchipy/patterns.h5", "Scan 2/EBSD/Data/patterns", (3, 60, 60)),
        ("pixstem/fpd_file_test.hdf5", "fpd_sum_im", (1, 2, 2)),
    ],
)
def test_others_of_a_file_by_name(name: str, dataset: str, shape: tuple, real_data, open_file):
    path = real_data / name
    contents = open_file(path).attrs["file_contents"]
    assert dataset in contents
    ds = open_file(path, dataset=dataset, content="images")
    assert ds["intensity"].shape[1:] == shape[1:]
    assert ds.attrs["title"] == dataset


def test_ebsd_patterns_become_a_scan(real_data, open_file):
    ds = open_file(real_data / "kikuchipy/patterns.h5", scan_shape=(3, 3))
    assert ds["intensity"].shape == (3, 3, 60, 60)
    assert fourd.q_units(ds) == "pixel"
