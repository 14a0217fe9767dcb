"""The torch engine: potentials and waves on the CPU or a GPU by the same code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from ronchi_simulate.multislice.atoms import Columns, fill_region
from ronchi_simulate.multislice.fourier import BandTransform
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.multislice.potential import SlicedPotential
from ronchi_simulate.multislice.propagation import Exits, enter, propagate, propagators
from ronchi_simulate.multislice.regions import divide
from ronchi_simulate.multislice.request import Request
from ronchi_simulate.multislice.scattering import Scattering, abtem_scattering
from ronchi_simulate.multislice.transmission import transmission_functions
from ronchi_simulate.optics import Beam

__all__ = ["TorchMultislice", "diffract_torch"]

_CPU_BATCH_BYTES = 2**26
"""Waves that go through a slice before the next. Every batch makes the potential again, which with the five waves of
640 x 640 px that 2**24 bytes hold takes half as long as the waves; more than these gain nothing any more."""


class TorchMultislice:
    """Multislice of many specimens at once on one grid of waves.

    Training calls `patterns` with a batch of specimens; `diffract_torch` calls it for one. It keeps buffers and plans
    from call to call.

    Parameters
    ----------
    grid : WaveGrid
        Of the waves.
    pattern_shape : tuple of int
        (qy, qx), not larger than the grid.
    device : str
        ``"cpu"``, ``"cuda"``, …
    scattering : mapping, optional
        Lobato's parameters by atomic number; abTEM's table if absent.
    """

    def __init__(
        self,
        grid: WaveGrid,
        pattern_shape: tuple[int, int],
        *,
        device: str = "cpu",
        scattering: Scattering | None = None,
    ) -> None:
        self.grid = grid
        self.pattern_shape = pattern_shape
        self._device = torch.device(device)
        self._scattering = abtem_scattering() if scattering is None else scattering
        self._transforms: dict[tuple[int, int], tuple[BandTransform, torch.Tensor]] = {}
        self._memory: tuple[torch.Tensor, torch.Tensor] | None = None

    @torch.no_grad()
    def patterns(
        self,
        specimens: Sequence[Columns],
        beams: Sequence[Sequence[Beam]],
        n_slices: Sequence[int],
        exit_slices: NDArray[np.int64],
        probe_px: NDArray[np.float64],
        *,
        tilts_mrad: NDArray[np.float64] | None = None,
        potential_grid: WaveGrid | None = None,
        first_px: NDArray[np.int64] | None = None,
        progress: Callable[[], None] | None = None,
    ) -> torch.Tensor:
        """Diffraction patterns of a batch.

        Parameters
        ----------
        specimens : sequence of Columns
            One a run. The cell is the period of the potential's grid.
        beams : sequence of sequence of Beam
            (run, beam). The beams of a run share an energy; all runs have as many.
        n_slices : sequence of int
            Of each run; slices of a run are equally thick.
        exit_slices : numpy.ndarray
            int (run, exit): after how many slices patterns are taken; not beyond the run's own.
        probe_px : numpy.ndarray
            float64 (run, position, 2): probe positions (y, x) in pixels of the waves' grid.
        tilts_mrad : numpy.ndarray, optional
            float64 (position, 2): tilts (y, x) at the positions, on top of the beams' own.
        potential_grid : WaveGrid, optional
            Where the specimen is larger than the waves' grid; one run, and ``first_px`` needed.
        first_px : numpy.ndarray, optional
            int (position, 2): first row and column of each position's window in it.
        progress : callable, optional
            Called after every slice.

        Returns
        -------
        torch.Tensor
            float32 (run, beam, position, exit, qy, qx) on the device: the fraction of the beam in each pixel.

        Raises
        ------
        ConfigError
            An aperture is wider than the grid.
        DataError
            An element has no scattering factors.
        """
        potential_grid = potential_grid or self.grid
        transform, _ = self._transform(self.grid)
        transform_potential, band_limit = self._transform(potential_grid)
        n_runs, n_beams, n_positions = len(specimens), len(beams[0]), probe_px.shape[1]
        first = [of_run[0] for of_run in beams]
        thickness = [atoms.cell_angstrom[0] / n for atoms, n in zip(specimens, n_slices, strict=True)]
        own = np.array([[beam.tilt_mrad for beam in of_run] for of_run in beams], dtype=np.float64)[:, :, None]
        further = np.zeros((n_positions, 2)) if tilts_mrad is None else tilts_mrad
        tilts = (own + further).reshape(n_runs, n_beams * n_positions, 2)
        spectra, waves = self._buffers(n_runs, n_beams * n_positions)
        period = self.grid.shape[1] * self.grid.step_angstrom[1]
        enter(transform.natural(spectra), beams, probe_px, 1 / period)
        interaction = torch.tensor([beam.interaction_constant for beam in first], device=self._device)
        potential = SlicedPotential(specimens, n_slices, potential_grid, transform_potential, self._scattering)
        patterns = propagate(
            spectra,
            waves,
            transform,
            transmission_functions(potential, interaction, transform_potential, band_limit),
            propagators([beam.wavelength_angstrom for beam in first], tilts, thickness, self.grid, transform),
            Exits(exit_slices, self.pattern_shape),
            first_px=None if first_px is None else np.tile(first_px, (n_beams, 1)),
            progress=progress,
        )
        return patterns.reshape(n_runs, n_beams, n_positions, *patterns.shape[2:])

    def _transform(self, grid: WaveGrid) -> tuple[BandTransform, torch.Tensor]:
        if grid.shape not in self._transforms:
            transform = BandTransform(grid.band_limit, self._device)
            self._transforms[grid.shape] = (transform, transform.spectral(grid.band_limit / grid.n_pixels))
        return self._transforms[grid.shape]

    def _buffers(self, n_runs: int, n_waves: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Memory for spectra and waves, the same as last time where that fits: transforms are planned for it."""
        if self._memory is None or self._memory[0].shape[0] != n_runs or self._memory[0].shape[1] < n_waves:
            transform, _ = self._transform(self.grid)
            self._memory = transform.spectra(n_runs, n_waves), transform.images(n_runs, n_waves)
        return self._memory[0][:, :n_waves], self._memory[1][:, :n_waves]


