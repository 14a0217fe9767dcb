"""Projected potentials, slice by slice, in O(atoms) and a few Fourier transforms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi_simulate.multislice.atoms import Columns, slice_index
from ronchi_simulate.multislice.fourier import BandTransform, memory_of, on_a_core
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.multislice.scattering import Scattering, projected_form_factor
from ronchi_simulate.multislice.spreading import KERNEL_WIDTH_PX, kernel_spectrum, kernel_weights, spread

__all__ = ["SlicedPotential"]

_PAIRS_ON_CPU = 2
"""Pairs of slices made in one go: more leave the cache, and one is not worth the calls."""

_PAIR_BYTES_ON_GPU = 2**30

_U_STEPS = 10**9
"""Of 1e-6 angstrom: more than any thermal displacement."""


class SlicedPotential:
    """Potentials of specimens on one grid, projected slice by slice and limited to the band of the grid.

    Two slices go through the transforms at once, as the real and the imaginary part of a complex image: what they
    are multiplied by is real and even.

    Parameters
    ----------
    specimens : sequence of Columns
        Each fills the period of the grid.
    n_slices : sequence of int
        Of each specimen. The potential beyond is nothing.
    grid : WaveGrid
    transform : BandTransform
        Of the grid.
    scattering : mapping
        Lobato's parameters by atomic number.

    Raises
    ------
    DataError
        An element is not in the table.
    """

    def __init__(
        self,
        specimens: Sequence[Columns],
        n_slices: Sequence[int],
        grid: WaveGrid,
        transform: BandTransform,
        scattering: Scattering,
    ) -> None:
        self.n_slices = max(n_slices)
        self._grid, self._transform, self._n_specimens = grid, transform, len(specimens)
        species = [_species(atoms) for atoms in specimens]
        self._factors = self._form_factors([table for table, _ in species], scattering)
        pair_bytes = 16 * self._n_specimens * grid.n_pixels
        pairs = _PAIRS_ON_CPU if transform.device.type == "cpu" else max(1, _PAIR_BYTES_ON_GPU // pair_bytes)
        self._pairs = min(pairs, (self.n_slices + 1) // 2)
        self._spread = transform.images(self._n_specimens, self._pairs)
        self._sum = transform.spectra(self._n_specimens, self._pairs)
        self._sort(specimens, n_slices, [row for _, row in species])

    def _form_factors(self, tables: list[list[tuple[int, float]]], scattering: Scattering) -> torch.Tensor:
        """float32 (specimen, species, spectrum): from a spread species to its part of the potential's spectrum."""
        ny, nx = self._grid.shape
        kernel = kernel_spectrum(ny)[:, None] * kernel_spectrum(nx)
        common = self._transform.spectral(self._grid.band_limit / (kernel * self._grid.area_angstrom2))
        q_squared = self._transform.spectral(self._grid.q_squared)
        known: dict[tuple[int, float], torch.Tensor] = {}
        factors = self._transform.spectra(len(tables), max(map(len, tables)), dtype=torch.float32)
        for specimen, table in enumerate(tables):
            for row, (number, u_angstrom) in enumerate(table):
                if (number, u_angstrom) not in known:
                    damping = torch.exp(-2 * math.pi**2 * u_angstrom**2 * q_squared)
                    known[number, u_angstrom] = common * damping * projected_form_factor(scattering, number, q_squared)
                factors[specimen, row] = known[number, u_angstrom]
        return factors

    def _sort(self, specimens: Sequence[Columns], n_slices: Sequence[int], rows: list[np.ndarray]) -> None:
        """Bring atoms to the device, in the order of their species and then of their slice."""

        def on_device(columns: Iterable[np.ndarray]) -> torch.Tensor:
            return torch.as_tensor(np.concatenate(list(columns)), device=self._transform.device)

        slices = on_device(slice_index(atoms, n) for atoms, n in zip(specimens, n_slices, strict=True))
        # Where the atoms of (species, slice) begin: a range of slices is then a range of atoms.
        key, order = torch.sort(on_device(rows) * self.n_slices + slices, stable=True)
        edges = torch.arange(self._factors.shape[1] * self.n_slices + 1, device=key.device)
        self._first = torch.searchsorted(key, edges).cpu().numpy()
        counts = torch.tensor([len(atoms.number) for atoms in specimens], device=key.device)
        specimen = torch.repeat_interleave(torch.arange(len(specimens), device=key.device), counts)
        image = specimen * self._pairs + slices // 2
        self._image_begins = (image * (2 * self._spread.stride(1)) + slices % 2)[order]
        (ny, nx), (step_y, step_x) = self._grid.shape, self._grid.step_angstrom
        self._rows, self._weight_y = _touched(on_device(atoms.y_angstrom for atoms in specimens)[order] / step_y, ny)
        self._columns, self._weight_x = _touched(on_device(atoms.x_angstrom for atoms in specimens)[order] / step_x, nx)
        if any(atoms.occupancy is not None for atoms in specimens):
            self._weight_y *= on_device(map(_occupancy, specimens))[order].to(torch.float32)[:, None]
        # From pixels to how far their real parts lie in memory.
        self._rows *= 2 * self._spread.stride(-2)
        self._columns *= 2

    def pairs(self) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield two slices at a time from the entrance on.

        Yields
        ------
        n_slices : int
            2, or 1 at the end of an odd number.
        pair : torch.Tensor
            complex64 (specimen, ny, nx) in volt angstrom: the first slice is the real part, the second the imaginary
            part. It may be written to, and serves the next pairs too.
        """
        for start in range(0, self.n_slices, 2 * self._pairs):
            images = self._pairs_from(start)
            for first in range(start, min(start + 2 * self._pairs, self.n_slices), 2):
                yield min(2, self.n_slices - first), images[:, (first - start) // 2]

    def _pairs_from(self, start: int) -> torch.Tensor:
        """Complex64 (specimen, pair, ny, nx): potentials of the slices from ``start`` on, two in one image."""
        at_once = max(1, self._transform.images_at_once // self._pairs)
        self._sum.zero_()
        for species in range(self._factors.shape[1]):
            self._spread_species(species, start)
            for first in range(0, self._n_specimens, at_once):
                some = slice(first, first + at_once)
                spectra = self._transform.forward(self._spread[some])
                _add_products(spectra, self._factors[some, species], self._sum[some])
        return self._transform.inverse(self._sum, self._spread)

    def _spread_species(self, species: int, start: int) -> None:
        """Spread the atoms of one species in the slices from ``start`` on, two slices an image."""
        stop = min(start + 2 * self._pairs, self.n_slices)
        atoms = slice(*self._first[species * self.n_slices + np.array([start, stop])])
        begins = self._image_begins[atoms] - start * self._spread.stride(1)
        spread(
            memory_of(self._spread).zero_(),
            begins.to(torch.int32),
            self._rows[atoms],
            self._columns[atoms],
            self._weight_y[atoms],
            self._weight_x[atoms],
        )


def _add_products(spectra: torch.Tensor, factors: torch.Tensor, out: torch.Tensor) -> None:
    """Add spectra (specimen, pair, …), which may be overwritten, times real factors (specimen, …)."""
    if on_a_core(out):
        for of_specimen in zip(spectra, factors, out, strict=True):
            _add_products_on_a_core(*(memory_of(images).numpy() for images in of_specimen))
    else:
        out.add_(spectra.mul_(factors[:, None]))


# torch makes the factors complex as it goes, and cannot multiply and add in one pass.
@njit(nogil=True, fastmath={"contract"})
def _add_products_on_a_core(
    spectra: NDArray[np.float32], factors: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    size = 2 * len(factors)
    for start in range(0, len(out), size):
        spectrum, sum_ = spectra[start : start + size], out[start : start + size]
        for i in range(len(factors)):
            sum_[2 * i] += spectrum[2 * i] * factors[i]
            sum_[2 * i + 1] += spectrum[2 * i + 1] * factors[i]


def _touched(position_px: torch.Tensor, n_px: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels (n, width) that atoms are spread on along an axis of ``n_px``, and their weights."""
    first_px, weights = kernel_weights(position_px)
    reach = torch.arange(KERNEL_WIDTH_PX, dtype=torch.int32, device=position_px.device)
    return (first_px[:, None] + reach) % n_px, weights


def _occupancy(atoms: Columns) -> np.ndarray:
    return np.ones(len(atoms.number)) if atoms.occupancy is None else atoms.occupancy


def _species(atoms: Columns) -> tuple[list[tuple[int, float]], np.ndarray]:
    """Distinct pairs of atomic number and displacement, this to 1e-6 angstrom, and the row of each atom in them."""
    key = atoms.number * _U_STEPS + np.round(atoms.u_angstrom * 1e6).astype(np.int64)
    distinct, row = np.unique(key, return_inverse=True)
    return [(int(one // _U_STEPS), float(one % _U_STEPS) * 1e-6) for one in distinct], row
