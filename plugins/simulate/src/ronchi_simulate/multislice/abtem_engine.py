"""The abTEM engine: the well-kept reference, with potentials that are exact enough to be one.

abTEM spreads atoms linearly onto the grid in its infinite projections, which damps frequencies by the squared sinc of
a pixel along each axis, and divides by a sinc for it: in version 1.0.11 by one whose argument lacks pi, which leaves
the potential's spectrum 5 % too weak at a quarter of the Nyquist frequency and a third too weak at the band limit.
Potentials are made here on a finer grid, divided by what abTEM left, and cut to the band of the waves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import ConfigError, DataError
from ronchi_simulate.multislice.atoms import Columns, fill_region, is_whole
from ronchi_simulate.multislice.request import Request
from ronchi_simulate.optics import Beam

__all__ = ["diffract_abtem"]

_POTENTIAL_REFINEMENT = 6
"""Pixels of the potential in one of the waves, along an axis: aliases of linear spreading are then below 0.4 %."""


def diffract_abtem(
    atoms: Columns, beams: Sequence[Beam], request: Request, *, progress: Callable[[int, int], None]
) -> NDArray[np.float32]:
    """Patterns of one configuration of one specimen: float32 (beam, position, exit, qy, qx).

    Raises
    ------
    ConfigError
        A beam has a bullseye.
    DataError
        Atoms of an element differ in their thermal displacement (abTEM damps element by element), or are there in part.
    """
    import abtem

    if any(beam.aperture != "circle" for beam in beams):
        raise ConfigError("abTEM's engine has round apertures", where="diffract", fix="use the engine 'torch'")
    if atoms.occupancy is not None:
        raise DataError("abTEM's atoms are whole", where="occupancy", fix="use the engine 'torch'")
    shape = (len(beams), len(request.positions_angstrom), len(request.exit_slices), *request.pattern_shape)
    patterns = np.empty(shape, np.float32)
    cell = atoms.cell_angstrom
    window = tuple(n * s for n, s in zip(request.grid.shape, request.grid.step_angstrom, strict=True))
    size = (window[0], window[1])
    whole = is_whole(size[0], cell[1]) and is_whole(size[1], cell[2])
    parts = [np.arange(shape[1])] if whole else list(np.arange(shape[1])[:, None])
    settings = {"precision": "float32", "fft": "fftw", "diagnostics.progress_bar": False}
    with abtem.config.set(settings):
        for n_done, part in enumerate(parts):
            positions = request.positions_angstrom[part]
            origin = np.zeros(2) if whole else positions[0] - np.asarray(size) / 2
            potential = _potential(fill_region(atoms, (origin[0], origin[1]), size), request)
            for (index, beam), (tilt, members) in product(enumerate(beams), _same_tilt(request.tilts_mrad[part])):
                tilted = replace(beam, tilt_mrad=(beam.tilt_mrad[0] + tilt[0], beam.tilt_mrad[1] + tilt[1]))
                patterns[index, part[members]] = _patterns(potential, tilted, positions[members] - origin, request)
            progress((n_done + 1) * request.n_slices, len(parts) * request.n_slices)
    return patterns


def _same_tilt(tilts_mrad: NDArray[np.float64]) -> list[tuple[tuple[float, float], NDArray[np.int64]]]:
    """Distinct tilts (y, x) and the positions that have them."""
    tilts, which = np.unique(tilts_mrad, axis=0, return_inverse=True)
    return [((y, x), np.flatnonzero(which.reshape(-1) == index)) for index, (y, x) in enumerate(tilts.tolist())]


def _potential(atoms: Columns, request: Request) -> Any:
    """Projected slices within the band of the waves, as abTEM's ``PotentialArray``."""
    import abtem
    from ase import Atoms

    height, size_y, size_x = atoms.cell_angstrom
    positions = np.stack([atoms.x_angstrom, atoms.y_angstrom, atoms.z_angstrom], axis=1)
    specimen = Atoms(atoms.number, positions, cell=[size_x, size_y, height], pbc=True)
    sigmas = {}
    for number in np.unique(atoms.number):
        displacements = np.unique(atoms.u_angstrom[atoms.number == number])
        if len(displacements) > 1:
            raise DataError(
                f"atoms of element {number} have {len(displacements)} different thermal displacements",
                where="u_angstrom",
                fix="use one displacement an element, the engine 'torch', or frozen phonons",
            )
        symbol = specimen.symbols[int(np.flatnonzero(atoms.number == number)[0])]
        sigmas[symbol] = float(displacements[0])
    ny, nx = request.grid.shape
    fine = (_POTENTIAL_REFINEMENT * nx, _POTENTIAL_REFINEMENT * ny)
    potential = abtem.Potential(
        specimen,
        gpts=fine,
        slice_thickness=height / request.n_slices,
        projection="infinite",
        parametrization=abtem.parametrizations.LobatoParametrization(sigmas=sigmas),
    )
    factor = request.grid.band_limit.T * _undamping(fine, (nx, ny))
    limited = [_limit(np.asarray(part.array)[0], factor) for part in potential.generate_slices()]
    return abtem.PotentialArray(
        np.stack(limited),
        slice_thickness=height / request.n_slices,
        extent=(size_x, size_y),
        exit_planes=tuple(int(n) - 1 for n in np.unique(request.exit_slices)),
    )


