"""The multislice loop: waves through transmission functions and free space, patterns taken on the way.

Everything has the axes (run, wave, y, x). The waves of a run share a specimen, an energy and a tilt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ronchi_simulate.multislice.fourier import BandTransform
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.multislice.potential import SlicedPotential
from ronchi_simulate.optics import Beam, probe_spectrum

__all__ = ["Exits", "Windows", "enter", "propagate", "propagator"]


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


@dataclass(frozen=True)
class Windows:
    """Where each wave of the only run sees a specimen that is larger than it.

    Parameters
    ----------
    first_px : numpy.ndarray
        int (wave, 2): first row and column.
    """

    first_px: np.ndarray


def propagator(beam: Beam, grid: WaveGrid, thickness_angstrom: float) -> np.ndarray:
    """Fresnel propagator with the specimen's tilt and the band limit: complex128 (ny, nx)."""
    qy, qx = grid.q_inv_angstrom
    slope_y, slope_x = (math.tan(1e-3 * tilt) for tilt in beam.tilt_mrad)
    path = beam.wavelength_angstrom * grid.q_squared / 2 + qy * slope_y + qx * slope_x
    return grid.band_limit * np.exp(-2j * np.pi * thickness_angstrom * path)


def enter(
    waves: torch.Tensor, beams: Sequence[Sequence[Beam]], positions_px: np.ndarray, q_step_inv_angstrom: float
) -> None:
    """Fill the waves of every run with its probes, as Fourier coefficients of total intensity 1.

    Parameters
    ----------
    waves : torch.Tensor
        complex64 (run, beam * position, ny, nx), written to.
    beams : sequence of sequence of Beam
        (run, beam).
    positions_px : numpy.ndarray
        (run, position, 2) in pixels of the grid, (y, x), not only whole ones.
    q_step_inv_angstrom : float
        Step of the frequencies.
    """
    shape = (waves.shape[-2], waves.shape[-1])
    n_positions = positions_px.shape[1]
    ramp_y, ramp_x = (_ramp(positions_px[..., axis], shape[axis], waves.device) for axis in (0, 1))
    known: dict[Beam, torch.Tensor] = {}
    for run, of_run in enumerate(beams):
        for index, beam in enumerate(of_run):
            if beam not in known:
                known[beam] = torch.as_tensor(probe_spectrum(beam, shape, q_step_inv_angstrom), device=waves.device)
            probes = waves[run, index * n_positions : (index + 1) * n_positions]
            torch.mul(known[beam], ramp_y[run, :, :, None], out=probes)
            probes.mul_(ramp_x[run, :, None, :])


def _ramp(position_px: np.ndarray, n_px: int, device: torch.device) -> torch.Tensor:
    """Phase ramps (..., n_px) that move a wave by ``position_px`` (...)."""
    ramp = np.exp(-2j * np.pi * position_px[..., None] * np.fft.fftfreq(n_px))
    return torch.as_tensor(ramp.astype(np.complex64), device=device)


