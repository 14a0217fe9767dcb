"""The metric ``atoms``: positions and species of atoms against true ones, matched one to one in every frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ronchi.api import Context
from ronchi.builtin.matching import match_one_to_one
from ronchi.builtin.params_atoms import AtomsParams
from ronchi.errors import CalibrationError, DataError

__all__ = ["Atoms", "FrameScore", "match_many", "score_frames"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class FrameScore:
    """One frame.

    Parameters
    ----------
    frame : int
    n_found, n_true : int
        Atoms that count.
    error_px : (k, 2) float64
        Found minus true position (y, x) of the matched atoms.
    sigma_px : (k, 2) float64
        Their stated standard errors; NaN if there are none.
    found_species, true_species : (k,) int64
    """

    frame: int
    n_found: int
    n_true: int
    error_px: Array
    sigma_px: Array
    found_species: NDArray[np.int64]
    true_species: NDArray[np.int64]

    @property
    def precision(self) -> float:
        """Part of the found atoms that are true; NaN if none is found."""
        return len(self.error_px) / self.n_found if self.n_found else np.nan

    @property
    def recall(self) -> float:
        """Part of the true atoms that are found; NaN if there is none."""
        return len(self.error_px) / self.n_true if self.n_true else np.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 for an empty frame that is left empty."""
        return 2 * len(self.error_px) / (self.n_found + self.n_true) if self.n_found + self.n_true else 1.0


