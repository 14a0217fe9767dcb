"""Parameters of a library laid out as a scan."""

from __future__ import annotations

from typing import Literal

from ronchi.api import Field, Params

__all__ = ["LibraryScanParams"]


class LibraryScanParams(Params):
    """Which samples of a library are shown to detectors: a row a run, a column a thickness."""

    split: Literal["train", "validation", "test", "all"] = Field(
        "test", description="Runs of this split. A trained network has seen the crystals of `train`."
    )
    runs: int | None = Field(None, ge=1, description="The first ones only.")
    semiangle: int = Field(0, ge=0, description="Number of the semiangle, from 0.", json_schema_extra={"unit": "1"})
    thicknesses_angstrom: tuple[float, ...] = Field(
        (),
        description="Thicknesses, which the library must have; all of them if none is given.",
        json_schema_extra={"unit": "angstrom"},
    )
    least_relative: float = Field(
        1e-3, ge=0, lt=1, description="Reflections weaker than this part of the run's strongest are no truth."
    )
