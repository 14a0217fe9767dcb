"""Metric ``latent-invariance``: how much of the orientation is left in the latents, where none should be."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma

from ronchi.api import Context
from ronchi.builtin.pairing import classes_of, flat, folds_of, paired_truth, true_angle
from ronchi.builtin.params_descriptors import LatentInvarianceParams
from ronchi.errors import DataError

__all__ = ["LatentInvariance", "mutual_information", "orbit_variance_ratio", "r2_from_harmonics"]

Array = NDArray[np.float64]


def r2_from_harmonics(z: Array, angle: Array, fold: NDArray[np.int64], harmonics: int) -> float:
    """Part of the variance of ``z`` that the angle predicts, on samples that the regression has not seen.

    Parameters
    ----------
    z, angle : (n,) float
        Angle in rad.
    fold : (n,) int
        Each part is predicted by least squares on cos and sin of multiples of the angle in the other parts.
    harmonics : int
        Highest multiple.

    Returns
    -------
    float
        1 for a function of the angle, 0 or a little less for none; NaN for a constant z.
    """
    k = np.arange(1, harmonics + 1)
    design = np.concatenate([np.ones((len(z), 1)), np.cos(angle[:, None] * k), np.sin(angle[:, None] * k)], 1)
    error = np.empty(len(z))
    baseline = np.empty(len(z))
    for part in np.unique(fold):
        held, seen = fold == part, fold != part
        if seen.sum() <= design.shape[1]:
            return np.nan
        error[held] = z[held] - design[held] @ np.linalg.lstsq(design[seen], z[seen], rcond=None)[0]
        baseline[held] = z[held] - z[seen].mean()
    spread = float((baseline**2).sum())
    return 1 - float((error**2).sum()) / spread if spread > 1e-24 * float((z**2).sum()) else np.nan


def mutual_information(z: Array, angle: Array, neighbours: int = 5) -> float:
    """Mutual information of a number and an angle, in nats, from distances to nearest neighbours.

    Parameters
    ----------
    z : (n,) float
    angle : (n,) float
        In rad, of period 2 pi; distances are taken along the circle.
    neighbours : int

    References
    ----------
    Kraskov, Stögbauer & Grassberger, Phys. Rev. E 69, 066138 (2004), first estimator, doi:10.1103/PhysRevE.69.066138.
    """
    n = len(z)
    if n <= neighbours + 1 or not z.std() > 0:
        return np.nan
    # Ranks leave mutual information as it is, and make it independent of the scale of the latent.
    rank = np.argsort(np.argsort(z)) / n * 2 * np.pi
    circle = np.mod(angle, 2 * np.pi)
    # A period that the ranks never reach makes the first axis a line and the second a circle.
    joint = cKDTree(np.stack([rank, circle], 1), boxsize=(100.0, 2 * np.pi))
    distance = joint.query(joint.data, neighbours + 1, p=np.inf)[0][:, -1]
    inside = np.nextafter(distance, 0)
    near_z = cKDTree(rank[:, None]).query_ball_point(rank[:, None], inside, return_length=True) - 1
    angles = cKDTree(circle[:, None], boxsize=2 * np.pi)
    near_angle = angles.query_ball_point(circle[:, None], inside, return_length=True) - 1
    counted = digamma(near_z + 1) + digamma(near_angle + 1)
    return float(digamma(neighbours) + digamma(n) - counted.mean())


def orbit_variance_ratio(z: Array, orbit: NDArray[np.int64]) -> float:
    """Variance of ``z`` among rotations of one and the same object, over its variance among all samples."""
    _, index = np.unique(orbit, return_inverse=True)
    counts = np.bincount(index)
    means = np.bincount(index, z) / counts
    inner = float(((z - means[index]) ** 2).sum()) / max(1, len(z) - len(counts))
    total = float(z.var())
    return inner / total if total > 0 else np.nan


class LatentInvariance:
    """Regression on the angle, mutual information with it, and the orbit variance ratio."""

    def __init__(self, params: LatentInvarianceParams) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score the latents ``z`` of ``descriptors/1`` against the true angle.

        Returns
        -------
        dict
            For each component ``r2_*`` over all samples, ``r2_within_*``, the largest within a class, ``mi_nats_*``,
            the mean over the classes of the information that it shares with n times the angle, and where the truth
            has ``orbit`` the ratio ``orbit_*``; the largest of each as ``r2_max``, ``r2_within_max``, ``mi_nats_max``,
            ``orbit_max``; ``n``, the samples used.

        Raises
        ------
        DataError
            The truth does not fit, or has no angle.
        """
        where, p = "latent-invariance", self.params
        if "z" not in result:
            raise DataError("the result has no latents 'z'", where=where)
        truth = paired_truth(result, truth, where)
        z = result["z"].values.reshape(-1, result.sizes["component"]).astype(np.float64)
        angle, folds = true_angle(truth, p.angle, p.n_fold, where)
        labels = classes_of(truth, p.classes, len(angle))
        part = folds_of(result, len(angle), p.folds)
        good = np.isfinite(z).all(1) & np.isfinite(angle)
        orbit = flat(truth, "orbit").astype(np.int64) if "orbit" in truth else None
        figures: dict[str, float] = {}
        for i, name in enumerate(map(str, result["component"].values)):
            figures[f"r2_{name}"] = r2_from_harmonics(z[good, i], angle[good], part[good], p.harmonics)
            within, information, sizes = [], [], []
            for k in np.unique(labels[good]):
                chosen = np.flatnonzero(good & (labels == k))
                within.append(r2_from_harmonics(z[chosen, i], angle[chosen], part[chosen], p.harmonics))
                some = np.sort(ctx.rng.permutation(chosen)[: p.most_samples])
                n_fold = folds.get(int(k), folds.get(-1, 1))
                information.append(mutual_information(z[some, i], n_fold * angle[some], p.neighbours))
                sizes.append(len(chosen))
            figures[f"r2_within_{name}"] = _largest(within)
            figures[f"mi_nats_{name}"] = float(np.average(information, weights=sizes)) if sizes else np.nan
            if orbit is not None:
                figures[f"orbit_{name}"] = orbit_variance_ratio(z[good, i], orbit[good])
        summary = {}
        for figure in ("r2", "r2_within", "mi_nats", "orbit"):
            values = [
                figures[f"{figure}_{name}"] for name in result["component"].values if f"{figure}_{name}" in figures
            ]
            if values:
                summary[f"{figure}_max"] = _largest(values)
        return {**summary, "n": float(good.sum()), **figures}


def _largest(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return max(finite) if finite else np.nan
