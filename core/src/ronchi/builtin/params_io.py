"""Parameters of the built-in readers and of the writer."""

from __future__ import annotations

from typing import Annotated, Literal

from ronchi.api import Field, Params
from ronchi.builtin.quantities import BeamEnergy, QStep, ScanStep, Semiangle

__all__ = ["NativeParams", "NativeWriterParams", "NpyParams", "PlainParams", "RawParams"]

Pair = tuple[float, float]
PositiveInt = Annotated[int, Field(ge=1)]
PixelType = Literal["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]


class NativeParams(Params):
    """Parameters of the reader of ronchi's own files."""

    path: str = Field(description="File (.nc) or folder (.zarr) to read.", min_length=1)
    block_mb: float = Field(
        12.0,
        gt=0,
        le=4096,
        description="Size of a lazily read block of patterns.",
        json_schema_extra={"unit": "MB"},
    )


class NativeWriterParams(Params):
    """Parameters of the writer of ronchi's own files."""

    compress: bool = Field(
        True,
        description="Compress lightly, in chunks; without it the patterns of a netCDF file lie contiguously.",
    )
    zarr_chunks: Literal["balanced", "patterns"] = Field(
        "balanced",
        description="Chunks of a .zarr store: tiles over scan and detector, which serve images of detector pixels too, "
        "or whole patterns.",
    )


class PlainParams(Params):
    """What a file that holds numbers and nothing else does not say."""

    path: str = Field(description="File to read.", min_length=1)
    scan_shape: tuple[int, int] | None = Field(
        None, description="Rows and columns of the scan.", json_schema_extra={"unit": "px"}
    )
    scan_step_angstrom: ScanStep | None = Field(
        None, description="Scan step along y and x; pixels if absent.", json_schema_extra={"unit": "angstrom"}
    )
    q_step_inv_angstrom: QStep | None = Field(
        None, description="Detector pixel along y and x; pixels if absent.", json_schema_extra={"unit": "1/angstrom"}
    )
    centre_px: Pair | None = Field(
        None, description="Row and column of q = 0; N // 2 if absent.", json_schema_extra={"unit": "px"}
    )
    beam_energy_eV: BeamEnergy | None = Field(None, description="Beam energy.", json_schema_extra={"unit": "eV"})
    semiangle_mrad: Semiangle | None = Field(
        None, description="Convergence semiangle.", json_schema_extra={"unit": "mrad"}
    )
    scan_rotation_deg: float | None = Field(
        None,
        description="Angle from the detector's x axis to the scan's x axis, positive from x towards y.",
        json_schema_extra={"unit": "deg"},
    )


class NpyParams(PlainParams):
    """Parameters of the reader of NumPy arrays, which carry no calibration of their own."""

    path: str = Field(description="File (.npy) with a 4-D array, or a 3-D stack of patterns.", min_length=1)
    scan_shape: tuple[int, int] | None = Field(
        None, description="Rows and columns of the scan, for a 3-D stack.", json_schema_extra={"unit": "px"}
    )


class RawParams(PlainParams):
    """Parameters of the reader of raw frames, one after the other, in a file that says nothing of itself."""

    path: str = Field(description="File to read.", min_length=1)
    scan_shape: tuple[PositiveInt, PositiveInt] = Field(
        description="Rows and columns of the scan.", json_schema_extra={"unit": "px"}
    )
    frame_shape: tuple[PositiveInt, PositiveInt] = Field(
        description="Rows and columns of a pattern.", json_schema_extra={"unit": "px"}
    )
    dtype: PixelType = Field(description="Type of a pixel.")
    byte_order: Literal["little", "big"] = Field("little", description="Byte order of a pixel.")
    offset_bytes: int = Field(0, ge=0, description="Length of the file's header.", json_schema_extra={"unit": "bytes"})
    frame_header_bytes: int = Field(
        0, ge=0, description="Length of what precedes each pattern.", json_schema_extra={"unit": "bytes"}
    )
    frame_footer_bytes: int = Field(
        0, ge=0, description="Length of what follows each pattern.", json_schema_extra={"unit": "bytes"}
    )
