"""Blocks cover the scan once, stay within their size, and follow the chunks of the file."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.blocks import CHUNK_LIMIT_BYTES
from ronchi.errors import ConfigError
from ronchi.pipeline.tiles import cut, patterns_per_block, read_tile, spread

DIMS = ("scan_y", "scan_x", "qy", "qx")


def lazy(shape, chunks, dtype="u2"):
    return xr.DataArray(da.zeros(shape, chunks=chunks, dtype=dtype), dims=DIMS)


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    patterns=st.integers(1, 40),
)
@settings(deadline=None, max_examples=200)
def test_tiles_cover_the_scan_once(height, width, rows, columns, patterns):
    tiles = cut(lazy((height, width, 2, 2), (rows, columns, 2, 2)), patterns)
    seen = np.concatenate([tile.positions(width) for tile in tiles])
    assert sorted(seen) == list(range(height * width))
    assert max(tile.size for tile in tiles) <= patterns
    assert len({tile.name for tile in tiles}) == len(tiles)


def test_tiles_do_not_split_chunks_that_fit():
    for tile in cut(lazy((8, 12, 2, 2), (4, 3, 2, 2)), 24):
        assert (tile.y0 % 4, tile.x0 % 3) == (0, 0)
        assert tile.size == 24


@pytest.mark.parametrize("patterns", [64, 256, 4096])
def test_every_chunk_of_a_cropped_scan_is_read_once(patterns):
    reads = []

    def seen(block):
        if block.size:
            reads.append(1)
        return block

    meta = np.zeros((0, 0, 0, 0), "u2")
    whole = da.zeros((64, 64, 2, 2), chunks=(8, 8, 2, 2), dtype="u2").map_blocks(seen, dtype="u2", meta=meta)
    cropped = xr.DataArray(whole[3:61, 3:61], dims=DIMS)
    reads.clear()
    for tile in cut(cropped, patterns):
        np.asarray(read_tile(cropped, tile))
    assert len(reads) == 64


def test_a_chunk_that_is_too_large_is_split_alone():
    tiles = cut(lazy((8, 12, 2, 2), (8, 6, 2, 2)), 20)
    assert [tile.name for tile in tiles[:3]] == ["0-3-0-6", "3-6-0-6", "6-8-0-6"]
    assert len(tiles) == 6


def test_patterns_of_a_tile_are_in_scan_order():
    values = np.arange(4 * 5 * 2 * 3).reshape(4, 5, 2, 3)
    data = xr.DataArray(values, dims=DIMS)
    for tile in cut(data, 3):
        expected = values.reshape(-1, 2, 3)[tile.positions(5)]
        np.testing.assert_array_equal(read_tile(data, tile), expected)


def test_blocks_are_16_mb_or_a_chunk():
    assert patterns_per_block(lazy((100, 100, 256, 256), (1, 1, 256, 256))) == 128
    assert patterns_per_block(lazy((100, 100, 256, 256), (10, 100, 256, 256))) == 1000
    assert CHUNK_LIMIT_BYTES >= 1000 * 256 * 256 * 2
    assert patterns_per_block(lazy((100, 100, 256, 256), (20, 100, 256, 256))) == 128
    assert patterns_per_block(lazy((2, 2, 4096, 4096), (1, 1, 4096, 4096), "f8")) == 1


def test_memory_ceiling_makes_blocks_smaller_or_says_what_is_needed():
    data = lazy((100, 100, 512, 512), (1, 1, 512, 512))
    free = patterns_per_block(data)
    tight = patterns_per_block(data, memory_mb=700)
    assert 1 <= tight < free
    assert patterns_per_block(data, memory_mb=100_000) == free
    with pytest.raises(ConfigError, match=r"300 MB are too few for one process[\s\S]*allow at least 605 MB"):
        patterns_per_block(data, memory_mb=300)
    with pytest.raises(ConfigError, match="fewer workers"):
        patterns_per_block(data, memory_mb=800, workers=4)


def test_spread_is_even_and_has_the_ends():
    assert spread(5, 10) == [0, 1, 2, 3, 4]
    assert spread(100, 5) == [0, 25, 50, 74, 99]
