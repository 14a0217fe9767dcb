"""Parameters of scanned zincblende."""

from __future__ import annotations

from typing import Literal

from ronchi.api import Field
from ronchi_simulate.params.scan import BeamEnergy, Dose, Pair, Shape, Step
from ronchi_simulate.params.tiles import ANGSTROM, TilesParams

__all__ = ["Zincblende4dParams"]


class Zincblende4dParams(TilesParams):
    """Zincblende in rotated tiles, some with a column of atoms that has lost some or holds silicon."""

    scan_shape: Shape = Field((24, 24), description="Rows and columns of the scan.")
    scan_step_angstrom: Step = Field((0.5, 0.5), description="Scan step along y and x.", json_schema_extra=ANGSTROM)
    pattern_shape: Shape = Field((96, 96), description="Rows and columns of a pattern.")
    q_step_inv_angstrom: float = Field(
        1 / 30, gt=0, description="Detector pixel.", json_schema_extra={"unit": "1/angstrom"}
    )
    beam_energy_eV: BeamEnergy = Field(200e3, description="Beam energy.", json_schema_extra={"unit": "eV"})
    semiangle_mrad: float = Field(
        20.0, gt=0, description="Semiangle of convergence.", json_schema_extra={"unit": "mrad"}
    )
    dose_e: Dose | None = Field(
        1e5,
        description="Electrons a pattern, with Poisson noise; null leaves the fraction of the beam, without noise.",
        json_schema_extra={"unit": "electron"},
    )
    rotation_deg: tuple[tuple[float, ...], ...] = Field(
        ((0.0, 35.0), (160.0, 275.0)),
        min_length=1,
        description="Rotation of the lattice in each tile, from x towards y, in rows; the scan is divided alike.",
        json_schema_extra={"unit": "deg"},
    )
    species: tuple[str, str] = Field(("Ga", "As"), description="Cation and anion.")
    lattice_angstrom: float = Field(5.6533, gt=4, lt=8, description="Lattice constant.", json_schema_extra=ANGSTROM)
    zone: Literal["001", "110"] = Field(
        "110",
        description="Direction along the beam. At rotation 0, [100] lies along x, or for 110 the direction from a "
        "cation to the anion next to it.",
    )
    thickness_angstrom: float = Field(
        40.0, gt=0, description="Thickness, rounded to whole periods along the beam.", json_schema_extra=ANGSTROM
    )
    u_angstrom: Pair = Field(
        (0.088, 0.079),
        description="Rms thermal displacement of cations and of anions along one axis.",
        json_schema_extra=ANGSTROM,
    )
    defects: tuple[tuple[Literal["none", "vacancy", "silicon"], ...], ...] = Field(
        (("none", "none"), ("none", "none")),
        description="Defect in the middle of each tile, in rows: a column of atoms of which a part is missing, or is "
        "silicon.",
    )
    defect_fraction: float = Field(0.5, gt=0, le=1, description="Part of the atoms of the column that is.")
