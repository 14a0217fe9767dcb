"""Raw frames: where each pixel lies, and files that do not fit what was said of them."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ronchi.builtin.params_io import RawParams
from ronchi.builtin.raw import RawReader
from ronchi.errors import ReadError
from ronchi.pipeline.resources import peak_rss_mb, reset_peak_rss
from ronchi.schema import fourd


def raw(path, **params):
    params = {"scan_shape": (2, 3), "frame_shape": (4, 5), "dtype": "uint16"} | params
    return RawReader(RawParams(path=str(path), **params)).open(path)


@settings(deadline=None, max_examples=40)
@given(
    dtype=st.sampled_from(["uint8", "uint16", "int32", "float32", "float64"]),
    big=st.booleans(),
    offset=st.integers(0, 40),
    header=st.integers(0, 40),
    footer=st.integers(0, 40),
    last_footer=st.booleans(),
)
def test_every_pixel_is_found_behind_headers_and_gaps(
    tmp_path_factory, dtype, big, offset, header, footer, last_footer
):
    cube = np.arange(120).reshape(2, 3, 4, 5).astype(dtype)
    stored = cube.astype(cube.dtype.newbyteorder(">" if big else "<"))
    frames = [b"h" * header + frame.tobytes() + b"f" * footer for frame in stored.reshape(6, 4, 5)]
    content = b"o" * offset + b"".join(frames)
    path = tmp_path_factory.mktemp("raw") / "scan.bin"
    path.write_bytes(content if last_footer else content[: len(content) - footer])
    found = raw(
        path, dtype=dtype, byte_order="big" if big else "little", offset_bytes=offset, frame_header_bytes=header,
        frame_footer_bytes=footer,
    )  # fmt: skip
    np.testing.assert_array_equal(found["intensity"], cube)
    assert found["intensity"].dtype == np.dtype(dtype)


def test_calibrations_are_parameters(tmp_path):
    (tmp_path / "scan.bin").write_bytes(bytes(240))
    found = raw(
        tmp_path / "scan.bin", scan_step_angstrom=(5, 6), q_step_inv_angstrom=(0.02, 0.03), centre_px=(1.5, 2.5),
        beam_energy_eV=80e3,
    )  # fmt: skip
    fourd.validate(found)
    np.testing.assert_allclose(found["qx"], (np.arange(5) - 2.5) * 0.03)
    np.testing.assert_allclose(found["scan_y"], [0, 5])
    assert found.attrs["beam_energy_eV"] == 80e3


def test_a_short_file_is_refused_with_the_sum(tmp_path):
    (tmp_path / "scan.bin").write_bytes(bytes(239))
    with pytest.raises(ReadError, match=r"239 bytes hold 5 frames of 40 bytes .* and 6 are asked for"):
        raw(tmp_path / "scan.bin")
    with pytest.raises(ReadError, match="no such file"):
        raw(tmp_path / "absent.bin")


def test_frames_left_over_are_warned_of(tmp_path, caplog):
    (tmp_path / "scan.bin").write_bytes(bytes(280))
    raw(tmp_path / "scan.bin")
    assert "hold 7 frames" in caplog.text
    assert "; 40 bytes are left over" in caplog.text


@pytest.mark.parametrize(
    ("size", "params", "left"),
    [
        (240, {"frame_shape": (4, 4)}, 48),
        (241, {}, 1),
        (240 + 24, {}, 24),
        (240 + 6 * 3 - 1, {"frame_footer_bytes": 3}, 2),
        (240 + 6 * 3 + 1, {"frame_footer_bytes": 3}, 4),
    ],
)
def test_bytes_left_over_are_warned_of(size, params, left, tmp_path, caplog):
    """A shape that is too small, a header that is not skipped, a footer of another length: less than a frame each."""
    (tmp_path / "scan.bin").write_bytes(bytes(size))
    raw(tmp_path / "scan.bin", **params)
    assert f"6 are asked for; {left} bytes are left over: check" in caplog.text
    assert "offset_bytes" in caplog.text


@pytest.mark.parametrize("last_footer", [True, False])
def test_a_file_that_fits_is_not_warned_of(last_footer, tmp_path, caplog):
    (tmp_path / "scan.bin").write_bytes(bytes(7 + 240 + 3 * (5 + last_footer)))
    raw(tmp_path / "scan.bin", offset_bytes=7, frame_footer_bytes=3)
    assert caplog.text == ""


def test_shapes_and_types_are_checked_before_the_file():
    for wrong in ({"scan_shape": (0, 3)}, {"dtype": "object"}, {"offset_bytes": -1}):
        with pytest.raises(ValidationError):
            RawParams(**({"path": "x", "scan_shape": (2, 3), "frame_shape": (4, 5), "dtype": "uint8"} | wrong))


@pytest.mark.alone
def test_twenty_gigabytes_open_at_once(tmp_path):
    """A sparse file: under a second and 200 MB, and so is one pattern of it, here and in another process."""
    path = tmp_path / "large.raw"
    with path.open("wb") as file:
        file.truncate(20 * 2**30)
    reset_peak_rss()
    before = peak_rss_mb()
    began = time.perf_counter()
    found = raw(path, scan_shape=(320, 512), frame_shape=(256, 256))
    seconds = time.perf_counter() - began
    assert not found["intensity"][200, 100].values.any()
    assert seconds < 1
    assert peak_rss_mb() - before < 200
    copy = pickle.loads(pickle.dumps(found))
    assert copy["intensity"][319, 511].values.shape == (256, 256)
