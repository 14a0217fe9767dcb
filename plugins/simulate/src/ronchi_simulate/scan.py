"""The one place where a probe goes over a specimen: atoms, beam and scan in, ``fourd/1`` patterns out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.schema import fourd
from ronchi_simulate.multislice.engine import diffract
from ronchi_simulate.multislice.grid import fast_size
from ronchi_simulate.optics import Beam, probe_spectrum
from ronchi_simulate.params_scan import ScanParams

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["beam_of", "bin_patterns", "probe_profile", "record_scan", "scan_positions"]

Array = NDArray[np.float64]
Frames = NDArray[np.float32]

POSITIONS_PER_BLOCK = 64
"""Probes that go to the engine together: they share its potential, and their patterns are in memory at once."""

_SAMPLES, _DEPTHS = 4, 9
"""Of a probe's profile: samples to an angstrom and 1/angstrom of radius (its intensity needs 2), and depths."""

IN_MEMORY_BYTES = 256 * 2**20
"""Larger scans are recorded into a file in the scratch folder, which the system pages out as it likes."""


def beam_of(params: ScanParams) -> Beam:
    """The beam that the parameters describe, untilted."""
    return Beam(
        energy_eV=params.beam_energy_eV,
        semiangle_mrad=params.semiangle_mrad,
        defocus_angstrom=params.defocus_angstrom,
        aperture=params.aperture,
    )


