"""The grid of the waves, its frequencies and its band limit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from logging import Logger

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

__all__ = ["WaveGrid", "coarsest_step", "fast_size", "told_if_coarse"]

_BAND_LIMIT = 2 / 3
"""Of the Nyquist frequency: products of two functions limited to it alias to nothing inside of it (Kirkland 2010)."""

_TAPER = 0.01
"""Width of the band limit's edge, cosine-shaped, in units of the sampling frequency; abTEM's."""


def fast_size(n: int) -> int:
    """Return the smallest even size from ``n`` on that a Fourier transform likes."""
    size = next_fast_len(n)
    while size % 2:
        size = next_fast_len(size + 1)
    return int(size)


def coarsest_step(number: int) -> float:
    """Step in angstrom of waves that still carry the phases of an element's atoms.

    On coarser grids the band limit cuts the transmission functions themselves, and dynamical patterns are wrong where
    their sums do not show it. Of crystals of C, Si, Ge and Au, 100 angstrom thick, up to 6 % of the electrons are
    elsewhere on this step than on 0.06 angstrom, and on coarser ones any part of them
    (``plugins/simulate/benchmarks/wave_sampling.py``).
    """
    return 0.47 / max(1, number) ** 0.3


def told_if_coarse(step_angstrom: float, number: int, log: Logger, fix: str) -> None:
    """Log a warning if the step of the waves is too coarse for the heaviest element."""
    if step_angstrom > coarsest_step(number) * 1.001:
        log.warning(
            "waves have a step of %.3g angstrom, on which patterns of atoms with Z = %d are wrong by several per cent "
            "and more: %s until it is %.3g",
            step_angstrom,
            number,
            fix,
            coarsest_step(number),
        )


@dataclass(frozen=True)
class WaveGrid:
    """A periodic grid of pixels in real space, with its frequencies in the order of Fourier transforms.

    Parameters
    ----------
    shape : tuple of int
        (y, x).
    step_angstrom : tuple of float
        (y, x) size of a pixel.
    """

    shape: tuple[int, int]
    step_angstrom: tuple[float, float]

    @cached_property
    def q_inv_angstrom(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Frequencies (ny, 1) and (1, nx)."""
        qy, qx = (
            np.fft.fftfreq(n, step).astype(np.float64) for n, step in zip(self.shape, self.step_angstrom, strict=True)
        )
        return qy[:, None], qx[None, :]

    @cached_property
    def q_squared(self) -> NDArray[np.float64]:
        """Squared frequency (ny, nx) in 1/angstrom^2."""
        qy, qx = self.q_inv_angstrom
        return qy**2 + qx**2

    @cached_property
    def band_limit(self) -> NDArray[np.float64]:
        """Aperture (ny, nx) that is 1 up to 2/3 of the Nyquist frequency of the coarser axis and 0 beyond."""
        inside = (np.sqrt(self.q_squared) - self.open_inv_angstrom) * max(self.step_angstrom) / _TAPER
        return 0.5 * (1 + np.cos(np.pi * np.clip(inside, 0, 1)))

    @property
    def open_inv_angstrom(self) -> float:
        """Frequency up to which the band limit takes nothing away."""
        return (_BAND_LIMIT / 2 - _TAPER) / max(self.step_angstrom)

    @property
    def n_pixels(self) -> int:
        """Pixels of the grid."""
        return self.shape[0] * self.shape[1]

    @property
    def area_angstrom2(self) -> float:
        """Area of the period."""
        return self.n_pixels * self.step_angstrom[0] * self.step_angstrom[1]
