"""Covariance of a position, from the shape of the template and the noise of the counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi_crosscorr.correlate import Correlator

__all__ = ["position_covariance"]


def position_covariance(
    correlator: Correlator, kernel: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance of the maximum of the correlation for a lone disk.

    The maximum moves by ``H^-1 g``, with ``H`` the curvature of the disk's correlation and ``g``
    the slope that the noise has there: ``Cov = H^-1 Cov(g) H^-1``. With Poisson noise ``Cov(g)`` is
    the sum of squared slopes of the filter, weighted by the disk and by the background.

    Exact for a correlation that is linear in the counts. Hybrid and phase correlation also weight the noise by each
    pattern's own spectrum: their maxima scatter more than this says, which the fit of `likelihood` does not inherit.

    Parameters
    ----------
    kernel : (my, mx) float64 array
        The template given to the correlator.

    Returns
    -------
    shot, background : (3,) float64 arrays
        yy, yx, xx in px^2 of the grid: the covariance is
        ``shot / N + background * b / N**2`` for N counts in the disk and b counts in a pixel beside it.
    """
    size = correlator.grid.padded
    product = correlator.product.cpu().numpy().astype(np.complex128)
    disk = np.clip(kernel, 0, None)
    spectrum = np.fft.rfft2(np.fft.ifftshift(disk))
    fy, fx = 2j * np.pi * np.fft.fftfreq(size[0])[:, None], 2j * np.pi * np.fft.rfftfreq(size[1])[None]
    # The filter as it is laid over the pattern is the mirrored product, hence the conjugate.
    slopes = [np.fft.fftshift(np.fft.irfft2(product.conj() * f, s=size)) for f in (fy, fx)]
    pairs = ((0, 0), (0, 1), (1, 1))
    factors = (fy * fy, fy * fx, fx * fx)
    curvature = [np.fft.irfft2(spectrum * product * factor, s=size)[0, 0] for factor in factors]
    inverse = np.linalg.inv(np.array([[curvature[0], curvature[1]], [curvature[1], curvature[2]]]))
    result = []
    for weight in (disk, np.ones(size)):
        g = [float((slopes[i] * slopes[j] * weight).sum()) for i, j in pairs]
        cov = inverse @ np.array([[g[0], g[1]], [g[1], g[2]]]) @ inverse
        result.append(np.array([cov[0, 0], cov[0, 1], cov[1, 1]]))
    return result[0], result[1]