class Atoms:
    """Metric ``atoms``."""

    def __init__(self, params: AtomsParams) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score ``atoms/1`` against ``atoms/1`` truth.

        Returns
        -------
        dict
            ``precision``, ``recall`` and ``f1`` over all frames, and ``*_worst``, the lowest of a frame. Of the matched
            atoms: ``rms_px`` and ``rms_angstrom`` (a coordinate: square root of half the mean squared distance),
            ``bias_y_px``, ``bias_x_px``, ``median_px`` and ``p95_px`` of the distance, ``z``, the RMS of error over
            stated standard error (1 if those are right); ``species_accuracy``, and ``species_balanced``, its mean over
            the true species, in which rare ones count as much. ``n_true``, ``n_found``, ``n_matched``, ``n_frames``.

        Raises
        ------
        CalibrationError
            One is in angstrom and the other in px, and nothing tells the size of a pixel.
        """
        frames = score_frames(result, truth, self.params)
        step = _step_angstrom(result, truth, self.params)
        n_found, n_true = sum(each.n_found for each in frames), sum(each.n_true for each in frames)
        error, sigma = (
            np.concatenate([np.empty((0, 2)), *parts])
            for parts in ([each.error_px for each in frames], [each.sigma_px for each in frames])
        )
        found, true = (
            np.concatenate([np.empty(0, np.int64), *parts])
            for parts in ([each.found_species for each in frames], [each.true_species for each in frames])
        )
        distance, right = np.hypot(*error.T), found == true
        by_species = [float(right[true == species].mean()) for species in np.unique(true)]
        stated = (sigma > 0).all(1)
        mean_square = (error**2).mean(0) if len(error) else np.full(2, np.nan)
        return {
            "precision": len(error) / n_found if n_found else np.nan,
            "recall": len(error) / n_true if n_true else np.nan,
            "f1": 2 * len(error) / (n_found + n_true) if n_found + n_true else 1.0,
            "precision_worst": _lowest(each.precision for each in frames),
            "recall_worst": _lowest(each.recall for each in frames),
            "f1_worst": _lowest(each.f1 for each in frames),
            "rms_px": float(np.sqrt(mean_square.mean())),
            "rms_angstrom": np.nan if step is None else float(np.sqrt((mean_square * step**2).mean())),
            "bias_y_px": float(error[:, 0].mean()) if len(error) else np.nan,
            "bias_x_px": float(error[:, 1].mean()) if len(error) else np.nan,
            "median_px": float(np.median(distance)) if len(error) else np.nan,
            "p95_px": float(np.quantile(distance, 0.95)) if len(error) else np.nan,
            "z": float(np.sqrt(((error[stated] / sigma[stated]) ** 2).mean())) if stated.any() else np.nan,
            "species_accuracy": float(right.mean()) if len(right) else np.nan,
            "species_balanced": float(np.mean(by_species)) if by_species else np.nan,
            "n_true": float(n_true),
            "n_found": float(n_found),
            "n_matched": float(len(error)),
            "n_frames": float(len(frames)),
        }


def score_frames(result: xr.Dataset, truth: xr.Dataset, params: AtomsParams) -> list[FrameScore]:
    """Compare atoms frame by frame, in the order of all frames that hold a true atom or a found one.

    Raises
    ------
    CalibrationError
        As in `Atoms.score`.
    DataError
        A border is to be left out, and nothing tells the shape of the images; or a position is no number.
    """
    step = _step_angstrom(result, truth, params)
    found_px, sigma_px = _in_px(result, step)
    true_px, _ = _in_px(truth, step)
    tolerance_px = np.full(2, params.tolerance)
    if params.tolerance_unit == "angstrom":
        if step is None:
            raise CalibrationError(
                "the tolerance is in angstrom, and nothing tells the size of a pixel",
                where="tolerance_unit",
                fix="give `pixel_angstrom`, or a tolerance in px",
            )
        tolerance_px = params.tolerance / step
    frames = [ds["frame"].values.astype(np.int64) for ds in (result, truth)]
    species = [ds["species"].values.astype(np.int64) for ds in (result, truth)]
    inside = [_inside(points, result, truth, params.border_px, step) for points in (found_px, true_px)]
    made = []
    for frame in np.unique(np.concatenate(frames)).tolist():
        mine, theirs = (np.flatnonzero(numbers == frame) for numbers in frames)
        # Matched before the border is left out: an atom found on one that does not count is neither right nor wrong.
        i, j = match_many(found_px[mine] / tolerance_px, true_px[theirs] / tolerance_px, 1.0)
        counts, judged = inside[1][theirs], inside[0][mine]
        judged[i] = counts[j]
        kept = counts[j]
        i, j = mine[i[kept]], theirs[j[kept]]
        made.append(
            FrameScore(
                int(frame), int(judged.sum()), int(counts.sum()), found_px[i] - true_px[j], sigma_px[i],
                species[0][i], species[1][j],
            )
        )  # fmt: skip
    return made


def match_many(found: Array, true: Array, tolerance: float) -> tuple[Indices, Indices]:
    """Pair points as `match_one_to_one`, group by group, so that memory grows with their number and not its square.

    Parameters
    ----------
    found, true : (n, 2), (m, 2) float64
    tolerance : float

    Returns
    -------
    i, j : (k,) int
        ``found[i]`` belongs to ``true[j]``; ``i`` ascends.
    """
    none = np.empty(0, np.intp)
    if not len(found) or not len(true):
        return none, none
    near = cKDTree(found).sparse_distance_matrix(cKDTree(true), tolerance, output_type="ndarray")
    near = near[near["v"] < tolerance]
    if not len(near):
        return none, none
    n = len(found)
    links = coo_array((np.ones(len(near)), (near["i"], n + near["j"])), shape=(n + len(true),) * 2)
    _, group = connected_components(links, directed=False)
    of_link = group[near["i"]]
    single = np.bincount(of_link, minlength=of_link.max() + 1)[of_link] == 1
    pairs = [(near["i"][single], near["j"][single])]
    crowded = near[~single]
    order = np.argsort(of_link[~single], kind="stable")
    for part in np.split(crowded[order], np.flatnonzero(np.diff(of_link[~single][order])) + 1):
        if len(part):
            a, b = np.unique(part["i"]), np.unique(part["j"])
            i, j = match_one_to_one(found[a], true[b], tolerance)
            pairs.append((a[i], b[j]))
    i, j = (np.concatenate([pair[side] for pair in pairs]).astype(np.intp) for side in (0, 1))
    ascending = np.argsort(i)
    return i[ascending], j[ascending]


def _step_angstrom(result: xr.Dataset, truth: xr.Dataset, params: AtomsParams) -> Array | None:
    """Size (y, x) of a pixel, if it is known."""
    if params.pixel_angstrom is not None:
        return np.full(2, params.pixel_angstrom)
    for ds in (result, truth):
        if "step_angstrom" in ds.attrs:
            return np.broadcast_to(np.asarray(ds.attrs["step_angstrom"], np.float64), (2,)).copy()
    return None


def _in_px(ds: xr.Dataset, step: Array | None) -> tuple[Array, Array]:
    """Positions (n, 2) and standard errors (n, 2) in px of the images."""
    # Truth that older files hold says by its names that it is in px.
    names = ("y", "x") if "y" in ds else ("y_px", "x_px")
    if names[0] not in ds:
        raise DataError("the atoms have no position y", where="atoms", fix="use `ronchi.schema.atoms.make`")
    scale = np.ones(2)
    if names[0] == "y" and ds["y"].attrs.get("units") == "angstrom":
        if step is None:
            raise CalibrationError(
                "atoms are in angstrom, and nothing tells the size of a pixel",
                where="atoms",
                fix="give `pixel_angstrom`",
            )
        scale = step
    points = np.stack([ds[name].values.astype(np.float64) for name in names], 1) / scale
    if not np.isfinite(points).all():
        lost = int((~np.isfinite(points)).any(1).sum())
        raise DataError(f"{lost} of {len(points)} atoms have no position", where="atoms", fix="leave them out")
    if "sigma_y" not in ds or "sigma_x" not in ds:
        return points, np.full(points.shape, np.nan)
    return points, np.stack([ds[name].values.astype(np.float64) for name in ("sigma_y", "sigma_x")], 1) / scale


def _inside(
    points: Array, result: xr.Dataset, truth: xr.Dataset, border_px: float, step: Array | None
) -> NDArray[np.bool_]:
    """Points (n, 2) in px that do not lie in the border of the images that were searched."""
    if not border_px:
        return np.ones(len(points), bool)
    told = next((ds for ds in (result, truth) if "image_shape" in ds.attrs), None)
    if told is None:
        what = "nothing tells the shape of the images, whose border is to be left out"
        raise DataError(what, where="border_px", fix="give atoms the attribute `image_shape`, or leave `border_px` out")
    # A part of a movie begins elsewhere than at 0.
    first = np.broadcast_to(np.asarray(told.attrs.get("image_start", 0.0), np.float64), (2,))
    if step is not None and "y" in told and told["y"].attrs.get("units") == "angstrom":
        first = first / step
    last = first + np.asarray(told.attrs["image_shape"], np.float64) - 1
    return np.asarray(((points >= first + border_px) & (points <= last - border_px)).all(1))


def _lowest(values: Iterator[float]) -> float:
    return min((value for value in values if np.isfinite(value)), default=np.nan)
