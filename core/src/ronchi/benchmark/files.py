"""All files of a benchmark, in its folder."""

from __future__ import annotations

import xarray as xr

from ronchi.atomic import all_or_nothing
from ronchi.benchmark.dataset import to_dataset
from ronchi.benchmark.report import write_bench_report
from ronchi.benchmark.run import BenchResult
from ronchi.benchmark.summary import write_summary

__all__ = ["write_files"]


def write_files(result: BenchResult) -> None:
    """Write tables, ``results.nc`` and ``report.html``.

    Raises
    ------
    OutputError
        The folder cannot be written to.
    """
    result.table.write(result.out_dir)
    write_summary(result)
    _write_netcdf(to_dataset(result), result)
    write_bench_report(result, result.out_dir / "report.html")


def _write_netcdf(data: xr.Dataset, result: BenchResult) -> None:
    # Characters of fixed width: netCDF's strings of any length crash where a file is open twice.
    texts = {name: {"dtype": "S1"} for name, variable in data.variables.items() if variable.dtype.kind == "U"}
    with all_or_nothing(result.out_dir / "results.nc", ".nc", data.nbytes) as path:
        data.to_netcdf(path, engine="netcdf4", encoding=texts)