def propagate(
    waves: torch.Tensor,
    potential: SlicedPotential,
    transforms: tuple[BandTransform, BandTransform],
    band_limit: torch.Tensor,
    interaction_constants: torch.Tensor,
    propagators: torch.Tensor,
    exits: Exits,
    *,
    windows: Windows | None = None,
    progress: Callable[[], None] | None = None,
) -> torch.Tensor:
    """Carry waves through a potential.

    Parameters
    ----------
    waves : torch.Tensor
        complex64 (run, wave, ny, nx): Fourier coefficients at the entrance, in memory of ``transforms[0].empty``;
        overwritten.
    potential : SlicedPotential
        One specimen a run.
    transforms : tuple of BandTransform
        Of the waves, and of the grid of the potential (the same, without windows).
    band_limit : torch.Tensor
        float32, of the grid of the potential, divided by its number of pixels.
    interaction_constants : torch.Tensor
        float32 (run,).
    propagators : torch.Tensor
        complex64 (run, ny, nx), divided by the number of pixels.
    exits : Exits
    windows : Windows, optional
        Of the waves in a potential larger than they are; one run.
    progress : callable, optional
        Called after every slice.

    Returns
    -------
    torch.Tensor
        float32 (run, wave, exit, qy, qx): intensities, in units of the waves' at the entrance.
    """
    to_waves, to_potential = transforms
    n_runs, n_waves = waves.shape[:2]
    patterns = torch.zeros((n_runs, n_waves, exits.slices.shape[1], *exits.pattern_shape), device=waves.device)
    blocks = _blocks(n_runs, n_waves, to_waves.images_at_once)
    for runs, some in blocks:
        _record(patterns[runs, some], waves[runs, some], exits.slices[runs] == 0)
    stacks = [to_waves.inverse(waves[block]) for block in blocks]
    transmission = to_potential.empty(n_runs)
    for done, volts in enumerate(potential, start=1):
        _phase_factor(volts, interaction_constants, out=transmission)
        spectrum = to_potential.forward(transmission).mul_(band_limit)
        limited = to_potential.inverse(spectrum)
        for index, (runs, some) in enumerate(blocks):
            if windows is None:
                stacks[index].mul_(limited[runs, None])
            else:
                _multiply_windows(stacks[index][0], limited[0], windows.first_px[some])
            spectra = to_waves.forward(stacks[index]).mul_(propagators[runs, None])
            _record(patterns[runs, some], spectra, exits.slices[runs] == done)
            stacks[index] = to_waves.inverse(spectra)
        if progress is not None:
            progress()
    return patterns


def _blocks(n_runs: int, n_waves: int, at_once: int) -> list[tuple[slice, slice]]:
    """Slices of runs and waves that are worked on together: whole runs, or parts of one."""
    if n_waves >= at_once:
        parts = [slice(first, first + at_once) for first in range(0, n_waves, at_once)]
        return [(slice(run, run + 1), part) for run in range(n_runs) for part in parts]
    runs_at_once = at_once // n_waves
    return [(slice(first, first + runs_at_once), slice(0, n_waves)) for first in range(0, n_runs, runs_at_once)]


def _phase_factor(volts: torch.Tensor, interaction_constants: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Exp(i sigma V) into ``out``, (run, ny, nx)."""
    phase = volts * interaction_constants[:, None, None]
    if phase.device.type == "cpu":
        # numpy's cosine and sine of float32 are three times faster than torch's.
        array = phase.numpy()
        cosine, sine = torch.from_numpy(np.cos(array)), torch.from_numpy(np.sin(array))
    else:
        cosine, sine = torch.cos(phase), torch.sin(phase)
    return torch.complex(cosine, sine, out=out)


def _multiply_windows(waves: torch.Tensor, transmission: torch.Tensor, first_px: np.ndarray) -> None:
    ny, nx = waves.shape[-2:]
    for wave, (row, column) in zip(waves, first_px, strict=True):
        wave.mul_(transmission[row : row + ny, column : column + nx])


def _record(patterns: torch.Tensor, spectra: torch.Tensor, hits: np.ndarray) -> None:
    """Write the intensities of spectra (run, wave, ny, nx) to the exits (run, exit) that are hit, q = 0 at N // 2."""
    for run, exit_ in np.argwhere(hits):
        for to_rows, from_rows in _halves(patterns.shape[-2]):
            for to_columns, from_columns in _halves(patterns.shape[-1]):
                part = torch.view_as_real(spectra[run, :, from_rows, from_columns])
                patterns[run, :, exit_, to_rows, to_columns] = part[..., 0] ** 2 + part[..., 1] ** 2


def _halves(n_px: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows of a pattern with q < 0 and q >= 0, each with the rows of a spectrum, of any size, that they come from."""
    middle = n_px // 2
    below = slice(-middle, None) if middle else slice(0, 0)
    return (slice(0, middle), below), (slice(middle, n_px), slice(0, n_px - middle))
