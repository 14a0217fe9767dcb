"""What a py4DSTEM file holds: its nodes by content, and its calibration; EMD 1.0, and versions 0.13 and 0.12.

EMD 1.0 (py4DSTEM 0.14, emdfile) has one group a node with a data set ``data`` in it, BraggVectors with the points in
``_v_uncal/data``, and the calibration in ``ROOT/metadatabundle/calibration``. Version 0.13 has the root ``4DSTEM`` and
the calibration in ``4DSTEM/calibration``; 0.12 has ``4DSTEM_experiment/data/KIND/NAME/data`` and none. Stacks have
their labels along the first axis in EMD 1.0 and along the last one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ronchi_rosettasciio.py4dstem_metadata import items_of, noted

if TYPE_CHECKING:
    import h5py

__all__ = [
    "CUBE_IMAGES",
    "CUBE_NOTES",
    "DETECTOR",
    "PEAK_NOTES",
    "SCAN",
    "STRAIN_NOTES",
    "Node",
    "calibration_items",
    "cube_images",
    "find_nodes",
    "is_py4dstem",
    "own_attrs",
    "own_notes",
    "q_shape_of",
]

Kind = Literal["cube", "peaks", "points", "strain", "map"]
KINDS: tuple[Kind, ...] = ("cube", "peaks", "points", "strain", "map")

SCAN, DETECTOR = ("scan_y", "scan_x"), ("qy", "qx")
CUBE_IMAGES = {"probe": DETECTOR, "bad_pixel": DETECTOR, "valid": SCAN}
"""Images beneath a cube that belong to it, with what they lie over."""
CUBE_NOTES = ("title", "intensity_units")
"""Attributes of the group of a cube, which py4DSTEM leaves alone."""
PEAK_NOTES = ("intensity_units",)
"""Attributes of the group of peaks, likewise."""
STRAIN_NOTES = ("frame", "reference", "measure", "residual_units")
"""Attributes of the group of a strain map, likewise."""

_STRAIN = {"e_xx", "e_yy", "e_xy", "theta"}
_METADATA = {"metadatabundle", "_metadata", "metadata"}
_VECTORS = "_v_uncal"
_MOST_OBJECTS = 20_000


@dataclass(frozen=True)
class Node:
    """A node that can be read.

    Parameters
    ----------
    kind : str
        ``cube``, ``peaks`` (BraggVectors), ``points`` (PointListArray), ``strain`` or ``map``.
    path : str
        Of its group.
    data : str
        Path of its data set.
    shape : tuple of int
    labels : tuple of str
        Of the slices of a stack; empty otherwise.
    label_axis : int
    over : {"scan", "detector"}
        What a map lies over.
    """

    kind: Kind
    path: str
    data: str
    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    label_axis: int = 0
    over: Literal["scan", "detector"] = "scan"

    @property
    def name(self) -> str:
        """Last part of the path."""
        return Path(self.path).name

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}, {' x '.join(map(str, self.shape))})"


def is_py4dstem(file: h5py.File) -> bool:
    """Whether a file has the marks of py4DSTEM, of any version."""
    if _text(file.attrs.get("emd_group_type")) == "file" and int(file.attrs.get("version_major", 0)) == 1:
        return True
    marked = [name for name in ("4DSTEM", "4DSTEM_experiment") if name in file]
    return any("version_major" in file[name].attrs or "emd_group_type" in file[name].attrs for name in marked)


def find_nodes(file: h5py.File) -> list[Node]:
    """All nodes that can be read, cubes first, then in the order of `KINDS` and of their paths."""
    import h5py

    found: list[Node] = []
    seen = 0

    def visit(name: str, item: Any) -> int | None:
        nonlocal seen
        seen += 1
        parts = name.split("/")
        if isinstance(item, h5py.Dataset) and parts[-1] == "data" and not _METADATA & set(parts[:-1]):
            node = _node(item)
            if node is not None:
                found.append(node)
        return seen if seen > _MOST_OBJECTS else None

    file.visititems(visit)
    return sorted(found, key=lambda node: (KINDS.index(node.kind), node.path))


def cube_images(nodes: list[Node], cube: Node) -> dict[str, Node]:
    """Of the nodes those images of `CUBE_IMAGES` that lie beneath a cube and have its shape, by name."""
    found = {}
    for node in nodes:
        lies_over = CUBE_IMAGES.get(node.name)
        beneath = node.kind == "map" and not node.labels and Path(node.path).parent == Path(cube.path)
        if beneath and lies_over and node.shape == (cube.shape[:2] if lies_over == SCAN else cube.shape[2:]):
            found[node.name] = node
    return found


def calibration_items(file: h5py.File, node: Node) -> dict[str, Any]:
    """Items of the calibration that a node is under, as numbers, text and arrays; empty if there is none."""
    parts = node.path.strip("/").split("/")
    for depth in range(len(parts), 0, -1):
        for place in ("metadatabundle/calibration", "calibration"):
            group = file.get("/".join([*parts[:depth], place]))
            if group is not None and hasattr(group, "items"):
                return items_of(group)
    return {}


def own_notes(file: h5py.File, node: Node) -> dict[str, str]:
    """What ronchi noted on the group of patterns, peaks or strain that it wrote; empty for all others."""
    attrs, known = file[node.path].attrs, {"cube": CUBE_NOTES, "peaks": PEAK_NOTES, "strain": STRAIN_NOTES}
    return {key: _text(attrs[key]) for key in known.get(node.kind, ()) if key in attrs}


def own_attrs(file: h5py.File, node: Node) -> dict[str, Any]:
    """Attributes that ronchi kept beneath a node, since py4DSTEM has no item for them; empty for all others."""
    return noted(file[node.path])


def q_shape_of(file: h5py.File, node: Node) -> tuple[int, int] | None:
    """Shape (Qx, Qy) of the patterns in which the points of a node were found, where the file says."""
    import h5py

    shape = None

    def visit(name: str, item: Any) -> None:
        nonlocal shape
        if name.endswith("/Qshape") and isinstance(item, h5py.Dataset) and item.shape == (2,):
            shape = tuple(int(n) for n in item[...])

    file[node.path].visititems(visit)
    return shape if shape is not None and min(shape) > 0 else None


def _node(item: h5py.Dataset) -> Node | None:
    import h5py

    group = item.parent
    record = h5py.check_vlen_dtype(item.dtype)
    if record is not None:
        if item.ndim != 2 or not {"qx", "qy"} <= set(record.names or ()):
            return None
        vectors = Path(group.name).name == _VECTORS
        path = group.parent.name if vectors else group.name
        return Node("peaks" if vectors else "points", path, item.name, item.shape)
    if item.dtype.kind not in "biuf" or item.size in (0, None):
        return None
    if item.ndim == 4:
        return Node("cube", group.name, item.name, item.shape)
    over: Literal["scan", "detector"] = "detector" if _is_of_detector(group) else "scan"
    if item.ndim == 2:
        return Node("map", group.name, item.name, item.shape, over=over)
    labels = _labels(group)
    if item.ndim != 3 or not labels or len(labels) not in (item.shape[0], item.shape[2]):
        return None
    first = item.shape[0] == len(labels) and (item.shape[2] != len(labels) or _is_emd1(item.file))
    axis = 0 if first else 2
    shape = item.shape[1:] if first else item.shape[:2]
    return Node("strain" if set(labels) >= _STRAIN else "map", group.name, item.name, shape, labels, axis, over)


def _is_emd1(file: h5py.File) -> bool:
    return _text(file.attrs.get("emd_group_type")) == "file"


def _is_of_detector(group: h5py.Group) -> bool:
    python_class = _text(group.attrs.get("python_class", group.attrs.get("py4dstem_class", "")))
    words = ("Diffraction", "Probe")
    return any(word in python_class for word in words) or "/diffractionslices/" in group.name


def _labels(group: h5py.Group) -> tuple[str, ...]:
    import h5py

    for name, item in group.items():
        if name.startswith("dim") and isinstance(item, h5py.Dataset) and item.dtype.kind in "OS" and item.ndim == 1:
            return tuple(_text(label) for label in item[...])
    return ()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
