"""Parameters of the hexagonal boron nitride flake."""

from __future__ import annotations

from ronchi.api import Field
from ronchi_simulate.params.scan import BeamEnergy, Dose, Lean, Shape, Step, TiltedScanParams

__all__ = ["HbnParams"]


class HbnParams(TiltedScanParams):
    """A single crystal along [0001], without strain: what a strain map shows of it is the error of the measurement.

    The defaults are near the experiment of Munshi et al. 2022, Fig. 4, with the semiangle in which their disks do not
    touch; 0.86 mrad gives small disks, 12 mrad overlapping ones.
    """

    scan_shape: Shape = Field((10, 10), description="Rows and columns of the scan.")
    scan_step_angstrom: Step = Field(
        (100.0, 100.0), description="Scan step along y and x.", json_schema_extra={"unit": "angstrom"}
    )
    pattern_shape: Shape = Field((128, 128), description="Rows and columns of a pattern.")
    q_step_inv_angstrom: float = Field(
        0.0153657,
        gt=0,
        description="Detector pixel. The default makes the window 52 by 30 cells, to 0.05 angstrom a side: cut "
        "elsewhere, it has a seam that diffracts into faint streaks.",
        json_schema_extra={"unit": "1/angstrom"},
    )
    binning: int = Field(
        2,
        ge=1,
        le=16,
        description="Simulated pixels to a detector pixel, along each axis: a probe sees a window of binning / q_step.",
    )
    beam_energy_eV: BeamEnergy = Field(80e3, description="Beam energy.", json_schema_extra={"unit": "eV"})
    semiangle_mrad: float = Field(
        3.4, gt=0, description="Semiangle of convergence.", json_schema_extra={"unit": "mrad"}
    )
    dose_e: Dose | None = Field(
        1e5,
        description="Electrons a pattern, with Poisson noise; null leaves the fraction of the beam, without noise.",
        json_schema_extra={"unit": "electron"},
    )
    thickness_angstrom: float = Field(
        100.0,
        gt=0,
        description="Thickness along the beam; rounded to whole lattice periods.",
        json_schema_extra={"unit": "angstrom"},
    )
    a_angstrom: float = Field(
        2.504, gt=0, description="Lattice constant in the sheets.", json_schema_extra={"unit": "angstrom"}
    )
    c_angstrom: float = Field(
        6.661, gt=0, description="Lattice period across two sheets.", json_schema_extra={"unit": "angstrom"}
    )
    rotation_deg: float = Field(
        0.0,
        description="Angle from x towards y to a lattice vector; any but 0, 30, 60, … puts a seam into the window.",
        json_schema_extra={"unit": "deg"},
    )
    u_angstrom: float = Field(
        0.07, ge=0, description="Rms thermal displacement along an axis.", json_schema_extra={"unit": "angstrom"}
    )
    tilt_magnitude_deg: Lean = Field(
        (0.0, 0.5),
        description="Tilt off the zone axis at the first and the last column of the scan, linear between.",
        json_schema_extra={"unit": "deg"},
    )
