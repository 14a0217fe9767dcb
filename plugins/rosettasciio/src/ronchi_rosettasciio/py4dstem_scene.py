"""The nodes of a py4DSTEM file as data sets of our schemas."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.core import indexing

from ronchi.chunking import scan_chunks
from ronchi.interop.py4dstem import (
    Frame,
    cube_of,
    frame_of,
    framed_peaks,
    peak_columns,
    peaks_of,
    scan_coords,
    strain_from_slices,
)
from ronchi.schema import maps
from ronchi.schema.common import variable
from ronchi_rosettasciio import guards
from ronchi_rosettasciio.formats import FORMATS
from ronchi_rosettasciio.lazy import LazySignal
from ronchi_rosettasciio.params_py4dstem import Py4dstemParams
from ronchi_rosettasciio.py4dstem_nodes import (
    CUBE_IMAGES,
    DETECTOR,
    Node,
    calibration_items,
    cube_images,
    own_attrs,
    own_notes,
    q_shape_of,
)
from ronchi_rosettasciio.py4dstem_points import PointArray, open_points

if TYPE_CHECKING:
    import h5py

__all__ = ["FORMAT", "Scene"]

FORMAT = FORMATS["py4dstem"]
_CENTRED_WITHIN = 10.0
_PLOT_PX = 256
_OF_SCAN = ("scan_rotation_deg", "scan_rotation_source")


class Scene:
    """A file with what its nodes share: parameters and the frame of each."""

    def __init__(self, path: Path, params: Py4dstemParams, nodes: list[Node], file: h5py.File) -> None:
        self.path = path
        self.params = params
        self.images = {node.path: cube_images(nodes, node) for node in nodes if node.kind == "cube"}
        belonging = [image for images in self.images.values() for image in images.values()]
        self.filled = {image.path for image in belonging if file[image.path].attrs.get("filled")}
        self.nodes = [node for node in nodes if node not in belonging]
        self.frames = {node.path: self._frame(node, calibration_items(file, node)) for node in nodes}
        self.q_shapes = {node.path: q_shape_of(file, node) for node in nodes if node.kind in ("peaks", "points")}
        self.stored = {node.path: (file[node.data].dtype, file[node.data].chunks) for node in nodes}
        self.notes = {node.path: own_notes(file, node) for node in nodes}
        self.attrs = {node.path: own_attrs(file, node) for node in nodes}
        self.image_attrs = {node.path: _image_attrs(file[node.data], node) for node in nodes if node.kind == "map"}

    def _frame(self, node: Node, items: dict[str, Any]) -> Frame:
        scan_shape = (node.shape[0], node.shape[1])
        return frame_of(
            items, scan_shape, beam_energy_eV=self.params.beam_energy_eV, flip=self.params.flip == "transpose"
        )

    def read(self, node: Node, *, load: bool) -> xr.Dataset:
        """A node as a data set; ``load`` reads the points of BraggVectors now."""
        if node.kind == "cube":
            return self._cube(node)
        if node.kind == "strain":
            return self._strain(node)
        points = open_points(self.path, node.data)
        shape = self.q_shapes[node.path] or next((n.shape[2:] for n in self.nodes if n.kind == "cube"), None)
        if node.kind == "peaks":
            return self._vectors(points, node, shape, load)
        return self._points(points, node, shape)

    def maps(self) -> xr.Dataset:
        """All images that lie over one scan and one detector: the shapes of the cube, or else of most of them."""
        variables: dict[str, xr.Variable] = {}
        coords: dict[str, Any] = {}
        attrs: list[dict[str, Any]] = []
        for over, dims, axes in (("scan", ("scan_y", "scan_x"), 0), ("detector", ("qy", "qx"), 2)):
            images = [node for node in self.nodes if node.kind == "map" and node.over == over]
            shapes = [node.shape[axes : axes + 2] for node in self.nodes if node.kind == "cube"]
            shapes += [node.shape for node in images]
            if not images:
                continue
            shape = shapes[0] if len(shapes) > len(images) else max(shapes, key=shapes.count)
            kept = [node for node in images if node.shape == shape]
            for node in kept:
                swapped = over == "detector" and self.frames[node.path].mirrored
                coords |= self._map_coords(node, over, swapped)
                attrs.append(self.attrs[node.path] | self.frames[node.path].attrs)
                for name, values in self._slices(node).items():
                    variables[name] = xr.Variable(dims, values.T if swapped else values, self.image_attrs[node.path])
        return maps.make(variables, coords, _agreed(attrs))

    def _map_coords(self, node: Node, over: str, swapped: bool) -> dict[str, xr.Variable]:
        frame = self.frames[node.path]
        shape = (node.shape[1], node.shape[0]) if swapped else (node.shape[0], node.shape[1])
        if over == "scan":
            return scan_coords(shape, frame.scan_step)
        centre, step = frame.centre_px(shape), frame.q_step or 1.0
        units = "1/angstrom" if frame.q_step else "pixel"
        return {
            dim: variable(dim, (np.arange(n) - c) * step, units, f"scattering vector, {dim[-1]}")
            for dim, n, c in zip(("qy", "qx"), shape, centre, strict=True)
        }

    def _slices(self, node: Node) -> dict[str, NDArray[Any]]:
        import h5py

        with h5py.File(self.path, "r") as file:
            stack = file[node.data][...]
        if not node.labels:
            return {node.name: stack}
        parts = np.moveaxis(stack, node.label_axis, 0)
        return {f"{node.name}_{label}": part for label, part in zip(node.labels, parts, strict=True)}

    def _cube(self, node: Node) -> xr.Dataset:
        frame, (dtype, chunks) = self.frames[node.path], self.stored[node.path]
        order = (0, 1, 3, 2) if frame.mirrored else (0, 1, 2, 3)
        shape = tuple(node.shape[axis] for axis in order)
        stored = tuple(chunks[axis] for axis in order) if chunks else None
        blocks = scan_chunks(shape, dtype.itemsize, stored, int(self.params.block_mb * 2**20))
        opener = functools.partial(_open_cube, self.path, node.data, order, blocks)
        lazy = LazySignal(self.path, FORMAT, opener, shape, dtype)
        images, notes = self._images(node), self.notes[node.path]
        title = notes.get("title", node.name)
        made = cube_of(indexing.LazilyIndexedArray(lazy), frame, title=title, is_lazy=1, **images)
        made["intensity"].attrs["units"] = notes.get("intensity_units", "counts")
        for name, image in self.images[node.path].items():
            made[name].attrs |= self.image_attrs[image.path]
        if {image.path for image in self.images[node.path].values()} & self.filled:
            made["bad_pixel"].attrs["filled"] = 1
        made.attrs = self.attrs[node.path] | made.attrs
        made["intensity"].encoding["source"] = str(self.path)
        intensity = made["intensity"].chunk(dict(zip(made["intensity"].dims, blocks, strict=True)))
        return made.assign(intensity=intensity)

    def _images(self, node: Node) -> dict[str, NDArray[Any]]:
        """Probe, bad pixels and recorded positions of a cube, where they are beneath it."""
        found = {name: self._slices(image)[name] for name, image in self.images.get(node.path, {}).items()}
        mirrored = self.frames[node.path].mirrored
        return {name: v.T if mirrored and CUBE_IMAGES[name] == DETECTOR else v for name, v in found.items()}

    def _strain(self, node: Node) -> xr.Dataset:
        frame = self.frames[node.path]
        prefix = f"{node.name}_"
        slices = {name.removeprefix(prefix): values for name, values in self._slices(node).items()}
        # py4DSTEM turns vectors to the scan's axes as soon as it knows the rotation.
        usual = "scan" if "scan_rotation_deg" in frame.attrs else "detector"
        notes = self.notes[node.path]
        made = strain_from_slices(
            slices,
            coords=scan_coords((node.shape[0], node.shape[1]), frame.scan_step),
            frame=notes.get("frame", usual),
            reference=notes.get("reference", "unknown"),
            residual_units=notes.get("residual_units", "pixel"),
        )
        if notes:
            # Written by ronchi, whose finite strain needs no word on its measure.
            del made.attrs["measure"]
            made.attrs |= {key: notes[key] for key in ("measure",) if key in notes}
        made.attrs = self.attrs[node.path] | made.attrs
        return made.assign_attrs({key: frame.attrs[key] for key in _OF_SCAN if key in frame.attrs})

    def _vectors(self, points: PointArray, node: Node, shape: Any, load: bool) -> xr.Dataset:
        import dask
        import dask.array as da

        frame = self.frames[node.path]
        q_shape = frame.pattern_shape(shape or (0, 0))
        names = list(peak_columns(np.empty(0, points.dtype), np.empty(0, np.int64), frame, q_shape))
        read = dask.delayed(functools.partial(_read_columns, points, frame, q_shape), pure=True)
        blocks = [
            da.from_delayed(read(rows), (len(names), int(points.counts[rows].sum())), np.float64)
            for rows in points.blocks()
        ]
        table = da.concatenate(blocks, axis=1)
        columns = {name: table[row] for row, name in enumerate(names)}
        columns |= {name: columns[name].astype(np.int16) for name in ("h", "k") if name in columns}
        made = framed_peaks(points.counts.ravel(), columns, frame, (node.shape[0], node.shape[1]), q_shape)
        made["intensity"].attrs["units"] = self.notes[node.path].get("intensity_units", "counts")
        made.attrs = self.attrs[node.path] | made.attrs
        # Threads would not make HDF5 faster, which holds a lock while it reads.
        return made.load(scheduler="synchronous") if load else made

    def _points(self, points: PointArray, node: Node, shape: Any) -> xr.Dataset:
        """A PointListArray, of which the file does not say what its numbers are."""
        blocks = [points.read(rows) for rows in points.blocks()]
        records = np.concatenate([np.empty(0, points.dtype), *blocks])
        counts, scan_shape = points.counts.ravel(), (node.shape[0], node.shape[1])
        found = [records[name][np.isfinite(records[name])] for name in ("qx", "qy")]
        extent = max((float(np.abs(values).max()) for values in found if len(values)), default=0.0)
        centred = any((values < 0).any() for values in found)
        units, attrs = self.params.point_units, {"q_units_source": "given by the user"}
        if units == "auto":
            units = "1/angstrom" if centred and extent <= _CENTRED_WITHIN else "pixel"
            where = f"{'around zero, ' if centred else ''}within {extent:.4g}"
            attrs["q_units_source"] = f"not in the file: taken from the points, which lie {where}"
        if units == "pixel" and not centred:
            frame = self.frames[node.path]
            q_shape = frame.pattern_shape(shape or (math.ceil(extent) + 1, math.ceil(extent) + 1))
            columns = peak_columns(records, np.repeat(np.arange(len(counts)), counts), frame, q_shape)
            return framed_peaks(counts, columns, frame, scan_shape, q_shape)
        # Their origin has been subtracted, and with it goes what else the file says of raw points.
        step = 1.0 if units == "pixel" else self.params.q_step_inv_angstrom or 2.02 * max(extent, 1e-3) / _PLOT_PX
        side = 2 * math.ceil(1.01 * extent / step) + 1
        columns = peak_columns(records, np.zeros(len(records), np.int64), Frame(origin_px=np.zeros(2)), (side, side))
        if units != "pixel" and not self.params.q_step_inv_angstrom:
            attrs["q_step_source"] = "not in the file: for plots only"
        return peaks_of(
            counts,
            columns,
            scan_shape,
            q_step=step,
            q_units=units,
            q_origin_px=(side // 2, side // 2),
            q_shape=(side, side),
            scan_step=self.frames[node.path].scan_step,
            attrs=attrs,
        )


def _open_cube(path: Path, name: str, order: tuple[int, ...], blocks: tuple[int, ...]) -> Any:
    import dask.array as da
    import h5py
    import hdf5plugin  # noqa: F401 - its import registers the filters of detectors

    item = h5py.File(path, "r")[name]
    if order == (0, 1, 2, 3):
        return item
    unordered = tuple(blocks[order.index(axis)] for axis in range(4))
    return da.from_array(item, chunks=unordered, name=False, lock=False).transpose(order)


def _read_columns(points: PointArray, frame: Frame, q_shape: tuple[int, int], rows: slice) -> NDArray[np.float64]:
    """(column, peak) of some scan rows."""
    counts = points.counts[rows].ravel()
    first = rows.start * points.counts.shape[1]
    positions = np.repeat(np.arange(first, first + len(counts)), counts)
    with guards.damage(points.path, FORMAT):
        columns = peak_columns(points.read(rows), positions, frame, q_shape)
    return np.stack([column.astype(np.float64) for column in columns.values()])


def _image_attrs(item: h5py.Dataset, node: Node) -> dict[str, str]:
    """Units and name of an image, which py4DSTEM does not name."""
    found = {key: item.attrs.get(key, "") for key in ("units", "long_name")}
    return {"units": str(found["units"] or "1"), "long_name": str(found["long_name"] or f"{node.name} of py4DSTEM")}


def _agreed(several: list[dict[str, Any]]) -> dict[str, Any]:
    """What no two of several mappings give different values."""
    agreed: dict[str, Any] = {}
    for each in several:
        for key, value in each.items():
            agreed.setdefault(key, value)
    return {
        key: value
        for key, value in agreed.items()
        if all(np.array_equal(value, each[key]) for each in several if key in each)
    }
