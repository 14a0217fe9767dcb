"""The library on disk: a Zarr store in which every run has shards of its own, so that runs are made in any order.

A shard is a run and a chunk in it a pattern, so that a sample is one read of some 80 kB. Reflections are ragged, and so
written when all runs are there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.schema import library as schema
from ronchi.schema.common import ATTR
from ronchi_simulate.library.plan import Run
from ronchi_simulate.library.run import RunData
from ronchi_simulate.params.library import LibraryParams

__all__ = [
    "attributes",
    "create",
    "finish",
    "is_complete",
    "is_done",
    "reflection_columns",
    "run_variables",
    "tidy",
    "write_run",
]

_PARTS = ".parts"
_PLANNED = "planned"
_COMPLETE = "ronchi_complete"
"""Attribute by which ronchi's reader knows that every chunk was written."""


def create(folder: Path, runs: Sequence[Run], params: LibraryParams) -> None:
    """Make the arrays, and write what is known before anything is simulated; does nothing if that was done before."""
    import zarr
    from zarr.codecs import BloscCodec

    if (folder / _PARTS / _PLANNED).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    (folder / _PARTS).mkdir(parents=True)
    attrs = {ATTR: schema.NAME, "coordinates": " ".join(("semiangle_mrad", *schema.PER_RUN)), **attributes(params)}
    root = zarr.create_group(folder, zarr_format=3, attributes=attrs)
    n, n_angles, n_depths = params.pattern_px, len(params.semiangles_mrad), len(params.thicknesses_angstrom)
    codec = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
    for name, shape, chunks, shards in (
        ("intensity", (n_angles, n_depths, n, n), (1, 1, n, n), (1, n_angles, n_depths, n, n)),
        ("probe", (n_angles, n, n), (n_angles, n, n), None),
        ("structure_factor", (n, n), (n, n), None),
    ):
        dims, units, long_name = schema.describe(name)
        root.create_array(
            name,
            shape=(len(runs), *shape),
            chunks=(1, *chunks),
            shards=shards,
            dtype="f4",
            compressors=codec,
            dimension_names=dims,
            attributes={"units": units, "long_name": long_name},
            # A chunk that is absent is then one that was lost.
            config={"write_empty_chunks": True},
        )
    for name, (dims, values, units, long_name) in run_variables(runs, params).items():
        _put(root, name, dims, values, units, long_name)
    (folder / _PARTS / _PLANNED).touch()


def attributes(params: LibraryParams) -> dict[str, Any]:
    """Attributes of the data set that say how to read it."""
    return {
        "title": "diffraction library",
        "weighed_from": params.weighed_from,
        "sigma_inv_angstrom": params.sigma_inv_angstrom,
        "tukey_alpha": params.tukey_alpha,
        "frozen_phonons": params.frozen_phonons,
        "slice_angstrom": params.slice_angstrom,
    }


def run_variables(
    runs: Sequence[Run], params: LibraryParams
) -> dict[str, tuple[tuple[str, ...], NDArray[Any], str, str]]:
    """Dims, values, units and name of everything that the plan knows, by variable."""
    half = params.pattern_px // 2
    q = (np.arange(params.pattern_px) - half) * params.q_step_inv_angstrom

    def along(name: str, values: list[Any]) -> tuple[tuple[str, ...], NDArray[Any], str, str]:
        dims, units, long_name = schema.describe(name)
        return dims, np.array(values), units, long_name

    return {
        "qy": (("qy",), q, "1/angstrom", "scattering vector, y"),
        "qx": (("qx",), q, "1/angstrom", "scattering vector, x"),
        "thickness": (("thickness",), np.array(params.thicknesses_angstrom), "angstrom", "thickness"),
        "semiangle_mrad": (("run", "semiangle"), np.array([run.semiangles_mrad for run in runs]), "mrad", "semiangle"),
        "prototype": along("prototype", [run.crystal.prototype for run in runs]),
        "formula": along("formula", [run.crystal.formula for run in runs]),
        "split": along("split", [run.split for run in runs]),
        "beam_energy_eV": along("beam_energy_eV", [run.beam_energy_eV for run in runs]),
        "space_group": (("run",), np.array([run.crystal.space_group for run in runs], np.int16), "1", "space group"),
        "zone_axis": (
            ("run", "uvw"),
            np.array([run.zone_axis for run in runs], np.int8),
            "1",
            "zone axis along the beam before the tilt; 0 where the orientation is random",
        ),
        "tilt_mrad": (
            ("run", "yx"),
            np.array([run.tilt_mrad for run in runs]),
            "mrad",
            "tilt off the zone axis (y, x)",
        ),
        "orientation": (
            ("run", "xyz", "crystal_xyz"),
            np.array([run.rotation for run in runs]),
            "1",
            "rotation from the crystal's Cartesian axes to x, y and the beam",
        ),
        "lattice": (
            ("run", "abc", "crystal_xyz"),
            np.array([run.crystal.lattice_angstrom for run in runs]),
            "angstrom",
            "lattice vectors a, b, c in the crystal's Cartesian axes",
        ),
        "u_angstrom": (
            ("run",),
            np.array([run.u_angstrom for run in runs]),
            "angstrom",
            "rms thermal displacement along one axis",
        ),
    }


