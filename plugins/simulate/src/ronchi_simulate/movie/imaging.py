"""Frames of a movie: atoms as Gaussians on a jittered scan, with tails, contamination and counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from ronchi_simulate.params.graphene_movie import GrapheneMovieParams

__all__ = ["Contamination", "expose", "spots"]

Floats = NDArray[np.float64]

_CARBON, _SILICON = 6, 14
_REACH = 4.0
"""Standard deviations within which a Gaussian is drawn: 3e-4 of its maximum is left out."""
_ATOMS = 4096
"""Atoms that are drawn at a time."""


@dataclass(frozen=True)
class Contamination:
    """Amorphous patches that lie still on the sheet.

    Parameters
    ----------
    thickness : (rows, columns) float32
        0 to 1, one value a node.
    low : (2,) float64
        Position (y, x) of the first node, in angstrom.
    spacing : float
        Of the nodes, in angstrom.
    """

    thickness: NDArray[np.float32]
    low: Floats
    spacing: float

    @classmethod
    def draw(cls, p: GrapheneMovieParams, low: Floats, high: Floats, rng: np.random.Generator) -> Contamination:
        """Patches of the given size that cover the given part of a box."""
        spacing = p.contamination_size_angstrom / 8
        shape = np.ceil((high - low) / spacing).astype(int) + 2
        field = gaussian_filter(rng.standard_normal(shape), 4, mode="wrap")
        grain = gaussian_filter(rng.standard_normal(shape), 0.7, mode="wrap")
        level = np.quantile(field, 1 - p.contamination_fraction) if p.contamination_fraction else field.max()
        above = np.clip(field - level, 0, None)
        above /= max(float(above.max()), 1e-12)
        uneven = 1 + 0.3 * grain / grain.std()
        return cls((above * uneven).clip(0, 1).astype(np.float32), low, spacing)

    def at(self, y: Floats, x: Floats) -> Floats:
        """Thickness at positions (y, x) in angstrom, of any one shape."""
        nodes = [(value - start) / self.spacing for value, start in zip((y, x), self.low, strict=True)]
        found: Floats = map_coordinates(self.thickness, nodes, order=1, mode="nearest").astype(np.float64)
        return found


def spots(
    y_px: Floats, x_px: Floats, weight: Floats, sigma_px: float, shape: tuple[int, int], jitter_px: Floats
) -> Floats:
    """Sum of Gaussians as a scan sees it whose lines are displaced.

    Parameters
    ----------
    y_px, x_px, weight : (n,) float64
        Centre and maximum of each.
    sigma_px : float
    shape : tuple of int
        Rows and columns.
    jitter_px : (rows, 2) float64
        Where the beam is, (y, x), beside where it should be, in each line.

    Returns
    -------
    (rows, columns) float64
    """
    image = np.zeros(shape[0] * shape[1])
    reach = int(np.ceil(_REACH * sigma_px + np.abs(jitter_px).max(initial=0)))
    offset = np.arange(-reach, reach + 1)
    scale = -0.5 / sigma_px**2
    for start in range(0, len(y_px), _ATOMS):
        part = slice(start, start + _ATOMS)
        y, x = y_px[part, None], x_px[part, None]
        rows, columns = np.rint(y).astype(int) + offset, np.rint(x).astype(int) + offset
        line = np.clip(rows, 0, shape[0] - 1)
        dy = rows + jitter_px[line, 0] - y
        dx = (columns - x)[:, None, :] + jitter_px[line, 1][:, :, None]
        values = weight[part, None, None] * np.exp(scale * (dy[:, :, None] ** 2 + dx**2))
        seen = ((rows >= 0) & (rows < shape[0]))[:, :, None] & ((columns >= 0) & (columns < shape[1]))[:, None, :]
        flat = rows[:, :, None] * shape[1] + columns[:, None, :]
        image += np.bincount(flat[seen], values[seen], image.size)
    return image.reshape(shape)


def brightest_counts(p: GrapheneMovieParams, *, silicon: bool) -> float:
    """Counts expected in the middle of the brightest atom, under the thickest contamination where there is any."""
    weight = (_SILICON / _CARBON) ** p.contrast_exponent if silicon else 1.0
    dirt = p.contamination if p.contamination_fraction > 0 else 0.0
    return p.carbon_counts * (weight + dirt) + p.background_counts


def expose(
    y_px: Floats,
    x_px: Floats,
    is_silicon: NDArray[np.bool_],
    p: GrapheneMovieParams,
    contamination: Contamination | None,
    corner_angstrom: Floats,
    rng: np.random.Generator,
) -> NDArray[np.uint16] | NDArray[np.float32]:
    """Take one frame.

    Parameters
    ----------
    y_px, x_px : (n,) float64
        Atoms, those just beside the frame as well.
    is_silicon : (n,) bool
    p : GrapheneMovieParams
    contamination : Contamination or None
    corner_angstrom : (2,) float64
        Position (y, x) on the sheet of the frame's first pixel.
    rng : numpy.random.Generator

    Returns
    -------
    (rows, columns) uint16
        Counts, cut off where 16 bits end; float32 expectations without noise.
    """
    shape, step = p.image_shape, p.step_angstrom
    jitter = p.line_jitter_px * rng.standard_normal((shape[0], 2))
    weight = np.where(is_silicon, (_SILICON / _CARBON) ** p.contrast_exponent, 1.0)
    signal = spots(y_px, x_px, weight, p.probe_sigma_angstrom / step, shape, jitter)
    if p.tail_fraction:
        # Equal current in equal areas: a wider Gaussian is lower. Jitter is small beside its width.
        extra = np.sqrt(p.tail_sigma_angstrom**2 - p.probe_sigma_angstrom**2) / step
        signal = (1 - p.tail_fraction) * signal + p.tail_fraction * gaussian_filter(signal, extra, mode="mirror")
    if contamination is not None:
        rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
        y = corner_angstrom[0] + step * (rows + jitter[:, :1] + 0 * columns)
        x = corner_angstrom[1] + step * (columns + jitter[:, 1:])
        signal += p.contamination * contamination.at(y, x)
    expected = p.carbon_counts * signal + p.background_counts
    if not p.noise:
        return expected.astype(np.float32)
    return np.minimum(rng.poisson(expected), np.iinfo(np.uint16).max).astype(np.uint16)
