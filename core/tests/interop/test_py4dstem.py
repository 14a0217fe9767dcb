"""Patterns and peaks in py4DSTEM's terms: objects like its own, and itself where it can be imported."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi import interop
from ronchi.errors import DataError, PluginError, SchemaError
from ronchi.interop.py4dstem_calibration import calibration_of, frame_of
from ronchi.interop.py4dstem_data import peak_columns, points_of
from ronchi.schema import fourd, peaks

VARIABLE = "RONCHI_PEER_PYTHON_PY4DSTEM"


class Calibration(dict):
    """Items by name, and ``keys`` as a property, as py4DSTEM has it."""

    @property
    def keys(self):
        return super().keys()


def some_peaks(**attrs):
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 5, 12)
    n = counts.sum()
    return peaks.make(
        counts=counts, qy=rng.normal(size=n), qx=rng.normal(size=n), intensity=rng.random(n), scan_shape=(3, 4),
        q_step=(0.02, 0.02), q_origin_px=(4.7, 6.2), q_shape=(10, 12), q_units="1/angstrom", attrs=attrs,
    )  # fmt: skip


def braggvectors_like(ds, **items):
    """What `from_py4dstem` needs of BraggVectors."""
    counts, records = points_of(ds)
    lists = np.split(records, np.cumsum(counts)[:-1])
    raw = {(i // 4, i % 4): SimpleNamespace(data=points) for i, points in enumerate(lists)}
    return SimpleNamespace(raw=raw, Rshape=(3, 4), Qshape=(10, 12), calibration=Calibration(calibration_of(ds) | items))


def test_peaks_there_and_back():
    found = some_peaks(scan_rotation_deg=30.0, beam_energy_eV=200e3)
    back = interop.from_py4dstem(braggvectors_like(found))
    for name in ("qy", "qx"):
        np.testing.assert_allclose(back[name], found[name], atol=1e-14)
    np.testing.assert_array_equal(back["n_peaks"], found["n_peaks"])
    np.testing.assert_array_equal(back["intensity"], found["intensity"])
    assert back.attrs["scan_rotation_deg"] == pytest.approx(30)
    assert back.attrs["beam_energy_eV"] == 200e3
    assert tuple(back.attrs["q_shape"]) == (10, 12)


def test_a_cube_keeps_its_array():
    values = np.random.default_rng(2).poisson(5, (3, 4, 10, 12)).astype("u2")
    items = Calibration(Q_pixel_size=0.02, Q_pixel_units="A^-1", R_pixel_size=2.0, R_pixel_units="nm", QR_flip=False)
    cube = interop.from_py4dstem(SimpleNamespace(data=values, calibration=items))
    fourd.validate(cube)
    assert np.shares_memory(cube["intensity"].values, values)
    assert fourd.q_step(cube)[0] == pytest.approx(0.02)
    assert float(cube["scan_x"][1]) == pytest.approx(20)
    mirrored = interop.from_py4dstem(SimpleNamespace(data=values, calibration=Calibration(items | {"QR_flip": True})))
    np.testing.assert_array_equal(mirrored["intensity"], values.swapaxes(2, 3))


def test_a_strain_map_object_is_taken_by_its_labels():
    stack = np.random.default_rng(3).normal(size=(5, 2, 3))
    stack[4] = 1
    labels = ["e_xx", "e_yy", "e_xy", "theta", "mask"]
    found = interop.from_py4dstem(SimpleNamespace(data=stack, slicelabels=labels))
    np.testing.assert_array_equal(found["e_xx"], stack[1])
    np.testing.assert_array_equal(found["theta"], stack[3])


@settings(deadline=None, max_examples=50)
@given(
    a=st.floats(0.5, 2), b=st.floats(0.5, 2), theta=st.floats(-3, 3), rotation=st.floats(-3, 3),
    flip=st.booleans(), size=st.floats(1e-3, 0.1),
)  # fmt: skip
def test_items_there_and_back_give_the_same_vectors(a, b, theta, rotation, flip, size):
    """For every ellipse, rotation and flip; to 1e-12 of the vectors' length."""
    items = {
        "Q_pixel_size": size, "Q_pixel_units": "A^-1", "QR_flip": flip, "QR_rotation": rotation,
        "a": a, "b": b, "theta": theta, "qx0": 5.0, "qy0": 6.0,
    }  # fmt: skip
    points = np.zeros(20, [("qx", float), ("qy", float)])
    points["qx"], points["qy"] = np.random.default_rng(4).uniform(-9, 9, (2, 20))

    def on_the_scan(frame, points):
        columns = peak_columns(points, np.zeros(20, int), frame, frame.pattern_shape((10, 12)))
        angle = np.deg2rad(frame.attrs["scan_rotation_deg"])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return turn @ frame.distortion @ np.stack([columns["qy"], columns["qx"]])

    frame = frame_of(items, (1, 1))
    first = on_the_scan(frame, points)
    columns = peak_columns(points, np.zeros(20, int), frame, frame.pattern_shape((10, 12)))
    ds = peaks.make(
        counts=[20], qy=columns["qy"], qx=columns["qx"], scan_shape=(1, 1), q_step=(frame.q_step,) * 2,
        q_origin_px=frame.centre_px((10, 12)), q_shape=(10, 12), q_units="1/angstrom", attrs=frame.attrs,
    )  # fmt: skip
    second = on_the_scan(frame_of(calibration_of(ds), (1, 1)), points_of(ds)[1])
    np.testing.assert_allclose(second, first, atol=1e-12 * 20 * size)


