"""Stores that a simulator wrote itself, made again from the record in their attributes and compared with it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ronchi.errors import ConfigError, OutputError
from ronchi.pipeline.provenance import FILE_NAME, STORE_ATTR
from ronchi.pipeline.simulation import simulate_to_file
from ronchi.result import Replay

if TYPE_CHECKING:
    import zarr

    from ronchi.manager import Manager

__all__ = ["replay_store"]

_RECORD = ("simulator", "version", "params", "seed", "dist", "dist_version")


def replay_store(
    path: Path, *, out: str | Path | None = None, manager: Manager | None = None, progress: bool = True
) -> Replay:
    """Simulate a store again, and compare every array bit for bit, chunk by chunk.

    It takes as long as the store took. Where that is too long, ``ronchi simulate`` with fewer runs is no substitute:
    random numbers depend on all parameters.

    Parameters
    ----------
    path : pathlib.Path
        Zarr store.
    out : path, optional
        Folder for the new store, in which a replay that was stopped goes on; a temporary one by default.

    Raises
    ------
    ConfigError
        The store has no record of how it was made, or its simulator wants other parameters by now.
    OutputError
        The folder already holds a store of this name.
    """
    from ronchi.manager import get_manager

    manager = manager or get_manager()
    record = _record(path)
    with tempfile.TemporaryDirectory(prefix="ronchi-replay-") as temporary:
        folder = Path(out or temporary).absolute()
        target = folder / path.name
        if target.exists():
            raise OutputError("it exists", where=str(target), fix="give another folder with -o")
        folder.mkdir(parents=True, exist_ok=True)
        simulate_to_file(
            record["simulator"], record["params"], target, manager=manager, seed=record["seed"], progress=progress
        )
        compared, differences = _compare(path, target)
    dist, version, _ = manager.dist("simulator", record["simulator"])
    notes = (
        []
        if (dist, version) == (record["dist"], record["dist_version"])
        else [f"{record['dist']} was {record['dist_version']}, is {dist} {version}"]
    )
    return Replay(None, compared, differences, notes)


def _record(path: Path) -> dict[str, Any]:
    import zarr

    try:
        text = zarr.open_group(path, mode="r").attrs.get(STORE_ATTR)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"this is no Zarr store: {error}", where=str(path), fix=f"give {FILE_NAME} of a run"
        ) from error
    beside = path.with_name(f"{path.name}.{FILE_NAME}")
    if text is None and beside.exists():
        raise ConfigError("this store is the output of a pipeline", where=str(path), fix=f"give {beside.name}")
    try:
        record = json.loads(str(text))
    except ValueError:
        record = None
    if not isinstance(record, dict) or not set(_RECORD) <= record.keys():
        what = f"this store has no record of how it was made (attribute {STORE_ATTR!r})"
        raise ConfigError(what, where=str(path), fix=f"give the {FILE_NAME} of the run that made it")
    return record


def _compare(old: Path, new: Path) -> tuple[int, list[str]]:
    import zarr

    first, second = (dict(_arrays(zarr.open_group(place, mode="r"))) for place in (old, new))
    differences = []
    for name in sorted(first.keys() | second.keys()):
        if name not in second or name not in first:
            differences.append(f"{name}: {'was not made' if name in first else 'was not there'}")
        elif not _equal(first[name], second[name]):
            differences.append(f"{name}: the values differ")
    return len(first.keys() | second.keys()), differences


def _arrays(group: zarr.Group, prefix: str = "") -> Iterator[tuple[str, zarr.Array[Any]]]:
    for name, array in group.arrays():
        yield prefix + name, array
    for name, inner in group.groups():
        yield from _arrays(inner, f"{prefix}{name}.")


def _equal(old: zarr.Array[Any], new: zarr.Array[Any]) -> bool:
    """True if all values are the same; along the first axis as much at a time as is stored together."""
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        return False
    if not old.shape:
        return bool(np.array_equal(old[...], new[...], equal_nan=old.dtype.kind == "f"))
    step = (old.shards or old.chunks)[0]
    return all(
        np.array_equal(old[start : start + step], new[start : start + step], equal_nan=old.dtype.kind == "f")
        for start in range(0, old.shape[0], step)
    )
