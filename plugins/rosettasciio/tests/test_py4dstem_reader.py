"""Files of py4DSTEM, made here in its layouts: axes, signs, units and what is damaged."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ronchi.api import ReadError
from ronchi.schema import fourd, peaks
from ronchi_rosettasciio.params_py4dstem import Py4dstemParams
from ronchi_rosettasciio.py4dstem_reader import Py4dstemReader

POINT = np.dtype([("qx", float), ("qy", float), ("intensity", float)])
CUBE = np.arange(2 * 3 * 4 * 5, dtype="u2").reshape(2, 3, 4, 5)
ITEMS = {
    "Q_pixel_size": 0.02, "Q_pixel_units": "A^-1", "R_pixel_size": 0.5, "R_pixel_units": "nm", "QR_flip": False,
    "QR_rotation": 0.3, "a": 51.0, "b": 50.0, "theta": 0.4, "qx0": 1.7, "qy0": 2.2,
}  # fmt: skip


def read(path: Path, **params: Any):
    return Py4dstemReader(Py4dstemParams(path=str(path), **params)).open(path)


def group(parent: h5py.Group, name: str, kind: Any, cls: str = "") -> h5py.Group:
    made = parent.create_group(name)
    made.attrs["emd_group_type"] = kind
    if cls:
        made.attrs["python_class"] = cls
    return made


def put_items(parent: h5py.Group, items: dict[str, Any]) -> None:
    for name, value in items.items():
        parent.create_dataset(name, data=value.encode() if isinstance(value, str) else value)


def put_points(parent: h5py.Group, lists: list[list[np.ndarray]]) -> None:
    data = parent.create_dataset("data", (len(lists), len(lists[0])), h5py.vlen_dtype(POINT))
    for row, line in enumerate(lists):
        for column, points in enumerate(line):
            data[row, column] = points


def some_points(rng: np.random.Generator, shape: tuple[int, int]) -> list[list[np.ndarray]]:
    """0 to 3 points a position, in px."""
    lists = []
    for _ in range(shape[0]):
        line = []
        for _ in range(shape[1]):
            points = np.zeros(rng.integers(0, 4), POINT)
            points["qx"], points["qy"] = rng.uniform(0, 4, len(points)), rng.uniform(0, 5, len(points))
            points["intensity"] = rng.uniform(1, 9, len(points))
            line.append(points)
        lists.append(line)
    return lists


def emd1(path: Path, items: dict[str, Any], lists: list[list[np.ndarray]] | None = None, cube: Any = CUBE) -> Path:
    """A file in the layout of emdfile, as py4DSTEM 0.14 writes it."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"emd_group_type": "file", "version_major": 1, "version_minor": 0})
        root = group(file, "root", "root", "Root")
        node = root
        if cube is not None:
            node = group(root, "datacube", "array", "DataCube")
            node.create_dataset("data", data=cube)
        if lists is not None:
            vectors = group(node, "bragg", "custom", "BraggVectors")
            put_points(group(vectors, "_v_uncal", "custom_pointlistarray", "PointListArray"), lists)
            shapes = group(group(vectors, "metadatabundle", "metadatabundle"), "_braggvectors_shape", "metadata")
            shapes["Qshape"] = [4, 5]
        put_items(group(group(root, "metadatabundle", "metadatabundle"), "calibration", "metadata"), items)
    return path


def their_vectors(points: np.ndarray, items: dict[str, Any], origin: tuple[float, float]) -> np.ndarray:
    """(peak, 2) calibrated (qx, qy) by the formulas of py4DSTEM 0.14.18, in the order in which it applies them."""
    q = np.stack([points["qx"] - origin[0], points["qy"] - origin[1]])
    e = items["b"] / items["a"]
    s, c = np.sin(items["theta"] - np.pi / 2), np.cos(items["theta"] - np.pi / 2)
    q = np.array([[e * s**2 + c**2, s * c * (1 - e)], [s * c * (1 - e), s**2 + e * c**2]]) @ q
    q = q * items["Q_pixel_size"]
    if items["QR_flip"]:
        q = q[::-1]
    angle = items["QR_rotation"]
    return (np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ q).T


