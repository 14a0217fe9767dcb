"""Parameters of the built-in transforms of 4-D data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FiniteFloat, JsonValue, model_validator

from ronchi.api import Field, Params
from ronchi.builtin.quantities import BeamEnergy, CameraLength, QStep, ScanStep, Semiangle

__all__ = [
    "BadPixelsParams",
    "BinParams",
    "CalibrateParams",
    "CentreParams",
    "CropParams",
    "EllipseParams",
    "ProbeParams",
    "RotationParams",
]

Pair = tuple[float, float]
Range = tuple[float | None, float | None]


def _both(value: Any) -> Any:
    """One number stands for both axes."""
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Factor = Annotated[tuple[int, int], BeforeValidator(_both, json_schema_input_type=int | tuple[int, int])]
_SCAN_RANGE: dict[str, JsonValue] = {"unit": "indices, or scan units by coordinate"}
_Q_RANGE: dict[str, JsonValue] = {"unit": "indices, or units of q by coordinate"}


class CropParams(Params):
    """Parts to keep; what is not named stays whole."""

    by: Literal["index", "coordinate"] = Field(
        "index",
        description="Whether the ranges are indices [start, stop), or coordinates from first to last, both included, "
        "as in the reference of a strain solver.",
    )
    scan_y: Range | None = Field(
        None, description="Range of scan rows; null for an open end.", json_schema_extra=_SCAN_RANGE
    )
    scan_x: Range | None = Field(None, description="Range of scan columns.", json_schema_extra=_SCAN_RANGE)
    qy: Range | None = Field(None, description="Range of pattern rows.", json_schema_extra=_Q_RANGE)
    qx: Range | None = Field(None, description="Range of pattern columns.", json_schema_extra=_Q_RANGE)


class BinParams(Params):
    """Whole factors by which neighbours are added up."""

    detector: Factor = Field((1, 1), description="Pixels (y, x) of a pattern added into one; one number for both axes.")
    scan: Factor = Field((1, 1), description="Scan positions (y, x) added into one; one number for both axes.")
    remainder: Literal["drop", "error"] = Field(
        "drop", description="Leave out the last rows and columns that do not fill a bin, or refuse."
    )

    @model_validator(mode="after")
    def _positive(self) -> BinParams:
        if min(*self.detector, *self.scan) < 1:
            raise ValueError("binning factors must be 1 or more")
        return self


class BadPixelsParams(Params):
    """How bad pixels are found, and what is done with them."""

    find: bool = Field(True, description="Search for hot and dead pixels; else only `known` and earlier ones count.")
    known: tuple[tuple[int, int], ...] = Field((), description="(row, column) of pixels known to be bad.")
    n_sample: int = Field(512, ge=1, description="Patterns, evenly spread over the scan, that the search looks at.")
    threshold: float = Field(
        8.0, gt=0, description="Excess over the neighbours in standard errors at which a pixel is called bad."
    )
    fill: bool = Field(
        False,
        description="Replace bad pixels by the mean of the nearest good ones, weighed by distance, as detectors do. "
        "They stay marked, but virtual images, centres of mass and bin take these values, which they else leave out.",
    )


class CentreParams(Params):
    """How the direct beam is found and what the fitted origin is used for."""

    method: Literal["com", "correlation"] = Field(
        "com", description="Centre of mass in a window of the disk's size, or correlation with the probe."
    )
    fit: Literal["plane", "parabola", "mean", "none"] = Field(
        "plane",
        description="Surface over the scan that is fitted to the measured origins; none: these themselves, which move "
        "with the sample, so that a centre of mass from there shows nothing of it.",
    )
    robust: bool = Field(True, description="Weigh outliers down by Tukey's biweight.")
    radius_px: float | None = Field(
        None, gt=0, description="Radius of the direct beam; from the calibration or the probe if absent.",
        json_schema_extra={"unit": "px"},
    )  # fmt: skip
    start_px: Pair | None = Field(
        None, description="Row and column where to look first; from the mean pattern if absent.",
        json_schema_extra={"unit": "px"},
    )  # fmt: skip
    max_shift_px: float | None = Field(
        None, gt=0, description="Largest distance from the start; one disk radius if absent.",
        json_schema_extra={"unit": "px"},
    )  # fmt: skip
    apply: Literal["note", "coordinates", "shift"] = Field(
        "coordinates",
        description="Only store the origin maps; also put q = 0 at their mean; or also move patterns by whole pixels. "
        "Centres of mass are from the maps' origin in any case.",
    )


class EllipseParams(Params):
    """Where the elliptical distortion comes from."""

    method: Literal["ring", "peaks", "given"] = Field(
        "ring", description="Fit a ring of the mean pattern, fit peaks on a ring, or take the numbers below."
    )
    ring: Pair | None = Field(
        None, description="Radii, in the units of q, between which the ring lies; ring and peaks need it."
    )
    n_sectors: int = Field(72, ge=8, le=720, description="Directions in which the ring's radius is measured.")
    ratio: float | None = Field(None, ge=1, description="Long over short axis of a ring as seen, for `given`.")
    angle_deg: float | None = Field(
        None,
        description="Direction of the long axis, from x towards y, for `given`.",
        json_schema_extra={"unit": "deg"},
    )
    matrix: tuple[float, float, float, float] | None = Field(
        None, description="q_true = A q_measured, row-major in (y, x) order, for `given`; scaled to det 1."
    )

    @model_validator(mode="after")
    def _complete(self) -> EllipseParams:
        if self.method == "given" and (self.matrix is None) == (self.ratio is None):
            raise ValueError("method 'given' needs either `matrix`, or `ratio` with `angle_deg`")
        if self.method == "given" and self.ratio is not None and self.angle_deg is None:
            raise ValueError("`ratio` needs `angle_deg`")
        if self.method != "given" and self.ring is None:
            raise ValueError(f"method {self.method!r} needs `ring`, the two radii that enclose the ring")
        return self


class RotationParams(Params):
    """Rotation between scan and patterns."""

    scan_rotation_deg: FiniteFloat = Field(
        description="Angle from the patterns' x axis to the scan's x axis, positive from x (right) towards y (down).",
        json_schema_extra={"unit": "deg"},
    )
    source: str = Field("set by the user", description="Where the number comes from, in words.")


class ProbeParams(Params):
    """Where the probe is taken from."""

    method: Literal["vacuum", "central", "file"] = Field(
        "central", description="Mean over a vacuum region, central disk of the mean pattern, or a file."
    )
    scan_y: Range | None = Field(None, description="Scan rows of the vacuum, as indices [start, stop).")
    scan_x: Range | None = Field(None, description="Scan columns of the vacuum, as indices [start, stop).")
    radius_px: float | None = Field(
        None, gt=0, description="Radius of the central disk; from the calibration or its edge if absent.",
        json_schema_extra={"unit": "px"},
    )  # fmt: skip
    path: Path | None = Field(None, description="2-D .npy file, or a ronchi file that holds a probe.")

    @model_validator(mode="after")
    def _complete(self) -> ProbeParams:
        if self.method == "vacuum" and self.scan_y is None and self.scan_x is None:
            raise ValueError("method 'vacuum' needs `scan_y` or `scan_x`, the region that is vacuum")
        if self.method == "file" and self.path in (None, Path()):
            raise ValueError("method 'file' needs `path`")
        return self


class CalibrateParams(Params):
    """Calibrations to set; what is absent stays as it is."""

    scan_step_angstrom: ScanStep | None = Field(
        None, description="Scan step along y and x.", json_schema_extra={"unit": "angstrom"}
    )
    q_step_inv_angstrom: QStep | None = Field(
        None, description="Detector pixel along y and x.", json_schema_extra={"unit": "1/angstrom"}
    )
    ring: Pair | None = Field(None, description="Radii, in the units of q, between which a known ring lies.")
    ring_d_angstrom: float | None = Field(
        None, gt=0, description="Lattice spacing of that ring; scales the detector pixel.",
        json_schema_extra={"unit": "angstrom"},
    )  # fmt: skip
    beam_energy_eV: BeamEnergy | None = Field(None, description="Beam energy.", json_schema_extra={"unit": "eV"})
    semiangle_mrad: Semiangle | None = Field(
        None, description="Convergence semiangle.", json_schema_extra={"unit": "mrad"}
    )
    camera_length_m: CameraLength | None = Field(None, description="Camera length.", json_schema_extra={"unit": "m"})
    dose: float | None = Field(None, gt=0, description="Electrons a pattern.", json_schema_extra={"unit": "electron"})

    @model_validator(mode="after")
    def _complete(self) -> CalibrateParams:
        if (self.ring is None) != (self.ring_d_angstrom is None):
            raise ValueError("`ring` and `ring_d_angstrom` belong together")
        if self.ring is not None and self.q_step_inv_angstrom is not None:
            raise ValueError("give either `q_step_inv_angstrom` or a known ring, not both")
        return self
