"""Parameters of the analytic test scans."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, NonNegativeInt, PositiveFloat

from ronchi.api import Field, Params

__all__ = ["DisksParams"]

Pair = tuple[float, float]


def _not_empty(span: tuple[int, int]) -> tuple[int, int]:
    if span[0] >= span[1]:
        raise ValueError(f"the span {span} is empty: give the first and the one after the last")
    return span


Span = Annotated[tuple[NonNegativeInt, NonNegativeInt], AfterValidator(_not_empty)]


class DisksParams(Params):
    """A strained lattice of soft-edged disks; angles are positive from x towards y."""

    scan_shape: tuple[int, int] = Field((4, 16), description="Rows and columns of the scan.")
    pattern_shape: tuple[int, int] = Field((96, 96), description="Rows and columns of a pattern.")
    scan_step_angstrom: Pair = Field(
        (10.0, 10.0), description="Scan step along y and x.", json_schema_extra={"unit": "angstrom"}
    )
    q_step_inv_angstrom: Pair = Field(
        (0.02, 0.02), description="Detector pixel along y and x.", json_schema_extra={"unit": "1/angstrom"}
    )
    beam_energy_eV: float = Field(200e3, gt=0, description="Beam energy.", json_schema_extra={"unit": "eV"})
    radius_px: float = Field(5.0, gt=0, description="Radius of a disk.", json_schema_extra={"unit": "px"})
    edge_px: float = Field(
        0.5, gt=0, description="Width a of the edge 1 / (1 + exp((r - R) / a)).", json_schema_extra={"unit": "px"}
    )
    g1_px: Pair = Field(
        (1.5, 17.3), description="First reciprocal vector (y, x), unstrained.", json_schema_extra={"unit": "px"}
    )
    g2_px: Pair = Field(
        (16.2, -2.2), description="Second reciprocal vector (y, x), unstrained.", json_schema_extra={"unit": "px"}
    )
    centre_px: Pair | None = Field(
        None, description="Beam position (y, x) at the middle of the scan; N // 2.", json_schema_extra={"unit": "px"}
    )
    profile: Literal["uniform", "layers", "ramp"] = Field(
        "layers", description="Strain along scan_x: everywhere; +, - and none in blocks of quarters; or rising from 0."
    )
    e_xx: float = Field(0.01, gt=-0.5, lt=0.5, description="Strain along x in the scan frame.")
    e_yy: float = Field(0.0, gt=-0.5, lt=0.5, description="Strain along y in the scan frame.")
    e_xy: float = Field(0.0, gt=-0.5, lt=0.5, description="Shear strain in the scan frame.")
    theta_deg: float = Field(0.0, description="Lattice rotation.", json_schema_extra={"unit": "deg"})
    scan_rotation_deg: float = Field(
        0.0, description="Angle from the patterns' x axis to the scan's.", json_schema_extra={"unit": "deg"}
    )
    ellipse_ratio: float = Field(1.0, ge=1, le=2, description="Long over short axis of a ring on the detector.")
    ellipse_angle_deg: float = Field(0.0, description="Direction of the long axis.", json_schema_extra={"unit": "deg"})
    descan_px: Pair = Field(
        (0.0, 0.0), description="Beam drift (y, x) from one corner to the other.", json_schema_extra={"unit": "px"}
    )
    dose_e: float = Field(
        20000.0, gt=0, description="Mean electrons a pattern.", json_schema_extra={"unit": "electron"}
    )
    noise: bool = Field(True, description="Poisson noise; without it the expectation as float32.")
    dtype: Literal["uint8", "uint16", "uint32", "float32", "float64"] = Field(
        "uint16", description="Type of the noisy counts, which saturate at its largest number."
    )
    central_fraction: float = Field(0.25, ge=0, le=1, description="Part of the diffracted dose in the direct beam.")
    background_fraction: float = Field(0.05, ge=0, lt=1, description="Part of the dose in a Lorentzian background.")
    intensity_spread: float = Field(
        0.3, ge=0, lt=1, description="Half-range of the reflections' random intensities, new at every position."
    )
    slope: float = Field(
        0.0, ge=0, lt=1, description="Linear change of intensity across a disk, centre to edge, in random directions."
    )
    fringe_depth: float = Field(
        0.0, ge=0, le=1, description="Largest depth of sin^2 rocking fringes inside disks; each has its own, below it."
    )
    fringe_period_px: tuple[PositiveFloat, PositiveFloat] = Field(
        (4.0, 12.0), description="Range of the fringes' period.", json_schema_extra={"unit": "px"}
    )
    gap_rows: tuple[Span, ...] = Field((), description="Gaps between modules: rows [first, stop) that count nothing.")
    gap_columns: tuple[Span, ...] = Field((), description="Gaps between modules: columns [first, stop).")
    beam_stop_px: float = Field(
        0.0, ge=0, description="Radius of a beam stop on the beam; 0 for none.", json_schema_extra={"unit": "px"}
    )
    beam_stop_angle_deg: float = Field(
        90.0, description="Direction of its arm, from x towards y.", json_schema_extra={"unit": "deg"}
    )
    hot_pixels: int = Field(0, ge=0, description="Pixels that count three to nine times the brightest one's mean.")
    dead_pixels: int = Field(0, ge=0, description="Pixels that count nothing.")