def _frequencies(shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whole frequencies (x,) and (y,) of a grid."""
    along_x, along_y = (np.fft.fftfreq(n, 1 / n).round().astype(np.int64) for n in shape)
    return along_x, along_y


def _undamping(fine: tuple[int, int], coarse: tuple[int, int]) -> NDArray[np.float64]:
    """What linear spreading on a fine grid (x, y) took, and abTEM did not give back, at a coarse grid's frequencies."""
    from abtem.integrals import sinc

    x, y = _frequencies(coarse)
    damped = np.sinc(x[:, None] / fine[0]) ** 2 * np.sinc(y / fine[1]) ** 2
    given_back = np.asarray(sinc(fine, (1.0, 1.0)), dtype=np.float64)[np.ix_(x, y)]
    undamping: NDArray[np.float64] = given_back / damped
    return undamping


def _limit(fine: NDArray[np.float32], factor: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cut the spectrum of a slice (x, y) to that of a coarser grid, times a factor."""
    x, y = _frequencies((factor.shape[0], factor.shape[1]))
    # Of one column in six, and of real values: to the bit what all columns give, in a sixth of the time.
    columns = np.fft.rfft(fine, axis=1)[:, abs(y)]
    spectrum = np.fft.fft(np.where(y < 0, columns.conj(), columns), axis=0)[x] * factor
    limited: NDArray[np.float32] = (np.fft.ifft2(spectrum).real * (spectrum.size / fine.size)).astype(np.float32)
    return limited


def _patterns(potential: Any, beam: Beam, positions: NDArray[np.float64], request: Request) -> NDArray[np.float32]:
    """float32 (position, exit, qy, qx) of one beam."""
    import abtem

    ny, nx = request.grid.shape
    probe = abtem.Probe(
        energy=beam.energy_eV,
        semiangle_cutoff=beam.semiangle_mrad,
        extent=potential.extent,
        gpts=(nx, ny),
        tilt=(beam.tilt_mrad[1], beam.tilt_mrad[0]),
        defocus=beam.defocus_angstrom,
    )
    scan = abtem.CustomScan(positions[:, ::-1])
    detector = abtem.PixelatedDetector(max_angle="full")
    measured = probe.multislice(potential, scan=scan, detectors=detector, lazy=False)
    depths, which = np.unique(request.exit_slices, return_inverse=True)
    by_depth = np.asarray(measured.array).reshape(len(depths), len(positions), nx, ny)
    # abTEM has axes (x, y) and q = 0 at N // 2.
    rows, columns = (
        np.arange(p) - p // 2 + n // 2 for p, n in zip(request.pattern_shape, request.grid.shape, strict=True)
    )
    return by_depth.transpose(1, 0, 3, 2)[:, which][..., rows[:, None], columns]