def scan_positions(params: ScanParams) -> Array:
    """(n, 2) probe positions (y, x) in angstrom, row by row."""
    scan = zip(params.scan_start_angstrom, params.scan_step_angstrom, params.scan_shape, strict=True)
    axes = [start + step * np.arange(n) for start, step, n in scan]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def record_scan(
    atoms: Atoms,
    params: ScanParams,
    ctx: Context,
    *,
    positions_angstrom: Array | None = None,
    tilts_mrad: Array | None = None,
    title: str = "",
    **attrs: Any,
) -> xr.Dataset:
    """Diffraction patterns of a specimen under a scanned probe.

    Parameters
    ----------
    atoms : ase.Atoms
        As the engine wants them; the whole specimen, from which it cuts the window of each probe.
    params : ScanParams
    ctx : Context
        ``rng`` seeds phonons and noise. All positions see the same configurations of displaced atoms, and each has
        random numbers of its own. Which positions go to the engine together changes patterns by rounding alone.
    positions_angstrom : (n, 2) float, optional
        Probe positions (y, x) from the corner of the cell, row by row; those of `scan_positions` by default.
    tilts_mrad : (n, 2) float, optional
        Lean (y, x) of the specimen under each probe, row by row; none by default. The zone axis, taken along the beam,
        leans by it, and the circle of Laue has its centre in this direction: the tilt of `Beam`, seen from the beam.
    title : str
    **attrs
        Further attributes of the data set.

    Returns
    -------
    xarray.Dataset
        ``fourd/1`` with the probe over vacuum: electrons at the dose (unsigned integers, the probe without
        noise), or float32 fractions of the beam where no dose is given.

    Raises
    ------
    DataError
        There is not one position, or not one tilt, to every place of the scan.
    """
    positions = scan_positions(params) if positions_angstrom is None else positions_angstrom
    tilts = np.zeros_like(positions) if tilts_mrad is None else np.asarray(tilts_mrad, float)
    expected = (params.scan_shape[0] * params.scan_shape[1], 2)
    for name, given in (("positions", positions), ("tilts", tilts)):
        if given.shape != expected:
            raise DataError(f"{name} have the shape {given.shape}, expected {expected}: (y, x) for every place")
    noise_seed, phonon_seed = (int(seed) for seed in ctx.rng.integers(2**62, size=2))
    beam = beam_of(params)
    patterns = _storage((len(positions), *params.pattern_shape), _dtype_of_counts(params.dose_e), ctx.scratch)
    vacuum = _expected(_empty(atoms, params), beam, positions[:1], params, np.random.default_rng(0), ctx)[0]
    done = 0

    def advance(slices: int, all_slices: int) -> None:
        ctx.progress(done + len(block) * slices // all_slices, len(positions))

    for block in _blocks(tilts):
        tilted = replace(beam, tilt_mrad=(-float(tilts[block[0], 0]), -float(tilts[block[0], 1])))
        # The same generator for every block: the phonons then belong to the atoms, not to the probes.
        fractions = _expected(atoms, tilted, positions[block], params, np.random.default_rng(phonon_seed), ctx, advance)
        for index, fraction in zip(block, fractions, strict=True):
            patterns[index] = _counted(fraction, params.dose_e, np.random.default_rng([noise_seed, int(index)]))
        done += len(block)
    return fourd.make(
        patterns.reshape(*params.scan_shape, *params.pattern_shape),
        scan_step=params.scan_step_angstrom,
        q_step=(params.q_step_inv_angstrom, params.q_step_inv_angstrom),
        probe=vacuum * np.float32(params.dose_e or 1.0),
        beam_energy_eV=params.beam_energy_eV,
        semiangle_mrad=params.semiangle_mrad,
        scan_rotation_deg=0.0,
        dose=params.dose_e,
        title=title,
        thickness_angstrom=float(atoms.cell.lengths()[2]),
        **attrs,
    )


def probe_profile(params: ScanParams, thickness_angstrom: float) -> tuple[Array, Array, Array]:
    """Where along x the probe's electrons are, at some depths: its intensity, summed over y.

    In vacuum: what the specimen does to the probe on the way is left out.

    Returns
    -------
    depth_angstrom : (m,) float
        Evenly spread over the thickness.
    offset_angstrom : (n,) float
        From the position of the probe, evenly spaced over its window.
    weight : (m, n) float
        They sum to 1 at every depth.
    """
    beam = beam_of(params)
    window = params.binning / params.q_step_inv_angstrom
    n = 2 * int(np.ceil(_SAMPLES * beam.disk_radius_inv_angstrom * window)) + 16
    wave = probe_spectrum(beam, (n, n), 1 / window)
    q = np.fft.fftfreq(n, window / n)
    advance = np.pi * beam.wavelength_angstrom * (q[:, None] ** 2 + q**2)
    depths = thickness_angstrom * (np.arange(_DEPTHS) + 0.5) / _DEPTHS
    weights = np.empty((_DEPTHS, n))
    for depth, weight in zip(depths, weights, strict=True):
        there = np.abs(np.fft.ifft2(wave * np.exp(-1j * depth * advance))) ** 2
        weight[:] = np.fft.fftshift(there.sum(0)) / there.sum()
    return depths, (np.arange(n) - n // 2) * window / n, weights


def bin_patterns(fine: Frames, shape: tuple[int, int], binning: int) -> Frames:
    """Sum simulated pixels into those of a detector, q = 0 in the middle of the pixel N // 2 before and after.

    Parameters
    ----------
    fine : (n, my, mx) float32
        At least ``binning * (N + 1)`` pixels along each axis.
    shape : tuple of int
        Rows and columns N of the detector.
    binning : int
        Of an even number, the pixels on the border between two detector pixels belong to both by half.

    Returns
    -------
    (n, ny, nx) float32
    """
    weight = np.ones(binning + 1 - binning % 2, np.float32)
    if binning % 2 == 0:
        weight[[0, -1]] = 0.5
    rows, columns = (
        slice(start := m // 2 - binning * (n // 2) - binning // 2, start + binning * (n - 1) + len(weight))
        for m, n in zip(fine.shape[1:], shape, strict=True)
    )
    windows = np.lib.stride_tricks.sliding_window_view(fine[:, rows, columns], (len(weight),) * 2, axis=(1, 2))
    summed: Frames = np.einsum("nyxij,i,j->nyx", windows[:, ::binning, ::binning], weight, weight, optimize=True)
    return summed


def _expected(
    atoms: Atoms,
    beam: Beam,
    positions: Array,
    params: ScanParams,
    rng: np.random.Generator,
    ctx: Context,
    progress: Callable[[int, int], None] | None = None,
) -> Frames:
    """(n, qy, qx) fraction of the beam in each detector pixel."""
    extra = 0 if params.binning == 1 else params.binning
    ny, nx = (params.binning * n + extra for n in params.pattern_shape)
    fine = diffract(
        atoms,
        [beam],
        pattern_shape=(ny, nx),
        q_step_inv_angstrom=params.q_step_inv_angstrom / params.binning,
        positions_angstrom=positions,
        slice_angstrom=params.slice_angstrom,
        frozen_phonons=params.frozen_phonons,
        engine=params.engine,
        wave_shape=params.wave_shape or (_reaching(ny, nx),) * 2,
        rng=rng,
        device=ctx.device,
        progress=progress,
        n_threads=ctx.n_threads,
    )[0, :, 0]
    return fine if params.binning == 1 else bin_patterns(fine, params.pattern_shape, params.binning)


def _reaching(ny: int, nx: int) -> int:
    """Size of a grid whose band, a circle of 2/3 of it, holds the corners of a pattern: a cut disk is no disk."""
    return fast_size(math.ceil(1.5 * math.hypot(ny, nx)))


def _empty(atoms: Atoms, params: ScanParams) -> Atoms:
    """A slice of nothing, in which the probe stays as it is."""
    nothing = atoms[:0]
    nothing.cell[2, 2] = params.slice_angstrom
    return nothing


def _blocks(tilts: Array) -> Iterator[NDArray[np.intp]]:
    """Indices of positions with one tilt, a few at a time, in the order of the first of each tilt."""
    _, first, which = np.unique(tilts, axis=0, return_index=True, return_inverse=True)
    for number in np.argsort(first):
        members = np.flatnonzero(which.reshape(-1) == number)
        yield from np.split(members, range(POSITIONS_PER_BLOCK, len(members), POSITIONS_PER_BLOCK))


def _counted(fraction: Frames, dose_e: float | None, rng: np.random.Generator) -> NDArray[Any]:
    return fraction if dose_e is None else rng.poisson(dose_e * fraction.astype(float))


def _dtype_of_counts(dose_e: float | None) -> np.dtype[Any]:
    """The smallest type in which no pixel can overflow, were all electrons to hit it."""
    if dose_e is None:
        return np.dtype(np.float32)
    return np.dtype(np.uint16 if dose_e < 0.9 * np.iinfo(np.uint16).max else np.uint32)


def _storage(shape: tuple[int, ...], dtype: np.dtype[Any], scratch: Path | None) -> NDArray[Any]:
    if scratch is None or np.prod(shape, dtype=float) * dtype.itemsize < IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    return np.lib.format.open_memmap(scratch / "patterns.npy", mode="w+", dtype=dtype, shape=shape)
