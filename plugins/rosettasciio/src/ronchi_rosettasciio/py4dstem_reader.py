"""The reader ``py4dstem``: cubes, peaks, strain and images of py4DSTEM's HDF5 files."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from ronchi.api import ReadError, Result
from ronchi_rosettasciio import guards
from ronchi_rosettasciio.params_py4dstem import Py4dstemParams
from ronchi_rosettasciio.probe import probe
from ronchi_rosettasciio.py4dstem_nodes import Node, find_nodes, is_py4dstem
from ronchi_rosettasciio.py4dstem_scene import FORMAT, Scene
from ronchi_rosettasciio.sniff import HDF5_MAGIC

__all__ = ["Py4dstemReader"]

MAPS = "maps"


class Py4dstemReader:
    """Opens EMD 1.0 files of py4DSTEM 0.14, and the layouts of 0.13 and 0.12; patterns stay in the file."""

    def __init__(self, params: Py4dstemParams) -> None:
        self.params = params

    def confidence(self, path: Path) -> float:
        """1 for HDF5 with py4DSTEM's marks and something to read in it, else 0; never raises."""
        import h5py

        try:
            with Path(path).open("rb") as stream:
                if stream.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
                    return 0.0
            # A damaged file may hang the library: another process has to live through it first.
            if probe(Path(path)).fault:
                return 0.0
            with h5py.File(path, "r") as file:
                return 1.0 if is_py4dstem(file) and find_nodes(file) else 0.0
        except Exception:  # noqa: BLE001 - a damaged file may make the library raise anything
            return 0.0

    def open(self, path: Path) -> Result:
        """Open a node as the result, and the others as sides.

        Returns
        -------
        Result
            Cubes are ``fourd/1``, points ``peaks/1``, strain maps ``strain/1``, and all other images together
            ``maps/1``, as the side ``maps``. Sides carry the names of their nodes. Points of a side that is
            calibrated stay in the file until they are used.

        Raises
        ------
        ReadError
            The file is absent, damaged, none of py4DSTEM's, or has no such node.
        """
        import h5py
        import hdf5plugin  # noqa: F401 - its import registers the filters of detectors

        path = Path(path)
        if not path.is_file():
            raise ReadError(
                "no such file", where=str(path), fix="check the path; relative ones start at the pipeline file"
            )
        if path.stat().st_size == 0:
            raise ReadError("the file is empty (0 bytes)", where=str(path), fix=guards.COPY)
        guards.check_header(path, FORMAT)
        with guards.damage(path, FORMAT):
            with h5py.File(path, "r") as file:
                if not is_py4dstem(file):
                    raise ReadError("HDF5, but none of py4DSTEM's", where=str(path), fix="use the reader of its format")
                scene = Scene(path, self.params, find_nodes(file), file)
            nodes = scene.nodes
            chosen = _choose(nodes, self.params.dataset, str(path))
            results: dict[str, xr.Dataset] = {}
            for node in nodes:
                if node.kind != "map":
                    name = node.name if node.name not in {*results, MAPS} else node.path.strip("/").replace("/", "_")
                    results[name] = scene.read(node, load=node is chosen)
                    if node is chosen:
                        main = name
            if any(node.kind == "map" for node in nodes):
                results[MAPS] = scene.maps()
            if chosen.kind == "map":
                main = MAPS
            contents = {"source_format": "py4dstem", "file_contents": "; ".join(map(str, nodes))}
            return Result(results.pop(main).assign_attrs(contents), results)


def _choose(nodes: list[Node], name: str | None, where: str) -> Node:
    listed = ", ".join(map(str, nodes)) or "nothing"
    if not nodes:
        raise ReadError("no node that can be read", where=where, fix="look at it with `h5dump -n`")
    if name is None:
        return nodes[0]
    if name == MAPS and any(node.kind == "map" for node in nodes):
        return next(node for node in nodes if node.kind == "map")
    found = [node for node in nodes if name.strip("/") in (node.name, node.path.strip("/"))]
    if len(found) != 1:
        several = f"{len(found)} nodes are" if found else "no node is"
        raise ReadError(f"{several} called {name!r}", where=where, fix=f"give a name or a path; there are: {listed}")
    return found[0]
