"""The whole fit of a mixture: one class from several starts, split while there is structure, merge what is alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.em import iterate
from ronchi_rvae.mixture import Mixture, Responses
from ronchi_rvae.moves import merge_alike, scatter, split
from ronchi_rvae.shrinkage import shrunk
from ronchi_rvae.symmetry import symmetrised, to_one_frame

__all__ = ["Search", "fit_mixture"]

Complex = NDArray[np.complex64]

_STARTS, _START_IMAGES = 4, 500
_SEARCH_IMAGES = 3000
_ROUNDS = 6
_OF_NOISE = 2.0
"""Nats a parameter that a template of noise may gain, since images take the poses that suit theirs: 1.0 to 1.4 in
simulations."""
_TOLERANCE = 2e-3
"""Nats an image: passes stop where the likelihood grows by less."""


@dataclass(frozen=True)
class Search:
    """How far to look.

    Parameters
    ----------
    n_classes : int or None
        None to find it.
    most_classes : int
        Largest number that is tried.
    passes : int
        At most so many passes over the images between two changes of the classes, and twice as many at the end.
    tick : callable
        Called between stages; may raise to stop the work.
    mirror : bool
        Mirror images are of one class.
    """

    n_classes: int | None
    most_classes: int
    passes: int = 8
    tick: Callable[[], None] = lambda: None
    mirror: bool = False

    @classmethod
    def asked(cls, params: Any, ctx: Context) -> Self:
        """As the parameters of a learner ask for."""
        stages = itertools.count(1)

        def tick() -> None:
            done = next(stages)
            # How many stages there will be is not known: the bar creeps towards its end.
            ctx.progress(done, done + 8)

        wanted = None if params.n_classes == "auto" else params.n_classes
        return cls(wanted, params.max_classes, params.passes, tick, params.mirror)


def fit_mixture(basis: DiscBasis, described: Complex, rng: np.random.Generator, search: Search) -> Mixture:
    """Fit a mixture of templates to images.

    The classes are looked for in a part of the images; all of them then decide whether there are more.

    Parameters
    ----------
    described : (n, nodes, D) complex64

    Returns
    -------
    Mixture
        All templates in the frame of the largest class.
    """
    n = len(described)
    few = described[np.sort(rng.choice(n, min(_SEARCH_IMAGES, n), replace=False))]
    mixture, found = _first_class(basis, few, rng, search.mirror)
    search.tick()
    mixture, found = _restructure(basis, few, mixture, found, search)
    if len(few) < n:
        mixture, found = iterate(basis, described, mixture, search.passes, tolerance=_TOLERANCE)
        search.tick()
        mixture, found = _restructure(basis, described, mixture, found, search)
    mixture, _ = iterate(
        basis,
        described,
        mixture,
        2 * search.passes,
        angle=found.angle,
        shift_px=found.shift_px,
        tolerance=_TOLERANCE / 10,
    )
    search.tick()
    # Twice: only the templates that are made with the images about the right centre show all of their symmetry.
    # Copies of one site that differed by where their centre was are alike now.
    for _ in range(2):
        mixture = merge_alike(basis, symmetrised(basis, mixture, n), n, at_least=search.n_classes)
        mixture = to_one_frame(basis, mixture)
        mixture, found = iterate(basis, described, mixture, search.passes, tolerance=_TOLERANCE, averaged=True)
        search.tick()
    return shrunk(basis, described, mixture, found)


def _first_class(
    basis: DiscBasis, described: Complex, rng: np.random.Generator, mirror: bool
) -> tuple[Mixture, Responses]:
    """The best of several single classes, each grown from one image."""
    part = described[:_START_IMAGES]
    middle = part.shape[1] // 2
    variance = float((np.abs(part[:, middle, 1:]) ** 2).sum(axis=1).mean()) / (basis.dof - 1)
    sigma = max(basis.shifts.reach_px / np.sqrt(3), 0.02)
    tried = []
    for row in rng.choice(len(part), min(_STARTS, len(part)), replace=False):
        seed = Mixture(
            part[row, middle][None],
            np.ones(1),
            max(variance, 1e-12),
            sigma,
            np.ones(1, np.int64),
            np.ones(1, bool) if mirror else None,
        )
        tried.append(iterate(basis, part, seed, 6))
    best = max(tried, key=lambda one: float(one[1].log_likelihood.mean()))[0]
    return iterate(basis, described, best, 4)


def _restructure(
    basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses, search: Search
) -> tuple[Mixture, Responses]:
    """Split and merge classes until neither changes anything."""
    for _ in range(_ROUNDS):
        size = mixture.size
        mixture, found = _grow(basis, described, mixture, found, search)
        merged = merge_alike(basis, mixture, len(described), at_least=search.n_classes)
        if merged.size < mixture.size:
            mixture, found = iterate(basis, described, merged, search.passes, tolerance=_TOLERANCE)
            search.tick()
        if mixture.size == size:
            break
    return mixture, found


def _grow(
    basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses, search: Search
) -> tuple[Mixture, Responses]:
    """Split the class with the most structure until none has any, or there are enough.

    Unless a number of classes was asked for, a split has to tell more about other images than its parameters cost
    (Akaike 1974, doi:10.1109/TAC.1974.1100705), twice: poses that suit the noise cost, too. Whether there is structure
    at all, the noise edge has decided before.
    """
    n, wanted = len(described), search.n_classes
    most = search.most_classes if wanted is None else wanted + 2
    price = _OF_NOISE * (basis.dof + 1) / n
    tried: set[int] = set()
    while mixture.size < most:
        ways = [scatter(basis, described, mixture, found, k) for k in range(mixture.size)]
        open_ways = [k for k in range(mixture.size) if k not in tried and ways[k].excess > ways[k].clearly]
        if wanted is not None and mixture.size < wanted:
            open_ways = open_ways or list(range(mixture.size))
        if not open_ways:
            break
        k = max(open_ways, key=lambda one: ways[one].excess * ways[one].n)
        halves, angle, shift_px = split(mixture, found, k, ways[k])
        split_mixture, split_found = iterate(
            basis, described, halves, search.passes, angle=angle, shift_px=shift_px, tolerance=_TOLERANCE
        )
        search.tick()
        gained = float(split_found.log_likelihood.mean() - found.log_likelihood.mean())
        if wanted is None and gained < price:
            tried.add(k)
            continue
        mixture, found = split_mixture, split_found
        tried.clear()
    return mixture, found
