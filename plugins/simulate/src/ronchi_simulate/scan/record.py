"""The one place where a probe goes over a specimen: atoms, beam and positions in, ``fourd/1`` patterns out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.schema import fourd
from ronchi_simulate.multislice.engine import diffract
from ronchi_simulate.multislice.grid import fast_size, told_if_coarse
from ronchi_simulate.params.scan import Pair, PatternParams
from ronchi_simulate.scan.binning import bin_patterns
from ronchi_simulate.scan.probe import beam_of
from ronchi_simulate.scan.unfinished import UnfinishedScan

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["POSITIONS_PER_BLOCK", "record_scan"]

Array = NDArray[np.float64]
Frames = NDArray[np.float32]

POSITIONS_PER_BLOCK = 64
"""Probes that go to the engine together: they share its potential, and their patterns are in memory at once."""


def record_scan(
    atoms: Atoms,
    params: PatternParams,
    ctx: Context,
    *,
    positions_angstrom: Array,
    tilts_mrad: Array | None = None,
    scan_step_angstrom: Pair | None = None,
    title: str = "",
    **attrs: Any,
) -> xr.Dataset:
    """Diffraction patterns of a specimen under a scanned probe.

    Parameters
    ----------
    atoms : ase.Atoms
        As the engine wants them; the whole specimen, from which it cuts the window of each probe.
    params : PatternParams
    ctx : Context
        ``rng`` seeds phonons and noise. All positions see the same configurations of displaced atoms, and each has
        random numbers of its own. Which positions go to the engine together changes patterns by rounding alone.
        ``scratch`` keeps what is finished: a call that is killed and comes again goes on from there.
    positions_angstrom : (scan_y, scan_x, 2) float
        Probe positions (y, x) from the corner of the cell.
    tilts_mrad : (scan_y, scan_x, 2) float, optional
        Lean (y, x) of the specimen under each probe; none by default. The zone axis, taken along the beam, leans by
        it, and the circle of Laue has its centre in this direction: the tilt of `Beam`, seen from the beam.
    scan_step_angstrom : (2,) float, optional
        Steps along y and x; without them the positions are numbered.
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
        There is not one tilt to every position.
    """
    scan_shape = positions_angstrom.shape[:2]
    tilts = np.zeros_like(positions_angstrom) if tilts_mrad is None else np.asarray(tilts_mrad, float)
    if tilts.shape != positions_angstrom.shape:
        raise DataError(
            f"tilts have the shape {tilts.shape}, expected {positions_angstrom.shape}: (y, x) for every position"
        )
    positions, tilts = positions_angstrom.reshape(-1, 2), tilts.reshape(-1, 2)
    noise_seed, phonon_seed = (int(seed) for seed in ctx.rng.integers(2**62, size=2))
    step = params.binning / params.q_step_inv_angstrom / min(_wave_shape(params))
    told_if_coarse(step, int(atoms.numbers.max(initial=0)), ctx.log, "make wave_shape larger")
    unfinished = UnfinishedScan.open(
        ctx.scratch,
        (len(positions), *params.pattern_shape),
        _dtype_of_counts(params.dose_e),
        _identity(atoms, params, positions, tilts, (noise_seed, phonon_seed), ctx.device),
    )
    vacuum = _expected(_empty(atoms, params), positions[:1], tilts[:1], params, np.random.default_rng(0), ctx)[0]
    done = int(unfinished.done.sum())

    def advance(slices: int, all_slices: int) -> None:
        ctx.progress(done + len(block) * slices // all_slices, len(positions))

    for start in range(0, len(positions), POSITIONS_PER_BLOCK):
        block = np.arange(start, min(start + POSITIONS_PER_BLOCK, len(positions)))
        if unfinished.done[block].all():
            continue
        # The same generator for every block: the phonons then belong to the atoms, not to the probes.
        rng = np.random.default_rng(phonon_seed)
        fractions = _expected(atoms, positions[block], tilts[block], params, rng, ctx, advance)
        counted = [
            _counted(fraction, params.dose_e, np.random.default_rng([noise_seed, int(index)]))
            for index, fraction in zip(block, fractions, strict=True)
        ]
        unfinished.add(block, np.stack(counted).astype(_dtype_of_counts(params.dose_e)))
        done += len(block)
    return fourd.make(
        unfinished.patterns().reshape(*scan_shape, *params.pattern_shape),
        scan_step=scan_step_angstrom,
        q_step=(params.q_step_inv_angstrom, params.q_step_inv_angstrom),
        probe=vacuum * np.float32(params.dose_e or 1.0),
        beam_energy_eV=params.beam_energy_eV,
        semiangle_mrad=params.semiangle_mrad,
        scan_rotation_deg=0.0,
        dose=params.dose_e,
        title=title,
        thickness_angstrom=float(atoms.cell.lengths()[2]),
        defocus_angstrom=params.defocus_angstrom,
        **attrs,
    )


def _expected(
    atoms: Atoms,
    positions: Array,
    leans_mrad: Array,
    params: PatternParams,
    rng: np.random.Generator,
    ctx: Context,
    progress: Callable[[int, int], None] | None = None,
) -> Frames:
    """(n, qy, qx) fraction of the beam in each detector pixel."""
    fine = diffract(
        atoms,
        [beam_of(params)],
        pattern_shape=_fine_shape(params),
        q_step_inv_angstrom=params.q_step_inv_angstrom / params.binning,
        positions_angstrom=positions,
        tilts_mrad=-leans_mrad,
        slice_angstrom=params.slice_angstrom,
        frozen_phonons=params.frozen_phonons,
        engine=params.engine,
        wave_shape=_wave_shape(params),
        rng=rng,
        device=ctx.device,
        progress=progress,
        log=None,
    )[0, :, 0]
    return fine if params.binning == 1 else bin_patterns(fine, params.pattern_shape, params.binning)


def _identity(
    atoms: Atoms, params: PatternParams, positions: Array, tilts: Array, seeds: tuple[int, ...], device: str
) -> str:
    """Digest of all that decides about the patterns."""
    digest = hashlib.sha256(f"{params.model_dump_json()} {seeds} {device}".encode())
    arrays = (atoms.cell.array, *(atoms.arrays[name] for name in sorted(atoms.arrays)), positions, tilts)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _fine_shape(params: PatternParams) -> tuple[int, int]:
    """Simulated pixels, from which those of the detector are summed."""
    extra = 0 if params.binning == 1 else params.binning
    ny, nx = (params.binning * n + extra for n in params.pattern_shape)
    return ny, nx


def _wave_shape(params: PatternParams) -> tuple[int, int]:
    """Grid asked for, or one whose band, a circle of 2/3 of it, holds a pattern's corners: a cut disk is no disk."""
    return params.wave_shape or (fast_size(math.ceil(1.5 * math.hypot(*_fine_shape(params)))),) * 2


def _empty(atoms: Atoms, params: PatternParams) -> Atoms:
    """A slice of nothing, in which the probe stays as it is."""
    nothing = atoms[:0]
    nothing.cell[2, 2] = params.slice_angstrom
    return nothing


def _counted(fraction: Frames, dose_e: float | None, rng: np.random.Generator) -> NDArray[Any]:
    return fraction if dose_e is None else rng.poisson(dose_e * fraction.astype(float))


def _dtype_of_counts(dose_e: float | None) -> np.dtype[Any]:
    """The smallest type in which no pixel can overflow, were all electrons to hit it."""
    if dose_e is None:
        return np.dtype(np.float32)
    return np.dtype(np.uint16 if dose_e < 0.9 * np.iinfo(np.uint16).max else np.uint32)
