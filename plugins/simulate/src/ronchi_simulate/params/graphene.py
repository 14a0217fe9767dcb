"""Parameters that the simulators of scanned graphene share: its microscope, and the sheet."""

from __future__ import annotations

from typing import Literal

from ronchi.api import Field
from ronchi_simulate.params.scan import BeamEnergy, Dose, PatternParams, Shape
from ronchi_simulate.params.tiles import ANGSTROM

__all__ = ["Defect", "GrapheneParams"]

Defect = Literal["none", "vacancy", "silicon", "silicon-4"]


class GrapheneParams(PatternParams):
    """A microscope that resolves the atoms of graphene."""

    pattern_shape: Shape = Field((64, 64), description="Rows and columns of a pattern.")
    q_step_inv_angstrom: float = Field(
        1 / 30, gt=0, description="Detector pixel.", json_schema_extra={"unit": "1/angstrom"}
    )
    wave_shape: Shape | None = Field(
        (256, 256),
        description="Grid (y, x) of the waves over the window. The default has steps of 0.12 angstrom; with 0.23 too "
        "the pattern of a turned object is the turned pattern, to 0.12 degrees.",
    )
    beam_energy_eV: BeamEnergy = Field(80e3, description="Beam energy.", json_schema_extra={"unit": "eV"})
    semiangle_mrad: float = Field(
        27.0, gt=0, description="Semiangle of convergence.", json_schema_extra={"unit": "mrad"}
    )
    defocus_angstrom: float = Field(
        20.0, description="Defocus; > 0 has the crossover after the entrance.", json_schema_extra=ANGSTROM
    )
    dose_e: Dose | None = Field(
        5e4,
        description="Electrons a pattern, with Poisson noise; null leaves the fraction of the beam, without noise.",
        json_schema_extra={"unit": "electron"},
    )
    u_angstrom: float = Field(
        0.06,
        ge=0,
        lt=0.5,
        description="Rms thermal displacement of an atom along one axis.",
        json_schema_extra=ANGSTROM,
    )
