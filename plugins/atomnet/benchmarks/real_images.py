"""Find the atoms of real images, and draw them: ``python real_images.py FOLDER OUT [--finders log atomnet]``.

``FOLDER`` holds the shared real data; what is not there is left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import matplotlib as mpl
import numpy as np
import xarray as xr

import ronchi
from ronchi.api import Context
from ronchi.manager import get_manager
from ronchi.schema import images

mpl.use("Agg")
import matplotlib.pyplot as plt


def real_images(folder: Path) -> Iterator[tuple[str, xr.Dataset, dict[str, Any]]]:
    """Name, ``images/1`` and parameters that finders need, of every image that is there."""
    for path in sorted((folder / "aicrystallographer").glob("*.hdf5")):
        with h5py.File(path) as file:
            values = file["image_data"][:].astype(np.float32)
            raw = file["metadata"][()] if "metadata" in file else file["image_data"].attrs["metadata"]
        size = json.loads(raw)["scan size"]
        # nm in some files, pm in others, and nothing in one.
        field = None if size == "NA" else float(size) / (1000 if float(size) > 100 else 1)
        yield path.stem, _made(values, field), {}
    for path in sorted((folder / "scilink").glob("*.npy")):
        field = json.loads(path.with_suffix(".json").read_text())["experimental_details"]["spatial_info"]
        yield path.stem, _made(np.load(path), float(field["field_of_view_x"])), {}
    for path, more in (
        (folder / "temul" / "example_Se_implanted_MoS2.dm3", {}),
        (folder / "hyperspy-demos" / "stem_abf_data_imagestack.hspy", {"dark": True}),
    ):
        if path.exists():
            yield path.stem, ronchi.read(path), more
    for path in sorted((folder / "jacobjma").glob("*.npz")):
        with np.load(path) as held:
            yield path.stem, _made(held["image"], float(held["sampling"]) * held["image"].shape[1] / 10), {}


def main() -> None:
    """Search and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--finders", nargs="+", default=["log", "atomnet"])
    parser.add_argument("--only", default="")
    parser.add_argument("--weights", help="of atomnet")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, movie, more in real_images(args.folder):
        if args.only not in name:
            continue
        for finder in args.finders:
            params = {**more, **({"species_above": (2.0,)} if finder == "log" else {})}
            if finder == "atomnet" and args.weights:
                params["weights"] = args.weights
            began = time.perf_counter()
            atoms = (
                get_manager().create("atom_finder", finder, params).find(movie, Context(rng=np.random.default_rng(0)))
            )
            seconds = time.perf_counter() - began
            _draw(args.out / f"{name}-{finder}.png", movie, atoms)
            pixel = atoms.attrs.get("step_angstrom", [np.nan])[0]
            counts = np.bincount(atoms["species"].values, minlength=2).tolist()
            error = float(np.nanmedian(atoms["sigma_y"])) if atoms.sizes["atom"] else np.nan
            size = " x ".join(str(movie.sizes[dim]) for dim in ("frame", "y", "x"))
            print(
                f"{name:28s} {finder:8s} {size}, {pixel:.4f} angstrom: {counts} atoms, "
                f"median standard error {error:.3f} {atoms['y'].attrs['units']}, {seconds:.1f} s",
                flush=True,
            )


def _made(values: np.ndarray, field_nm: float | None) -> xr.Dataset:
    step = None if field_nm is None else (10 * field_nm / values.shape[0], 10 * field_nm / values.shape[1])
    return images.make(values, step=step)


def _draw(path: Path, movie: xr.Dataset, atoms: xr.Dataset) -> None:
    """The first frame with its atoms, carbon in cyan and the next species in red."""
    image = movie["intensity"].isel(frame=0).values
    mine = atoms["frame"].values == int(movie["frame"][0])
    step = np.asarray(atoms.attrs.get("step_angstrom", [1.0, 1.0]))
    y, x = atoms["y"].values[mine] / step[0], atoms["x"].values[mine] / step[1]
    figure, axis = plt.subplots(figsize=(10, 10 * image.shape[0] / image.shape[1]))
    axis.imshow(image, cmap="gray", vmin=np.nanquantile(image, 0.005), vmax=np.nanquantile(image, 0.998))
    colours = np.where(atoms["species"].values[mine] > 0, "red", "cyan")
    axis.scatter(x, y, s=14, facecolors="none", edgecolors=colours, linewidths=0.8)
    axis.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5), title=f"{path.stem}: {mine.sum()}")
    axis.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main()
