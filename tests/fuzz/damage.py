"""Ways to harm a file or a zarr store."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

__all__ = ["NAMES", "copy_damaged"]

NAMES = ("a.nc", "a.zarr", "a.h5", "a.npy", "a.raw", "a.dm3", "a.mib", "a.tif", "a.hspy", "a.emd", "a.xml", "a")

HEAD_BYTES = 8192
HEAP_BYTES = 192


def copy_damaged(source: Path, folder: Path, kind: str, rng: np.random.Generator) -> Path:
    """Copy a file or a store into a folder, harmed.

    Parameters
    ----------
    source, folder : Path
        What lies beside a file is linked to, for some formats need it.
    kind : {"truncated", "flipped", "flipped head", "flipped heap", "renamed", "empty", "missing"}
        A store loses or keeps one file of it so harmed, every other time one that describes an array. ``missing`` is
        for stores; a file is emptied instead.
        The heap is where HDF5 keeps text and references, without a checksum; a file without one is flipped at its head.
    rng : numpy.random.Generator
    """
    target = folder / (str(rng.choice(NAMES)) if kind == "renamed" else source.name)
    if source.is_dir():
        shutil.copytree(source, target)
        files = sorted(path for path in target.rglob("*") if path.is_file())
        described = [path for path in files if path.name == "zarr.json"]
        part = files if rng.random() < 0.5 else described
        chosen = part[int(rng.integers(len(part)))]
    else:
        for other in source.parent.iterdir():
            if other.is_file():
                (folder / other.name).symlink_to(other)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        chosen = target
    if kind == "missing" and source.is_dir():
        chosen.unlink()
    elif kind != "renamed":
        chosen.write_bytes(_damaged(chosen.read_bytes(), kind, rng))
    return target


def _damaged(whole: bytes, kind: str, rng: np.random.Generator) -> bytes:
    if kind in ("empty", "missing") or not whole:
        return b""
    if kind == "truncated":
        # Half of the cuts fall into the header, where most is at stake.
        most = len(whole) if rng.random() < 0.5 else min(len(whole), HEAD_BYTES)
        return whole[: int(rng.integers(0, most))]
    data = np.frombuffer(whole, np.uint8).copy()
    first, most, flips = 0, len(data) if kind == "flipped" else min(len(data), HEAD_BYTES), 24
    if kind == "flipped heap" and (heap := whole.find(b"GCOL")) >= 0:
        first, most, flips = heap, min(len(data), heap + HEAP_BYTES), 4
    for at in rng.integers(first, most, int(rng.integers(1, flips))):
        data[at] ^= 1 << int(rng.integers(0, 8))
    return data.tobytes()
