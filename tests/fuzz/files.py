"""Whole files to be damaged: small ones of every schema, written by the project itself, beside the shared ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from ronchi.schema import descriptors, fourd, images, maps, peaks, strain
from ronchi.schema.common import variable
from ronchi.writing import write

__all__ = ["NAMED", "RAW", "healthy", "write_small_files"]

NAMED = ("native", "npy", "raw", "py4dstem")
"""Readers that are also called by name, with files that the project writes for them; ``auto`` is given all files."""

RAW = {"scan_shape": (4, 6), "frame_shape": (16, 12), "dtype": "uint16", "offset_bytes": 128, "frame_header_bytes": 8}


def write_small_files(folder: Path, seed: int) -> None:
    """Write files for every reader into a folder of its name; equal seeds give equal files."""
    rng = np.random.default_rng(seed)
    scan, truth, points = _scan(rng), _truth(rng), _peaks(rng)
    for name in NAMED:
        (folder / name).mkdir(parents=True)
    for suffix in (".nc", ".zarr"):
        native = folder / "native"
        write(scan, native / f"scan{suffix}", {"truth": truth, "peaks": points})
        write(scan, native / f"plain{suffix}", params={"compress": False})
        write(points, native / f"peaks{suffix}")
        write(_strain(rng), native / f"strain{suffix}")
        write(_descriptors(rng), native / f"descriptors{suffix}", {"maps": _maps(rng)})
        write(images.make(rng.random((3, 90, 110)).astype("f4"), step=(0.1, 0.1)), native / f"movie{suffix}")
    write(_large(rng), folder / "native" / "shards.zarr")
    for name, data in (("cube", scan), ("points", points), ("strain", _strain(rng)), ("images", _maps(rng))):
        sides = {"peaks": points} if name == "cube" else {}
        write(data, folder / "py4dstem" / f"{name}.h5", sides)
    counts = rng.poisson(3.0, (4, 6, 16, 12))
    for dtype in ("u1", ">u2", "f4"):
        np.save(folder / "npy" / f"{dtype.strip('>')}.npy", counts.astype(dtype))

    frames = rng.integers(0, 256, 128 + 24 * (8 + 16 * 12 * 2), np.uint8)
    (folder / "raw" / "frames.raw").write_bytes(frames.tobytes())


def healthy(small: Path, shared: Path, vendors: bool) -> Iterator[tuple[str, Path]]:
    """Each reader's name with each file or zarr store that it is to be given, in a fixed order.

    Parameters
    ----------
    small, shared : Path
        The files that `write_small_files` wrote, which are not for vendors, and the shared data.
    vendors : bool
        The reader of vendors' files, which is given all real files; else all other readers.
    """
    real = sorted(path for path in (shared / "real").rglob("*") if path.is_file() and path.suffix != ".md")
    if vendors:
        yield from (("rosettasciio", path) for path in real)
        return
    own = {name: sorted((small / name).iterdir()) for name in NAMED}
    # Any HDF5 is for `native` in the end, when no other reader wants it.
    own["native"] += [*sorted((shared / "sim").glob("*.nc")), *(path for path in real if _is_hdf5(path))]
    own["npy"] += [path for path in real if path.suffix == ".npy"]
    own["py4dstem"] += [path for path in real if _is_py4dstem(path)]
    for name, paths in own.items():
        yield from ((name, path) for path in paths)
    everything = sorted({path for paths in own.values() for path in paths} | set(real))
    yield from (("auto", path) for path in everything)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x89HDF"


def _is_py4dstem(path: Path) -> bool:
    """Whether a file is one of those that the reader ``py4dstem`` opens."""
    return path.suffix == ".h5" and any(word in path.name for word in ("py4dstem", "py4DSTEM", "braggdisks"))


def _scan(rng: np.random.Generator) -> xr.Dataset:
    counts = rng.poisson(2.0, (4, 6, 48, 40)).astype("u2")
    attrs = {"beam_energy_eV": 200e3, "semiangle_mrad": 1.5, "title": "a small scan, αβγ"}
    return fourd.make(counts, scan_step=(2.0, 2.0), q_step=(0.02, 0.02), probe=np.ones((48, 40), "f4"), **attrs)


def _large(rng: np.random.Generator) -> xr.Dataset:
    """Enough patterns for several chunks in a shard."""
    return fourd.make(rng.poisson(0.5, (8, 8, 96, 96)).astype("u2"), scan_step=(2.0, 2.0), q_step=(0.02, 0.02))


def _scan_coords() -> dict[str, xr.Variable]:
    return {
        dim: variable(dim, 2.0 * np.arange(n), "angstrom", f"position, {dim}")
        for dim, n in (("scan_y", 4), ("scan_x", 6))
    }


def _images(rng: np.random.Generator, *names: str) -> dict[str, xr.Variable]:
    return {name: variable(("scan_y", "scan_x"), rng.normal(size=(4, 6)), "1", name) for name in names}


def _truth(rng: np.random.Generator) -> xr.Dataset:
    return maps.make(_images(rng, "e_xx", "e_yy"), _scan_coords())


def _maps(rng: np.random.Generator) -> xr.Dataset:
    return maps.make(_images(rng, "sum", "bright_field"), _scan_coords())


def _strain(rng: np.random.Generator) -> xr.Dataset:
    parts = {name: rng.normal(size=(4, 6)) for name in ("e_xx", "e_yy", "e_xy", "theta")}
    return strain.make(
        parts,
        parts,
        residual=np.ones((4, 6)),
        n_used=np.full((4, 6), 9),
        valid=np.ones((4, 6), bool),
        residual_units="pixel",
        frame="scan",
        reference="given",
        coords=_scan_coords(),
    )


def _peaks(rng: np.random.Generator) -> xr.Dataset:
    counts = rng.integers(0, 9, 24)
    n = int(counts.sum())
    return peaks.make(
        counts=counts,
        qy=rng.uniform(0, 47, n),
        qx=rng.uniform(0, 39, n),
        scan_shape=(4, 6),
        q_shape=(48, 40),
        q_step=(0.02, 0.02),
        q_units="1/angstrom",
        q_origin_px=(24.0, 20.0),
        scan_coords=_scan_coords(),
    )


def _descriptors(rng: np.random.Generator) -> xr.Dataset:
    z = rng.normal(size=(24, 3))
    return descriptors.make(z, dims=("sample",), component=["one", "two", "αβγ"], attrs={"made": {"by": [1, 2]}})