def our_vectors(found: Any) -> np.ndarray:
    """(peak, 2) undistorted (y, x) on the axes of the scan, by our definitions of the attributes."""
    q = np.stack([found["qy"].values, found["qx"].values])
    q = np.reshape(found.attrs["q_distortion"], (2, 2)) @ q
    # Components along axes that lie at this angle, positive from x to y, to the old ones.
    angle = np.deg2rad(found.attrs["scan_rotation_deg"])
    along_x, along_y = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    return np.stack([along_y @ q, along_x @ q], 1)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("origin", ["number", "map"])
def test_calibrated_peaks_are_where_py4dstem_has_them(tmp_path, flip, origin):
    """To 1e-12: the same arithmetic in another order; seed 1."""
    rng = np.random.default_rng(1)
    lists = some_points(rng, (2, 3))
    items = ITEMS | {"QR_flip": flip}
    if origin == "map":
        items |= {"qx0": rng.normal(1.7, 0.2, (2, 3)), "qy0": rng.normal(2.2, 0.2, (2, 3))}
    found = read(emd1(tmp_path / "peaks.h5", items, lists, cube=None)).data
    peaks.validate(found)
    expected = [
        their_vectors(lists[y][x], items, (np.ravel(items["qx0"])[(3 * y + x) * (origin == "map")],
                                           np.ravel(items["qy0"])[(3 * y + x) * (origin == "map")]))
        for y in range(2) for x in range(3)
    ]  # fmt: skip
    np.testing.assert_allclose(our_vectors(found), np.concatenate(expected), atol=1e-12)
    np.testing.assert_array_equal(found["n_peaks"], [len(points) for line in lists for points in line])
    intensity = np.concatenate([points["intensity"] for line in lists for points in line])
    np.testing.assert_array_equal(found["intensity"], intensity.astype(np.float32))
    assert tuple(found.attrs["q_shape"]) == ((5, 4) if flip else (4, 5))


def test_a_cube_keeps_its_order_and_gets_its_calibration(tmp_path):
    found = read(emd1(tmp_path / "cube.h5", ITEMS | {"convergence_semiangle_mrad": 3.0})).data
    fourd.validate(found)
    np.testing.assert_array_equal(found["intensity"], CUBE)
    assert found["intensity"].dtype == np.uint16
    np.testing.assert_allclose(found["scan_x"], [0, 5, 10])
    np.testing.assert_allclose(found["qy"], (np.arange(4) - 1.7) * 0.02)
    np.testing.assert_allclose(found["qx"], (np.arange(5) - 2.2) * 0.02)
    assert found.attrs["scan_rotation_deg"] == pytest.approx(np.degrees(0.3))
    assert found.attrs["semiangle_mrad"] == 3.0


def test_a_mirrored_cube_is_transposed_with_its_origin(tmp_path):
    origin = {"qx0": np.arange(6.0).reshape(2, 3), "qy0": np.arange(6.0).reshape(2, 3) + 10}
    path = emd1(tmp_path / "cube.h5", ITEMS | origin | {"QR_flip": True})
    found = read(path).data
    np.testing.assert_array_equal(found["intensity"], CUBE.swapaxes(2, 3))
    np.testing.assert_array_equal(found["origin_y"], origin["qy0"])
    np.testing.assert_array_equal(found["origin_x"], origin["qx0"])
    plain = read(path, flip="ignore").data
    np.testing.assert_array_equal(plain["intensity"], CUBE)
    assert "scan_rotation_deg" not in plain.attrs


