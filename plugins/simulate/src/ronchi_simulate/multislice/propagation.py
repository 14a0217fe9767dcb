"""The multislice loop: waves through transmission functions and free space, patterns taken on the way.

Everything has the axes (run, wave, y, x). The waves of a run share a specimen and an energy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi_simulate.multislice.fourier import BandTransform, on_a_core
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.optics import Beam, probe_spectrum

__all__ = ["Exits", "enter", "propagate", "propagators"]


@dataclass(frozen=True)
class Exits:
    """Where patterns are taken.

    Parameters
    ----------
    slices : numpy.ndarray
        int (run, exit): after how many slices; 0 is the probe itself.
    pattern_shape : tuple of int
    """

    slices: np.ndarray
    pattern_shape: tuple[int, int]


def propagators(
    wavelength_angstrom: Sequence[float],
    tilts_mrad: NDArray[np.float64],
    thickness_angstrom: Sequence[float],
    grid: WaveGrid,
    transform: BandTransform,
) -> torch.Tensor:
    """Fresnel propagators through a slice, with the specimen's tilt and the band limit, divided by a wave's pixels.

    Parameters
    ----------
    wavelength_angstrom : sequence of float
        Of each run.
    tilts_mrad : numpy.ndarray
        float64 (run, wave, 2), (y, x), as of `Beam`.
    thickness_angstrom : sequence of float
        Of a slice of each run.
    grid : WaveGrid
    transform : BandTransform
        Of the grid.

    Returns
    -------
    torch.Tensor
        complex64 (run, wave, spectrum); one for all waves of a run where these share their tilts.
    """
    device = transform.device
    amplitude = torch.as_tensor(grid.band_limit / grid.n_pixels, device=device)
    half_q_squared = torch.as_tensor(grid.q_squared / 2, device=device)
    qy, qx = (torch.as_tensor(q, device=device) for q in grid.q_inv_angstrom)
    if (tilts_mrad == tilts_mrad[:, :1]).all():
        tilts_mrad = tilts_mrad[:, :1]
    found = transform.spectra(*tilts_mrad.shape[:2])
    for run, (wavelength, thickness) in enumerate(zip(wavelength_angstrom, thickness_angstrom, strict=True)):
        tilts, which = np.unique(tilts_mrad[run], axis=0, return_inverse=True)
        for index, tilt in enumerate(tilts.tolist()):
            slope_y, slope_x = (math.tan(1e-3 * angle) for angle in tilt)
            path = wavelength * half_q_squared + (qy * slope_y + qx * slope_x)
            waves = torch.as_tensor(np.flatnonzero(which.reshape(-1) == index))
            transform.natural(found)[run, waves] = torch.polar(amplitude, -2 * math.pi * thickness * path).to(found)
    return found


def enter(
    spectra: torch.Tensor, beams: Sequence[Sequence[Beam]], positions_px: np.ndarray, q_step_inv_angstrom: float
) -> None:
    """Fill the spectra of every run with its probes, of total intensity 1.

    Parameters
    ----------
    spectra : torch.Tensor
        complex64 (run, beam * position, ny, nx), written to.
    beams : sequence of sequence of Beam
        (run, beam).
    positions_px : numpy.ndarray
        (run, position, 2) in pixels of the grid, (y, x), not only whole ones.
    q_step_inv_angstrom : float
        Step of the frequencies.
    """
    shape = (spectra.shape[-2], spectra.shape[-1])
    n_positions = positions_px.shape[1]
    ramp_y, ramp_x = (_ramp(positions_px[..., axis], shape[axis], spectra.device) for axis in (0, 1))
    known: dict[Beam, torch.Tensor] = {}
    for run, of_run in enumerate(beams):
        for index, beam in enumerate(of_run):
            if beam not in known:
                known[beam] = torch.as_tensor(probe_spectrum(beam, shape, q_step_inv_angstrom), device=spectra.device)
            probes = spectra[run, index * n_positions : (index + 1) * n_positions]
            torch.mul(known[beam], ramp_y[run, :, :, None], out=probes)
            probes.mul_(ramp_x[run, :, None, :])


def _ramp(position_px: np.ndarray, n_px: int, device: torch.device) -> torch.Tensor:
    """Phase ramps (..., n_px) that move a wave by ``position_px`` (...)."""
    ramp = np.exp(-2j * np.pi * position_px[..., None] * np.fft.fftfreq(n_px))
    return torch.as_tensor(ramp.astype(np.complex64), device=device)


@dataclass
class _Block:
    """Waves that are worked on together, as many as the cache holds."""

    runs: slice
    waves: torch.Tensor
    propagators: torch.Tensor
    patterns: torch.Tensor
    first_px: np.ndarray | None


def propagate(
    spectra: torch.Tensor,
    waves: torch.Tensor,
    transform: BandTransform,
    transmissions: Iterable[torch.Tensor],
    propagators: torch.Tensor,
    exits: Exits,
    *,
    first_px: np.ndarray | None = None,
    progress: Callable[[], None] | None = None,
) -> torch.Tensor:
    """Carry waves through a specimen.

    Parameters
    ----------
    spectra : torch.Tensor
        complex64 (run, wave, spectrum): the waves at the entrance, in memory of the transform; overwritten.
    waves : torch.Tensor
        complex64 (run, wave, ny, nx): memory of the transform to work in.
    transform : BandTransform
    transmissions : iterable of torch.Tensor
        complex64 (run, y, x) of each slice, of the size of the waves or, with ``first_px``, larger.
    propagators : torch.Tensor
        complex64 (run, wave or 1, spectrum), divided by the number of pixels of a wave.
    exits : Exits
    first_px : numpy.ndarray, optional
        int (wave, 2): first row and column of the part of the only run's transmission that each wave sees.
    progress : callable, optional
        Called after every slice.

    Returns
    -------
    torch.Tensor
        float32 (run, wave, exit, qy, qx): intensities, in units of the waves' at the entrance.
    """
    n_runs, n_waves = spectra.shape[:2]
    patterns = torch.empty((n_runs, n_waves, exits.slices.shape[1], *exits.pattern_shape), device=spectra.device)
    hits = _hits(exits.slices)
    blocks = []
    for runs, some in _parts(n_runs, n_waves, transform.images_at_once):
        first = None if first_px is None else first_px[some]
        free = propagators[runs] if propagators.shape[1] == 1 else propagators[runs, some]
        block = _Block(runs, waves[runs, some], free, patterns[runs, some], first)
        _record(block, transform.natural(spectra[runs, some]), hits.get(0, ()))
        block.waves = transform.inverse(spectra[runs, some], block.waves)
        blocks.append(block)
    for done, transmission in enumerate(transmissions, start=1):
        for block in blocks:
            if block.first_px is None:
                block.waves.mul_(transmission[block.runs, None])
            else:
                _multiply_windows(block.waves[0], transmission[0], block.first_px)
            spectrum = transform.forward(block.waves).mul_(block.propagators)
            if done in hits:
                _record(block, transform.natural(spectrum), hits[done])
            block.waves = transform.inverse(spectrum, block.waves)
        if progress is not None:
            progress()
    return patterns


def _parts(n_runs: int, n_waves: int, at_once: int) -> list[tuple[slice, slice]]:
    """Runs and waves that are worked on together: whole runs, or parts of one."""
    if n_waves >= at_once:
        parts = [slice(first, first + at_once) for first in range(0, n_waves, at_once)]
        return [(slice(run, run + 1), part) for run in range(n_runs) for part in parts]
    runs_at_once = at_once // n_waves
    return [(slice(first, first + runs_at_once), slice(0, n_waves)) for first in range(0, n_runs, runs_at_once)]


def _multiply_windows(waves: torch.Tensor, transmission: torch.Tensor, first_px: np.ndarray) -> None:
    ny, nx = waves.shape[-2:]
    for wave, (row, column) in zip(waves, first_px, strict=True):
        wave.mul_(transmission[row : row + ny, column : column + nx])


def _hits(exit_slices: np.ndarray) -> dict[int, list[tuple[int, int]]]:
    """For numbers of slices, the (run, exit) that are reached after them."""
    hits: dict[int, list[tuple[int, int]]] = {}
    for (run, exit_), n_slices in np.ndenumerate(exit_slices):
        hits.setdefault(int(n_slices), []).append((run, exit_))
    return hits


def _record(block: _Block, spectra: torch.Tensor, hits: Sequence[tuple[int, int]]) -> None:
    """Write the intensities of a block's spectra (run, wave, ny, nx) to the exits that are hit, q = 0 at N // 2."""
    for run, exit_ in hits:
        if not block.runs.start <= run < block.runs.stop:
            continue
        to, source = block.patterns[run - block.runs.start, :, exit_], spectra[run - block.runs.start]
        for to_rows, from_rows in _halves(to.shape[-2]):
            for to_columns, from_columns in _halves(to.shape[-1]):
                _intensities(source[:, from_rows, from_columns], to[:, to_rows, to_columns])


def _halves(n_px: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows of a pattern with q < 0 and q >= 0, each with the rows of a spectrum, of any size, that they come from."""
    middle = n_px // 2
    below = slice(-middle, None) if middle else slice(0, 0)
    return (slice(0, middle), below), (slice(middle, n_px), slice(0, n_px - middle))


def _intensities(spectra: torch.Tensor, out: torch.Tensor) -> None:
    """Write the squared magnitude of (wave, qy, qx)."""
    if on_a_core(spectra):
        _square_magnitudes(spectra.numpy(), out.numpy())
    else:
        parts = torch.view_as_real(spectra)
        torch.add(parts[..., 0] ** 2, parts[..., 1] ** 2, out=out)


# Spectra are transposed, and torch goes through them once for each square.
@njit(nogil=True)
def _square_magnitudes(spectra: NDArray[np.complex64], out: NDArray[np.float32]) -> None:
    for wave in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                value = spectra[wave, y, x]
                out[wave, y, x] = value.real * value.real + value.imag * value.imag
