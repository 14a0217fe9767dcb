"""Transform ``track-atoms``: gives every atom the number of its track."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from ronchi.api import Context
from ronchi.schema import atoms as atoms_schema
from ronchi.schema.common import variable
from ronchi_movies.assignment import spacing_of
from ronchi_movies.drift import Motion
from ronchi_movies.params import TrackAtomsParams
from ronchi_movies.tables import field_of, frame_step, frames_of, no_spacing, positions_of
from ronchi_movies.tracking import Links, follow_sheet, link, majority

__all__ = ["TrackAtoms"]


class TrackAtoms:
    """Links atoms from frame to frame, after the motion of the sheet is taken out.

    Parameters
    ----------
    params : TrackAtomsParams
    """

    def __init__(self, params: TrackAtomsParams) -> None:
        self.params = params

    def apply(self, *, atoms: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Track.

        Parameters
        ----------
        atoms : xarray.Dataset
            ``atoms/1``, in any order. Where its ``image_shape`` shows vacuum around the atoms, that tells of a motion,
            too: drop the attribute if the table has the atoms of a part of the images alone.

        Returns
        -------
        xarray.Dataset
            The same atoms in the same order with ``track``, and along ``movie_frame`` the motion of the sheet since
            the first frame: ``drift_y``, ``drift_x`` in the units of the positions, and ``turn`` in rad about the
            middle of the field; ``drift_known`` is 0 where no motion explains where the atoms of a frame are, and the
            sheet is taken to rest. With ``species: vote`` the species as found are kept in ``species_found``.

        Raises
        ------
        DataError
            A position is not finite, or there is no distance of neighbours, the unit of all lengths: no frame
            has two atoms, or most have another at the same place.
        """
        p = self.params
        points, units = positions_of(atoms, "track-atoms")
        times, rows = frames_of(atoms)
        steps = times // frame_step(times)
        frames = [points[row] for row in rows]
        reach = spacing_of(frames)
        if len(frames) > 1 and not reach > 0:
            raise no_spacing(reach, "atoms", "max_step", "track-atoms")
        motions, known = [Motion(0.0, np.zeros(2), np.zeros(2))] * len(frames), np.ones(len(frames), bool)
        if p.drift == "rigid" and len(frames) > 1:
            turn = np.deg2rad(p.max_turn_deg)
            field = field_of(atoms, frames, reach)
            motions, known = follow_sheet(frames, steps.tolist(), reach, p.max_drift * reach, turn, ctx.progress, field)
            if not known.all():
                ctx.log.warning(
                    "%d of %d frames fit no motion of the sheet, such as frame %d",
                    (~known).sum(), len(known), times[~known][0],
                )  # fmt: skip
            stopped = _stopped(motions, frames, steps, known, turn)
            if stopped.any():
                ctx.log.warning(
                    "the sheet turns as far as `max_turn_deg` lets it in %d of %d frames, such as frame "
                    "%d: raise it if it turns faster",
                    stopped.sum(), len(times), times[known][1:][stopped][0],
                )  # fmt: skip
        links = Links(p.max_step * reach, p.max_gap_frames, p.max_exchange * reach if p.species == "keep" else 0.0)
        species = atoms["species"].values.astype(np.int64)
        on_sheet = [motion.undo(frame) for motion, frame in zip(motions, frames, strict=True)]
        found = link(on_sheet, steps.tolist(), [species[row] for row in rows], links)
        track = np.full(len(points), -1, np.int64)
        for row, numbers in zip(rows, found, strict=True):
            track[row] = numbers
        made = atoms.drop_vars(_SET, errors="ignore").drop_dims("movie_frame", errors="ignore")
        if p.species == "vote":
            voted = majority(track, species, np.fmax(atoms["score"].values.astype(float), 1e-6))
            made["species_found"] = atoms["species"]
            made["species"] = atoms["species"].copy(data=voted.astype(atoms["species"].dtype))
        short = np.bincount(track, minlength=1)[track] < p.min_length
        made["track"] = variable("atom", np.where(short, -1, track).astype(np.int32), "1", "track number, -1 if none")
        return atoms_schema.validate(made.assign(_motion(motions, known, units)).assign_coords(_axis(times)))


_TOLD = 3.0
"""Standard errors."""
_SET = ("track", "species_found", "drift_y", "drift_x", "turn", "drift_known")


def _stopped(
    motions: list[Motion], frames: list[np.ndarray], steps: np.ndarray, known: np.ndarray, most: float
) -> np.ndarray:
    """(k - 1,) whether the turn stopped at ``most`` rad a frame, of the k frames whose motion is known but the first.

    Of few atoms, which do not tell a turn as small as that, it says nothing.
    """
    of = np.flatnonzero(known)
    turned = np.abs(np.diff([motions[number].turn for number in of]))
    stopped = turned > (1 - 1e-6) * most * np.diff(steps[of]) if most else np.zeros(len(turned), bool)
    for k in np.flatnonzero(stopped):
        before, after = (motions[number].undo(frames[number]) for number in of[k : k + 2])
        apart = np.median(cKDTree(before).query(after)[0])
        stopped[k] = turned[k] > _TOLD * apart / np.sqrt(((after - after.mean(0)) ** 2).sum())
    return stopped


def _axis(times: np.ndarray) -> dict[str, xr.Variable]:
    return {"movie_frame": variable("movie_frame", times.astype(np.int32), "1", "frame number")}


def _motion(motions: list[Motion], known: np.ndarray, units: str) -> dict[str, xr.Variable]:
    shifts = np.array([motion.shift for motion in motions]).reshape(-1, 2)
    made = {
        name: variable("movie_frame", shifts[:, axis], units, f"displacement of the sheet, {name[-1]}")
        for axis, name in enumerate(("drift_y", "drift_x"))
    }
    turns = np.array([motion.turn for motion in motions])
    made["turn"] = variable("movie_frame", turns, "rad", "rotation of the sheet, from x towards y")
    made["drift_known"] = variable("movie_frame", known.astype(np.uint8), "1", "1 where the motion was found")
    return made
