"""Analytic test scans: soft disks at exact sub-pixel positions on a strained lattice.

The disk S = 1 / (1 + exp((r - R) / a)) has a closed Cramér-Rao bound for its position,
sigma = sqrt(2 a R / N) px for N counts without background, so that an error can be judged
against what the counts allow. Centres are never rounded to pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi.builtin.ellipse import ellipse_matrix
from ronchi.builtin.params_synthetic import SoftDisksParams
from ronchi.builtin.synthetic_truth import maps_truth, peaks_truth, strain_truth
from ronchi.optics import wavelength_angstrom
from ronchi.schema import fourd
from ronchi.schema.strain import COMPONENTS

__all__ = ["SoftDisks", "deformation_gradient", "soft_disk_scan"]

Array = NDArray[np.float64]
_EDGES = 12.0
"""The disk is cut this many edge widths outside its radius: 6e-6 of its height."""


class SoftDisks:
    """Simulator ``soft-disks``."""

    def __init__(self, params: SoftDisksParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Make the scan with the sides ``truth``, ``truth_peaks`` and ``truth_maps``."""
        return soft_disk_scan(ctx.rng, params=self.params)


def soft_disk_scan(
    rng: np.random.Generator,
    strain: Mapping[str, Any] | None = None,
    *,
    params: SoftDisksParams | None = None,
    **changes: Any,
) -> Result:
    """Simulate a scan over a strained crystal.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides intensities, bad pixels and noise.
    strain : mapping, optional
        ``e_xx, e_yy, e_xy`` [1] and ``theta`` [rad], each broadcastable to the scan, in
        the scan frame. The params' profile by default; what is not named is 0.
    params : SoftDisksParams, optional
    **changes
        Fields of `SoftDisksParams`, on top of ``params``.

    Returns
    -------
    Result
        ``fourd/1`` with its probe, and the sides ``truth`` (``strain/1``), ``truth_peaks``
        (``peaks/1``, every disk whose centre is on the detector, as it lies there: descan
        and ellipse included; flag 1 if the border cuts it) and ``truth_maps`` (``maps/1``:
        ``bad_pixel`` and the beam position ``origin_y``, ``origin_x`` in px).

    Examples
    --------
    >>> scan = soft_disk_scan(np.random.default_rng(0), scan_shape=(1, 2), pattern_shape=(48, 40))
    >>> scan.data["intensity"].shape
    (1, 2, 48, 40)
    """
    p = SoftDisksParams.model_validate((params.model_dump() if params else {}) | changes)
    components = _strain_maps(p, strain)
    geometry = _Geometry(p)
    lattice = geometry.lattice(components)
    origin = geometry.origins()
    patterns, table = _render(p, geometry, lattice, origin, rng)
    bad, patterns = _spoil(p, patterns, rng)
    data = fourd.make(
        patterns,
        scan_step=p.scan_step_angstrom,
        q_step=p.q_step_inv_angstrom,
        probe=geometry.probe().astype(np.float32),
        centre_px=geometry.centre,
        beam_energy_eV=p.beam_energy_eV,
        semiangle_mrad=geometry.semiangle_mrad,
        scan_rotation_deg=p.scan_rotation_deg,
        dose=p.dose_e,
        title="synthetic soft disks",
    )
    sides = {
        "truth": strain_truth(data, components),
        "truth_peaks": peaks_truth(data, table),
        "truth_maps": maps_truth(data, bad, origin),
    }
    return Result(data, sides)


def deformation_gradient(e_xx: Any, e_yy: Any, e_xy: Any, theta: Any) -> Array:
    """F = R(theta) (I + e) in (y, x) order of rows and columns.

    Parameters
    ----------
    e_xx, e_yy, e_xy, theta : (...) float
        Biot strain and rotation in rad; theta > 0 turns x towards y.

    Returns
    -------
    (..., 2, 2) float64
    """
    c, s = np.cos(theta), np.sin(theta)
    rotation = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2)
    xx, yy, xy = np.broadcast_arrays(1.0 + np.asarray(e_xx), 1.0 + np.asarray(e_yy), np.asarray(e_xy, float))
    stretch = np.stack([np.stack([yy, xy], -1), np.stack([xy, xx], -1)], -2)
    product: Array = rotation @ stretch
    return product


def _strain_maps(p: SoftDisksParams, strain: Mapping[str, Any] | None) -> dict[str, Array]:
    if strain is not None:
        given = {name: np.asarray(strain.get(name, 0.0), float) for name in COMPONENTS}
        return {name: np.broadcast_to(value, p.scan_shape).astype(float) for name, value in given.items()}
    along = np.arange(p.scan_shape[1]) / p.scan_shape[1]
    shape = {
        "uniform": np.ones_like(along),
        "ramp": along,
        "layers": np.choose((4 * along).astype(int), [1.0, -1.0, 0.5, 0.0]),
    }[p.profile]
    amplitude = {"e_xx": p.e_xx, "e_yy": p.e_yy, "e_xy": p.e_xy, "theta": np.deg2rad(p.theta_deg)}
    return {name: np.broadcast_to(value * shape, p.scan_shape).astype(float) for name, value in amplitude.items()}


