"""Files to and from py4DSTEM itself, in the interpreter that RONCHI_PEER_PYTHON_PY4DSTEM names."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.apply import apply
from ronchi.schema import fourd, peaks
from ronchi.verbs import read_result

VARIABLE = "RONCHI_PEER_PYTHON_PY4DSTEM"

MAKE = """
import sys, numpy as np, py4DSTEM
from py4DSTEM.data import RealSlice
rng = np.random.default_rng(0)
cube = py4DSTEM.DataCube(rng.poisson(3, (3, 4, 10, 12)).astype("u2"))
c = cube.calibration
c.set_Q_pixel_size(0.02); c.set_Q_pixel_units("A^-1"); c.set_R_pixel_size(5.0); c.set_R_pixel_units("A")
c.set_QR_rotflip((0.3, bool(int(sys.argv[2])))); c.set_ellipse((51.0, 50.0, 0.4))
c.set_origin((rng.normal(5, 0.1, (3, 4)), rng.normal(6, 0.1, (3, 4))))
vectors = py4DSTEM.BraggVectors((3, 4), (10, 12), calibration=c)
for y in range(3):
    for x in range(4):
        points = [(rng.uniform(0, 9), rng.uniform(0, 11), rng.random()) for _ in range(rng.integers(0, 5))]
        vectors._v_uncal[y, x].add(np.array(points, vectors._v_uncal.dtype))
cube.get_virtual_image(mode="circle", geometry=((5, 6), 2), name="bright")
cube.attach(RealSlice(rng.normal(size=(5, 3, 4)), name="strain", slicelabels=["e_xx", "e_yy", "e_xy", "theta", "mask"]))
cube.attach(vectors)
py4DSTEM.save(sys.argv[1], cube, mode="o", tree=True)
"""

TELL = """
import sys, numpy as np, py4DSTEM
read = py4DSTEM.read(sys.argv[1])
is_cube = isinstance(read, py4DSTEM.DataCube)
vectors = read.tree(sys.argv[3]) if is_cube else read
shape = vectors.Rshape
ours = read.metadata["ronchi"] if "ronchi" in read.metadata else None
told = {f"ours_{key}": ours[key] for key in ours.keys} if ours else {}
told |= {"bvm": vectors.histogram(mode="cal", sampling=2).data}
for state in ("raw", "cal"):
    lists = [getattr(vectors, state)[y, x].data for y in range(shape[0]) for x in range(shape[1])]
    told["counts"] = [len(points) for points in lists]
    for field in ("qx", "qy", "intensity"):
        told[f"{state}_{field}"] = np.concatenate([points[field] for points in lists])
for name in ("Q_pixel_size", "R_pixel_size", "QR_rotation", "a", "b", "theta", "qx0", "qy0"):
    value = read.calibration[name] if name in read.calibration.keys else None
    if value is not None:
        told[name] = value
told["units"] = [read.calibration.get_Q_pixel_units(), read.calibration.get_R_pixel_units()]
told["calstate"] = [vectors.calstate[name] for name in ("center", "ellipse", "pixel", "rotate")]
if is_cube:
    told["data"] = read.data
    names = list(read._branch.keys())
    told["tree"] = names
    for name in names:
        node = read.tree(name)
        if hasattr(node, "data"):
            told[f"node_{name}"] = node.data
