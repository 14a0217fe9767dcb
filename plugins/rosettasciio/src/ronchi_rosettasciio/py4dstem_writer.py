"""The writer ``py4dstem``: files that py4DSTEM 0.14 opens, in the layout EMD 1.0 of emdfile."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from ronchi.api import OutputError
from ronchi.blocks import iter_regions
from ronchi.interop.py4dstem import calibration_of, points_of, scan_items, strain_extras, to_py4dstem
from ronchi.schema import fourd, maps, peaks, schema_of, strain
from ronchi_rosettasciio.hdf5_output import Output, held_text
from ronchi_rosettasciio.params_py4dstem import Py4dstemWriterParams
from ronchi_rosettasciio.py4dstem_metadata import note, write_items
from ronchi_rosettasciio.py4dstem_nodes import CUBE_IMAGES, CUBE_NOTES, DETECTOR, PEAK_NOTES, SCAN, STRAIN_NOTES

__all__ = ["Py4dstemWriter"]

_NAMES = {fourd.NAME: "datacube", peaks.NAME: "braggvectors", strain.NAME: "strain_map"}
_log = logging.getLogger("ronchi.py4dstem")


class Py4dstemWriter:
    """Writes patterns, peaks, strain and maps, with their calibration, one block of patterns at a time."""

    def __init__(self, params: Py4dstemWriterParams) -> None:
        self.params = params

    def write(
        self,
        data: xr.Dataset,
        sides: Mapping[str, xr.Dataset],
        path: Path,
        *,
        progress: Callable[[int, int], None],
    ) -> None:
        """Make the file; progress is in bytes of patterns.

        Sides lie beneath the data in the tree, and share their calibration. Finite strain goes under py4DSTEM's
        names into a RealSlice, with errors and residual as further slices. Probe, bad pixels and recorded positions
        are images beneath the cube. Peaks keep their score and variances in fields that py4DSTEM leaves alone.
        Attributes that its calibration has no item for are metadata of their node.

        Raises
        ------
        OutputError
            There is nothing that py4DSTEM has a place for.
        ReadError
            Lazy data come from a file that is damaged.
        """
        held = {name: side for name, side in sides.items() if schema_of(side) in (*_NAMES, maps.NAME)}
        for name in sides.keys() - held.keys():
            _log.warning("the side output %r is left out: py4DSTEM has no place for %s", name, schema_of(sides[name]))
        with Output(path) as output, h5py.File(output, "w") as file:
            file.attrs.update(_HEADER | {"UUID": str(uuid.uuid4())})
            name = _NAMES.get(schema_of(data), "maps")
            root = _group(file, f"{name}_root", "root", "Root")
            parent = root
            targets = []
            told = output.checked(progress)
            for part_name, part in ({name: data} | held).items():
                node = self._write_node(parent, part_name, part, told)
                output.check()
                parent = node if part is data and node is not None else parent
                if schema_of(part) in _CALIBRATED and node is not None:
                    targets.append(node.name.removeprefix(root.name))
            calibrated = [part for part in (data, *held.values()) if schema_of(part) in _CALIBRATED]
            if calibrated:
                _write_calibration(root, _common_calibration(calibrated, str(path)), targets)
            else:
                _write_calibration(root, calibration_of(data) if "qx" in data.coords else scan_items(data), targets)

    def _write_node(
        self, parent: h5py.Group, name: str, part: xr.Dataset, progress: Callable[[int, int], None]
    ) -> h5py.Group | None:
        """Write one data set beneath a group; None if it made several nodes."""
        kind = schema_of(part)
        held = _images(part) if kind == maps.NAME else _KEPT[kind]
        if lost := [str(var) for var in part.variables if var not in (*part.dims, *fourd.DIMS, *held)]:
            _log.warning("py4DSTEM has no place for %s: left out; .nc and .zarr files hold everything", ", ".join(lost))
        if kind == maps.NAME:
            nodes = _write_maps(parent, part, held)
        else:
            nodes = [self._write_one(parent, name, part, progress)]
        unknown = {str(key) for node in nodes for key in note(node, part.attrs, _NOTED[kind])}
        if unknown:
            _log.warning("HDF5 has no form for the attributes %s: left out", ", ".join(sorted(unknown)))
        return None if kind == maps.NAME else nodes[0]

    def _write_one(
        self, parent: h5py.Group, name: str, part: xr.Dataset, progress: Callable[[int, int], None]
    ) -> h5py.Group:
        kind = schema_of(part)
        if kind == strain.NAME:
            # py4DSTEM looks for its five by their labels.
            slices = to_py4dstem(part) | strain_extras(part)
            group = _write_array(parent, name, "RealSlice", np.stack(list(slices.values())), list(slices))
            notes = dict(part.attrs)
            if "residual" in part:
                notes["residual_units"] = part["residual"].attrs["units"]
            group.attrs.update({key: held_text(str(notes[key])) for key in STRAIN_NOTES if key in notes})
            return group
        if kind == peaks.NAME:
            return _write_vectors(parent, name, part)
        return self._write_cube(parent, name, part, progress)

    def _write_cube(
        self, parent: h5py.Group, name: str, part: xr.Dataset, progress: Callable[[int, int], None]
    ) -> h5py.Group:
        intensity = part["intensity"]
        group = _group(parent, name, "array", "DataCube")
        dtype = intensity.dtype.newbyteorder("=")
        layout = {"chunks": (1, 1, *intensity.shape[2:]), "compression": "gzip"} if self.params.compress else {}
        target = group.create_dataset("data", intensity.shape, dtype, **layout)
        target.attrs["units"] = "pixel intensity"
        units = {"angstrom": "A", "1/angstrom": "A^-1", "pixel": "pixels"}
        for axis, (dim, theirs) in enumerate(zip(intensity.dims, ("Rx", "Ry", "Qx", "Qy"), strict=True)):
            _dimension(group, axis, theirs, part[dim].values, units[part[dim].attrs["units"]])
        done = 0
        for region, frames in iter_regions(intensity):
            rows, columns = region.rows, region.columns
            shape = (rows.stop - rows.start, columns.stop - columns.start, *frames.shape[1:])
            target[rows, columns] = frames.reshape(shape)
            done += frames.nbytes
            progress(done, intensity.nbytes)
        for extra, dims in CUBE_IMAGES.items():
            if extra in part:
                _write_image(group, extra, dims, part[extra])
                if part[extra].attrs.get("filled"):
                    group[extra].attrs["filled"] = 1
        notes = dict(zip(CUBE_NOTES, (part.attrs.get("title"), intensity.attrs["units"]), strict=True))
        group.attrs.update({key: held_text(str(note)) for key, note in notes.items() if note})
        return group


_HEADER = {
    "emd_group_type": "file",
    "version_major": 1,
    "version_minor": 0,
    "authoring_program": "ronchi",
    "authoring_user": "",
}
_ORIGINS = ("origin_y", "origin_x")
_OF_PEAKS = (*peaks.PER_PEAK, "flags", "disk_counts", "h", "k")
_KEPT = {
    fourd.NAME: ("intensity", *_ORIGINS, *CUBE_IMAGES),
    peaks.NAME: ("n_peaks", "scan_y_index", "scan_x_index", *_OF_PEAKS, *_ORIGINS),
    strain.NAME: (*strain.COMPONENTS, *(f"se_{name}" for name in strain.COMPONENTS), "residual", "n_used", "valid"),
}
"""Variables that have a place."""
_CALIBRATIONS = (
    *("beam_energy_eV", "camera_length_m", "dose", "semiangle_mrad", "probe_radius_px", "q_distortion"),
    *("q_distortion_source", "scan_rotation_deg", "scan_rotation_source"),
)
_NOTED = {
    fourd.NAME: (*CUBE_NOTES, *_CALIBRATIONS),
    peaks.NAME: ("scan_shape", "q_step", "q_origin_px", "q_shape", "Conventions", "featureType", *_CALIBRATIONS),
    strain.NAME: (*STRAIN_NOTES, "sign_convention"),
    maps.NAME: (),
}
"""Attributes that have one; the rest is metadata of the node."""
_CALIBRATED = (fourd.NAME, peaks.NAME)
_IMAGE_CLASSES = {SCAN: "VirtualImage", DETECTOR: "VirtualDiffraction"}


def _group(parent: h5py.Group, name: str, kind: str, python_class: str = "") -> h5py.Group:
    # With a slash it would be a group within another one.
    name = held_text(name).replace("/", "-")
    # A side may be called as an image of the cube that it lies beneath, and two images alike.
    while name in parent:
        name = f"{name}_"
    group = parent.create_group(name)
    group.attrs["emd_group_type"] = kind
    if python_class:
        group.attrs["python_class"] = python_class
    return group


def _dimension(group: h5py.Group, axis: int, name: str, values: Any, units: str) -> None:
    item = group.create_dataset(f"dim{axis}", data=values)
    item.attrs.update({"name": name, "units": units})


def _write_array(
    parent: h5py.Group,
    name: str,
    python_class: str,
    values: Any,
    labels: list[str] | None = None,
    units: str = "intensity",
) -> h5py.Group:
    """An image or a stack; a stack has its slices along the first axis, and their labels as the last dimension."""
    group = _group(parent, name, "array", python_class)
    group.create_dataset("data", data=values).attrs["units"] = units
    for axis in range(2):
        _dimension(group, axis, f"dim{axis}", np.arange(2), "pixels")
    if labels:
        group.create_dataset("dim2", data=labels, dtype=h5py.string_dtype()).attrs["name"] = "_labels_"
    return group


def _write_image(parent: h5py.Group, name: str, dims: tuple[str, str], image: xr.DataArray) -> h5py.Group:
    values, units = image.transpose(*dims).values, held_text(str(image.attrs.get("units", "intensity")))
    group = _write_array(parent, name, _IMAGE_CLASSES[dims], values, units=units)
    if "long_name" in image.attrs:
        group["data"].attrs["long_name"] = held_text(str(image.attrs["long_name"]))
    return group


def _images(part: xr.Dataset) -> list[str]:
    """Names of the maps that are images of numbers."""
    return [str(name) for name, var in part.data_vars.items() if var.ndim == 2 and var.dtype.kind in "biuf"]


def _write_maps(parent: h5py.Group, part: xr.Dataset, names: Sequence[str]) -> list[h5py.Group]:
    if not names:
        raise OutputError("none of the maps is an image", where="maps", fix="write them as .nc")
    over = {name: SCAN if set(part[name].dims) == set(SCAN) else DETECTOR for name in names}
    return [_write_image(parent, name, over[name], part[name]) for name in names]


def _write_vectors(parent: h5py.Group, name: str, part: xr.Dataset) -> h5py.Group:
    counts, records = points_of(part)
    scan_shape = tuple(int(n) for n in part.attrs["scan_shape"])
    group = _group(parent, name, "custom", "BraggVectors")
    group.attrs.update(dict(zip(PEAK_NOTES, [held_text(str(part["intensity"].attrs["units"]))], strict=True)))
    points = _group(group, "_v_uncal", "custom_pointlistarray", "PointListArray")
    target = points.create_dataset("data", scan_shape, h5py.vlen_dtype(records.dtype))
    # An object array of HDF5's own dtype: h5py would join lists of equal length to one array of two dimensions.
    lists = np.empty(len(counts), target.dtype)
    for position, points_there in enumerate(np.split(records, np.cumsum(counts)[:-1])):
        lists[position] = points_there
    target.id.write(h5py.h5s.ALL, h5py.h5s.ALL, lists.reshape(scan_shape))
    q_shape = tuple(int(n) for n in part.attrs["q_shape"])
    write_items(group, "_braggvectors_shape", {"Rshape": scan_shape, "Qshape": q_shape})
    return group


def _common_calibration(parts: list[xr.Dataset], where: str) -> dict[str, Any]:
    """The calibration of a tree, of which py4DSTEM has one; that with an origin a position comes first."""
    items = [calibration_of(part) for part in parts]
    # Peaks that were not measured in the patterns, as simulated ones, do not know how the scan is turned.
    turned: dict[str, Any] = {}
    for each in items:
        turned = {key: value for key, value in each.items() if key.startswith("QR_rotation")} or turned
    items = [{**turned, **each} for each in items]
    for name in ("Q_pixel_size", "Q_pixel_units", "QR_rotation", "a", "theta"):
        if any(_differ(each.get(name), items[0].get(name)) for each in items):
            found = ", ".join(str(each.get(name)) for each in items)
            raise OutputError(
                f"patterns and peaks have different calibrations: {name} is {found}",
                where=where,
                fix="write them to files of their own",
            )
    return max(items, key=lambda each: np.ndim(each["qx0"]))


def _differ(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return not np.isclose(one, other, rtol=1e-6, atol=1e-9)
    return bool(one != other)


def _write_calibration(root: h5py.Group, items: Mapping[str, Any], targets: list[str]) -> None:
    group = write_items(root, "calibration", {"_root_treepath": ""} | dict(items), "Calibration")
    # py4DSTEM applies the calibration to the nodes that are listed here.
    paths = group.create_group("_target_paths")
    paths.attrs.update({"type": "list_of_strings", "length": len(targets)})
    for number, target in enumerate(targets):
        paths.create_dataset(str(number), data=target.encode())
