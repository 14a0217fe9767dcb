"""Plots of the wrong thing say what to pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi import plot
from ronchi.errors import DataError
from ronchi.schema import fourd, maps, peaks
from ronchi.schema.common import variable

SCAN = fourd.make(np.ones((2, 3, 8, 8), np.uint16), scan_step=(5, 5), q_step=(0.05, 0.05))
PEAKS = peaks.make(counts=[1] * 6, qy=[0.0] * 6, qx=[0.0] * 6, scan_shape=(2, 3), q_shape=(8, 8), q_origin_px=(4, 4))
MAPS = maps.make(
    {"sum": variable(("scan_y", "scan_x"), np.ones((2, 3)), "counts", "sum")},
    {dim: SCAN[dim].variable for dim in ("scan_y", "scan_x")},
)
STRAIN = xr.Dataset(
    {name: (("scan_y", "scan_x"), np.zeros((2, 3))) for part in ("e_xx", "e_yy", "e_xy", "theta")
     for name in (part, f"se_{part}")}, {dim: SCAN[dim].variable for dim in ("scan_y", "scan_x")},
)  # fmt: skip


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plot.strain_maps(PEAKS), r"strain: got peaks/1 without .*e_xx.*\n  -> .*ronchi.strain"),
        (lambda: plot.strain_maps("strain.nc"), r"strain: got 'strain.nc', not a data set\n  -> .*ronchi.read"),
        (lambda: plot.strain_histograms(SCAN), r"got fourd/1 without"),
        (lambda: plot.strain_quality(STRAIN), r"without residual and n_used"),
        (lambda: plot.strain_profiles(STRAIN, along="x"), r"along: 'x' is no axis of the scan\n  -> scan_x or scan_y"),
        (lambda: plot.pattern(SCAN.isel(scan_y=0, scan_x=0)), r"not one image\n  -> choose .* data\['intensity'\]"),
        (lambda: plot.pattern(SCAN["intensity"]), r"-> choose one image: .isel\(scan_y=0, scan_x=0\)"),
        (lambda: plot.scan_image(MAPS), r"-> choose a variable, such as data\['sum'\]"),
        (lambda: plot.scan_images(MAPS, ["summ"]), r"got maps/1 without summ"),
        (lambda: plot.mosaic(SCAN, [(5, 0)]), r"positions: the position \(row 5, column 0\) lies outside .* 2 x 3"),
        (lambda: plot.mark_positions(plot.scan_image(MAPS["sum"]), MAPS, [(0, 3)]), r"column 3\) lies outside"),
        (lambda: plot.vector_map(SCAN), r"peaks: got fourd/1 without q_step\n  -> .*ronchi.detect"),
    ],
)
def test_what_was_meant_is_named(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        call()
