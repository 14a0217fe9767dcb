"""Parameters of scanned graphene."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from ronchi.api import Field
from ronchi_simulate.params_scan import Pair
from ronchi_simulate.params_tiles import ANGSTROM, TilesParams

__all__ = ["Graphene4dParams"]


class Graphene4dParams(TilesParams):
    """Graphene in rotated tiles, some with a defect in their middle."""

    scan_shape: tuple[int, int] = Field((20, 20), description="Rows and columns of the scan.")
    scan_step_angstrom: Pair = Field((0.35, 0.35), description="Scan step along y and x.", json_schema_extra=ANGSTROM)
    pattern_shape: tuple[int, int] = Field((64, 64), description="Rows and columns of a pattern.")
    q_step_inv_angstrom: float = Field(
        1 / 30, gt=0, description="Detector pixel.", json_schema_extra={"unit": "1/angstrom"}
    )
    wave_shape: tuple[int, int] | None = Field(
        (256, 256),
        description="Grid (y, x) of the waves over the window. On steps coarser than 0.12 angstrom the pattern of a "
        "turned object is not quite the turned pattern: at 0.23 angstrom angles are off by up to 1 degree.",
    )
    beam_energy_eV: float = Field(80e3, gt=0, description="Beam energy.", json_schema_extra={"unit": "eV"})
    semiangle_mrad: float = Field(
        27.0, gt=0, description="Semiangle of convergence.", json_schema_extra={"unit": "mrad"}
    )
    defocus_angstrom: float = Field(
        20.0, description="Defocus; > 0 has the crossover after the entrance.", json_schema_extra=ANGSTROM
    )
    dose_e: float | None = Field(
        5e4,
        gt=0,
        description="Electrons a pattern, with Poisson noise; null leaves the fraction of the beam, without noise.",
        json_schema_extra={"unit": "electron"},
    )
    defects: tuple[tuple[Literal["none", "vacancy", "silicon", "silicon-4"], ...], ...] = Field(
        (("none", "none"), ("none", "silicon")),
        description="Defect in the middle of each tile, in rows: an atom less, silicon instead of an atom, or silicon "
        "instead of two neighbours.",
    )
    u_angstrom: float = Field(
        0.06,
        ge=0,
        lt=0.5,
        description="Rms thermal displacement of an atom along one axis.",
        json_schema_extra=ANGSTROM,
    )
    turns_deg: tuple[float, ...] = Field(
        (),
        description="Given, the scan is of pairs instead: a row is one random place in the cell, a column the whole "
        "object turned about the probe by one of these angles. Rotation and defect are those of the first tile; steps "
        "have no meaning.",
        json_schema_extra={"unit": "deg"},
    )

    @model_validator(mode="after")
    def _one_turn_a_column(self) -> Self:
        if self.turns_deg and len(self.turns_deg) != self.scan_shape[1]:
            raise ValueError(f"{len(self.turns_deg)} turns_deg need as many columns in scan_shape {self.scan_shape}")
        return self
