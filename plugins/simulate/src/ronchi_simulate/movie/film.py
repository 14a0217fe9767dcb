"""The movie before it is exposed: what every frame shows, drift included, and the truth of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.schema import atoms
from ronchi.schema.common import variable
from ronchi_simulate.movie.evolution import State, evolve
from ronchi_simulate.movie.imaging import Contamination, expose
from ronchi_simulate.movie.sheet import Sheet, make_sheet
from ronchi_simulate.params.graphene_movie import GrapheneMovieParams

__all__ = ["Film", "Shot", "develop", "shoot", "truth_of"]

Floats = NDArray[np.float64]

_MARGIN_ANGSTROM = 12.0
"""Sheet beyond all that the frames show, so that its own border does not show."""
_NEAR_ANGSTROM = 3.0
"""An atom this close to one with a free bond is near an edge."""


@dataclass(frozen=True)
class Shot:
    """What one frame shows; atoms just beside it as well.

    Parameters
    ----------
    y_px, x_px : (n,) float64
    columns : dict
        Name to a value an atom, as in the truth.
    corner_angstrom : (2,) float64
        Position (y, x) on the sheet of the first pixel.
    seed : int
        Of the frame's noise and jitter.
    """

    y_px: Floats
    x_px: Floats
    columns: dict[str, NDArray[np.generic]]
    corner_angstrom: Floats
    seed: int


@dataclass(frozen=True)
class Film:
    """All shots, and the contamination that lies on the sheet."""

    shots: tuple[Shot, ...]
    contamination: Contamination | None
    drift_px: Floats


def shoot(p: GrapheneMovieParams, rng: np.random.Generator, progress: Callable[[int, int], None]) -> Film:
    """Let the sheet change, frame by frame.

    Parameters
    ----------
    p : GrapheneMovieParams
    rng : numpy.random.Generator
    progress : callable
        ``progress(done, total)``, in frames.
    """
    of_sheet, of_beam, of_drift, of_dirt, of_frames = (
        np.random.default_rng(int(seed)) for seed in rng.integers(2**63, size=5)
    )
    drift = _drift(p, of_drift)
    size = np.array(p.image_shape) * p.step_angstrom
    corners = -drift * p.step_angstrom
    beside = 4 * p.probe_sigma_angstrom + 5 * p.line_jitter_px * p.step_angstrom
    low, high = corners.min(0) - beside, corners.max(0) + size + beside
    sheet = _sheet(p, low, high, size, of_sheet)
    dirt = p.contamination > 0 and p.contamination_fraction > 0
    contamination = Contamination.draw(p, low, high, of_dirt) if dirt else None
    seeds = of_frames.integers(2**63, size=p.n_frames).tolist()
    shots = []
    for frame, state in enumerate(evolve(sheet, p, low, high, of_beam)):
        shots.append(_shot(state, sheet, p, corners[frame], beside, contamination, seeds[frame]))
        progress(frame + 1, p.n_frames)
    return Film(tuple(shots), contamination, drift)


def _drift(p: GrapheneMovieParams, rng: np.random.Generator) -> Floats:
    """Displacement (frames, 2) px of the sheet since the first frame."""
    steps = np.array(p.drift_px) + p.drift_walk_px * rng.standard_normal((p.n_frames, 2))
    steps[0] = 0
    return steps.cumsum(0)


def _sheet(p: GrapheneMovieParams, low: Floats, high: Floats, size: Floats, rng: np.random.Generator) -> Sheet:
    n = len(p.grain_angles_deg)
    seeds = rng.random((n, 2)) if p.grain_seeds is None else np.array(p.grain_seeds, float)
    offsets = rng.uniform(0, 3, (n, 2))
    swing = np.deg2rad(p.grain_rotation_deg) * np.hypot(*(high - low)) * (n > 1)
    margin = _MARGIN_ANGSTROM + swing
    return make_sheet(low - margin, high + margin, seeds * size, np.array(p.grain_angles_deg), offsets)


def _shot(
    state: State,
    sheet: Sheet,
    p: GrapheneMovieParams,
    corner: Floats,
    beside: float,
    contamination: Contamination | None,
    seed: int,
) -> Shot:
    network, places = state.network, state.positions
    size = np.array(p.image_shape) * p.step_angstrom
    bonds = state.bonds
    coordination = (bonds >= 0).sum(1)
    seen = np.flatnonzero(state.alive & ((places > corner - beside) & (places < corner + size + beside)).all(1))
    open_bond = places[state.alive & (coordination < 3)]
    apart = cKDTree(open_bond).query(places[seen])[0] if len(open_bond) else np.full(len(seen), np.inf)
    # Two rings of three are of one grain, or the middle one of three grains stands for all.
    grain = np.sort(sheet.grain[network.corners[seen]], axis=1)[:, 1]
    y, x = places[seen].T
    columns: dict[str, NDArray[np.generic]] = {
        "track": state.track[seen].astype(np.int32),
        "species": state.silicon[seen].astype(np.int8),
        "coordination": coordination[seen].astype(np.int8),
        "near_edge": (apart <= _NEAR_ANGSTROM).astype(np.int8),
        "odd_ring": (network.ring_sizes[network.corners[seen]] != 6).any(1).astype(np.int8),
        "grain": grain.astype(np.int16),
        "angle": ((sheet.angle_deg + state.turned_deg)[grain] % 60).astype(np.float32),
        "bond_angle": _bond_angle(places, seen, bonds[seen]).astype(np.float32),
        "contamination": np.zeros(len(seen), np.float32)
        if contamination is None
        else (p.contamination * contamination.at(y, x)).astype(np.float32),
    }
    pixels = (places[seen] - corner) / p.step_angstrom
    return Shot(pixels[:, 0], pixels[:, 1], columns, corner, seed)


def _bond_angle(places: Floats, atoms: NDArray[np.int64], bonds: NDArray[np.int64]) -> Floats:
    """Mean direction of an atom's bonds in [0, 120) deg, up to the threefold symmetry."""
    apart = places[bonds] - places[atoms][:, None]
    phase = np.exp(3j * np.arctan2(apart[..., 0], apart[..., 1]))
    angle: Floats = np.rad2deg(np.angle(np.where(bonds >= 0, phase, 0).sum(1)) / 3) % 120
    return angle


