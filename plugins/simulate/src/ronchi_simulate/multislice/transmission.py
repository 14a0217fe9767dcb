"""Transmission functions: the phase that each slice gives to a wave, limited to the band."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi_simulate.multislice.fourier import BandTransform, memory_of, on_a_core
from ronchi_simulate.multislice.potential import SlicedPotential

__all__ = ["transmission_functions"]


def transmission_functions(
    potential: SlicedPotential,
    interaction_constants: torch.Tensor,
    transform: BandTransform,
    band_limit: torch.Tensor,
) -> Iterator[torch.Tensor]:
    """Yield exp(i sigma V) of the slices from the entrance on, without the frequencies outside of the band.

    Parameters
    ----------
    potential : SlicedPotential
    interaction_constants : torch.Tensor
        float32 (run,): sigma of each specimen's beam, in rad / (volt angstrom).
    transform : BandTransform
        Of the potential's grid.
    band_limit : torch.Tensor
        float32, of that grid, in the layout of spectra, divided by its number of pixels.

    Yields
    ------
    torch.Tensor
        complex64 (run, ny, nx); its memory serves later slices too.
    """
    both = transform.images(2, len(interaction_constants))
    for n_slices, pair in potential.pairs():
        _phase_factors(pair, interaction_constants, both)
        for transmission in both[:n_slices]:
            spectrum = transform.forward(transmission).mul_(band_limit)
            yield transform.inverse(spectrum, transmission)


def _phase_factors(pair: torch.Tensor, interaction_constants: torch.Tensor, both: torch.Tensor) -> None:
    """Write exp(i sigma V) of the real and of the imaginary part of (run, ny, nx)."""
    if on_a_core(pair):
        for run, sigma in enumerate(interaction_constants.tolist()):
            of_run = (memory_of(images).numpy() for images in (pair[run], both[0, run], both[1, run]))
            _cosines_and_sines(*of_run, np.float32(sigma))
        return
    phase = torch.view_as_real(pair) * interaction_constants[:, None, None, None]
    cosine, sine = torch.cos(phase), torch.sin(phase)
    for which in (0, 1):
        torch.complex(cosine[..., which], sine[..., which], out=both[which])


_HALF_TURN_COARSE = np.float32(3.140625)
"""pi in so few bits that its multiples are exact."""

_HALF_TURN_REST = np.float32(math.pi - 3.140625)
_PER_HALF_TURN = np.float32(1 / math.pi)
_ONE, _TWO = np.float32(1), np.float32(2)
_C2, _C4, _C6, _C8, _C10, _C12 = (np.float32((-1) ** n / math.factorial(2 * n)) for n in range(1, 7))
_S3, _S5, _S7, _S9, _S11 = (np.float32((-1) ** n / math.factorial(2 * n + 1)) for n in range(1, 6))


# Neither torch nor numpy has both functions in one pass, and their results would still have to be brought together.
@njit(nogil=True, fastmath={"contract"})
def _cosines_and_sines(
    pair: NDArray[np.float32],
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    interaction_constant: np.float32,
) -> None:
    for i in range(len(pair) // 2):
        first[2 * i], first[2 * i + 1] = _cosine_and_sine(pair[2 * i] * interaction_constant)
        second[2 * i], second[2 * i + 1] = _cosine_and_sine(pair[2 * i + 1] * interaction_constant)


@njit(nogil=True, fastmath={"contract"}, inline="always")
def _cosine_and_sine(phase: np.float32) -> tuple[np.float32, np.float32]:
    """By Taylor's polynomials, which up to these powers are exact to single precision up to a quarter of a turn."""
    half_turns = np.rint(phase * _PER_HALF_TURN)
    x = phase - half_turns * _HALF_TURN_COARSE - half_turns * _HALF_TURN_REST
    is_odd = abs(half_turns - _TWO * np.rint(half_turns / _TWO))
    sign = _ONE - _TWO * is_odd
    q = x * x
    sine = x * (_ONE + q * (_S3 + q * (_S5 + q * (_S7 + q * (_S9 + q * _S11)))))
    cosine = _ONE + q * (_C2 + q * (_C4 + q * (_C6 + q * (_C8 + q * (_C10 + q * _C12)))))
    return sign * cosine, sign * sine
