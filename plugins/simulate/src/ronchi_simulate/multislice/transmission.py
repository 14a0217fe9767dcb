"""Transmission functions: the phase that each slice gives to a wave, limited to the band."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ronchi_simulate.multislice.fourier import BandTransform
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
        complex64 (run, ny, nx); its memory serves the next slice too.
    """
    transmission = transform.images(len(interaction_constants))
    phase_shape = (*transmission.shape, 2)
    # Kept from slice to slice: fresh memory would be paged in each time.
    cosine = torch.empty(phase_shape, device=transmission.device)
    sine = torch.empty_like(cosine)
    for n_slices, pair in potential.pairs():
        phase = torch.view_as_real(pair).mul_(interaction_constants[:, None, None, None])
        _cosine_and_sine(phase, cosine, sine)
        for which in range(n_slices):
            torch.complex(cosine[..., which], sine[..., which], out=transmission)
            spectrum = transform.forward(transmission).mul_(band_limit)
            yield transform.inverse(spectrum, transmission)


def _cosine_and_sine(phase: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> None:
    if phase.device.type == "cpu":
        # numpy's cosine and sine of float32 are three times faster than torch's.
        np.cos(phase.numpy(), out=cosine.numpy())
        np.sin(phase.numpy(), out=sine.numpy())
    else:
        torch.cos(phase, out=cosine)
        torch.sin(phase, out=sine)
