"""Fit every position of a scan: find the common model error first, then fit with the right weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ronchi_lattice import kernel
from ronchi_lattice.leverage import residuals
from ronchi_lattice.noise import ModelError, Weights, model_error, relative, usable_variances, weights
from ronchi_lattice.peaklist import Peaks

__all__ = ["Fits", "Settings", "fit_from", "fit_scan", "start_of", "tukey_covariance_factor"]

Floats = NDArray[np.float64]

_SAMPLE = 2000  # residuals to spare that tell the model error: they fix it to a few per cent
_FEWEST_ASKED = 64  # positions: some may be unlike the others
_BLOCK = 65536  # positions between two reports of progress
_VARIANCE_FLOOR = 1e-14  # of |g|^2: keeps the weights of exact peaks finite
_LEAST_LEFT = 0.05  # of its variance: the residual of a peak that alone fixes a vector tells nothing
_FIRST_SIGMA = 0.02  # of |g|: weights nearly equal, until the model error is known


@dataclass(frozen=True)
class Settings:
    """What a fit needs of the parameters; ``tolerance`` in shortest vectors, ``min_part`` as in `fit_positions`."""

    min_peaks: int = 5
    min_fraction: float = 0.35
    tolerance: float = 0.25
    outlier_sigma: float = 6.0
    min_part: float = 1.0


@dataclass(frozen=True)
class Fits:
    """Lattices of ``n`` positions, NaN where ``reason`` is not 0, and what became of each peak.

    Parameters
    ----------
    params : (n, 6) float64
        ``(origin_y, g1_y, g2_y, origin_x, g1_x, g2_x)``.
    cov : (n, 6, 6) float64
    chi2 : (n,) float64
        Reduced, of the peaks used.
    rms : (n,) float64
        RMS distance of the peaks used from their nodes, in units of q.
    n_used : (n,) int32
    reason : (n,) uint8
        Codes of `ronchi_lattice.kernel`.
    hk : (peak, 2) int32
        Indices, where ``weight`` is not 0.
    weight : (peak,) float32
        Robust weight; 0 for peaks that are not on the lattice.
    """

    params: Floats
    cov: Floats
    chi2: Floats
    rms: Floats
    n_used: NDArray[np.int32]
    reason: NDArray[np.uint8]
    hk: NDArray[np.int32]
    weight: NDArray[np.float32]

    @classmethod
    def empty(cls, n: int, n_peaks: int) -> Fits:
        """Nothing fitted yet."""
        return cls(
            params=np.full((n, 6), np.nan),
            cov=np.full((n, 6, 6), np.nan),
            chi2=np.full(n, np.nan),
            rms=np.full(n, np.nan),
            n_used=np.zeros(n, np.int32),
            reason=np.full(n, kernel.NO_PEAKS, np.uint8),
            hk=np.zeros((n_peaks, 2), np.int32),
            weight=np.zeros(n_peaks, np.float32),
        )

    @property
    def fitted(self) -> NDArray[np.bool_]:
        """(n,) True where there is a lattice."""
        fitted: NDArray[np.bool_] = self.reason == kernel.FITTED
        return fitted

    @property
    def G(self) -> Floats:  # noqa: N802 - the field's symbol
        """(n, 2, 2) matrices with g1 and g2 as columns, rows in the order (y, x)."""
        return self.params.reshape(-1, 2, 3)[:, :, 1:]

    @property
    def G_cov(self) -> Floats:  # noqa: N802 - the field's symbol
        """(n, 4, 4) covariance of ``(g1_y, g2_y, g1_x, g2_x)``, which is G row by row."""
        keep = np.array([1, 2, 4, 5])
        return self.cov[:, keep[:, None], keep]


def tukey_covariance_factor(c: float) -> float:
    """Covariance of the biweight estimate in units of the inverse of its weighted normal matrix.

    For 2-D normal residuals of unit variance and the weight ``w = (1 - d^2/c^2)^2``, from Huber's sandwich
    ``E[(w d)^2 / 2] / E[w + d w'/2]^2 * E[w]`` (Huber 1981, Robust Statistics, doi:10.1002/0471725250).
    """
    half = 0.5 * c * c
    top = min(half, 40.0)  # u = d^2/2 has the density exp(-u), of which nothing is left beyond
    u = (np.arange(4000) + 0.5) * top / 4000  # midpoint rule
    t, density = u / half, top * np.exp(-u)
    w = (1 - t) ** 2
    square = np.mean(w * w * u * density)
    slope = np.mean((w - 2 * t * (1 - t)) * density)
    return float(square / slope**2 * np.mean(w * density))


def fit_scan(
    peaks: Peaks, basis: Floats, settings: Settings, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Fits, Weights, float]:
    """Fit the lattice near ``basis`` at every position.

    Parameters
    ----------
    peaks : Peaks
    basis : (2, 2) float64
        Columns g1 and g2, rows (y, x).
    settings : Settings
    progress : callable
        ``progress(done, total)`` in positions.

    Returns
    -------
    fits : Fits
    weighted : Weights
        Of all peaks.
    model_sigma : float
        Square root of the model variance of a peak of typical intensity, in units of q; NaN where
        neither residuals nor the detector tell how far peaks may lie from the lattice: covariances mean nothing then.
    """
    n = len(peaks.counts)
    floor = _VARIANCE_FLOOR * float((basis**2).sum(axis=0).min())
    var, informative = usable_variances(peaks.var)
    own = var if informative else np.zeros_like(var)
    extra, typical = _model_error(peaks, own, basis, settings, floor)
    known = extra is not None or informative
    if extra is None:  # nothing is left over to tell it: believe the detector
        own, extra = var, ModelError(floor, 0.0)
    weighted = weights(own, extra, relative(peaks.dimness, typical))

    fits = Fits.empty(n, len(peaks.q))
    for first in range(0, n, _BLOCK):
        block = np.arange(first, min(first + _BLOCK, n))
        fit_from(fits, peaks, weighted, block, start_of(basis, len(block)), basis, settings)
        progress(int(block[-1]) + 1, n)
    return fits, weighted, float(np.sqrt(extra.typical)) if known else np.nan


def start_of(basis: Floats, n: int) -> Floats:
    """(n, 6) start parameters: ``basis`` about the origin of q."""
    return np.tile([0.0, *basis[0], 0.0, *basis[1]], (n, 1))


def fit_from(
    fits: Fits,
    peaks: Peaks,
    weighted: Weights,
    which: NDArray[np.int64],
    start: Floats,
    basis: Floats,
    settings: Settings,
) -> None:
    """Fit the positions ``which`` from ``start`` (which, 6) and write the results into ``fits``.

    The lattices may be turned from ``basis`` (2, 2) by any angle.
    """
    shortest = np.minimum(np.hypot(start[:, 1], start[:, 4]), np.hypot(start[:, 2], start[:, 5]))
    kernel.fit_positions(
        peaks.q,
        weighted.precision,
        weighted.typical,
        peaks.offsets,
        which,
        start,
        abs(float(np.linalg.det(basis))),
        settings.tolerance * shortest,
        settings.min_peaks,
        settings.min_fraction,
        min(settings.min_part, settings.min_fraction),
        settings.outlier_sigma,
        tukey_covariance_factor(settings.outlier_sigma),
        fits.params,
        fits.cov,
        fits.chi2,
        fits.rms,
        fits.n_used,
        fits.reason,
        fits.hk,
        fits.weight,
    )


def _model_error(
    peaks: Peaks, var: Floats, basis: Floats, settings: Settings, floor: float
) -> tuple[ModelError | None, float]:
    """Common model error from a sample of the positions, and the dimness of a typical peak on their lattices.

    None, and 1, if their fits leave no residuals.
    """
    extra, typical = ModelError(_FIRST_SIGMA**2 * float((basis**2).sum(axis=0).min()), 0.0), 1.0
    chosen = _positions_on_lattice(peaks, var, basis, settings, extra)
    if not len(chosen):
        return None, 1.0
    rows, sample = peaks.at(chosen)
    var, fits = var[rows], Fits.empty(len(chosen), len(rows))
    position = np.repeat(np.arange(len(chosen)), sample.counts)
    everything, start = np.arange(len(chosen)), start_of(basis, len(chosen))
    for repeat in range(3):
        weighted = weights(var, extra, relative(sample.dimness, typical))
        fit_from(fits, sample, weighted, everything, start, basis, settings)
        used = np.flatnonzero((fits.weight > 0) & (fits.n_used[position] > 3))
        if not len(used):
            return None, 1.0
        # Peaks off the lattice may be far dimmer, or brighter, than those that count.
        dimness, hk = sample.dimness[used], fits.hk[used]
        typical = float(np.nanmedian(dimness)) if not np.isnan(dimness).all() else 1.0
        # The first pass only finds the scale: with it, stray peaks are known.
        uneven = relative(dimness, typical) if repeat else np.ones(len(used))
        weight = weighted.precision[used][:, 0] + weighted.precision[used][:, 2]
        variances = np.column_stack([var[used], np.ones(len(used)), uneven])
        residual, left = residuals(sample.q[used], hk, weight, position[used], variances)
        # The direct beam, by far the brightest, may be off by more than others.
        telling = (left[:, 3] > _LEAST_LEFT) & (hk != 0).any(axis=1)
        if not telling.any():
            return None, 1.0
        residual, left, uneven, hk = (column[telling] for column in (residual, left, uneven, hk))
        extra = model_error(residual, left[:, :3], left[:, 3], left[:, 4], uneven, hk, floor)
    return extra, typical


def _positions_on_lattice(
    peaks: Peaks, var: Floats, basis: Floats, settings: Settings, extra: ModelError
) -> NDArray[np.int64]:
    """Some of the positions whose lattices have many peaks; where few have, all are tried to find them.

    Beside a crystal, stray peaks show lattices of a few peaks by chance: what these scatter by tells nothing.
    """
    enough = np.flatnonzero(peaks.counts >= max(settings.min_peaks, 4))
    some = _spread(enough, peaks.counts)
    n_used = _first_fit(peaks, var, basis, settings, extra, some)
    if len(some) < len(enough) and np.sum(np.maximum(n_used - 3, 0)) < _SAMPLE / 2:
        some, n_used = enough, _first_fit(peaks, var, basis, settings, extra, enough)
    rich = (n_used > 3) & (2 * n_used >= n_used.max(initial=0))
    spare = np.zeros(len(peaks.counts), np.int64)
    spare[some] = n_used
    return _spread(some[rich], spare)


def _spread(positions: NDArray[np.int64], n_peaks: NDArray[np.int64]) -> NDArray[np.int64]:
    """As many of the positions, all over the scan, as it takes; ``n_peaks`` is of all positions."""
    if not len(positions):
        return positions
    asked = max(_FEWEST_ASKED, round(_SAMPLE / float(np.mean(n_peaks[positions] - 3))))
    return positions[np.linspace(0, len(positions) - 1, min(asked, len(positions))).astype(np.int64)]


def _first_fit(
    peaks: Peaks, var: Floats, basis: Floats, settings: Settings, extra: ModelError, which: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(which,) peaks on the lattice, all with about the same weight."""
    n_used = np.zeros(len(which), np.int64)
    for first in range(0, len(which), _BLOCK):
        rows, part = peaks.at(which[first : first + _BLOCK])
        n, fits = len(part.counts), Fits.empty(len(part.counts), len(rows))
        weighted = weights(var[rows], extra, np.ones(len(rows)))
        fit_from(fits, part, weighted, np.arange(n), start_of(basis, n), basis, settings)
        n_used[first : first + n] = fits.n_used * fits.fitted
    return n_used
