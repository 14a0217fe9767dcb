"""Transform ``dynamics``: what descriptors of the atoms of a movie do in time."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.schema import dynamics
from ronchi.schema.common import carry_attrs, variable
from ronchi.schema.crops import are_cut_at
from ronchi.schema.descriptors import usual_fold
from ronchi_movies.chains import proportion_interval
from ronchi_movies.counting import as_read, behind_errors
from ronchi_movies.params import DynamicsParams
from ronchi_movies.tables import frame_step

__all__ = ["Dynamics"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Variables = dict[str, xr.Variable]


class Dynamics:
    """Counts descriptors by the frame, and classes along tracks.

    Parameters
    ----------
    params : DynamicsParams
    """

    def __init__(self, params: DynamicsParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, atoms: xr.Dataset | None = None, ctx: Context) -> xr.Dataset:
        """Count.

        Parameters
        ----------
        data : xarray.Dataset
            ``descriptors/1`` along ``sample``, with the coordinate ``frame``; ``track`` beside it if the crops were
            cut at atoms with tracks.
        atoms : xarray.Dataset, optional
            ``atoms/1`` with tracks, which the coordinate ``atom`` of the data counts; for data without tracks.

        Returns
        -------
        xarray.Dataset
            ``dynamics/1``: histograms of the components and of the angle by the frame; with classes their fractions;
            with classes and tracks the transitions between consecutive frames and the times in a class; with
            ``errors: hidden`` also ``confusion`` (class, class_read), with its limits.

        Raises
        ------
        DataError
            Nothing says which frames the samples are of, the atoms do not fit, or a track has two atoms in a frame.
        """
        if data["z"].dims != ("sample", "component") or "frame" not in data.coords:
            what = "nothing says which frames the descriptors are of"
            raise DataError(what, where="dynamics", fix="learn from crops made by the transform `crops`")
        frame = data["frame"].values.astype(np.int64)
        times, row = np.unique(frame, return_inverse=True)
        made: Variables = {"n_samples": variable("frame", np.bincount(row, minlength=len(times)), "1", "samples")}
        coords: Variables = {"component": data["component"].variable}
        made |= self._latents(data, row, len(times))
        if "angle" in data:
            made |= self._angles(data, row, len(times))
        if "label" in data:
            label = data["label"].values.astype(np.int64)
            n = data["label_prob"].shape[-1] if "label_prob" in data else int(max(0, label.max(initial=-1))) + 1
            coords["class"] = variable("class", np.arange(n), "1", "class")
            made |= self._fractions(label, row, len(times), n)
            track = _tracks(data, atoms)
            if track is not None:
                parts, axes = self._chains(track, frame, label, n, ctx)
                made |= parts
                coords |= axes
        return dynamics.make(times, made, coords, **carry_attrs(data, confidence=self.params.confidence))

    def _latents(self, data: xr.Dataset, row: Ints, n_frames: int) -> Variables:
        p, z = self.params, data["z"].values.astype(np.float64)
        edges = np.zeros((z.shape[1], p.n_latent_bins + 1))
        counts = np.zeros((n_frames, z.shape[1], p.n_latent_bins), np.int64)
        for number, values in enumerate(z.T):
            good = np.isfinite(values)
            ends = np.percentile(values[good], (p.tail_percent, 100 - p.tail_percent)) if good.any() else (0.0, 1.0)
            low, high = float(ends[0]), float(ends[1])
            edges[number] = np.linspace(low, high if high > low else low + (abs(low) or 1.0), p.n_latent_bins + 1)
            counts[:, number] = _counts(values[good], row[good], edges[number], n_frames)
        units = str(data["z"].attrs.get("units", "1"))
        return {
            "latent_counts": variable(("frame", "component", "latent_bin"), counts, "1", "samples in each bin"),
            "latent_edges": variable(("component", "latent_edge"), edges, units, "edges of the bins"),
        }

    def _angles(self, data: xr.Dataset, row: Ints, n_frames: int) -> Variables:
        n_fold = self.params.n_fold or usual_fold(data)
        period = 2 * np.pi / n_fold
        edges = np.linspace(-period / 2, period / 2, self.params.n_angle_bins + 1)
        angle = data["angle"].values.astype(np.float64)
        good = np.isfinite(angle)
        folded = (angle[good] + period / 2) % period - period / 2
        counts = _counts(folded, row[good], edges, n_frames)
        name = f"samples in each bin, angle modulo {360 / n_fold:g} deg"
        return {
            "angle_counts": variable(("frame", "angle_bin"), counts, "1", name, n_fold=n_fold),
            "angle_edges": variable("angle_edge", edges, "rad", "edges of the bins, from x towards y"),
        }

    def _fractions(self, label: Ints, row: Ints, n_frames: int, n: int) -> Variables:
        counts = np.zeros((n_frames, n), np.int64)
        np.add.at(counts, (row[label >= 0], label[label >= 0]), 1)
        three = proportion_interval(counts, counts.sum(1, keepdims=True), self.params.confidence)
        return _with_interval(
            "fraction", ("frame", "class"), three, "part of the samples of the frame that have a class"
        )

    def _chains(self, track: Ints, frame: Ints, label: Ints, n: int, ctx: Context) -> tuple[Variables, Variables]:
        p, step = self.params, frame_step(frame)
        _check_tracks(track, frame)
        count = behind_errors if p.errors == "hidden" else as_read
        counted = count(track, frame, label, n, p, ctx.log)
        dims = ("class", "class_to")
        made = {"transition_counts": variable(dims, counted.counts, "1", f"atoms that were in it {_later(step)}")}
        made |= _with_interval("transition", dims, counted.transition, f"probability to be in it {_later(step)}")
        each = counted.survival
        curves = tuple(np.stack([getattr(one, name) for one in each]) for name in ("probability", "low", "high"))
        words = "probability to stay in the class for more frames than these"
        made |= _with_interval("survival", ("class", "dwell"), curves, words)
        for name, what in (("n_ended", "seen"), ("n_censored", "not seen")):
            numbers = np.array([getattr(one, name) for one in each], np.int64)
            made[name] = variable("class", numbers, "1", f"stays whose end was {what}")
        axes = {
            "class_to": variable("class_to", np.arange(n), "1", f"class {_later(step)}"),
            "dwell": variable("dwell", step * np.arange(curves[0].shape[1]), "frames", "time in the class"),
        }
        if counted.confusion is not None:
            made |= _with_interval("confusion", ("class", "class_read"), counted.confusion, "probability to be read so")
            axes["class_read"] = variable("class_read", np.arange(n), "1", "class that is read")
        return made, axes


def _later(step: int) -> str:
    return "a frame later" if step == 1 else f"{step} frames later"


def _check_tracks(track: Ints, frame: Ints) -> None:
    rows = np.flatnonzero(track >= 0)
    rows = rows[np.lexsort((frame[rows], track[rows]))]
    twice = rows[1:][(np.diff(track[rows]) == 0) & (np.diff(frame[rows]) == 0)]
    if len(twice):
        what = f"track {track[twice[0]]} has more than one atom in frame {frame[twice[0]]}"
        raise DataError(what, where="dynamics", fix="link the atoms one to one: transform `track-atoms`")


def _counts(values: Floats, row: Ints, edges: Floats, n_frames: int) -> Ints:
    """(n_frames, bins) numbers of values in each bin of each frame; those beyond the edges in the last ones."""
    n = len(edges) - 1
    place = np.clip(np.floor((values - edges[0]) / (edges[-1] - edges[0]) * n).astype(np.int64), 0, n - 1)
    return np.bincount(row * n + place, minlength=n_frames * n).reshape(n_frames, n).astype(np.int64)


def _with_interval(name: str, dims: tuple[str, ...], three: tuple[Floats, ...], words: str) -> Variables:
    value, low, high = three
    return {
        name: variable(dims, value, "1", words),
        f"{name}_low": variable(dims, low, "1", f"{words}, lower limit"),
        f"{name}_high": variable(dims, high, "1", f"{words}, upper limit"),
    }


def _tracks(data: xr.Dataset, atoms: xr.Dataset | None) -> Ints | None:
    """Track of every sample; None if there are no tracks."""
    if atoms is None:
        return data["track"].values.astype(np.int64) if "track" in data.coords else None
    if "track" not in atoms or "atom" not in data.coords:
        what = "the atoms have no tracks" if "track" not in atoms else "nothing says which atoms the samples are of"
        raise DataError(what, where="dynamics.atoms", fix="use the transform `track-atoms`, and crops of its atoms")
    number = data["atom"].values
    n = atoms.sizes["atom"]
    fits = len(number) == 0 or (number.min() >= 0 and number.max() < n)
    if not fits or not are_cut_at(data, atoms.isel(atom=number)):
        fix = "give the atoms that the crops were cut at, in their order"
        raise DataError("the samples are of other atoms than these", where="dynamics.atoms", fix=fix)
    tracks: Ints = atoms["track"].values.astype(np.int64)[number]
    return tracks
