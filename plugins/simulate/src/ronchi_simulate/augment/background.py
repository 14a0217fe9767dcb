"""Electrons that are not in the disks: the plasmon halo and the rings of amorphous material."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["amorphous_rings", "plasmon_halo"]


def plasmon_halo(probe: Tensor, source: Tensor, width: Tensor, q_step: tuple[float, float]) -> Tensor:
    """Lorentzian 1 / (q^2 + w^2) around the beam, convolved with the probe; every halo sums to 1.

    The Lorentzian of single plasmon losses (Egerton, Electron Energy-Loss Spectroscopy, 2011, section 3.3) has no
    finite integral in a plane: the sum is over the detector. The convolution is periodic.

    Parameters
    ----------
    probe : (n, rows, columns) Tensor
        As the detector sees it when it is centred: distorted, not shifted.
    source : (n, 2, rows, columns) Tensor
        Undistorted position of every pixel, from `source_coordinates`: the halo shares distortion and shift.
    width : (n,) Tensor
        Half-width w in 1/angstrom.
    q_step : tuple of float
        Pixel (y, x) in 1/angstrom.

    Returns
    -------
    (n, rows, columns) float32 Tensor
    """
    rows, columns = probe.shape[-2:]
    radius = _radius(source, q_step)
    lorentzian = 1 / (radius.square_() + width.float()[:, None, None] ** 2)
    spectrum = torch.fft.rfft2(lorentzian) * torch.fft.rfft2(torch.fft.ifftshift(probe, dim=(-2, -1)))
    halo = torch.fft.irfft2(spectrum, s=(rows, columns)).clamp_(min=0)
    return halo / halo.sum((1, 2), keepdim=True).clamp(min=1e-30)


def amorphous_rings(
    source: Tensor, weight: Tensor, radius: Tensor, width: Tensor, q_step: tuple[float, float]
) -> Tensor:
    """Sum of rings around the beam with Gaussian profiles, each with ``weight`` as its integral over undistorted q.

    Parameters
    ----------
    source : (n, 2, rows, columns) Tensor
        Undistorted position of every pixel, from `source_coordinates`.
    weight, radius, width : (n, rings) Tensor
        Radius and standard deviation in 1/angstrom.
    q_step : tuple of float

    Returns
    -------
    (n, rows, columns) float32 Tensor
    """
    distance = _radius(source, q_step)
    total = torch.zeros_like(distance)
    for i in range(weight.shape[1]):
        r, s = (value[:, i, None, None].float() for value in (radius, width))
        norm = (weight[:, i] / _ring_integral(radius[:, i], width[:, i])).float()
        # Far from the ring the exponential would be subnormal, which is ten times slower.
        exponent = (-0.5 * ((distance - r) / s) ** 2).clamp_(min=-60)
        total.addcmul_(exponent.exp_(), norm[:, None, None])
    return total


def _ring_integral(radius: Tensor, width: Tensor) -> Tensor:
    """Integral of exp(-(q - R)^2 / 2 s^2) over the plane."""
    reduced = radius / width
    across = math.sqrt(math.pi / 2) * (1 + torch.erf(reduced / math.sqrt(2)))
    return 2 * math.pi * width**2 * (torch.exp(-0.5 * reduced**2) + reduced * across)


def _radius(source: Tensor, q_step: tuple[float, float]) -> Tensor:
    return torch.hypot(source[:, 0] * q_step[0], source[:, 1] * q_step[1])
