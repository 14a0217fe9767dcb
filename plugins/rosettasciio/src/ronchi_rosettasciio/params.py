"""Parameters of the reader ``rosettasciio``."""

from __future__ import annotations

from typing import Annotated, Literal

from ronchi.api import Field, Params

__all__ = ["RosettaParams"]

Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]


class RosettaParams(Params):
    """Which data set of a file, and what the file itself does not say."""

    path: str = Field(description="File or folder to read.", min_length=1)
    format: str = Field("auto", description="Format by name, as `source_format` of a read file; auto: by content.")
    dataset: str | int | None = Field(
        None,
        description="Name or number of the data set, of several in a file; by default the one with most dimensions.",
    )
    scan_shape: tuple[Count, Count] | None = Field(
        None,
        description="Rows and columns of the scan, where the file does not say.",
        json_schema_extra={"unit": "px"},
    )
    content: Literal["auto", "patterns", "images"] = Field(
        "auto", description="Whether two- and three-dimensional data are patterns or images; auto: as the file says."
    )
    extra_index: tuple[Index, ...] = Field(
        (), description="Index along each axis beyond four, such as depth or exposure; the first where absent."
    )
    block_mb: float = Field(
        12.0,
        gt=0,
        le=4096,
        description="Size of a lazily read block of patterns.",
        json_schema_extra={"unit": "MB"},
    )
