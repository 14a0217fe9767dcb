"""PCA, GMM, vae and rrvae on a scan over graphene, drawn side by side: the figure of the papers.

python plugins/rvae/benchmarks/graphene_side_by_side.py scan.nc --out figure.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from graphene_held_out import BAND_LIMIT, disc
from graphene_measures import agreement, angle_figures, centre_of_mass, defect_auc

import ronchi
from ronchi.optics import disk_radius
from ronchi.plot.canvas import new_figure

LEARNERS = ("pca", "gmm", "vae", "rrvae")
CLASSES, COMPONENTS = 6, 4
"""Classes of the mixture, and principal components."""
STEPS = 9
"""Values of a latent in the manifold of a learner, from -2 to 2."""
COLUMNS = 9


def described(path: Path, scan: xr.Dataset, seed: int) -> tuple[dict[str, xr.Dataset], Path]:
    """Results of all learners, and the folder of their files."""
    circle = disc(scan)
    steps = {
        "load": {"reader": "native", "params": {"path": str(path.resolve())}},
        "pca": {"descriptor_learner": "pca", "data": "load", "params": {"n_components": COMPONENTS}},
        "gmm": {"descriptor_learner": "gmm", "data": "load", "params": {"n_classes": CLASSES}},
        "vae": {
            "descriptor_learner": "vae",
            "data": "load",
            "params": {"counts": True, "mask": "circle", "radius_px": circle["radius_px"]},
        },
        "rrvae": {
            "descriptor_learner": "rrvae",
            "data": "load",
            "params": circle | {"band_limit": BAND_LIMIT, "counts": True, "epochs": 60},
        },
    }
    outputs = {name: {"from": name, "path": f"{name}.nc"} for name in LEARNERS}
    pipeline = {"schema": "ronchi.pipeline/1", "name": "side-by-side", "seed": seed, "steps": steps, "outputs": outputs}
    folder = path.parent / f"{path.stem}-side-by-side"
    ronchi.run(pipeline, folder, progress=False)
    return {name: ronchi.read(folder / f"{name}.nc").load() for name in LEARNERS}, folder


class Panels:
    """A grid of small panels; scan maps and patterns, each with its scale bar."""

    def __init__(self, rows: int) -> None:
        self.figure = new_figure(1.75 * COLUMNS, 1.95 * rows)
        self._axes = self.figure.subplots(rows, COLUMNS)
        for ax in self._axes.flat:
            ax.axis("off")

    def _next(self, row: int, column: int) -> Any:
        ax = self._axes[row, column]
        ax.axis("on")
        return ax

    def scan(self, row: int, column: int, values: Any, like: xr.Dataset, title: str, kind: str = "sequential") -> None:
        """A quantity over the scan; angles in cyclic colours."""
        coords = {dim: like[dim] for dim in ("scan_y", "scan_x")}
        image = xr.DataArray(np.asarray(values, float), coords, ("scan_y", "scan_x"))
        limits = {"cyclic": (-np.pi, np.pi), "classes": (-0.5, CLASSES - 0.5)}.get(kind)
        cmap = {"cyclic": "twilight", "classes": "tab10"}.get(kind)
        if kind == "cyclic":
            image.values[:] = np.angle(np.exp(1j * image.values))
        ax = self._next(row, column)
        drawn = "sequential" if kind == "classes" else kind
        ronchi.plot.scan_image(image, ax=ax, kind=drawn, cmap=cmap, limits=limits, colorbar=False)
        ax.set_title(title, fontsize="small", loc="left")

    def pattern(self, row: int, column: int, image: xr.DataArray, title: str, signed: bool = False) -> None:
        """A pattern; what has both signs is red and blue about its own middle."""
        ax = self._next(row, column)
        ronchi.plot.pattern(image, ax=ax, scaling=1.0, cmap="inferno", colorbar=False)
        if signed:
            shown = ax.get_images()[0]
            half = float(np.nanpercentile(abs(image.values), 99.8))
            shown.set_cmap("RdBu_r")
            shown.set_norm(None)
            shown.set_clim(-half, half)
        ax.set_title(title, fontsize="small", loc="left")

    def wheel(self, row: int, column: int) -> None:
        """The colours of directions."""
        ax = self._next(row, column)
        y, x = np.mgrid[-1:1:101j, -1:1:101j]
        ax.imshow(np.where(np.hypot(y, x) < 1, np.arctan2(y, x), np.nan), cmap="twilight", vmin=-np.pi, vmax=np.pi)
        ax.axis("off")
        ax.set_title("directions", fontsize="small", loc="left")


def drawn(scan: xr.Dataset, truth: xr.Dataset, made: dict[str, xr.Dataset], folder: Path) -> Any:
    """The figure: what is there, and a row a learner."""
    panels = Panels(1 + len(LEARNERS))
    direction, dipole = centre_of_mass(scan)
    radius = disk_radius(scan.attrs["beam_energy_eV"], scan.attrs["semiangle_mrad"])
    outside = np.hypot(scan["qy"], scan["qx"]).values > 1.05 * radius
    counts = scan["intensity"].values.astype(float)
    mean = scan["intensity"].mean(("scan_y", "scan_x"), keep_attrs=True)
    panels.pattern(0, 0, mean, "mean pattern")
    panels.scan(0, 1, counts[..., outside].sum(-1), scan, "dark field")
    panels.scan(0, 2, direction, scan, "COM direction", "cyclic")
    panels.scan(0, 3, dipole, scan, "COM length")
    nearest = np.arctan2(truth["nn_dy"], truth["nn_dx"])
    panels.scan(0, 4, nearest, scan, "truth: nearest atom", "cyclic")
    panels.scan(0, 5, truth["nn_distance"], scan, "truth: its distance")
    panels.scan(0, 6, truth["rotation"], scan, "truth: rotation")
    panels.wheel(0, 8)
    panels.scan(0, 7, np.minimum(truth["defect_distance"].values, 4), scan, "truth: defect")

    def side(learner: str, name: str) -> xr.DataArray:
        return ronchi.read(folder / f"{learner}.nc", side=name)["image"].load()

    for i in range(COMPONENTS):
        panels.scan(1, i, made["pca"]["z"][..., i], scan, f"pca {i + 1}", "diverging")
    components = side("pca", "components").isel(component=slice(-COMPONENTS, None))
    for i in range(COMPONENTS):
        panels.pattern(1, COMPONENTS + i, components[i], f"component {i + 1}", signed=True)
    panels.scan(2, 0, made["gmm"]["label"], scan, f"gmm, {CLASSES} classes", "classes")
    means = side("gmm", "means")
    for k in range(CLASSES):
        panels.pattern(2, 1 + k, means[k] - mean.values, f"class {k} - mean", signed=True)
    for row, learner in ((3, "vae"), (4, "rrvae")):
        for i in range(2):
            panels.scan(row, i, made[learner]["z"][..., i], scan, f"{learner} z{i}", "diverging")
        if "angle" in made[learner]:
            panels.scan(row, 2, made[learner]["angle"], scan, "rrvae angle", "cyclic")
            aligned = made[learner]["angle"].values - offset(made[learner]["angle"].values, direction, dipole)
            panels.scan(row, 3, np.angle(np.exp(1j * (aligned - direction))), scan, "angle - COM", "cyclic")
        manifold = side(learner, "manifold")
        middle = manifold.isel(z0=STEPS // 2, z1=STEPS // 2)
        ends = [(latent, at) for latent in ("z0", "z1") for at in (0, STEPS - 1)]
        for n, (latent, at) in enumerate(ends):
            image = manifold.isel({latent: at, "z1" if latent == "z0" else "z0": STEPS // 2}) - middle
            title = f"{latent} = {float(manifold[latent][at]):+.0f}, change"
            panels.pattern(row, COMPONENTS + n, image, title, signed=True)
        panels.pattern(row, 8, middle.copy(data=middle.values), "z0 = z1 = 0")
    return panels.figure


def offset(angle: Any, direction: Any, weight: Any) -> float:
    """The one angle by which the frames of two sets of directions differ."""
    return float(np.angle((weight * np.exp(1j * (angle - direction))).sum()))


def printed(scan: xr.Dataset, truth: xr.Dataset, made: dict[str, xr.Dataset]) -> None:
    """How much of the direction is left in descriptors where it is sure, how far defects stand out, and the angle."""
    direction, dipole = centre_of_mass(scan)
    strong = (dipole > np.median(dipole)).ravel()
    waves = np.stack([f(m * direction.ravel()[strong]) for m in (1, 2, 3) for f in (np.cos, np.sin)], 1)
    design = np.column_stack([np.ones(strong.sum()), waves])
    print("learner  R2(z | COM direction)  defects, AUC of the best component")
    for name, found in made.items():
        z = found["z"].values.reshape(-1, found.sizes["component"]).astype(float)
        centred = z[strong] - z[strong].mean(0)
        left = centred - design @ np.linalg.lstsq(design, centred, rcond=None)[0]
        explained = 1 - (left**2).sum(0) / (centred**2).sum(0)
        each = [defect_auc(truth, z[:, i].reshape(truth["tile"].shape)) for i in range(z.shape[1])]
        best = {kind: max(max(auc[kind], 1 - auc[kind]) for auc in each) for kind in each[0]}
        apart = ", ".join(f"{kind} {auc:.2f}" for kind, auc in best.items())
        print(f"{name:<8} {' '.join(f'{value:.2f}' for value in explained):<22} {apart}")
    figures = angle_figures(scan, truth, made["rrvae"]["angle"].values)
    print("rrvae angle:", ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    nearest = np.arctan2(truth["nn_dy"].values, truth["nn_dx"].values)
    unweighted = agreement(made["rrvae"]["angle"].values, nearest, np.ones_like(nearest))
    print(f"rrvae angle and nearest atom, unweighted: {unweighted:.3f}")


def main() -> None:
    """Learn, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, help="a scan over graphene with its truth")
    parser.add_argument("--out", type=Path, required=True, help="the figure")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    scan, truth = ronchi.read(asked.scan).load(), ronchi.read(asked.scan, side="truth").load()
    made, folder = described(asked.scan, scan, asked.seed)
    printed(scan, truth, made)
    drawn(scan, truth, made, folder).savefig(asked.out, dpi=90)


if __name__ == "__main__":
    main()
