"""Parameters of the reader and the writer ``py4dstem``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from ronchi.api import Field, Params
from ronchi.optics import plausible

__all__ = ["Py4dstemParams", "Py4dstemWriterParams"]


class Py4dstemParams(Params):
    """Which node of a file, and what py4DSTEM's calibration does not say."""

    path: str = Field(description="File (.h5, .emd) to read.", min_length=1)
    dataset: str | None = Field(
        None,
        description="Name of a node, or its path in the file; by default the cube, else peaks, strain or maps. The "
        "others are side outputs.",
    )
    flip: Literal["transpose", "ignore"] = Field(
        "transpose",
        description="What `QR_flip` means: swap rows and columns of the patterns, so that the scan rotation holds; or "
        "leave them, without a rotation.",
    )
    point_units: Literal["auto", "pixel", "1/angstrom"] = Field(
        "auto",
        description="Units of a PointListArray, which the file does not say; auto: 1/angstrom if the points lie "
        "around zero and within 10, else pixel. BraggVectors need none.",
    )
    q_step_inv_angstrom: float | None = Field(
        None,
        gt=0,
        description="Detector pixel of points that are in 1/angstrom already; for plots, no number depends on it.",
        json_schema_extra={"unit": "1/angstrom"},
    )
    beam_energy_eV: Annotated[float, AfterValidator(plausible("beam_energy_eV"))] | None = Field(
        None,
        description="Beam energy, which turns a pixel size in mrad into 1/angstrom.",
        json_schema_extra={"unit": "eV"},
    )
    block_mb: float = Field(
        12.0,
        gt=0,
        le=4096,
        description="Size of a lazily read block of patterns.",
        json_schema_extra={"unit": "MB"},
    )


class Py4dstemWriterParams(Params):
    """Parameters of the writer of py4DSTEM files."""

    compress: bool = Field(
        False, description="Compress patterns with gzip, one a chunk: slower, and py4DSTEM then cannot map the file."
    )
