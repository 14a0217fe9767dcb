"""What the edge of the disc has to say about a shift.

With every shift the disc covers other pixels. The likelihood of a shift has the energy of the image in them, so that
atoms that come in at the edge draw no template there. But where noise is most of that energy, noise would choose the
shift, and nothing less than the image does: of the differences of the energy as much is taken as is signal (Wiener).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi_rvae.disc import DiscBasis, turning_energy
from ronchi_rvae.mixture import Mixture

__all__ = ["signal_at_edge", "telling_energy"]

Floats = NDArray[np.float32]
Complex = NDArray[np.complex64]


def telling_energy(described: Complex, signal: float) -> Floats:
    """(n, nodes) squared lengths of descriptions but for levels, of whose differences only a part is signal.

    Parameters
    ----------
    described : (n, nodes, D) complex64
    signal : float
        That part, from 0 to 1: `signal_at_edge`.
    """
    energy = turning_energy(described)
    middle = energy[:, energy.shape[1] // 2, None]
    told: Floats = middle + np.float32(signal) * (energy - middle)
    return told


def signal_at_edge(basis: DiscBasis, mixture: Mixture) -> float:
    """Part of what a shift changes in the energy of an image that is signal: what the templates have at the edge."""
    if basis.shifts.side == 1:
        return 1.0
    templates = mixture.templates.copy()
    templates[:, 0] = 0
    energy = turning_energy(basis.describe(basis.images(templates))).astype(float)
    changed = ((energy - energy[:, energy.shape[1] // 2, None]) ** 2).sum(axis=1)
    signal = float(mixture.share @ changed)
    noise = mixture.variance**2 * basis.edge_noise
    return signal / max(signal + noise, 1e-300)