@pytest.mark.parametrize(
    ("units", "step"),
    [("A^-1", 0.02), ("1/Å", 0.02), ("Å⁻¹", 0.02), ("A-1", 0.02), ("nm⁻¹", 0.002), ("1/pm", None), ("A", None)],
)
def test_units_are_understood_in_every_spelling(units, step, caplog):
    items = {"Q_pixel_size": 0.02, "Q_pixel_units": units, "R_pixel_size": 5, "R_pixel_units": "Ångström"}
    frame = frame_of(items, (1, 1))
    assert frame.q_step == (None if step is None else pytest.approx(step))
    assert frame.scan_step == 5
    assert ("calibration_refused" in frame.attrs) == (step is None)


def test_an_angle_of_any_unit_needs_the_energy():
    items = {"Q_pixel_size": 1e-3, "Q_pixel_units": "rad"}
    assert frame_of(items, (1, 1)).q_step is None
    in_mrad = frame_of({"Q_pixel_size": 1.0, "Q_pixel_units": "mrad"}, (1, 1), beam_energy_eV=2e5)
    assert frame_of(items, (1, 1), beam_energy_eV=2e5).q_step == pytest.approx(in_mrad.q_step)


def test_what_is_neither_is_refused():
    with pytest.raises(DataError, match="SimpleNamespace"):
        interop.from_py4dstem(SimpleNamespace(data=np.zeros(3)))
    with pytest.raises(SchemaError, match="fourd/1, peaks/1 or strain/1"):
        interop.to_py4dstem(some_peaks().assign_attrs(ronchi_schema="maps/1"))


@pytest.mark.skipif(importlib.util.find_spec("py4DSTEM") is not None, reason="py4DSTEM is installed here")
def test_without_py4dstem_it_is_named():
    with pytest.raises(PluginError, match=r"ronchi\[py4dstem\]"):
        interop.to_py4dstem(some_peaks())


OBJECTS = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, py4DSTEM
from ronchi import interop
from ronchi.schema import fourd, peaks
rng = np.random.default_rng(0)
attrs = dict(beam_energy_eV=2e5, scan_rotation_deg=17.0, q_distortion=np.array([1.01, 0.004, 0.004, 0.99]))
cube = fourd.make(rng.poisson(3, (3, 4, 10, 12)).astype("u2"), scan_step=(5.0, 5.0), q_step=(0.02, 0.02),
                  centre_px=(4.7, 6.2), **attrs)
theirs = interop.to_py4dstem(cube)
assert isinstance(theirs, py4DSTEM.DataCube) and theirs.data.dtype == np.uint16
back = interop.from_py4dstem(theirs)
assert np.array_equal(back["intensity"], cube["intensity"])
for name in attrs:
    np.testing.assert_allclose(back.attrs[name], attrs[name], rtol=1e-12)
for dim in fourd.DIMS:
    np.testing.assert_allclose(back[dim], cube[dim], atol=1e-14)
counts = rng.integers(0, 5, 12)
n = counts.sum()
found = peaks.make(counts=counts, qy=rng.normal(size=n), qx=rng.normal(size=n), intensity=rng.random(n),
                   score=rng.random(n), var_yy=rng.random(n) + 1, var_xx=rng.random(n) + 2, scan_shape=(3, 4),
                   q_step=(0.02, 0.02), q_origin_px=(4.7, 6.2), q_shape=(10, 12), q_units="1/angstrom", attrs=attrs)
vectors = interop.to_py4dstem(found)
assert isinstance(vectors, py4DSTEM.BraggVectors) and all(vectors.calstate.values())
again = interop.from_py4dstem(vectors)
for name in ("qy", "qx", "intensity", "score", "var_yy", "var_xx"):
    np.testing.assert_allclose(again[name], found[name], rtol=1e-6 if name.startswith("var") else 1e-13, atol=1e-14)
q = np.reshape(attrs["q_distortion"], (2, 2)) @ np.stack([found["qy"].values, found["qx"].values])
angle = np.deg2rad(17.0)
expected = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ q
lists = [vectors.cal[y, x] for y in range(3) for x in range(4)]
np.testing.assert_allclose(np.concatenate([each.qx for each in lists]), expected[0], atol=1e-13)
np.testing.assert_allclose(np.concatenate([each.qy for each in lists]), expected[1], atol=1e-13)
print("equal")
"""


def test_objects_of_py4dstem_itself():
    """Needs an interpreter with py4DSTEM and with what ronchi needs."""
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"py4DSTEM is not at hand: set {VARIABLE} to an interpreter that has it")
    source = Path(__file__).resolve().parents[2] / "src"
    needs = subprocess.run([python, "-c", "import pydantic, pluggy, xarray"], capture_output=True, text=True)
    if needs.returncode:
        pytest.skip(f"the interpreter of {VARIABLE} lacks what ronchi needs: {needs.stderr.splitlines()[-1]}")
    told = subprocess.run([python, "-W", "ignore", "-c", OBJECTS, str(source)], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr[-2000:]
    assert told.stdout.endswith("equal\n")
