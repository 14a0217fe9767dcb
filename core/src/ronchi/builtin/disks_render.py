"""Patterns of an analytic scan: disks and their inner contrast, background, counts, and what the detector spoils."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.builtin.disks_geometry import Geometry
from ronchi.builtin.params_disks import DisksParams

__all__ = ["render", "shadow", "spoil"]

Array = NDArray[np.float64]


def _reflections(p: DisksParams, lattice: Array, origin: Array) -> tuple[NDArray[np.int64], Array]:
    """Indices that reach the detector anywhere, (n, 2), and all their positions, (n, scan_y, scan_x, 2)."""
    shortest = np.linalg.svd(lattice, compute_uv=False).min()
    limit = int(np.ceil(np.hypot(*p.pattern_shape) / shortest))
    hk = np.stack(np.meshgrid(*[np.arange(-limit, limit + 1)] * 2, indexing="ij"), -1).reshape(-1, 2)
    where = origin + np.einsum("yxij,nj->nyxi", lattice, hk)
    inside = ((where > -0.5) & (where < np.array(p.pattern_shape) - 0.5)).all(-1).any((1, 2))
    return hk[inside], where[inside]


def render(
    p: DisksParams, geometry: Geometry, lattice: Array, origin: Array, rng: np.random.Generator
) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Draw all patterns of a scan.

    Parameters
    ----------
    p : DisksParams
    geometry : Geometry
    lattice : (scan_y, scan_x, 2, 2) float64
        Reciprocal vectors in px, as columns.
    origin : (scan_y, scan_x, 2) float64
        Direct beam in px.
    rng : numpy.random.Generator

    Returns
    -------
    patterns : (scan_y, scan_x, qy, qx) array
        Counts in the type of ``p``, or expectations as float32.
    table : dict
        ``hk`` (n, 2); ``where`` (n, scan_y, scan_x, 2) px; ``electrons`` (n, scan_y, scan_x).
    """
    hk, where = _reflections(p, lattice, origin)
    direct = (hk == 0).all(1)
    length = np.linalg.norm(np.array([p.g1_px, p.g2_px]).T @ hk.T, axis=0)
    # A Gaussian decay to 10 % at the nearest border leaves weak disks, as real patterns do.
    weight = np.where(direct, 0.0, np.exp(-np.log(10) * (2 * length / min(p.pattern_shape)) ** 2))
    weight *= (1 - p.central_fraction) / max(weight.sum(), 1e-300)
    weight[direct] = p.central_fraction
    spread = 1 + p.intensity_spread * rng.uniform(-1, 1, (len(hk), *p.scan_shape))
    spread[direct] = 1
    electrons = weight[:, None, None] * spread * p.dose_e * (1 - p.background_fraction)
    direction = rng.uniform(0, 2 * np.pi, electrons.shape)
    fringes = _draw_fringes(p, electrons.shape, rng) if p.fringe_depth else None
    background = geometry.background() * p.dose_e * p.background_fraction
    dtype = np.dtype(p.dtype if p.noise else np.float32)
    patterns = np.empty((*p.scan_shape, *p.pattern_shape), dtype)
    for row in range(p.scan_shape[0]):
        expected = np.broadcast_to(background, (p.scan_shape[1], *p.pattern_shape)).copy()
        for n in range(len(hk)):
            inside = None if fringes is None else fringes[:, n, row]
            _add_disk(expected, geometry, where[n, row], electrons[n, row], direction[n, row], inside)
        patterns[row] = _digitise(rng.poisson(expected), dtype) if p.noise else expected
    return patterns, {"hk": hk, "where": where, "electrons": electrons}


