"""Parameters of a scan over tiles of crystal."""

from __future__ import annotations

from typing import Self

from pydantic import JsonValue, model_validator

from ronchi.api import Field
from ronchi_simulate.params.scan import Place, ScanParams

__all__ = ["ANGSTROM", "TilesParams"]

ANGSTROM: dict[str, JsonValue] = {"unit": "angstrom"}
Rows = tuple[tuple[float, ...], ...]


class TilesParams(ScanParams):
    """A scan that is divided into equal tiles, each over a crystal at an angle of its own, with a defect or without."""

    defects: tuple[tuple[str, ...], ...]

    scan_start_angstrom: Place = Field(
        (0.0, 0.0),
        description="How far (y, x) the scan is moved from the middle of its tiles.",
        json_schema_extra=ANGSTROM,
    )
    rotation_deg: Rows = Field(
        ((5.0, 18.0), (31.0, 44.0)),
        min_length=1,
        description="Rotation of the lattice in each tile, from x towards y, in rows; the scan is divided alike.",
        json_schema_extra={"unit": "deg"},
    )
    margin_angstrom: float = Field(
        15.0,
        ge=0,
        description="Width of crystal beyond the scan of a tile before the next one begins; 0 has the scan run on "
        "across the boundaries between crystals.",
        json_schema_extra=ANGSTROM,
    )

    @model_validator(mode="after")
    def _divides_the_scan(self) -> Self:
        rows, columns = len(self.rotation_deg), len(self.rotation_deg[0])
        if not columns or any(len(row) != columns for row in self.rotation_deg):
            raise ValueError("rotation_deg needs rows of one length")
        if self.scan_shape[0] % rows or self.scan_shape[1] % columns:
            raise ValueError(f"a scan_shape of {self.scan_shape} cannot be divided into {rows} x {columns} tiles")
        if [len(row) for row in self.defects] != [len(row) for row in self.rotation_deg]:
            raise ValueError("defects need as many rows and columns as rotation_deg")
        return self

    @property
    def tile_scan_shape(self) -> tuple[int, int]:
        """Positions of one tile along y and x."""
        return self.scan_shape[0] // len(self.rotation_deg), self.scan_shape[1] // len(self.rotation_deg[0])
