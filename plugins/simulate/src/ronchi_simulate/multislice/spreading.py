"""Spreading: points between pixels become pixels whose Fourier transform is known.

A sum of deltas at any positions is spread onto the grid with a compact kernel, transformed, and divided by the
kernel's own transform: a non-uniform FFT of the first type, with the kernel exp(beta (sqrt(1 - z^2) - 1)) of Barnett,
Magland and af Klinteberg 2019 (doi:10.1137/18M120885X), as accurate as Kaiser and Bessel's and cheaper. Its error is
set by the kernel's width and by how far below the Nyquist frequency the wanted band ends: 2/3 here.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi_simulate.multislice.fourier import on_a_core

__all__ = ["KERNEL_WIDTH_PX", "kernel_spectrum", "kernel_weights", "spread"]

KERNEL_WIDTH_PX = 7
"""Pixels a point touches along an axis: enough for an error of 1e-6 of the strongest frequency within the band."""

_SHAPE = math.pi * KERNEL_WIDTH_PX * (1 - 1 / (2 * 1.5)) * 0.976
"""beta: the widest main lobe that ends where the aliases of the band begin."""

_QUADRATURE_POINTS = 64


def kernel_weights(position_px: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels that points touch along one axis, and how much of the point each gets.

    Parameters
    ----------
    position_px : torch.Tensor
        (n,), float64 or float32.

    Returns
    -------
    first_px : torch.Tensor
        int32 (n,): the first of `KERNEL_WIDTH_PX` successive pixels, not wrapped.
    weights : torch.Tensor
        float32 (n, `KERNEL_WIDTH_PX`).
    """
    first_px = torch.ceil(position_px - KERNEL_WIDTH_PX / 2)
    pixels = torch.arange(KERNEL_WIDTH_PX, device=position_px.device)
    distance = (first_px - position_px).to(torch.float32)[:, None] + pixels
    inside = torch.clamp(1 - (distance * (2 / KERNEL_WIDTH_PX)) ** 2, min=0)
    weights = torch.exp(_SHAPE * (torch.sqrt(inside) - 1))
    return first_px.to(torch.int32), weights


def kernel_spectrum(n_px: int) -> NDArray[np.float64]:
    """Fourier transform of the kernel at the frequencies of a grid of ``n_px`` pixels, in their order; float64."""
    node, weight = np.polynomial.legendre.leggauss(_QUADRATURE_POINTS)
    kernel = weight * np.exp(_SHAPE * (np.sqrt(1 - node**2) - 1))
    half = KERNEL_WIDTH_PX / 2
    spectrum: NDArray[np.float64] = half * np.cos(2 * np.pi * half * np.fft.fftfreq(n_px)[:, None] * node) @ kernel
    return spectrum


def spread(
    memory: torch.Tensor,
    first: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
    weight_y: torch.Tensor,
    weight_x: torch.Tensor,
) -> None:
    """Add points to images, each with the outer product of its weights.

    Parameters
    ----------
    memory : torch.Tensor
        float32 (m,) of all images, added to.
    first : torch.Tensor
        int32 (n,): where in it the image of each point begins.
    rows, columns : torch.Tensor
        int32 (n, `KERNEL_WIDTH_PX`): how far from there the rows that a point touches begin, and how far from the
        beginning of a row the columns are.
    weight_y, weight_x : torch.Tensor
        float32 (n, `KERNEL_WIDTH_PX`).
    """
    points = (first, rows, columns, weight_y, weight_x)
    if on_a_core(memory):
        _spread_one_by_one(memory.numpy(), *(of_point.numpy() for of_point in points))
        return
    index = (first[:, None] + rows)[:, :, None] + columns[:, None, :]
    weight = weight_y[:, :, None] * weight_x[:, None, :]
    memory.index_add_(0, index.reshape(-1), weight.reshape(-1))


# The lists of all pixels and weights, which a GPU wants, take a core six times as long as the additions.
@njit(nogil=True)
def _spread_one_by_one(
    memory: NDArray[np.float32],
    first: NDArray[np.int32],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    weight_y: NDArray[np.float32],
    weight_x: NDArray[np.float32],
) -> None:
    for point in range(len(first)):
        for i in range(KERNEL_WIDTH_PX):
            row = first[point] + rows[point, i]
            for j in range(KERNEL_WIDTH_PX):
                memory[row + columns[point, j]] += weight_y[point, i] * weight_x[point, j]
