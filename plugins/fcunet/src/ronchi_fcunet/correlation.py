"""The Fourier preprocessing layer: the spectrum of the pattern times that of the probe, conjugated."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["correlated", "correlation_spectrum", "image_of_spectrum"]

_LEAST = 1e-12
"""Least norm, so that an empty pattern gives zeros."""


def correlation_spectrum(pattern: Tensor, probe: Tensor) -> Tensor:
    """Spectrum of the cross-correlation of patterns with their probes, zero frequency in the middle, rms 1.

    Parameters
    ----------
    pattern, probe : (n, qy, qx) float32 Tensor
        The probe is centred at N // 2; one probe (1, qy, qx) serves all patterns.

    Returns
    -------
    (n, 1, qy, qx) complex64 Tensor
        With phases relative to the middle pixel, so that a disk in the middle has phase 0 everywhere.
    """
    axes = (-2, -1)
    # The axis of channels comes first: ONNX can add none to complex numbers.
    spectrum = torch.fft.fft2(torch.fft.ifftshift(pattern.float()[:, None], axes), norm="ortho")
    template = torch.fft.fft2(torch.fft.ifftshift(probe.float()[:, None], axes), norm="ortho")
    product = spectrum * template.conj()
    rms = product.abs().square().mean(axes, keepdim=True).sqrt().clamp_min(_LEAST)
    return torch.fft.fftshift(product / rms, axes)


def image_of_spectrum(spectrum: Tensor) -> Tensor:
    """Real part of the images (n, c, qy, qx) whose spectra have their zero frequency in the middle."""
    axes = (-2, -1)
    image = torch.fft.ifft2(torch.fft.ifftshift(spectrum, axes), norm="ortho")
    return torch.fft.fftshift(image, axes).real


def correlated(pattern: Tensor, probe: Tensor) -> Tensor:
    """Cross-correlation (n, 1, qy, qx) float32 of patterns with their probes, rms 1, maxima where the disks are."""
    return image_of_spectrum(correlation_spectrum(pattern, probe))
