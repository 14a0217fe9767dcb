"""Run by the interpreter that has LiberTEM: its sums must be ours."""

from __future__ import annotations

import tempfile
from pathlib import Path

import libertem
import numpy as np
from libertem.api import Context
from libertem.udf.sum import SumUDF
from libertem.udf.sumsigudf import SumSigUDF
from samples import patterns

from ronchi.builtin.params_io import NativeWriterParams
from ronchi.builtin.writer import NativeWriter
from ronchi.interop import from_libertem, to_libertem

ctx = Context.make_with("inline")
ds = patterns()
values = ds["intensity"].values.astype(float)


def check(loaded, kind):
    assert type(loaded).__name__ == kind, type(loaded)
    assert tuple(loaded.shape.nav) == (3, 5)
    assert tuple(loaded.shape.sig) == (16, 12)
    image = from_libertem(ctx.run_udf(loaded, SumSigUDF()), ds)
    np.testing.assert_allclose(image["intensity"], values.sum((2, 3)))
    assert image["intensity"].dims == ("scan_y", "scan_x")
    np.testing.assert_array_equal(image["scan_x"], ds["scan_x"])
    pattern = from_libertem(ctx.run_udf(loaded, SumUDF()), ds)
    np.testing.assert_allclose(pattern["intensity"], values.sum((0, 1)))
    assert pattern["intensity"].dims == ("qy", "qx")
    disk = ctx.create_disk_analysis(loaded, cx=6.25, cy=7.5, r=3)
    maps = from_libertem(ctx.run(disk), ds)
    y, x = np.mgrid[:16, :12]
    inside = np.hypot(y - 7.5, x - 6.25) < 3
    np.testing.assert_allclose(maps["intensity"], values[:, :, inside].sum(-1), rtol=0.05)
    print(kind, "ok")


check(to_libertem(ds, ctx), "MemoryDataSet")
check(to_libertem(patterns(lazy=True), ctx), "DaskDataSet")
with tempfile.TemporaryDirectory() as folder:
    for compress in (False, True):
        path = Path(folder) / f"scan{compress}.nc"
        NativeWriter(NativeWriterParams(compress=compress)).write(ds, {}, path, progress=lambda done, total: None)
        check(to_libertem(path, ctx), "H5DataSet")
ctx.close()
print("libertem", libertem.__version__, "ok")
