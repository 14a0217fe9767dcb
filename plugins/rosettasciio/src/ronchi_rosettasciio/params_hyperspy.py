"""Parameters of the writer of HyperSpy's files."""

from __future__ import annotations

from ronchi.api import Field, Params

__all__ = ["HyperspyWriterParams"]


class HyperspyWriterParams(Params):
    """Parameters of the writer of ``.hspy`` and ``.zspy`` files."""

    compress: bool = Field(True, description="Compress lightly: gzip level 1 in .hspy, zstd level 1 in .zspy.")
    chunk_mb: float | None = Field(
        None,
        gt=0,
        le=512,
        description="Size of a chunk of whole patterns: by default 1 MB in .hspy, and 8 MB in .zspy, a file each.",
        json_schema_extra={"unit": "MB"},
    )
