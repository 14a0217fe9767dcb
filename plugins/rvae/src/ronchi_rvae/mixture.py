"""A mixture of templates seen at any angle, optionally from either side, and what it makes of images.

What an image is compared with are *views*: every template as it is, and then, for templates that have a hand, as in a
mirror: y reversed about the centre, which conjugates the coefficients. The view is then turned and shifted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixture", "Responses"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]


@dataclass(frozen=True)
class Mixture:
    """Templates with their shares, and the noise.

    Parameters
    ----------
    templates : (K, D) complex64
        Coefficients in a `DiscBasis`.
    share : (K,) float64
        Adds up to 1.
    variance : float
        Of the noise in a pixel.
    shift_sigma_px : float
        Standard deviation of shifts along an axis.
    fold : (K,) int64
        Rotation symmetry that each template is held to: 1 for none, 0 if it is isotropic.
    handed : (K,) bool, optional
        True for templates whose mirror images are of the same class and are others than they. By default none is:
        either mirror images are other classes, or they are turned copies.
    """

    templates: Complex
    share: Doubles
    variance: float
    shift_sigma_px: float
    fold: NDArray[np.int64]
    handed: NDArray[np.bool_] | None = None

    @property
    def size(self) -> int:
        """Number of classes."""
        return len(self.share)

    @property
    def has_hand(self) -> NDArray[np.bool_]:
        """(K,) `handed`, False by default."""
        return np.zeros(self.size, bool) if self.handed is None else self.handed

    @property
    def view_class(self) -> NDArray[np.int64]:
        """(V,) class of every view: 0 to K - 1, then those that have a hand."""
        return np.concatenate([np.arange(self.size), np.flatnonzero(self.has_hand)])

    @property
    def view_mirrored(self) -> NDArray[np.bool_]:
        """(V,) True for views in the mirror."""
        return np.arange(len(self.view_class)) >= self.size

    @property
    def views(self) -> Complex:
        """(V, D) coefficients of the views."""
        return np.concatenate([self.templates, np.conj(self.templates[self.has_hand])])

    @property
    def view_share(self) -> Doubles:
        """(V,) share of every view: either hand is as likely."""
        share = np.where(self.has_hand, 0.5 * self.share, self.share)
        return share[self.view_class]

    def by_class(self, of_views: NDArray[Any]) -> NDArray[Any]:
        """Sums (..., K) over the views (..., V) of each class."""
        summed = of_views[..., : self.size].copy()
        summed[..., self.has_hand] += of_views[..., self.size :]
        return summed

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give what is saved."""
        numbers = np.array([self.variance, self.shift_sigma_px])
        return {
            "templates": self.templates,
            "share": self.share,
            "noise": numbers,
            "fold": self.fold,
            "handed": self.has_hand,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Undo `arrays`."""
        variance, shift_sigma_px = (float(number) for number in arrays["noise"])
        return cls(arrays["templates"], arrays["share"], variance, shift_sigma_px, arrays["fold"], arrays["handed"])


@dataclass(frozen=True)
class Responses:
    """What every view makes of every image.

    Parameters
    ----------
    chance : (n, V) float64
        Posterior of the view; rows add up to 1.
    log_likelihood : (n,) float64
        Up to a constant that depends on the variance alone.
    angle : (n, V) float64
        Most likely angle in rad.
    shift_px : (n, V, 2) float64
    moments : (n, V, M) complex64
        Posterior mean of ``exp(i m angle)``.
    misfit : (n, V) float64
        Squared distance of image and view over all angles, but for their levels.
    averaged : mapping
        By the number of a view that leaves the shift open, the images (n, D) turned and shifted back with the whole
        posterior of their poses. Of other views images are at their best shift.
    """

    chance: Doubles
    log_likelihood: Doubles
    angle: Doubles
    shift_px: Doubles
    moments: Complex
    misfit: Doubles
    averaged: Mapping[int, Complex] = field(default_factory=dict)

    def best_view(self, mixture: Mixture, label: NDArray[np.int64], *, other: bool = False) -> NDArray[np.int64]:
        """(n,) more likely view of the class (n,) of each image; the less likely one if the ``other`` is wanted."""
        rows = np.arange(len(label))
        in_mirror = np.arange(mixture.size)
        in_mirror[mixture.has_hand] = np.arange(mixture.size, len(mixture.view_class))
        mirrored = in_mirror[label]
        takes_mirrored = (self.chance[rows, mirrored] > self.chance[rows, label]) != other
        return np.where(takes_mirrored, mirrored, label)
