"""Run by the interpreter that has pyxem: what `to_pyxem` makes is checked against pyxem's own work."""

from __future__ import annotations

import numpy as np
import pyxem as pxm
from pyxem.signals import DiffractionVectors, ElectronDiffraction2D
from samples import found_peaks, patterns

from ronchi.interop import from_pyxem, to_pyxem
from ronchi.schema import peaks


def same(back, ds, names):
    for name in names:
        np.testing.assert_allclose(back[name].values, ds[name].values, rtol=1e-6, atol=1e-9, err_msg=name)
        assert back[name].attrs["units"] == ds[name].attrs["units"], name


for lazy in (False, True):
    ds = patterns(lazy=lazy)
    signal = to_pyxem(ds)
    assert isinstance(signal, ElectronDiffraction2D), type(signal)
    assert signal._lazy is lazy
    assert signal.beam_energy == 200
    assert signal.calibration.units == [r"$\AA^{-1}$"] * 2
    np.testing.assert_allclose(signal.calibration.scale, (0.03, 0.02))
    np.testing.assert_allclose(np.array(signal.calibration.center, float), (6.25, 7.5))
    assert np.asarray(signal.inav[4, 1].isig[3, 10].data).item() == ds["intensity"].values[1, 4, 10, 3]
    back = from_pyxem(signal)
    same(back, ds, ds.variables)
    assert abs(back.attrs["camera_length_m"] - 0.2) < 1e-12
    assert (back["intensity"].chunks is not None) is lazy
print("patterns: ElectronDiffraction2D, calibrated, there and back")

ds = found_peaks()
vectors = to_pyxem(ds)
assert isinstance(vectors, DiffractionVectors), type(vectors)
one = peaks.at(ds, 2, 1)
np.testing.assert_allclose(vectors.inav[1, 2].data[0][:, 0], one["qy"])
np.testing.assert_allclose(vectors.inav[1, 2].data[0][:, 1], one["qx"])
back = from_pyxem(vectors)
same(back, ds, ("n_peaks", "qy", "qx", "intensity", "scan_y", "scan_x", "scan_y_index", "scan_x_index"))
np.testing.assert_allclose(back.attrs["q_origin_px"], ds.attrs["q_origin_px"])
np.testing.assert_allclose(back.attrs["q_step"], ds.attrs["q_step"])
print("peaks: DiffractionVectors, there and back")

# pyxem finds one spot in each pattern; ours at the same place must be the same vector.
spots = patterns()
values = np.zeros(spots["intensity"].shape, "f4")
values[:, :, 10, 3] = 100
spots = spots.assign(intensity=spots["intensity"].copy(data=values))
theirs = to_pyxem(spots).get_diffraction_vectors(method="local_max", min_distance=1, show_progressbar=False)
assert theirs.column_names[:2] == ["ky", "kx"], theirs.column_names
found = from_pyxem(theirs)
assert found["qx"].attrs["units"] == "1/angstrom"
np.testing.assert_allclose(found["qy"].values, float(spots["qy"][10]), atol=1e-6)
np.testing.assert_allclose(found["qx"].values, float(spots["qx"][3]), atol=1e-6)
mine = to_pyxem(found)
np.testing.assert_allclose(mine.inav[0, 0].data[0][:, :2], theirs.inav[0, 0].data[0][:, :2], atol=1e-6)
np.testing.assert_allclose(mine.get_magnitudes().data[0, 0], theirs.get_magnitudes().data[0, 0], atol=1e-6)
print("peaks that pyxem found are where they are: columns (y, x, intensity)")

# pyxem fits our peaks: with the columns (y, x) its first axis is the row.
G = np.array([[0.25, 0.02], [-0.03, 0.24]])
"""Rows g1, g2, components (x, y)."""
for F in ([[1.001, 0], [0, 1]], [[1, 0], [0, 1.001]], [[1, 5e-4], [5e-4, 1]], [[1, -1e-3], [1e-3, 1]]):
    strained = G @ np.linalg.inv(np.array(F))
    rows = np.vstack([G, strained])
    grid = peaks.make(
        counts=[2, 2], qy=rows[:, 1], qx=rows[:, 0], scan_shape=(1, 2), q_step=(0.01, 0.01), q_origin_px=(64, 64),
        q_shape=(128, 128), q_units="1/angstrom",
    )  # fmt: skip
    vectors = to_pyxem(grid)
    fit = vectors.get_strain_maps(vectors.inav[0, 0].data[0][:, :2], distance=0.1)
    components = dict(zip(("e11", "e22", "e12", "theta"), (fit.inav[i].data for i in range(4)), strict=True))
    ours = from_pyxem(components, columns="yx")
    want = {"e_xx": F[0][0] - 1, "e_yy": F[1][1] - 1, "e_xy": (F[0][1] + F[1][0]) / 2, "theta": (F[1][0] - F[0][1]) / 2}
    for name, value in want.items():
        # To first order: what is left out is the square of the strain, 1e-6.
        assert abs(float(ours[name][0, 1]) - value) < 3e-6, (F, name, float(ours[name][0, 1]), value)
print("strain that pyxem fits to our peaks has our signs after columns='yx'")
print("pyxem", pxm.__version__, "ok")
