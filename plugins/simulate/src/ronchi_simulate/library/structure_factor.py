"""Structure-factor images: what a network learns to see behind a diffraction pattern.

The image is the modulus of a 3-D Fourier transform of the crystal's potential, in which a Tukey window in the plane
gives each reciprocal-lattice point its width and a Gaussian along the beam weighs it by its distance from the Ewald
sphere (Munshi et al. 2022, doi:10.1038/s41524-022-00939-9), or, as in the code that was published with that paper, from
the plane through the origin across the beam. For a crystal that is a sum over reflections, and needs no grid in space:

    I(q) = | sum_g V_g exp(-d_g^2 / (2 sigma^2)) W(q - g) |        W(0) = 1, d_g = s_g or g_z

in volt, per unit of thickness. Times the thickness in angstrom it is the image of the paper, which is linear in
thickness. It is not convolved with the probe: it shows points, whatever the semiangle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.library.reflections import Reflections
from ronchi_simulate.params.library import WeighedFrom

__all__ = ["structure_factor_image", "tukey_transform"]

_LEAST = 1e-5
"""Reflections weaker than this part of the strongest add nothing that single precision would show."""


def structure_factor_image(
    points: Reflections,
    *,
    pattern_shape: tuple[int, int],
    q_step_inv_angstrom: float,
    weighed_from: WeighedFrom = "sphere",
    sigma_inv_angstrom: float = 0.05,
    tukey_alpha: float = 0.5,
    phase_centre_angstrom: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float32]:
    """Structure-factor image of a crystal, per unit of thickness.

    Parameters
    ----------
    points : Reflections
    pattern_shape : tuple of int
        (qy, qx), q = 0 at N // 2.
    q_step_inv_angstrom : float
        The window's side is 1 / q_step.
    weighed_from : {"sphere", "plane"}
        What the Gaussian lies about.
    sigma_inv_angstrom : float
        Of the Gaussian.
    tukey_alpha : float
        Part of the window that is taper: 0 is a box, 1 a Hann window.
    phase_centre_angstrom : tuple of float
        (y, x) of the window's centre, from the origin to which the structure factors refer. It matters only where
        the widths of two points overlap.

    Returns
    -------
    (qy, qx) float32
        In volt.
    """
    distance = points.excitation_error if weighed_from == "sphere" else points.height_inv_angstrom
    weight = np.exp(-(distance**2) / (2 * sigma_inv_angstrom**2))
    factor = points.structure_factor_V * weight
    counted = np.abs(factor) > _LEAST * np.abs(factor).max(initial=0)
    factor, q = factor[counted], points.q_inv_angstrom[counted]
    factor = factor * np.exp(2j * np.pi * (q @ np.asarray(phase_centre_angstrom)))
    side = 1 / q_step_inv_angstrom
    widths = []
    for axis, n in enumerate(pattern_shape):
        pixel = (np.arange(n) - n // 2) * q_step_inv_angstrom
        widths.append(tukey_transform(pixel[:, None] - q[:, axis], side, tukey_alpha).astype(np.float32))
    rows, columns = widths
    real, imaginary = ((rows * part) @ columns.T for part in (factor.real, factor.imag))
    return np.hypot(real, imaginary).astype(np.float32)


def tukey_transform(q: NDArray[np.float64], side: float, alpha: float) -> NDArray[np.float64]:
    """Fourier transform of a Tukey window, 1 at q = 0.

    The window is a box of side (1 - alpha / 2) L convolved with the half period of a cosine, of width alpha L / 2.

    Parameters
    ----------
    q : float64 array
    side : float
        Whole side L of the window.
    alpha : float
        Part of the window that is taper, 0 to 1.
    """
    twice = alpha * side * q
    pole = np.abs(np.abs(twice) - 1) < 1e-6
    safe = np.where(pole, 0.0, twice)
    lobe = np.where(pole, np.pi / 4, np.cos(np.pi / 2 * safe) / (1 - safe**2))
    transform: NDArray[np.float64] = np.sinc((1 - alpha / 2) * side * q) * lobe
    return transform