np.savez(sys.argv[2], **told)
"""


@pytest.fixture
def peer():
    """Run a script with py4DSTEM."""
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"py4DSTEM is not at hand: set {VARIABLE} to an interpreter that has it")

    def run(code: str, *args: object) -> str:
        told = subprocess.run(
            [python, "-W", "ignore", "-c", code, *map(str, args)], capture_output=True, text=True, timeout=300
        )
        assert told.returncode == 0, told.stderr[-2000:]
        return told.stdout

    return run


def vectors(found: xr.Dataset) -> np.ndarray:
    """(peak, 2) undistorted, on the axes of the scan, (y, x)."""
    matrix = np.reshape(found.attrs.get("q_distortion", [1, 0, 0, 1]), (2, 2))
    angle = np.deg2rad(found.attrs["scan_rotation_deg"])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (turn @ matrix @ np.stack([found["qy"].values, found["qx"].values])).T


@pytest.mark.parametrize("flip", [0, 1])
def test_their_file_through_ours_and_back(peer, tmp_path, flip):
    """py4DSTEM writes, we read and write, py4DSTEM reads: counts equal, vectors to 1e-12."""
    first, second = tmp_path / "theirs.h5", tmp_path / "ours.h5"
    peer(MAKE, first, flip)
    peer(TELL, first, tmp_path / "first.npz", "braggvectors")
    ours = read_result(first)
    told = np.load(tmp_path / "first.npz")
    patterns = told["data"].swapaxes(2, 3) if flip else told["data"]
    np.testing.assert_array_equal(ours.data["intensity"], patterns)
    found = ours.sides["braggvectors"]
    np.testing.assert_allclose(vectors(found), np.stack([told["cal_qx"], told["cal_qy"]], 1), atol=1e-12)
    np.testing.assert_array_equal(found["n_peaks"], told["counts"])
    np.testing.assert_array_equal(ours.sides["strain"]["e_yy"].values[told["node_strain"][4] != 0],
                                  told["node_strain"][0][told["node_strain"][4] != 0])  # fmt: skip

    ronchi.write(ours.data.assign_attrs(mine="Å"), second, sides=ours.sides)
    peer(TELL, second, tmp_path / "second.npz", "braggvectors")
    back = np.load(tmp_path / "second.npz")
    np.testing.assert_array_equal(back["data"], patterns)
    assert back["ours_mine"] == "Å"
    for name in ("cal_qx", "cal_qy"):
        np.testing.assert_allclose(back[name], told[name], atol=1e-12, err_msg=name)
    np.testing.assert_allclose(back["cal_intensity"], told["cal_intensity"], rtol=1e-7)
    np.testing.assert_array_equal(back["units"], told["units"])
    np.testing.assert_array_equal(back["calstate"], [True] * 4)
    np.testing.assert_allclose(back["Q_pixel_size"], told["Q_pixel_size"], rtol=1e-12)
    np.testing.assert_allclose(back["a"] / back["b"], told["a"] / told["b"], rtol=1e-12)
    np.testing.assert_array_equal(back["node_bright"], told["node_bright"])
    if not flip:
        for name in ("raw_qx", "raw_qy", "theta", "QR_rotation", "qx0", "qy0"):
            np.testing.assert_allclose(back[name], told[name], atol=1e-12, err_msg=name)


def test_our_detection_in_their_hands(peer, tmp_path):
    """Simulated disks, found here: py4DSTEM sees the same vectors, and its map of them has its maxima there."""
    scan = apply("simulator", "disks", {"scan_shape": [4, 5], "scan_rotation_deg": 20.0}, {}, seed=1)
    found = ronchi.detect(scan.data, "crosscorr")
    path = ronchi.write(found, tmp_path / "disks.h5")
    peer(TELL, path, tmp_path / "told.npz", "")
    told = np.load(tmp_path / "told.npz")
    np.testing.assert_array_equal(told["counts"], found["n_peaks"])
    np.testing.assert_allclose(told["raw_qx"], peaks.pixels(found)[0], atol=1e-12)
    np.testing.assert_allclose(told["raw_qy"], peaks.pixels(found)[1], atol=1e-12)
    np.testing.assert_allclose(np.stack([told["cal_qx"], told["cal_qy"]], 1), vectors(found), atol=1e-12)
    assert told["bvm"].sum() == pytest.approx(float(found["intensity"].sum()), rel=0.02)
    assert fourd.q_units(scan.data) == "1/angstrom"
