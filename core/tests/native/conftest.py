"""Small data, written to files and read from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ronchi.builtin.native import NativeReader
from ronchi.builtin.params_io import NativeParams
from ronchi.schema import fourd
from ronchi.writing import write


@pytest.fixture(scope="session")
def scan() -> Callable[..., xr.Dataset]:
    """Counts that differ at every pixel, on anisotropic calibrated axes."""

    def make(shape: tuple[int, ...] = (3, 5, 16, 12), dtype: str = "u2") -> xr.Dataset:
        intensity = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        probe = np.ones(shape[2:], "f4")
        return fourd.make(intensity, scan_step=(2.0, 3.0), q_step=(0.02, 0.03), probe=probe, beam_energy_eV=200e3)

    return make


@pytest.fixture(scope="session")
def read() -> Callable[[Path], NativeReader]:
    """The reader of a file."""
    return lambda path: NativeReader(NativeParams(path=str(path)))


@pytest.fixture
def zarr_scan(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A store of noise with shards of 4 rows of patterns, and the files of the patterns."""
    noise = np.random.default_rng(0).integers(0, 60000, (16, 8, 96, 200)).astype("u2")
    path = write(fourd.make(noise), tmp_path / "scan.zarr")
    return path, sorted(path.glob("intensity/c/*/*/*/*"))
