"""Arrays of NumPy: mapped, calibrated by parameters, and clear about damage."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from ronchi.builtin.npy import NpyReader
from ronchi.builtin.params_io import NpyParams
from ronchi.errors import ReadError, SchemaError
from ronchi.schema import fourd


@pytest.mark.parametrize("dtype", ["u2", ">u4", "f4"])
def test_npy_is_mapped_calibrated_and_travels_by_path(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "scan.npy"
    array = np.arange(2 * 3 * 64 * 64).reshape(2, 3, 64, 64).astype(dtype)
    np.save(path, array)
    params = NpyParams(
        path=str(path),
        scan_step_angstrom=(4, 5),
        q_step_inv_angstrom=(0.1, 0.2),
        centre_px=(30.5, 31),
        beam_energy_eV=3e5,
    )
    reader = NpyReader(params)
    assert reader.confidence(path) == 1.0
    ds = reader.open(path)
    assert len(pickle.dumps(ds)) < array.nbytes / 8
    assert fourd.centre_px(ds) == pytest.approx((30.5, 31))
    assert fourd.q_step(ds) == pytest.approx((0.1, 0.2))
    assert ds.attrs["beam_energy_eV"] == 3e5
    assert ds["intensity"].dtype.isnative
    np.testing.assert_array_equal(ds["intensity"].isel(scan_y=1, scan_x=slice(1, 3)).values, array[1, 1:3])


def test_npy_stack_takes_its_scan_shape(tmp_path: Path) -> None:
    path = tmp_path / "stack.npy"
    np.save(path, np.arange(6 * 4 * 4).reshape(6, 4, 4))
    ds = NpyReader(NpyParams(path=str(path), scan_shape=(2, 3))).open(path)
    assert ds["intensity"].values[1, 0, 0, 0] == 3 * 16
    with pytest.raises(SchemaError, match=r"not 4-D.*\(6, 4, 4\)[\s\S]*`reader: rosettasciio` takes it for images"):
        NpyReader(NpyParams(path=str(path))).open(path)
    with pytest.raises(SchemaError, match="must be 6"):
        NpyReader(NpyParams(path=str(path), scan_shape=(2, 2))).open(path)


@pytest.mark.parametrize("shape", [(16, 16, 256, 256), (256, 256, 16, 16)])
def test_npy_patterns_that_lie_scattered_are_warned_of(tmp_path: Path, shape: tuple[int, ...], caplog) -> None:
    """128 MB of a sparse file: each block of patterns would be a pass over all of it."""
    path = tmp_path / "scan.npy"
    for fortran in (False, True):
        with path.open("wb") as file:
            about = {"descr": "<f8", "fortran_order": fortran, "shape": shape}
            np.lib.format.write_array_header_1_0(file, about)
            file.truncate(file.tell() + 8 * int(np.prod(shape)))
        NpyReader(NpyParams(path=str(path))).open(path)
        assert ("Fortran order" in caplog.text) == fortran
    np.save(path, np.asfortranarray(np.arange(24.0).reshape(1, 2, 3, 4)))
    caplog.clear()
    ds = NpyReader(NpyParams(path=str(path))).open(path)
    np.testing.assert_array_equal(ds["intensity"], np.arange(24.0).reshape(1, 2, 3, 4))
    assert not caplog.records


def test_npy_damaged_absent_and_foreign(tmp_path: Path) -> None:
    path = tmp_path / "scan.npy"
    reader = NpyReader(NpyParams(path=str(path)))
    assert reader.confidence(path) == 0.0
    with pytest.raises(ReadError, match="no such file"):
        reader.open(path)
    path.write_bytes(b"")
    with pytest.raises(ReadError, match="empty"):
        reader.open(path)
    np.save(path, np.zeros((2, 2, 8, 8)))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ReadError, match="not a complete"):
        reader.open(path)
    for dtype, says in ((complex, "squared magnitude"), (bool, "uint8")):
        np.save(path, np.ones((2, 2, 4, 4), dtype))
        with pytest.raises(ReadError, match=rf"{path.name}: an array of type {dtype.__name__}(?s:.*){says}"):
            reader.open(path)
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(ReadError, match="object"):
        reader.open(path)
