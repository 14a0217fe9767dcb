"""The real files, and readers to open them with."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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


@pytest.fixture(scope="session")
def cube() -> np.ndarray:
    """Counts of a scan of 3 x 4 patterns."""
    return np.random.default_rng(0).integers(0, 200, (3, 4, 16, 16)).astype(np.uint8)


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """Write with one of RosettaSciIO's writers: units and scales are those of scan and pattern, in this order."""

    def make(
        module: str, path: Path, data: np.ndarray, units: tuple[str, str], scales: tuple[float, float], **options: Any
    ) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(f"rsciio.{module}").file_writer(str(path), _signal(data, units, scales), **options)
        return path

    return make


def _signal(data: np.ndarray, units: tuple[str, str], scales: tuple[float, float]) -> dict[str, Any]:
    """As RosettaSciIO's writers take it."""
    names = ("y", "x", "ky", "kx")[4 - data.ndim :]
    axes = [
        {
            "name": name,
            "size": size,
            "scale": scales[name.startswith("k")],
            "offset": 0.0,
            "units": units[name.startswith("k")],
            "navigate": not name.startswith("k"),
            "index_in_array": i,
            "_type": "UniformDataAxis",
            "is_binned": False,
        }
        for i, (name, size) in enumerate(zip(names, data.shape, strict=True))
    ]
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": {"title": "made"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "attributes": {"_lazy": False},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
        "package_info": {"package": "made", "package_version": "1"},
        "package": "made",
        "package_version": "1",
    }