def test_what_is_not_calibrated_stays_in_pixels(tmp_path):
    items = {"Q_pixel_size": 1, "Q_pixel_units": "pixels", "R_pixel_size": 1, "R_pixel_units": "pixels"}
    found = read(emd1(tmp_path / "cube.h5", items)).data
    assert (fourd.q_units(found), fourd.scan_units(found)) == ("pixel", "pixel")
    assert fourd.centre_px(found) == (2, 2)


@pytest.mark.parametrize(
    ("items", "named"),
    [
        ({"Q_pixel_size": 7.8e-20}, "Q_pixel_size is 7.8e-20 A"),
        ({"Q_pixel_size": -0.02}, "Q_pixel_size is -0.02"),
        ({"R_pixel_size": 1.0, "R_pixel_units": "parsec"}, "parsec"),
        ({"Q_pixel_size": 0.5, "Q_pixel_units": "mrad"}, "beam energy"),
    ],
)
def test_implausible_calibrations_are_refused_by_name(tmp_path, caplog, items, named):
    found = read(emd1(tmp_path / "cube.h5", ITEMS | items)).data
    assert named in found.attrs["calibration_refused"]
    assert named in caplog.text
    assert "pixel" in (fourd.q_units(found), fourd.scan_units(found))


def test_mrad_needs_the_beam_energy(tmp_path):
    path = emd1(tmp_path / "cube.h5", ITEMS | {"Q_pixel_size": 1.0, "Q_pixel_units": "mrad"})
    step = fourd.q_step(read(path, beam_energy_eV=200e3).data)[0]
    # lambda(200 kV) = 0.025079 angstrom
    assert step == pytest.approx(1e-3 / 0.025079, rel=1e-4)


def test_peaks_beside_a_cube_wait_in_the_file(tmp_path):
    lists = some_points(np.random.default_rng(2), (2, 3))
    result = read(emd1(tmp_path / "both.h5", ITEMS, lists))
    side = result.sides["bragg"]
    assert side["qx"].chunks is not None
    chosen = read(tmp_path / "both.h5", dataset="bragg").data
    assert chosen["qx"].chunks is None
    np.testing.assert_array_equal(side["qx"], chosen["qx"])
    assert "datacube" in read(tmp_path / "both.h5", dataset="/root/datacube/bragg").sides


