"""Blocks of a few megabytes to read, shards and chunks that serve patterns and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ronchi.builtin.native import open_native
from ronchi.builtin.zarr_layout import SHARD_BYTES, balanced
from ronchi.chunking import scan_chunks
from ronchi.writing import write


@pytest.mark.parametrize("stored", [None, (1, 1, 256, 256), (8, 8, 256, 256), (64, 64, 256, 256)])
def test_blocks_are_a_few_megabytes_of_whole_patterns_whatever_the_file_says(stored: tuple[int, ...] | None) -> None:
    chunks = scan_chunks((128, 128, 256, 256), 2, stored)
    size = np.prod(chunks) * 2
    assert chunks[2:] == (256, 256)
    assert 4e6 < size <= 128 * 2**20
    if stored == (8, 8, 256, 256):
        assert chunks[0] % 8 == chunks[1] % 8 == 0
        assert size <= 2 * 12 * 2**20, "tall chunks make blocks narrower, not larger"


@pytest.mark.parametrize("stored", [(100, 120, 1, 1), (100, 120, 8, 8), (50, 60, 1, 1), (1, 120, 4, 4)])
def test_of_a_file_by_detector_pixels_as_much_is_read_at_once_as_memory_allows(stored: tuple[int, ...]) -> None:
    """Each block takes the decoding of every chunk under it: of 660 MB in 55 blocks, 55 times."""
    shape = (100, 120, 166, 166)
    chunks = scan_chunks(shape, 2, stored)
    size = np.prod(chunks) * 2
    assert size <= 128 * 2**20
    decoded = np.prod([-(-chunk // block) for chunk, block in zip(stored[:2], chunks[:2], strict=True)])
    assert decoded <= np.ceil(1.1 * np.prod(stored[:2]) * 166**2 * 2 / 2**27)


def test_large_pieces_of_a_file_that_has_no_chunks_make_no_large_blocks() -> None:
    """Such as dask cuts of a contiguous array by itself."""
    assert scan_chunks((100, 100, 120, 120), 2, (90, 90, 90, 90)) == scan_chunks((100, 100, 120, 120), 2)


def test_a_pattern_larger_than_a_block_is_a_block() -> None:
    assert scan_chunks((3, 4, 4096, 4096), 4) == (1, 1, 4096, 4096)


def test_chunks_of_a_zarr_store_serve_patterns_and_images(tmp_path: Path, zarr_scan) -> None:
    import zarr

    path, files = zarr_scan
    array = zarr.open_group(path)["intensity"]
    assert array.chunks == (8, 8, 48, 67)
    assert array.shards[:2] == (8, 8)
    assert len(files) == 2
    plain = write(open_native(path).data, tmp_path / "plain.zarr", params={"zarr_chunks": "patterns"})
    assert zarr.open_group(plain)["intensity"].chunks[2:] == (96, 200)
    for store in (path, plain):
        back = open_native(store).data
        np.testing.assert_array_equal(back["intensity"].values, array[:])
        assert "ronchi_complete" not in back.attrs


@given(
    shape=st.tuples(*[st.integers(1, 300)] * 2, *[st.integers(1, 600)] * 2),
    itemsize=st.sampled_from([1, 2, 4, 8]),
    read=st.integers(1, 300),
)
def test_layouts_are_whole_and_bounded(shape: tuple[int, int, int, int], itemsize: int, read: int) -> None:
    chunks, shards = balanced(shape, itemsize, read)
    assert shards is not None
    assert all(shard % chunk == 0 for chunk, shard in zip(chunks, shards, strict=True))
    assert all(shard >= min(size, chunk) for size, chunk, shard in zip(shape, chunks, shards, strict=True))
    assert np.prod(shards) * itemsize <= max(SHARD_BYTES, 2 * np.prod(shards[2:]) * itemsize)
    assert chunks[0] * chunks[1] <= 64
    assert shards[2] >= shape[2]
    assert shards[2] < shape[2] + chunks[2]
