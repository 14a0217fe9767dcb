"""Fourier transforms of functions that are limited to a band: the columns of the spectrum outside of it are left out.

FFTW is used on the CPU where pyFFTW is installed (abTEM brings it), torch's transforms elsewhere. Three things make
its pair of transforms about 1.5 times faster than one plan for both axes: a third of the columns is outside of the
band; columns are transformed into the rows of a transposed spectrum, so that memory is read across rows only once each
way; and rows are padded by a cache line, since columns whose stride is a power of two fight for the same lines.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from ronchi_simulate.multislice.fftw import FftwPlanner, Plan, fftw_planner

__all__ = ["BandTransform", "memory_of", "on_a_core"]

_LINE = 8
"""complex64 values in a cache line of 64 bytes."""

_CACHE_BYTES = 2**19
"""Waves that a core works on at a time should fit in its second-level cache with as much again beside them."""


class BandTransform:
    """Unnormalised transforms between stacks of images and their spectra within a band.

    Spectra may be transposed in memory: make multipliers with `spectral`, and look at spectra through `natural`.

    Parameters
    ----------
    band_limit : numpy.ndarray
        (ny, nx), nothing outside of the band, in the order of Fourier transforms.
    device : torch.device
    planner : FftwPlanner, optional
        Another than the one that never times plans.
    """

    def __init__(
        self,
        band_limit: NDArray[np.floating],
        device: torch.device,
        *,
        planner: FftwPlanner | None = None,
    ) -> None:
        self.shape: tuple[int, int] = (band_limit.shape[0], band_limit.shape[1])
        self.device = device
        self._planner = (planner or fftw_planner()) if device.type == "cpu" else None
        self._plans: dict[tuple[object, ...], list[Plan]] = {}
        self._one_axis: dict[str, torch.Tensor] = {}
        self._scratch: dict[tuple[int, ...], torch.Tensor] = {}
        nx = self.shape[1]
        open_columns = np.flatnonzero(band_limit.any(axis=0))
        first_end = int(open_columns[open_columns < nx // 2].max(initial=0)) + 1
        last_start = int(open_columns[open_columns >= nx // 2].min(initial=nx - 1))
        # Whole cache lines: the band may be wider than needed.
        self._band = (slice(0, first_end), slice(max(first_end, last_start // _LINE * _LINE), nx))

    @property
    def images_at_once(self) -> int:
        """Images that one call should get: as many as the cache holds, or all where that does not matter."""
        if self.device.type != "cpu":
            return 2**31
        return max(1, _CACHE_BYTES // (8 * self.shape[0] * self.shape[1]))

    def images(self, *stack: int) -> torch.Tensor:
        """Complex64 zeros, the stack's axes before (ny, nx)."""
        return self._zeros(stack, self.shape, torch.complex64)

    def spectra(self, *stack: int, dtype: torch.dtype = torch.complex64) -> torch.Tensor:
        """Zeros in the layout of spectra."""
        return self._zeros(stack, self.shape[::-1] if self._planner else self.shape, dtype)

    def spectral(self, spectrum: NDArray[np.floating]) -> torch.Tensor:
        """Copy of a real spectrum (ny, nx) as float32 in the layout of spectra."""
        laid = spectrum.T if self._planner else spectrum
        return self.spectra(dtype=torch.float32).copy_(torch.as_tensor(np.ascontiguousarray(laid)))

    def natural(self, spectra: torch.Tensor) -> torch.Tensor:
        """View of spectra as (..., ny, nx)."""
        return spectra.mT if self._planner else spectra

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Spectra of images, which are overwritten; outside of the band they hold anything finite.

        Parameters
        ----------
        images : torch.Tensor
            From `images`, or a part of the first axes of such.

        Returns
        -------
        torch.Tensor
            Its memory serves the next call for as many images.
        """
        if self._planner is None:
            return torch.fft.fft2(images)
        stack = tuple(images.shape[:-2])
        if stack not in self._scratch:
            self._scratch[stack] = self.spectra(*stack)
        spectra = self._scratch[stack]
        self._run("FFTW_FORWARD", images, spectra)
        return spectra

    def inverse(self, spectra: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Images of spectra, without the factor 1 / (ny nx); the spectra are overwritten.

        Parameters
        ----------
        spectra : torch.Tensor
            From `spectra` or `forward`, with nothing outside of the band.
        images : torch.Tensor
            Memory for the result.

        Returns
        -------
        torch.Tensor
            The images, in the memory given or in other memory.
        """
        if self._planner is None:
            return torch.fft.ifft2(spectra, norm="forward")
        self._run("FFTW_BACKWARD", images, spectra)
        return images

    def _zeros(self, stack: tuple[int, ...], shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
        rows, columns = shape
        padded = columns + _LINE if self._planner else columns
        return torch.zeros((*stack, rows, padded), dtype=dtype, device=self.device)[..., :columns]

    def _run(self, direction: str, images: torch.Tensor, spectra: torch.Tensor) -> None:
        key = (direction, images.data_ptr(), spectra.data_ptr(), images.shape)
        if key not in self._plans:
            self._plans[key] = self._plan(direction, images, spectra)
        for plan in self._plans[key]:
            plan.execute()

    def _plan(self, direction: str, images: torch.Tensor, spectra: torch.Tensor) -> list[Plan]:
        """Plans of all images in the order of their execution."""
        assert self._planner is not None
        space, frequency, between = images.numpy(), spectra.numpy(), self._between(direction)
        return [
            plan
            for one in np.ndindex(*images.shape[:-2])
            for plan in self._planner.plan(direction, space[one], frequency[one], between, self._band)
        ]

    def _between(self, direction: str) -> NDArray[np.complex64]:
        """Memory for an image, or for a spectrum, that is transformed along one axis only."""
        if direction not in self._one_axis:
            forward = direction == "FFTW_FORWARD"
            self._one_axis[direction] = self.images() if forward else self.spectra()
        memory: NDArray[np.complex64] = self._one_axis[direction].numpy()
        return memory


def on_a_core(tensor: torch.Tensor) -> bool:
    """Whether a compiled loop does the work: one pass over memory in place of one for each of torch's operations."""
    return tensor.device.type == "cpu"


def memory_of(images: torch.Tensor) -> torch.Tensor:
    """Float32 (n,): the memory of images (..., ny, nx), complex or real, one after the other, padding included."""
    floats = torch.view_as_real(images) if images.is_complex() else images
    return torch.as_strided(floats, (math.prod(images.shape[:-1]) * floats.stride(images.ndim - 2),), (1,))