def test_images_and_strain_maps_are_sides(tmp_path):
    path = emd1(tmp_path / "all.h5", ITEMS)
    rng = np.random.default_rng(3)
    strain, bf, mean = rng.normal(size=(5, 2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(4, 5))
    strain[4] = 1
    strain[4, 0, 1] = 0
    with h5py.File(path, "a") as file:
        cube = file["root/datacube"]
        stack = group(cube, "strain_map", "array", "StrainMap")
        stack["data"], stack["dim2"] = strain, ["e_xx", "e_yy", "e_xy", "theta", "mask"]
        group(cube, "bf", "array", "VirtualImage")["data"] = bf
        group(cube, "dp_mean", "array", "VirtualDiffraction")["data"] = mean
    result = read(path)
    found = result.sides["strain_map"]
    np.testing.assert_array_equal(found["e_yy"], np.where(strain[4], strain[0], np.nan))
    np.testing.assert_array_equal(found["e_xx"], np.where(strain[4], strain[1], np.nan))
    np.testing.assert_array_equal(result.sides["maps"]["bf"], bf)
    np.testing.assert_array_equal(result.sides["maps"]["dp_mean"], mean)
    np.testing.assert_allclose(result.sides["maps"]["qx"], (np.arange(5) - 2.2) * 0.02)
    assert read(path, dataset="maps").data.attrs["ronchi_schema"] == "maps/1"


def version_13(path: Path, lists: list[list[np.ndarray]], name: str = "peaks") -> Path:
    with h5py.File(path, "w") as file:
        root = group(file, "4DSTEM", "root")
        root.attrs.update({"version_major": "0", "version_minor": "13"})
        node = group(root, name, 3)
        node.attrs["py4dstem_class"] = "PointListArray"
        put_points(node, lists)
    return path


def test_points_of_version_0_13_are_taken_as_what_they_look_like(tmp_path):
    lists = some_points(np.random.default_rng(4), (3, 2))
    in_px = read(version_13(tmp_path / "px.h5", lists)).data
    assert in_px["qx"].attrs["units"] == "pixel"
    rows = np.concatenate([points["qx"] for line in lists for points in line])
    np.testing.assert_allclose(peaks.pixels(in_px)[0], rows, atol=1e-12)
    for line in lists:
        for points in line:
            points["qx"], points["qy"] = (points["qx"] - 2) * 0.3, (points["qy"] - 2) * 0.3
    calibrated = read(version_13(tmp_path / "q.h5", lists)).data
    assert calibrated["qx"].attrs["units"] == "1/angstrom"
    assert "q_units_source" in calibrated.attrs
    np.testing.assert_allclose(calibrated["qy"], (rows - 2) * 0.3, atol=1e-12)
    assert read(tmp_path / "q.h5", point_units="pixel").data["qx"].attrs["units"] == "pixel"


def test_version_0_12_is_read(tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        top = group(file, "4DSTEM_experiment", 2)
        top.attrs.update({"version_major": 0, "version_minor": 12})
        data = top.create_group("data")
        data.create_group("datacubes/datacube_0")["data"] = CUBE
        stack = data.create_group("realslices/strain_map")
        stack["data"] = np.moveaxis(np.ones((4, 2, 3)) * np.arange(4)[:, None, None], 0, -1)
        stack["dim3"] = np.array([b"e_xx", b"e_yy", b"e_xy", b"theta"])
    result = read(tmp_path / "old.h5")
    np.testing.assert_array_equal(result.data["intensity"], CUBE)
    np.testing.assert_array_equal(result.sides["strain_map"]["e_xx"], np.full((2, 3), 1.0))


def test_a_lazy_cube_travels_as_a_file_name(tmp_path):
    cube = np.random.default_rng(5).integers(0, 9, (8, 8, 64, 64)).astype("u1")
    found = read(emd1(tmp_path / "cube.h5", ITEMS | {"QR_flip": True}, cube=cube), block_mb=0.05).data
    assert len(found["intensity"].chunks[0]) > 1
    copy = pickle.dumps(found)
    assert len(copy) < cube.nbytes / 4
    np.testing.assert_array_equal(pickle.loads(copy)["intensity"], cube.swapaxes(2, 3))


def test_an_unknown_node_is_answered_with_what_there_is(tmp_path):
    path = emd1(tmp_path / "cube.h5", ITEMS)
    with pytest.raises(ReadError, match=r"datacube \(cube, 2 x 3 x 4 x 5\)"):
        read(path, dataset="dadacube")


def test_only_files_of_py4dstem_are_claimed(tmp_path):
    reader = Py4dstemReader(Py4dstemParams(path="x"))
    assert reader.confidence(emd1(tmp_path / "cube.h5", ITEMS)) == 1
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = CUBE
    assert reader.confidence(tmp_path / "other.h5") == 0
    assert reader.confidence(tmp_path / "absent.h5") == 0
    with pytest.raises(ReadError, match="none of py4DSTEM's"):
        read(tmp_path / "other.h5")


def test_damaged_lists_are_refused_before_they_are_believed(tmp_path):
    """A length of four thousand million points would be 96 GB."""
    path = version_13(tmp_path / "peaks.h5", some_points(np.random.default_rng(6), (3, 2)))
    with h5py.File(path, "r") as file:
        offset = file["4DSTEM/peaks/data"].id.get_offset()
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    with pytest.raises(ReadError, match="4294967"):
        read(path)


@pytest.mark.parametrize("kept", [0, 7, 100, 800, 3000])
def test_cut_off_files_are_refused(tmp_path, kept):
    path = emd1(tmp_path / "cube.h5", ITEMS, some_points(np.random.default_rng(7), (2, 3)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ReadError):
        read(path)
