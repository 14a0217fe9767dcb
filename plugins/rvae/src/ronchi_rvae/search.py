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
from ronchi_rvae.em import Mixture, Responses, iterate
from ronchi_rvae.moves import CLEARLY, merge_alike, scatter, split
from ronchi_rvae.symmetry import symmetrised, to_one_frame

__all__ = ["Search", "fit_mixture"]

Complex = NDArray[np.complex64]

_STARTS, _START_IMAGES = 4, 500
_SEARCH_IMAGES = 3000
_ROUNDS = 6
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
    """

    n_classes: int | None
    most_classes: int
    passes: int = 8
    tick: Callable[[], None] = lambda: None

    @classmethod
    def asked(cls, params: Any, ctx: Context) -> Self:
        """As the parameters of a learner ask for."""
        stages = itertools.count(1)

        def tick() -> None:
            done = next(stages)
            # How many stages there will be is not known: the bar creeps towards its end.
            ctx.progress(done, done + 8)

        return cls(None if params.n_classes == "auto" else params.n_classes, params.max_classes, params.passes, tick)


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
    mixture, found = _first_class(basis, few, rng)
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
    for _ in range(2):
        mixture = to_one_frame(basis, symmetrised(basis, mixture, n))
        mixture, _ = iterate(basis, described, mixture, search.passes, tolerance=_TOLERANCE)
        search.tick()
    return mixture


def _first_class(basis: DiscBasis, described: Complex, rng: np.random.Generator) -> tuple[Mixture, Responses]:
    """The best of several single classes, each grown from one image."""
    part = described[:_START_IMAGES]
    middle = part.shape[1] // 2
    variance = float((np.abs(part[:, middle]) ** 2).sum(axis=1).mean()) / basis.dof
    sigma = max(basis.shifts.reach_px / np.sqrt(3), 0.02)
    tried = []
    for row in rng.choice(len(part), min(_STARTS, len(part)), replace=False):
        seed = Mixture(part[row, middle][None], np.ones(1), max(variance, 1e-12), sigma, np.ones(1, np.int64))
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
    """Split the class with the most structure until none has any, or there are enough."""
    most = search.most_classes if search.n_classes is None else search.n_classes + 2
    while mixture.size < most:
        ways = [scatter(basis, described, mixture, found, k) for k in range(mixture.size)]
        k = int(np.argmax([way.excess * way.n for way in ways]))
        k = k if ways[k].excess > CLEARLY else int(np.argmax([way.excess for way in ways]))
        if ways[k].excess < CLEARLY and (search.n_classes is None or mixture.size >= search.n_classes):
            break
        mixture, angle, shift_px = split(mixture, found, k, ways[k])
        mixture, found = iterate(
            basis, described, mixture, search.passes, angle=angle, shift_px=shift_px, tolerance=_TOLERANCE
        )
        search.tick()
    return mixture, found