_MEANINGS = {
    "coordination": ("1", "bonds of the atom"),
    "near_edge": ("1", "1 within 3 angstrom of an atom with a free bond"),
    "odd_ring": ("1", "1 on a ring that is no hexagon"),
    "grain": ("1", "number of the grain"),
    "angle": ("deg", "direction of a zigzag row of the grain in [0, 60), from x towards y"),
    "bond_angle": ("deg", "direction of a bond of the atom in [0, 120), from x towards y"),
    "contamination": ("1", "brightness of the contamination over it, in maxima of carbon"),
}


def truth_of(film: Film, p: GrapheneMovieParams) -> xr.Dataset:
    """``atoms/1`` truth: atoms in px of the frames without jitter, in the order of frames, then of rings."""
    inside = [
        np.flatnonzero(
            (shot.y_px >= -0.5)
            & (shot.y_px < p.image_shape[0] - 0.5)
            & (shot.x_px >= -0.5)
            & (shot.x_px < p.image_shape[1] - 0.5)
        )
        for shot in film.shots
    ]

    def joined(values: Callable[[Shot], NDArray[np.generic]]) -> NDArray[np.generic]:
        return np.concatenate([values(shot)[kept] for shot, kept in zip(film.shots, inside, strict=True)])

    made = atoms.make(
        frame=np.repeat(np.arange(p.n_frames), [len(kept) for kept in inside]),
        y=joined(lambda shot: shot.y_px),
        x=joined(lambda shot: shot.x_px),
        species=joined(lambda shot: shot.columns["species"]),
        track=joined(lambda shot: shot.columns["track"]),
        is_truth=1,
        species_meanings="carbon silicon",
        image_shape=[*p.image_shape],
    )
    for name, (units, long_name) in _MEANINGS.items():
        made[name] = variable("atom", joined(lambda shot, name=name: shot.columns[name]), units, long_name)
    for axis, name in enumerate(("drift_y", "drift_x")):
        made[name] = variable("movie_frame", film.drift_px[:, axis], "pixel", f"displacement of the sheet, {name[-1]}")
    return atoms.validate(made)


def develop(
    shot: Shot, p: GrapheneMovieParams, contamination: Contamination | None
) -> NDArray[np.uint16] | NDArray[np.float32]:
    """Image (rows, columns) of a shot."""
    silicon = shot.columns["species"] == 1
    rng = np.random.default_rng(shot.seed)
    return expose(shot.y_px, shot.x_px, silicon, p, contamination, shot.corner_angstrom, rng)
