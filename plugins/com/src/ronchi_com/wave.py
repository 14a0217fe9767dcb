"""What drift and hum make of a map over the scan, taken out of it: the mean of each row, the strongest plane wave."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["without_row_means", "without_wave"]

Complexes = NDArray[np.complex128]

_STEPS = 2


def without_row_means(values: Complexes, known: NDArray[np.bool_]) -> Complexes:
    """(ny, nx) values less the mean of the known ones along x; 0 where unknown."""
    values = np.where(known, values, 0)
    means = values.sum(1, keepdims=True) / np.maximum(1, known.sum(1, keepdims=True))
    return np.where(known, values - means, 0)


def without_wave(values: Complexes, known: NDArray[np.bool_]) -> Complexes:
    """Subtract the plane wave, of any two complex amplitudes at k and -k, that holds the most power.

    Parameters
    ----------
    values : (ny, nx) complex
        Without row means, 0 where unknown.
    known : (ny, nx) bool

    Returns
    -------
    (ny, nx) complex
    """
    size = float(np.abs(values).max())
    if not size > 0:
        return values
    turns = _strongest(values / size, known.shape)
    y, x = np.indices(known.shape)
    left = values.copy()
    # The row means that are gone draw the peak aside: a few steps of least squares bring it back.
    for _ in range(_STEPS):
        waves = [np.exp(sign * 2j * np.pi * (turns[0] * y + turns[1] * x)) for sign in (1, -1)]
        # Without row means as the values are: a row rarely holds whole periods.
        basis = np.stack([without_row_means(wave, known)[known] for wave in waves], 1)
        amplitudes = np.linalg.pinv(basis) @ values[known]
        left[known] = values[known] - basis @ amplitudes
        slope = 2j * np.pi * (amplitudes[0] * waves[0] - amplitudes[1] * waves[1])
        slopes = np.stack([without_row_means(slope * at, known)[known] for at in (y, x)], 1)
        # All unknowns are real: the parts of two amplitudes, and the change of two frequencies.
        columns = np.concatenate([basis, 1j * basis, slopes], 1)
        rest = np.concatenate([left[known].real, left[known].imag])
        change = np.linalg.lstsq(np.concatenate([columns.real, columns.imag]), rest, rcond=None)[0][-2:]
        turns = turns + np.clip(change, -0.5 / np.array(known.shape), 0.5 / np.array(known.shape))
    return left


def _strongest(values: Complexes, size: tuple[int, ...]) -> NDArray[np.float64]:
    """(2,) periods a position, along y and x, of the wave with the most power."""
    window = np.multiply.outer(*(np.hanning(n + 2)[1:-1] for n in size))
    shape = [fft.next_fast_len(2 * n) for n in size]
    # In single precision: the map may be large, and the peak is only looked for.
    power = np.abs(fft.fft2((values * window).astype(np.complex64), shape)) ** 2
    power += np.roll(power[::-1, ::-1], (1, 1), (0, 1))  # k and -k together
    row, column = np.unravel_index(int(power.argmax()), power.shape)
    return np.array([_top(power[:, column], int(row)) / shape[0], _top(power[row], int(column)) / shape[1]])


def _top(power: NDArray[np.float32], peak: int) -> float:
    """Place of the maximum, by the parabola through the logarithms at the peak and its two neighbours."""
    floor = 1e-12 * float(power[peak])
    low, mid, high = (math.log(max(float(power[(peak + d) % len(power)]), floor)) for d in (-1, 0, 1))
    curve = low - 2 * mid + high
    return peak + (0.5 * (low - high) / curve if curve < 0 else 0.0)
