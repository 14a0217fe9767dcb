"""Parameters; lengths are in median distances of nearest neighbours, so that they suit any pixel size."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from ronchi.api import Field, Params

__all__ = ["DynamicsParams", "RingsParams", "TrackAtomsParams", "TracksParams"]

_SPACINGS = {"unit": "distances of nearest neighbours"}
_FRAMES = {"unit": "frames"}


class TrackAtomsParams(Params):
    """Who is who from frame to frame."""

    max_step: PositiveFloat = Field(
        0.5,
        description="Longest step of an atom relative to the sheet; beyond half a distance neighbours are mixed up.",
        json_schema_extra=_SPACINGS,
    )
    max_gap_frames: NonNegativeInt = Field(
        2, description="Frames in which an atom may be missed and still be the same.", json_schema_extra=_FRAMES
    )
    species: Literal["keep", "vote", "ignore"] = Field(
        "vote",
        description="vote: tracks by places alone, each then of the species that most of its atoms have; keep: an atom "
        "stays of its species, and two may change places, for species that are hardly ever mistaken; ignore.",
    )
    max_exchange: PositiveFloat = Field(
        1.4, description="With species: keep, how far atoms may be that change places.", json_schema_extra=_SPACINGS
    )
    drift: Literal["rigid", "none"] = Field(
        "rigid", description="rigid: find how the sheet moves and turns from frame to frame, and follow it."
    )
    max_drift: PositiveFloat = Field(
        3.0, description="Farthest that the sheet moves from one frame to the next.", json_schema_extra=_SPACINGS
    )
    max_turn_deg: float = Field(
        0.5,
        ge=0,
        le=10,
        description="Farthest that the sheet turns from one frame to the next.",
        json_schema_extra={"unit": "deg"},
    )
    min_length: PositiveInt = Field(
        1, description="Tracks of fewer atoms are none: their atoms get -1.", json_schema_extra=_FRAMES
    )


class TracksParams(Params):
    """How atoms found are paired with true ones."""

    radius: PositiveFloat = Field(
        0.5, description="Farthest that an atom found is from the true one.", json_schema_extra=_SPACINGS
    )


class RingsParams(Params):
    """What a bond is, and which rings are told apart."""

    cutoff: PositiveFloat | None = Field(
        None,
        description="Longest bond, in the units of the positions; by default the first minimum of the distribution of "
        "distances.",
    )
    max_size: int = Field(
        8, ge=6, le=20, description="Rings of more atoms are counted as larger ones: holes are among them."
    )


class DynamicsParams(Params):
    """What is counted against time."""

    n_latent_bins: int = Field(60, ge=2, description="Bins of each component, over all but its outermost values.")
    tail_percent: float = Field(
        0.5,
        ge=0,
        lt=50,
        description="Part of the values at either end that is counted in the last bin there.",
        json_schema_extra={"unit": "%"},
    )
    n_angle_bins: int = Field(72, ge=2, description="Bins of the angle, over the period of its symmetry.")
    n_fold: PositiveInt | None = Field(
        None, description="Symmetry that the angle is folded to; by default that of most samples."
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="Probability that the intervals hold.")
    prior: PositiveFloat = Field(
        0.5, description="Pseudo-counts for and against each transition, for its interval: 0.5 is Jeffreys'."
    )
    errors: Literal["none", "hidden"] = Field(
        "none",
        description="none: classes count as they are read, and a wrong one is a change there and one back; hidden: a "
        "chain without memory whose classes are read with errors, which are found with it, the same for all atoms.",
    )
    dwell_from: Literal["change", "first-seen"] = Field(
        "change",
        description="change: times in a class count from a change into it that was seen; first-seen: also from the "
        "beginning of a track, where longer stays are met more often and a part of them is over: too long where stays "
        "scatter more than those of changes without memory, too short where less.",
    )
