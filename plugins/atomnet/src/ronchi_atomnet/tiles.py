"""Images of any size through a network, tile by tile, so that memory is bounded by a tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_tiles"]

Image = NDArray[np.float32]


def by_tiles(image: Image, network: Callable[[Image], Image], tile_px: int, margin_px: int, stride: int) -> Image:
    """Apply a network to overlapping tiles, and blend what it says where they overlap.

    A tile has no say within ``margin_px`` of a border that is not one of the image: from there on the network would
    see that the image ends. What it says does then not depend on the tiles, up to rounding.

    Parameters
    ----------
    image : (rows, columns) float32
    network : callable
        From (rows, columns), multiples of ``stride``, to (classes, rows, columns).
    tile_px : int
        Side of a tile; larger if the network sees so far that two tiles could not overlap.
    margin_px : int
        How far the network sees.
    stride : int
        Tiles begin at multiples of it.

    Returns
    -------
    (classes, rows, columns) float32
    """
    shape = image.shape
    # Beyond the border the image is mirrored, to sides that the network can take.
    padded = np.pad(image, [(0, -n % stride) for n in shape], mode="reflect" if min(shape) > stride else "edge")
    total: Image | None = None
    weights = np.zeros(padded.shape, np.float32)
    rows, columns = (_tiles(n, tile_px, margin_px, stride) for n in padded.shape)
    for row, end_row in rows:
        for column, end_column in columns:
            said = network(np.ascontiguousarray(padded[row:end_row, column:end_column]))
            weight = np.multiply.outer(
                _ramp(row, end_row, padded.shape[0], margin_px), _ramp(column, end_column, padded.shape[1], margin_px)
            )
            if total is None:
                total = np.zeros((len(said), *padded.shape), np.float32)
            total[:, row:end_row, column:end_column] += weight * said
            weights[row:end_row, column:end_column] += weight
    assert total is not None
    total /= weights
    return total[:, : shape[0], : shape[1]]


def _tiles(size: int, tile_px: int, margin_px: int, stride: int) -> list[tuple[int, int]]:
    """Begin and end of the tiles along an axis: as few as there can be, with overlaps that hold both margins."""
    # Both margins, and something in between over which one tile hands over to the next.
    overlap = (2 * margin_px // stride + 3) * stride
    # A network that sees far needs tiles that say something on their own.
    tile = max(tile_px // stride * stride, 2 * overlap + stride)
    if size <= tile:
        return [(0, size)]
    count = -(-(size - overlap) // (tile - overlap))
    starts = np.linspace(0, size - tile, count) // stride * stride
    return [(int(start), int(start) + tile if n + 1 < count else size) for n, start in enumerate(starts)]


def _ramp(start: int, end: int, size: int, margin_px: int) -> Image:
    """Weights of a tile along an axis: nothing in its margins, and more the further inside."""
    place = np.arange(start, end, dtype=np.float32)
    before = np.full(len(place), np.inf, np.float32) if start == 0 else place - start - margin_px + 1
    after = np.full(len(place), np.inf, np.float32) if end == size else end - margin_px - place
    # The width of the hand-over does not matter, as both tiles say the same.
    return np.clip(np.minimum(before, after), 0, 8).astype(np.float32)
