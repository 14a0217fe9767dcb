"""The real files, and readers to open them with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from ronchi_rosettasciio.params import RosettaParams
from ronchi_rosettasciio.reader import RosettaReader

Open = Callable[..., xr.Dataset]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real files; skips loudly without it."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", root.parent / "shared" / "data")) / "real"
    if not folder.is_dir():
        pytest.skip(f"no real files at {folder}: set RONCHI_SHARED_DATA to the folder that holds `real`")
    return folder


@pytest.fixture
def open_file() -> Open:
    def make(path: Path, **params: Any) -> xr.Dataset:
        """Open with the reader, as by name."""
        return RosettaReader(RosettaParams(path=str(path), **params)).open(path)

    return make