def is_done(folder: Path, index: int) -> bool:
    """True if a run is written whole."""
    return _part(folder, index).exists()


def write_run(folder: Path, index: int, data: RunData) -> None:
    """Write a run; its reflections come last, and say that it is whole."""
    import zarr

    root = zarr.open_group(folder, mode="r+")
    for name, values in (
        ("intensity", data.intensity),
        ("probe", data.probe),
        ("structure_factor", data.structure_factor),
    ):
        # What a process that was killed has left may be torn, and zarr reads a shard before it writes into it.
        shards = folder / name / "c" / str(index)
        shutil.rmtree(shards, ignore_errors=True)
        root[name][index] = values
        for shard in (path for path in shards.rglob("*") if path.is_file()):
            with shard.open("rb") as file:
                os.fsync(file.fileno())
    part = _part(folder, index)
    temporary = part.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **reflection_columns(data))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(part)


def reflection_columns(data: RunData) -> dict[str, NDArray[Any]]:
    """The (reflection,) arrays of a run, by their names in the schema."""
    points = data.points
    return {
        "reflection_qy": points.q_inv_angstrom[:, 0].astype(np.float32),
        "reflection_qx": points.q_inv_angstrom[:, 1].astype(np.float32),
        **dict(zip("hkl", points.hkl.T, strict=True)),
        "amplitude": np.abs(points.structure_factor_V).astype(np.float32),
        "excitation_error": points.excitation_error.astype(np.float32),
    }


def finish(folder: Path, n_runs: int) -> None:
    """Put the reflections of all runs together, and mark the store as complete."""
    import zarr

    parts = []
    for index in range(n_runs):
        # A system lets a process hold a thousand files open; there are more runs.
        with np.load(_part(folder, index)) as part:
            parts.append(dict(part))
    root = zarr.open_group(folder, mode="r+")
    for name in schema.PER_REFLECTION:
        dims, units, long_name = schema.describe(name)
        _put(root, name, dims, np.concatenate([part[name] for part in parts]), units, long_name, overwrite=True)
    counts = np.array([len(part["h"]) for part in parts], np.int32)
    more = {"sample_dimension": "reflection"}
    _put(root, "n_reflections", ("run",), counts, "1", "number of reflections", overwrite=True, **more)
    root.update_attributes({_COMPLETE: 1})
    tidy(folder)


def is_complete(folder: Path) -> bool:
    """True if `finish` has marked the store as complete."""
    try:
        return bool(json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["attributes"].get(_COMPLETE))
    except (OSError, ValueError, KeyError):
        return False


def tidy(folder: Path) -> None:
    """Remove what only an unfinished store needs."""
    shutil.rmtree(folder / _PARTS, ignore_errors=True)


def _part(folder: Path, index: int) -> Path:
    return folder / _PARTS / f"run-{index:06d}.npz"


def _put(
    root: Any,
    name: str,
    dims: tuple[str, ...],
    values: NDArray[Any],
    units: str,
    long_name: str,
    *,
    overwrite: bool = False,
    **attrs: str,
) -> None:
    text = values.dtype.kind == "U"
    array = root.create_array(
        name,
        shape=values.shape,
        chunks=tuple(min(max(1, size), 2**20) for size in values.shape),
        dtype="string" if text else values.dtype,
        dimension_names=dims,
        attributes={"units": units, "long_name": long_name, **attrs},
        overwrite=overwrite,
        config={"write_empty_chunks": True},
    )
    array[...] = values.astype(object) if text else values
