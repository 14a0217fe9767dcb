"""Pictures of simulated multilayers, as Fig. 3 of Munshi et al. 2022: bright field, five patterns, strain and truth.

usage: multilayer_pictures.py FILE.nc … -o FOLDER, with files that `ronchi simulate sige -o FILE.nc` made
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import xarray as xr

import ronchi
from ronchi import plot
from ronchi.optics import disk_radius

N_PATTERNS = 5
CENTRAL_DISK = 1.3
"""Radius of the virtual detector in those of the disk."""


def picture(data: xr.Dataset, truth: xr.Dataset) -> plt.Figure:
    """Draw one scan."""
    figure = plt.figure(figsize=(11, 12), layout="constrained")
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[1.2, 1.9, 5])
    columns = [round((i + 0.5) * data.sizes["scan_x"] / N_PATTERNS) for i in range(N_PATTERNS)]
    chosen = [(data.sizes["scan_y"] // 2, column) for column in columns]
    bright = ronchi.virtual_image(data, mode="disk", radius=CENTRAL_DISK * radius_of(data))
    ax = plot.scan_image(
        next(iter(bright.data_vars.values())), ax=top.subplots(), cmap="gray", title="virtual bright field"
    )
    plot.mark_positions(ax, data, chosen)
    plot.mosaic(data, chosen, figure=middle, n_columns=N_PATTERNS)
    substrate = data["scan_x"].values[truth["is_substrate"].values[0] > 0]
    reference = {"scan_x": [float(substrate.min()) + 15, float(substrate.max())]}
    strain = ronchi.strain(ronchi.detect(data, "crosscorr"), "lattice", reference=reference)
    plot.strain_profiles(strain, truth=truth, figure=bottom)
    return figure


def radius_of(data: xr.Dataset) -> float:
    """Radius of the central disk in 1/angstrom."""
    return disk_radius(data.attrs["beam_energy_eV"], data.attrs["semiangle_mrad"])


def main() -> None:
    """Write one PNG a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path())
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for path in args.files:
        target = args.output / f"{path.stem}.png"
        picture(ronchi.read(path), ronchi.read(path, side="truth")).savefig(target, dpi=110)
        print(target)


if __name__ == "__main__":
    main()