def _draw_fringes(p: DisksParams, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Depth, wave vector (y, x) in rad/px and phase in rad of every disk's fringes: (4, *shape)."""
    depth = p.fringe_depth * rng.uniform(0, 1, shape)
    wave = 2 * np.pi / rng.uniform(*p.fringe_period_px, shape)
    along, phase = rng.uniform(0, 2 * np.pi, (2, *shape))
    return np.stack([depth, wave * np.sin(along), wave * np.cos(along), phase])


def _add_disk(
    frames: Array, geometry: Geometry, centre: Array, electrons: Array, direction: Array, fringes: Array | None
) -> None:
    """Add one reflection to the frames (n, qy, qx) at centres (n, 2), in place."""
    p, reach = geometry.p, geometry.reach_px
    offset = np.arange(-reach, reach + 1)
    corner = np.rint(centre).astype(int)
    rows, columns = corner[:, :1] + offset, corner[:, 1:] + offset
    dy = (rows - centre[:, :1])[:, :, None]
    dx = (columns - centre[:, 1:])[:, None, :]
    disk = geometry.disk(*np.broadcast_arrays(dy, dx))
    if p.slope:
        along = dy * np.sin(direction)[:, None, None] + dx * np.cos(direction)[:, None, None]
        disk = disk * np.maximum(0.0, 1 + p.slope * along / p.radius_px)
    if fringes is not None:
        disk = _with_fringes(disk, dy, dx, fringes[:, :, None, None])
    disk *= (electrons / geometry.area_px)[:, None, None]
    keep = ((rows >= 0) & (rows < p.pattern_shape[0]))[:, :, None] & ((columns >= 0) & (columns < p.pattern_shape[1]))[
        :, None, :
    ]
    n, y, x = np.nonzero(keep)
    frames[n, rows[n, y], columns[n, x]] += disk[keep]


def _with_fringes(disk: Array, dy: Array, dx: Array, fringes: Array) -> Array:
    """Disks (n, rows, columns) with sin^2 fringes as of a rocking curve; each keeps its sum."""
    depth, wave_y, wave_x, phase = fringes
    sine = np.sin(0.5 * (wave_y * dy + wave_x * dx + phase))
    modulated = disk * (1 - depth + 2 * depth * sine**2)
    rescaled: Array = modulated * (disk.sum((1, 2)) / modulated.sum((1, 2)))[:, None, None]
    return rescaled


def _digitise(counts: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "u":
        counts = np.minimum(counts, np.iinfo(dtype).max)
    return counts.astype(dtype)


def shadow(p: DisksParams, geometry: Geometry) -> NDArray[np.bool_]:
    """Pixels (qy, qx) of gaps and of the beam stop, whose arm of half its width reaches the border."""
    hidden = np.zeros(p.pattern_shape, bool)
    for first, stop in p.gap_rows:
        hidden[first:stop] = True
    for first, stop in p.gap_columns:
        hidden[:, first:stop] = True
    if p.beam_stop_px:
        y, x = (np.arange(n) - c for n, c in zip(p.pattern_shape, geometry.centre, strict=True))
        angle = np.deg2rad(p.beam_stop_angle_deg)
        along = y[:, None] * np.sin(angle) + x * np.cos(angle)
        across = y[:, None] * np.cos(angle) - x * np.sin(angle)
        hidden |= np.hypot(along, across) < p.beam_stop_px
        hidden |= (along > 0) & (np.abs(across) < p.beam_stop_px / 2)
    return hidden


def spoil(p: DisksParams, patterns: NDArray[Any], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Write hot and dead pixels into the patterns, in place; returns where, (qy, qx)."""
    bad = np.zeros(p.pattern_shape, bool)
    chosen = rng.choice(bad.size, p.hot_pixels + p.dead_pixels, replace=False)
    brightest = float(patterns.mean((0, 1), dtype=float).max())
    for n, flat in enumerate(chosen):
        y, x = divmod(int(flat), p.pattern_shape[1])
        bad[y, x] = True
        if n < p.hot_pixels:
            counts = rng.poisson(rng.uniform(3, 9) * brightest, p.scan_shape)
            patterns[:, :, y, x] = _digitise(counts, patterns.dtype)
        else:
            patterns[:, :, y, x] = 0
    return bad
