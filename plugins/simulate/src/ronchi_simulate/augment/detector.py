"""What the detector makes of an expected pattern: point spread, counts, and pixels that do not tell them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ronchi_simulate.augment.draws import Draws

__all__ = ["bad_pixels", "blur", "count", "shadows"]

Array = NDArray[np.float64]

_ARM = 1 / 3
"""Half-width of the beam stop's arm over the radius of the stop."""


def blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Convolve each image with its own Gaussian; beyond the border the outermost pixels go on.

    Parameters
    ----------
    images : (n, rows, columns) float Tensor
    sigma_px : (n,) Tensor
        0 leaves an image as it is, to the bit.

    Returns
    -------
    (n, rows, columns) float32 Tensor
    """
    widest = float(sigma_px.max())
    if widest == 0:
        return images.float()
    reach = max(1, math.ceil(4 * widest))
    offset = torch.arange(-reach, reach + 1, device=images.device)
    # The tiny floor makes the Gaussian of sigma 0 the single 1 that it is.
    taps = torch.exp(-0.5 * (offset / sigma_px.float().clamp(min=1e-3)[:, None]) ** 2)
    taps = (taps / taps.sum(1, keepdim=True))[:, :, None, None]
    result = images.float()
    for axis, pad in ((1, (0, 0, reach, reach)), (2, (reach, reach, 0, 0))):
        size = result.shape[axis]
        padded = torch.nn.functional.pad(result[:, None], pad, mode="replicate")[:, 0]
        result = padded.narrow(axis, 0, size) * taps[:, 0]
        for k in range(1, 2 * reach + 1):
            result.addcmul_(padded.narrow(axis, k, size), taps[:, k])
    return result


def count(expected: Tensor, seeds: Sequence[int], noisy: Sequence[bool]) -> Tensor:
    """Poisson counts of each pattern, from its own seed; the same on one device, whatever the batch.

    Parameters
    ----------
    expected : (n, rows, columns) float Tensor
        Not negative.
    seeds : sequence of n int
    noisy : sequence of n bool
        The others stay expectations.

    Returns
    -------
    (n, rows, columns) float32 Tensor
    """
    generator = torch.Generator(expected.device)
    counts = torch.empty_like(expected)
    for i, (seed, noise) in enumerate(zip(seeds, noisy, strict=True)):
        generator.manual_seed(int(seed))
        counts[i] = torch.poisson(expected[i], generator=generator) if noise else expected[i]
    return counts


def shadows(draws: Draws, shape: tuple[int, int], q_step: tuple[float, float], device: torch.device) -> Tensor:
    """Where no electron is counted: gaps between modules, and the beam stop with an arm to the border.

    The stop lies on the beam, wherever the shift took it; the distortion does not bend it.

    Returns
    -------
    (n, rows, columns) bool Tensor
    """
    n = len(draws.stop_radius)
    dark = torch.zeros((n, *shape), dtype=torch.bool, device=device)
    for axis, size in enumerate(shape):
        first = torch.from_numpy((draws.gap_at[:, axis] * size).astype(int)).to(device)[:, None]
        width = torch.from_numpy(draws.gap_width_px[:, axis].astype(int)).to(device)[:, None]
        place = torch.arange(size, device=device)
        inside = (place >= first) & (place < first + width)
        dark |= inside[:, :, None] if axis == 0 else inside[:, None, :]
    for i in draws.stop_radius.nonzero()[0].tolist():
        y, x = (
            (torch.arange(size, device=device) - size // 2 - draws.shift_px[i, axis]) * q_step[axis]
            for axis, size in enumerate(shape)
        )
        sine, cosine = math.sin(draws.stop_direction[i]), math.cos(draws.stop_direction[i])
        radius = float(draws.stop_radius[i])
        along = y[:, None] * sine + x * cosine
        across = (y[:, None] * cosine - x * sine).abs()
        dark[i] |= (y[:, None] ** 2 + x**2 < radius**2) | ((across < _ARM * radius) & (along > 0))
    return dark


def bad_pixels(fraction: Array, places: Array, shape: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Single bad pixels of every sample.

    Parameters
    ----------
    fraction : (n,) float
        Part of the pixels.
    places : (n, most, 2) float
        The pixel, from 0 to 1, and a number that goes with it.

    Returns
    -------
    bad : (n, rows, columns) bool Tensor
    number : (n, rows, columns) float32 Tensor
        The second number at bad pixels, else 0.
    """
    n, pixels = len(fraction), math.prod(shape)
    index = torch.from_numpy((places[..., 0] * pixels).astype(int)).to(device)
    used = (
        torch.arange(places.shape[1], device=device) < torch.from_numpy(fraction * pixels).round().to(device)[:, None]
    )
    # An unused place writes into a pixel that is cut off again.
    index = torch.where(used, index, pixels)
    bad = torch.zeros((n, pixels + 1), dtype=torch.bool, device=device).scatter_(1, index, True)
    number = torch.zeros((n, pixels + 1), device=device)
    # The larger one where two places coincide, so that a GPU gives the same every time.
    number.scatter_reduce_(1, index, torch.from_numpy(places[..., 1]).float().to(device), "amax")
    return bad[:, :-1].view(n, *shape), number[:, :-1].view(n, *shape)
