"""Stores of HyperSpy: damage is an error and no other counts, what is lost is told of, and all forms are read."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.api import ReadError
from ronchi.schema import fourd
from ronchi_rosettasciio.sniff import identify

DATA = "Experiments/__unnamed__/data"


def counts(dtype: str = "u2") -> xr.Dataset:
    rng = np.random.default_rng(0)
    beam = 0.3 + 50 * (np.hypot(*np.indices((32, 32)) - 16) < 5)
    return fourd.make(rng.poisson(beam, (4, 6, 32, 32)).astype(dtype), q_step=(0.02, 0.02))


@pytest.mark.parametrize(
    ("dtype", "compress", "chunk"),
    [
        *((dtype, True, f"{DATA}/0/0/0/0") for dtype in ("u1", "u2", "f4")),
        ("u2", False, f"{DATA}/0/0/0/0"),
        ("u2", True, "Experiments/__unnamed__/metadata/ronchi/bad_pixel/0/0"),
    ],
)
def test_no_damage_is_read_as_other_counts(tmp_path: Path, dtype: str, compress: bool, chunk: str) -> None:
    """A flipped bit anywhere in a chunk; of Blosc's frames half were read as other counts."""
    whole_ds = counts(dtype).assign(fourd.make(np.zeros((1, 1, 32, 32)), bad_pixel=np.eye(32))[["bad_pixel"]].variables)
    path = ronchi.write(whole_ds, tmp_path / "a.zspy", compress=compress)
    xr.testing.assert_equal(ronchi.read(path)[["intensity", "bad_pixel"]], whole_ds)
    file = path / chunk
    whole = file.read_bytes()
    for place in np.random.default_rng(1).integers(0, len(whole), 40):
        part = bytearray(whole)
        part[place] ^= 1 << place % 8
        file.write_bytes(part)
        with pytest.raises(ReadError, match=r"a\.zspy"):
            ronchi.read(path)["intensity"].load()


def test_any_version_of_zarr_and_of_its_codecs_can_read_it(tmp_path: Path) -> None:
    """The checksum is in the frames: a parameter that says so would stop codecs that do not know it."""
    path = ronchi.write(counts(), tmp_path / "a.zspy")
    told = json.loads((path / DATA / ".zarray").read_text(encoding="utf-8"))
    assert told["zarr_format"] == 2
    assert told["compressor"] == {"id": "zstd", "level": 1}
    assert told["filters"] == [{"id": "shuffle", "elementsize": 2}]


@pytest.mark.parametrize("compress", [True, False])
def test_chunks_that_are_lost_are_no_zeros(tmp_path: Path, compress: bool, caplog) -> None:
    """Also where all that was counted is zero: a chunk that is absent was lost."""
    ds = counts()
    ds["intensity"][0] = 0
    path = ronchi.write(ds, tmp_path / "a.zspy", compress=compress, chunk_mb=0.01)
    assert not ronchi.read(path)["intensity"][0].any()
    assert not caplog.records
    (path / DATA / "0/1/0/0").write_bytes(b"")
    shutil.rmtree(path / DATA / "3")
    with pytest.raises(ReadError, match=r"3 of 8 chunk files of '__unnamed__' are missing or empty\n.*whole folder"):
        ronchi.read(path)
    # Another program may have left out zeros.
    attrs = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
    del attrs["ronchi_complete"]
    (path / ".zattrs").write_text(json.dumps(attrs), encoding="utf-8")
    shutil.rmtree(path / DATA / "0/1")
    with caplog.at_level(logging.WARNING):
        back = ronchi.read(path)
    assert "3 of 8 chunk files of '__unnamed__' are missing" in caplog.text
    assert "zeros stand in their place" in back.attrs["notes"]
    assert not back["intensity"][3].any()


def test_a_store_in_a_zip_file_is_read_lazily(tmp_path: Path) -> None:
    """HyperSpy's ``save(..., store_type="zip")``."""
    folder = ronchi.write(counts(), tmp_path / "a.zspy")
    path = Path(shutil.make_archive(str(tmp_path / "b"), "zip", folder)).rename(tmp_path / "b.zspy")
    back = ronchi.read(path)
    assert back.attrs["source_format"] == "zspy"
    assert back.attrs["is_lazy"] == 1
    assert fourd.q_step(back) == pytest.approx((0.02, 0.02))
    np.testing.assert_array_equal(back["intensity"], counts()["intensity"])
    with np.load(path) as other:
        assert ".zattrs" in other.files
    np.savez(tmp_path / "c.npz", a=np.zeros(3))
    assert identify(tmp_path / "c.npz") is None


def test_a_ragged_signal_does_not_hide_the_others(tmp_path: Path) -> None:
    path = ronchi.write(counts(), tmp_path / "a.zspy")
    ragged = path / "Experiments/peaks/data"
    ragged.mkdir(parents=True)
    (ragged.parent / ".zgroup").write_text('{"zarr_format": 2}')
    lists = {"id": "vlen-array", "dtype": "<f8"}
    about = {"shape": [2], "chunks": [2], "dtype": "|O", "fill_value": 0, "order": "C", "filters": [lists],
             "compressor": None, "zarr_format": 2}  # fmt: skip
    (ragged / ".zarray").write_text(json.dumps(about))
    back = ronchi.read(path)
    assert "peaks" in back.attrs["file_contents"]
    np.testing.assert_array_equal(back["intensity"], counts()["intensity"])
    shutil.rmtree(path / "Experiments/__unnamed__")
    with pytest.raises(ReadError, match=r"no images or patterns \(found: 0: peaks"):
        ronchi.read(path)


@pytest.mark.parametrize("title", [".", "..", "x" * 300, "Å" * 150, "a/b", r"C:\data\a", "Å ☃", "a\0\0", "sc\udce9n"])
@pytest.mark.parametrize("suffix", [".zspy", ".hspy", ".h5"])
def test_any_title_has_a_place(tmp_path: Path, title: str, suffix: str) -> None:
    """It is the name of a folder, if it can be. NUL ends the text of instruments, and names of files are any bytes."""
    ds = counts().assign_attrs(title=title, instrument=title)
    back = ronchi.read(ronchi.write(ds, tmp_path / f"a{suffix}"))
    kept = title.rstrip("\0").replace("\udce9", r"\udce9")
    assert back.attrs["instrument"] == kept
    assert back.attrs["title"] == ("a" if (title, suffix) == (".", ".hspy") else kept)
    np.testing.assert_array_equal(back["intensity"], counts()["intensity"])
