"""Metric ``tracks``: tracks found against true ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import CalibrationError, Context, DataError
from ronchi_movies.assignment import pair_off, spacing_of
from ronchi_movies.params import TracksParams
from ronchi_movies.tables import frames_of, no_spacing, positions_of

__all__ = ["Tracks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Tracks:
    """Pairs atoms found with true ones in every frame, and compares who is who.

    Parameters
    ----------
    params : TracksParams
    """

    def __init__(self, params: TracksParams) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Compare.

        A link joins an atom to the next one of its track. Only atoms that are paired count, so that the figures are
        those of the tracking, not of the finding; true atoms of no track have no say.

        Returns
        -------
        dict
            ``link_precision``, part of the links found, between paired atoms, that join one true atom to itself;
            ``link_recall``, part of the true links, between paired atoms, that are found; ``identity_switches``,
            how often a true atom gets another track than it had before, or none, or one after none;
            ``switches_per_1000``, of its links;
            ``purity``, part of the atoms that belong to the true track that is most of their track; ``completeness``,
            the same with true and found exchanged; ``paired``, part of the true atoms that are paired.

        Raises
        ------
        DataError
            The atoms or the truth have no tracks, or a position is not finite.
        CalibrationError
            One is in angstrom and the other in pixels, and nothing tells the size of a pixel.
        """
        for name, ds in (("result", result), ("truth", truth)):
            if "track" not in ds:
                raise DataError(f"the {name} has no 'track'", where="tracks", fix="use the transform `track-atoms`")
        found, true = _paired(result, truth, self.params.radius)
        track, frame = result["track"].values.astype(np.int64)[found], result["frame"].values.astype(np.int64)[found]
        identity = truth["track"].values.astype(np.int64)[true]
        n_paired = len(true)
        track, frame, identity = (values[identity >= 0] for values in (track, frame, identity))
        kept = track >= 0
        got, right, _ = _links(track[kept], frame[kept], identity[kept])
        wanted, hit, switches = _links(identity, frame, track)
        return {
            "link_precision": right / got if got else np.nan,
            "link_recall": hit / wanted if wanted else np.nan,
            "identity_switches": float(switches),
            "switches_per_1000": 1000 * switches / wanted if wanted else np.nan,
            "purity": _share(track[kept], identity[kept]),
            "completeness": _share(identity, track),
            "paired": n_paired / max(1, truth.sizes["atom"]),
        }


def _paired(result: xr.Dataset, truth: xr.Dataset, radius: float) -> tuple[Ints, Ints]:
    """Rows of atoms found and of true atoms, paired within each frame."""
    points, places = _in_one_unit(result, truth)
    times, rows = frames_of(result)
    true_times, true_rows = frames_of(truth)
    spacing = spacing_of([places[row] for row in true_rows])
    if len(places) and not spacing > 0:
        raise no_spacing(spacing, "true atoms", "radius", "tracks")
    reach = radius * spacing
    by_time = dict(zip(times.tolist(), rows, strict=True))
    found, true = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for time, row in zip(true_times.tolist(), true_rows, strict=True):
        if time in by_time:
            i, j = pair_off(points[by_time[time]], places[row], reach)
            found.append(by_time[time][i])
            true.append(row[j])
    return np.concatenate(found), np.concatenate(true)


def _in_one_unit(result: xr.Dataset, truth: xr.Dataset) -> tuple[Floats, Floats]:
    """Positions of both: in pixels if one of them is."""
    (points, units), (places, true_units) = (positions_of(ds, "tracks") for ds in (result, truth))
    if units == true_units:
        return points, places
    steps = [ds.attrs["step_angstrom"] for ds in (result, truth) if "step_angstrom" in ds.attrs]
    if not steps or {units, true_units} != {"angstrom", "pixel"}:
        what = f"the atoms are in {units}, the true ones in {true_units}, and nothing tells the size of a pixel"
        raise CalibrationError(what, where="tracks", fix="give the atoms the attribute step_angstrom (y, x)")
    step = np.broadcast_to(np.asarray(steps[0], np.float64), (2,))
    return (points / step, places) if units == "angstrom" else (points, places / step)


def _links(track: Ints, frame: Ints, other: Ints) -> tuple[int, int, int]:
    """Links along ``track``; those of them whose ends have the same ``other``, which is no -1; and another one."""
    order = np.lexsort((frame, track))
    track, other = track[order], other[order]
    linked = track[1:] == track[:-1]
    same = linked & (other[1:] == other[:-1])
    return int(linked.sum()), int((same & (other[1:] >= 0)).sum()), int((linked & ~same).sum())


def _share(of: Ints, by: Ints) -> float:
    """Part of the samples that have the most frequent ``by`` among those with the same ``of``; -1 is never it."""
    if not len(of):
        return float("nan")
    names, of = np.unique(of, return_inverse=True)
    pairs, counts = np.unique(np.stack([of, by], 1)[by >= 0], axis=0, return_counts=True)
    most = np.zeros(len(names))
    np.maximum.at(most, pairs[:, 0], counts)
    return float(most.sum() / len(of))
