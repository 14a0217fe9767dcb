"""Templates with less of the noise that they were made of.

A template holds noise, and more of it along the directions in which it was itself that brought images to their angles:
it looks surer than it is. How much an image tells of a template is the scatter of what it adds to that (the empirical
information of Louis 1982, doi:10.1111/j.2517-6161.1982.tb01203.x); along directions of little information noise is
large. The power that an order has beyond that noise is its prior, and the template its mean given both (James & Stein).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.em import expected_uprights
from ronchi_rvae.mixture import Mixture, Responses

__all__ = ["shrunk"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]

_ROUNDING = 1e-6
"""Of the power of a template: what scatters less is known."""


def shrunk(basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses) -> Mixture:
    """Mixture with the mean of its templates, given the images that they were made of.

    Parameters
    ----------
    described : (n, nodes, D) complex64
    found : Responses
        Of these images, which the templates were made with.
    """
    templates = mixture.templates.copy()
    for k in range(mixture.size):
        added, scatter = expected_uprights(basis, described, mixture, found, k)
        templates[k] = _shrunk(basis, templates[k], added, scatter)
    return replace(mixture, templates=templates)


def _shrunk(basis: DiscBasis, template: Complex, added: Complex, scatter: Doubles) -> Complex:
    held = np.concatenate([template != 0, template[basis.order > 0] != 0])
    held[0] = False
    if not held.any():
        return template
    order = np.concatenate([basis.order, basis.order[basis.order > 0]])[held]
    real = basis.as_real(template[None])[0].astype(float)
    least = _ROUNDING * float((real[held] ** 2).mean())
    variance = np.concatenate([scatter, scatter[basis.order > 0]])[held] + least
    alike, spread = _information(basis.as_real(added)[:, held], variance, least)
    noise = np.diagonal(np.linalg.inv(alike)) / spread**2
    power = np.zeros(len(order))
    for m in np.unique(order):
        power[order == m] = max(float((real[held][order == m] ** 2 - noise[order == m]).mean()), 0.0)
    # Orders that hold nothing but noise, whose prior is 0, are 0; of others what the prior takes is taken away.
    some = np.flatnonzero(power)
    width = np.sqrt(power[some])
    sure = (width * spread[some])[:, None] * alike[np.ix_(some, some)] * (width * spread[some])
    kept = np.zeros(len(order))
    kept[some] = real[held][some] - width * solve(np.eye(len(some)) + sure, real[held][some] / width, assume_a="pos")
    real[held] = kept
    shrunken: Complex = basis.from_real(real[None].astype(np.float32))[0]
    return shrunken


def _information(added: Floats, variance: Doubles, least: float) -> tuple[Doubles, Doubles]:
    """Sum of the outer products of what images add (n, d) over the variance (d,) of that.

    Shrunk towards its diagonal, as far as so few images make the rest by chance. Source: Ledoit & Wolf 2004, J.
    Multivar. Anal. 88, 365, doi:10.1016/S0047-259X(03)00096-4, of numbers of variance 1.

    Returns
    -------
    alike : (d, d) float64
        It, divided by ``spread`` along rows and columns: 1 on the diagonal.
    spread : (d,) float64
        Roots of its diagonal.
    """
    length = np.sqrt((added**2).sum(axis=0, dtype=np.float64) + len(added) * least)
    unit = added / length.astype(np.float32)
    seen = (unit.T @ unit).astype(float)
    np.fill_diagonal(seen, 1.0)
    by_chance = float(((unit**2).sum(axis=1, dtype=np.float64) ** 2).sum()) - float((seen**2).sum()) / len(added)
    apart = float((seen**2).sum()) - len(seen)
    # What two images add is opposite, and seems to be no chance: n images tell nothing to better than a part in n.
    part = min(1.0, max(by_chance / max(apart, 1e-300), 1 / len(added)))
    alike: Doubles = (1 - part) * seen + part * np.eye(len(seen))
    return alike, length / variance