class _Geometry:
    """Detector frame: q in 1/angstrom, (y, x) order, px = q / step + centre."""

    def __init__(self, p: SoftDisksParams) -> None:
        self.p = p
        self.step = np.asarray(p.q_step_inv_angstrom)
        self.mean_step = float(np.sqrt(self.step.prod()))
        self.centre = p.centre_px or (p.pattern_shape[0] // 2, p.pattern_shape[1] // 2)
        self.to_true = ellipse_matrix(p.ellipse_ratio, np.deg2rad(p.ellipse_angle_deg))
        self.to_measured = np.linalg.inv(self.to_true)
        self.semiangle_mrad = p.radius_px * self.mean_step * wavelength_angstrom(p.beam_energy_eV) * 1e3

    def lattice(self, components: Mapping[str, Array]) -> Array:
        """(scan_y, scan_x, 2, 2) measured vectors in px, g1 and g2 as columns."""
        turn = np.deg2rad(self.p.scan_rotation_deg)
        c, s = np.cos(turn), np.sin(turn)
        scan_to_detector = np.array([[c, s], [-s, c]])
        deformation = scan_to_detector @ deformation_gradient(**components) @ scan_to_detector.T
        reference = np.array([self.p.g1_px, self.p.g2_px]).T * self.step[:, None]
        strained = np.linalg.inv(deformation).swapaxes(-1, -2) @ reference
        vectors: Array = self.to_measured @ strained / self.step[:, None]
        return vectors

    def origins(self) -> Array:
        """(scan_y, scan_x, 2) beam position in px."""
        axes = [np.linspace(-0.5, 0.5, n) if n > 1 else np.zeros(1) for n in self.p.scan_shape]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        drift: Array = grid * self.p.descan_px + self.centre
        return drift

    def disk(self, dy: Array, dx: Array) -> Array:
        """Soft disk of height 1 at pixel offsets from its centre."""
        q = np.stack([dy * self.step[0], dx * self.step[1]], -1) @ self.to_true.T
        r = np.hypot(q[..., 0], q[..., 1]) / self.mean_step
        soft: Array = 1.0 / (1.0 + np.exp(np.minimum((r - self.p.radius_px) / self.p.edge_px, 700.0)))
        return soft

    @property
    def area_px(self) -> float:
        """Integral of the disk, to the exponentially small tail at its centre."""
        p = self.p
        return float(np.pi * (p.radius_px**2 + (np.pi * p.edge_px) ** 2 / 3))

    @property
    def reach_px(self) -> int:
        stretch = np.sqrt(self.p.ellipse_ratio) * self.mean_step / self.step.min()
        return int(np.ceil((self.p.radius_px + _EDGES * self.p.edge_px) * stretch)) + 1

    def probe(self) -> Array:
        """Probe over vacuum, in electrons at the dose of a pattern."""
        rows, columns = (np.arange(n) - c for n, c in zip(self.p.pattern_shape, self.centre, strict=True))
        return self.disk(*np.meshgrid(rows, columns, indexing="ij")) * (self.p.dose_e / self.area_px)

    def background(self) -> Array:
        """Lorentzian around the centre, with a half-width of three disk radii, summing to 1."""
        rows, columns = (np.arange(n) - c for n, c in zip(self.p.pattern_shape, self.centre, strict=True))
        squared = (rows[:, None] ** 2 + columns**2) / (3 * self.p.radius_px) ** 2
        return 1.0 / (1.0 + squared) / (1.0 / (1.0 + squared)).sum()


def _reflections(p: SoftDisksParams, lattice: Array, origin: Array) -> tuple[NDArray[np.int64], Array]:
    """Indices that reach the detector anywhere, (n, 2), and all their positions, (n, scan_y, scan_x, 2)."""
    shortest = np.linalg.svd(lattice, compute_uv=False).min()
    limit = int(np.ceil(np.hypot(*p.pattern_shape) / shortest))
    hk = np.stack(np.meshgrid(*[np.arange(-limit, limit + 1)] * 2, indexing="ij"), -1).reshape(-1, 2)
    where = origin + np.einsum("yxij,nj->nyxi", lattice, hk)
    inside = ((where > -0.5) & (where < np.array(p.pattern_shape) - 0.5)).all(-1).any((1, 2))
    return hk[inside], where[inside]


def _render(
    p: SoftDisksParams, geometry: _Geometry, lattice: Array, origin: Array, rng: np.random.Generator
) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
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
    background = geometry.background() * p.dose_e * p.background_fraction
    dtype = np.dtype(p.dtype if p.noise else np.float32)
    patterns = np.empty((*p.scan_shape, *p.pattern_shape), dtype)
    for row in range(p.scan_shape[0]):
        expected = np.broadcast_to(background, (p.scan_shape[1], *p.pattern_shape)).copy()
        for n in range(len(hk)):
            _add_disk(expected, geometry, where[n, row], electrons[n, row], direction[n, row])
        patterns[row] = _digitise(rng.poisson(expected), dtype) if p.noise else expected
    return patterns, {"hk": hk, "where": where, "electrons": electrons}


def _add_disk(frames: Array, geometry: _Geometry, centre: Array, electrons: Array, direction: Array) -> None:
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
    disk *= (electrons / geometry.area_px)[:, None, None]
    keep = ((rows >= 0) & (rows < p.pattern_shape[0]))[:, :, None] & ((columns >= 0) & (columns < p.pattern_shape[1]))[
        :, None, :
    ]
    n, y, x = np.nonzero(keep)
    frames[n, rows[n, y], columns[n, x]] += disk[keep]


def _digitise(counts: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "u":
        counts = np.minimum(counts, np.iinfo(dtype).max)
    return counts.astype(dtype)


def _spoil(
    p: SoftDisksParams, patterns: NDArray[Any], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[Any]]:
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
    return bad, patterns
