"""Files of 20 GB, sparse on disk, open in under a second and 200 MB, and so does a pattern of them."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import dask.array as da
import netCDF4
import numpy as np
import pytest
import xarray as xr

from ronchi.builtin.store_netcdf import NetcdfStore
from ronchi.schema import fourd

SHAPE = (320, 512, 256, 256)
SECONDS, MEGABYTES = 1.0, 200.0

OPEN = """
import json, sys, time
from pathlib import Path
import dask, netCDF4, xarray, zarr
from ronchi.builtin.native import open_native
from ronchi.pipeline.resources import peak_rss_mb, reset_peak_rss

open_native(Path(sys.argv[1])).data["intensity"][0, 0].values
reset_peak_rss()
before, began = peak_rss_mb(), time.perf_counter()
data = open_native(Path(sys.argv[2])).data
seconds = time.perf_counter() - began
assert data["intensity"].shape == (320, 512, 256, 256)
assert (data["intensity"][0, 0].values == 1).all()
print(json.dumps({"seconds": seconds, "mb": peak_rss_mb() - before}))
"""


def scan() -> xr.Dataset:
    """Twenty gigabytes that take no memory."""
    return fourd.make(da.zeros(SHAPE, "u2", chunks=(1, 64, 256, 256)), scan_step=(1.0, 1.0), q_step=(0.01, 0.01))


def contiguous(path: Path) -> None:
    data = scan()
    with NetcdfStore(path, compress=False) as store:
        group = store.group(None, data)
        for name, var in data.variables.items():
            target = group.create(str(name), var).array
            if var.ndim == 1:
                target[:] = var.values
            else:
                target[0, 0] = target[-1, -1] = np.ones(SHAPE[2:], "u2")
    assert path.stat().st_size > 20 * 2**30


def chunked(path: Path) -> None:
    """Chunks that are there at both ends only: 160 of 20,480."""
    data = scan()
    data.drop_vars("intensity").to_netcdf(path)
    with netCDF4.Dataset(path, "a") as file:
        layout = {"chunksizes": (1, 8, *SHAPE[2:]), "fill_value": 0}
        target = file.createVariable("intensity", "u2", data["intensity"].dims, **layout)
        target.setncatts(data["intensity"].attrs)
        target[0, 0] = target[-1, -1] = 1


def shards(path: Path) -> None:
    """All files that the writer would make, but for those of the first patterns with holes for contents."""
    from ronchi.builtin.store_zarr import ZarrStore

    data = scan()
    with ZarrStore(path, compress=False) as store:
        group = store.group(None, data)
        for name, var in data.variables.items():
            target = group.create(str(name), var)
            if var.ndim == 1:
                target.array[:] = var.values
                continue
            pieces = target.unit
            target.array[: pieces[0], : pieces[1]] = 1
            grid = [range(math.ceil(n / piece)) for n, piece in zip(SHAPE, pieces, strict=True)]
            for index in itertools.product(*grid):
                file = path.joinpath(str(name), "c", *map(str, index))
                file.parent.mkdir(parents=True, exist_ok=True)
                if not file.exists():
                    with file.open("wb") as stream:
                        stream.truncate(2 * math.prod(pieces))


@pytest.mark.alone
@pytest.mark.parametrize("make", [contiguous, chunked, shards])
def test_twenty_gigabytes_open_at_once(make, tmp_path):
    suffix = ".zarr" if make is shards else ".nc"
    path = tmp_path / f"large{suffix}"
    make(path)
    # What is imported at first use is neither time nor memory of the file.
    small = tmp_path / f"small{suffix}"
    from ronchi.writing import write

    write(scan().isel(scan_y=slice(2), scan_x=slice(2)), small)
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(small), str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    print(found)
    assert found["seconds"] < SECONDS
    assert found["mb"] < MEGABYTES