def diffract_torch(
    atoms: Columns,
    beams: Sequence[Beam],
    request: Request,
    *,
    device: str,
    memory_mb: float,
    scattering: Scattering | None,
    progress: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Patterns of one configuration of one specimen: float32 (beam, position, exit, qy, qx)."""
    engine = TorchMultislice(request.grid, request.pattern_shape, device=device, scattering=scattering)
    cell = (atoms.cell_angstrom[1], atoms.cell_angstrom[2])
    found = divide(request.positions_angstrom, cell, request.grid)
    groups = _same_energy(beams)
    jobs = [
        (region, group, batch)
        for region in found
        for group in groups
        for batch in _batches(len(region.positions), len(group), request, device, memory_mb)
    ]
    n_done, n_total = 0, len(jobs) * request.n_slices

    def advance() -> None:
        nonlocal n_done
        n_done += 1
        progress(n_done, n_total)

    shape = (len(beams), len(request.positions_angstrom), len(request.exit_slices), *request.pattern_shape)
    patterns = np.empty(shape, np.float32) if len(jobs) > 1 else None
    with _one_thread():
        for region, group, batch in jobs:
            size = tuple(n * s for n, s in zip(region.grid.shape, region.grid.step_angstrom, strict=True))
            got = engine.patterns(
                [fill_region(atoms, region.origin_angstrom, (size[0], size[1]))],
                [[beams[index] for index in group]],
                [request.n_slices],
                request.exit_slices[None],
                region.probe_px[None, batch],
                tilts_mrad=request.tilts_mrad[region.positions[batch]],
                potential_grid=region.grid,
                first_px=None if region.first_px is None else region.first_px[batch],
                progress=advance,
            )
            one = got[0].cpu().numpy()
            if patterns is None:
                return one
            patterns[np.ix_(group, region.positions[batch])] = one
    assert patterns is not None
    return patterns


def _same_energy(beams: Sequence[Beam]) -> list[list[int]]:
    def key(index: int) -> float:
        return beams[index].energy_eV

    return [list(group) for _, group in groupby(sorted(range(len(beams)), key=key), key=key)]


def _batches(n_positions: int, n_beams: int, request: Request, device: str, memory_mb: float) -> list[slice]:
    """Positions that go through the specimen together."""
    wave_bytes = 8 * request.grid.n_pixels
    pattern_bytes = 4 * len(request.exit_slices) * request.pattern_shape[0] * request.pattern_shape[1]
    # A transform that is not in place has its result beside the waves, and each wave may have its propagator.
    at_once = int(memory_mb * 2**20 / (3 * wave_bytes + pattern_bytes) / n_beams)
    if torch.device(device).type == "cpu":
        at_once = min(at_once, _CPU_BATCH_BYTES // (wave_bytes * n_beams))
    at_once = max(1, at_once)
    return [slice(first, first + at_once) for first in range(0, n_positions, at_once)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have torch use one thread, and what was set before afterwards: products of images are too short for more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
