"""Parameters of the built-in readers and of the writer."""

from __future__ import annotations

from ronchi.api import Field, Params

__all__ = ["NativeParams", "NativeWriterParams", "NpyParams"]

Pair = tuple[float, float]


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
        description="Compress lightly, in chunks of whole patterns; without it netCDF patterns lie contiguously.",
    )


class NpyParams(Params):
    """Parameters of the reader of NumPy arrays, which carry no calibration of their own."""

    path: str = Field(description="File (.npy) with a 4-D array, or a 3-D stack of patterns.", min_length=1)
    scan_shape: tuple[int, int] | None = Field(
        None, description="Rows and columns of the scan, for a 3-D stack.", json_schema_extra={"unit": "px"}
    )
    scan_step_angstrom: Pair | None = Field(
        None, description="Scan step along y and x; pixels if absent.", json_schema_extra={"unit": "angstrom"}
    )
    q_step_inv_angstrom: Pair | None = Field(
        None, description="Detector pixel along y and x; pixels if absent.", json_schema_extra={"unit": "1/angstrom"}
    )
    centre_px: Pair | None = Field(
        None, description="Row and column of q = 0; N // 2 if absent.", json_schema_extra={"unit": "px"}
    )
    beam_energy_eV: float | None = Field(None, gt=0, description="Beam energy.", json_schema_extra={"unit": "eV"})
    semiangle_mrad: float | None = Field(
        None, gt=0, description="Convergence semiangle.", json_schema_extra={"unit": "mrad"}
    )
    scan_rotation_deg: float | None = Field(
        None,
        description="Angle from the detector's x axis to the scan's x axis, positive from x towards y.",
        json_schema_extra={"unit": "deg"},
    )
