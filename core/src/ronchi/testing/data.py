"""Small data sets of which everything is known, one function a schema: non-square, asymmetric, calibrated unevenly.

They are made so that exchanged axes, a flipped sign or a forgotten calibration give other numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import AlgorithmSpec, Result
from ronchi.builtin.disks import disk_scan
from ronchi.builtin.motifs import simulate_motifs
from ronchi.schema import atoms as atoms_schema
from ronchi.schema import decoded as decoded_schema
from ronchi.schema import descriptors as descriptors_schema
from ronchi.schema import images as images_schema
from ronchi.schema import lattice as lattice_schema
from ronchi.schema import maps as maps_schema
from ronchi.schema import peaks as peaks_schema
from ronchi.schema import strain as strain_schema
from ronchi.schema.common import variable
from ronchi.testing.failure import NotApplicable
from ronchi.testing.variants import as_dtype

__all__ = [
    "SCHEMAS",
    "atom_images",
    "crops",
    "descriptors",
    "disk_patterns",
    "example",
    "inputs_of",
    "lattice_peaks",
    "strain_map",
]

Array = NDArray[np.float64]

RADIUS_PX = 4.0
SCAN_SHAPE = (3, 4)
PATTERN_SHAPE = (72, 60)
STRAINED_COLUMNS = slice(6, 8)
"""Columns of `lattice_peaks` that are strained; those before them are the reference, and more."""


def disk_patterns(seed: int = 0, **changes: Any) -> Result:
    """``fourd/1`` of soft disks with Poisson noise as whole float32 counts, and the sides ``truth_peaks``, ``truth``.

    Parameters
    ----------
    seed : int
    **changes
        Parameters of the simulator ``disks``.
    """
    chosen: dict[str, Any] = {
        "scan_shape": SCAN_SHAPE,
        "pattern_shape": PATTERN_SHAPE,
        "q_step_inv_angstrom": (0.02, 0.02),
        "radius_px": RADIUS_PX,
        "g1_px": (2.2, 14.7),
        "g2_px": (15.9, -3.1),
        "dose_e": 60000.0,
        "e_xx": 0.0,
        "background_fraction": 0.02,
        "dtype": "float32",
    } | changes
    return disk_scan(np.random.default_rng(seed), **chosen)


def crops(n: int = 24, seed: int = 0) -> Result:
    """``crops/1`` of four motifs as whole float32 counts, and the side ``truth`` with class and angle."""
    made = simulate_motifs(
        np.random.default_rng(seed),
        n_samples=n,
        n_frames=3,
        size_px=19,
        bond_px=4.0,
        noise="poisson",
        dose_e_per_px=(200.0, 200.0),
    )
    return Result(as_dtype(made.data, "float32"), made.sides)


def atom_images(seed: int = 0, frames: int = 6) -> tuple[xr.Dataset, xr.Dataset]:
    """``images/1`` (frame, 48, 64) of Gaussian atoms as whole counts, and their ``atoms/1``, 0.2 angstrom a pixel."""
    rng = np.random.default_rng(seed)
    shape, step, sigma_px = (48, 64), 0.2, 1.8
    rows, columns = np.arange(8, 44, 11), np.arange(7, 60, 9)
    y_px, x_px = (axis.ravel().astype(float) for axis in np.meshgrid(rows, columns, indexing="ij"))
    y_px, x_px = y_px[1:-2], x_px[1:-2]  # corners are empty, so that no mirror image is the same
    frame = np.repeat(np.arange(frames), len(y_px))
    y_px, x_px = (np.tile(axis, frames) + rng.uniform(-1, 1, len(frame)) for axis in (y_px, x_px))
    grid_y, grid_x = np.ogrid[: shape[0], : shape[1]]
    movie = np.full((frames, *shape), 20.0)
    for f, y, x in zip(frame, y_px, x_px, strict=True):
        movie[f] += 400 * np.exp(-((grid_y - y) ** 2 + (grid_x - x) ** 2) / (2 * sigma_px**2))
    counts = rng.poisson(movie).astype(np.float32)
    table = atoms_schema.make(
        frame=frame, y=y_px * step, x=x_px * step, units="angstrom", step_angstrom=[step, step], image_shape=[*shape]
    )
    return images_schema.make(counts, step=(step, step), units="counts"), table


def strain_map(*, seed: int = 0, noise: float = 0.0) -> xr.Dataset:
    """``strain/1`` (3, 8): the strains of `lattice_peaks` at its defaults, with an error of ``noise``."""
    rng = np.random.default_rng(seed)
    true = {"e_xx": 0.02, "e_yy": -0.01, "e_xy": 0.006, "theta": 0.015}
    shape = (3, 8)
    columns = np.zeros(8)
    columns[STRAINED_COLUMNS] = 1
    return strain_schema.make(
        {name: np.broadcast_to(columns * value, shape) + rng.normal(0, noise, shape) for name, value in true.items()},
        {name: np.full(shape, max(noise, 1e-6)) for name in true},
        residual=np.full(shape, 1e-4),
        n_used=np.full(shape, 20),
        valid=np.ones(shape),
        residual_units="1/angstrom",
        frame="detector",
        reference="columns 0 to 5",
        coords=_scan_coords(shape),
    )


def lattice_peaks(
    e_xx: float = 0.02,
    e_yy: float = -0.01,
    e_xy: float = 0.006,
    theta: float = 0.015,
    *,
    sigma_px: float = 0.01,
    missing: float = 0.0,
    seed: int = 0,
    q_step: tuple[float, float] = (0.02, 0.02),
    **attrs: Any,
) -> xr.Dataset:
    """``peaks/1`` of a scan (3, 8) whose columns 6 and 7 are deformed by F = R(theta) (1 + e), exact but for noise.

    Parameters
    ----------
    e_xx, e_yy, e_xy : float
        Strain in the axes of the detector.
    theta : float
        Rotation in rad, positive from x towards y.
    sigma_px : float
        Error of the positions.
    missing : float
        Part of the peaks that are left out at random; never the central one.
    """
    rng = np.random.default_rng(seed)
    shape = (3, 8)
    turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    deformed = turn @ (np.eye(2) + np.array([[e_xx, e_xy], [e_xy, e_yy]]))
    order = np.arange(-4, 5)
    hk = np.stack(np.meshgrid(order, order, indexing="ij"), -1).reshape(-1, 2)
    g_xy = np.array([[0.24, -0.045], [0.03, 0.31]])  # columns g1, g2; rows x, y
    counts, found = [], []
    for position in range(shape[0] * shape[1]):
        column = position % shape[1]
        cell = np.linalg.inv(deformed).T @ g_xy if column in range(8)[STRAINED_COLUMNS] else g_xy
        q_yx = (hk @ cell.T)[:, ::-1]
        kept = (np.hypot(*q_yx.T) < 1.0) & ((rng.random(len(q_yx)) >= missing) | (hk == 0).all(1))
        q_yx = q_yx[kept]
        counts.append(len(q_yx))
        found.append(q_yx + rng.normal(0, sigma_px, q_yx.shape) * q_step)
    flat = np.concatenate(found)
    return peaks_schema.make(
        counts=counts,
        qy=flat[:, 0],
        qx=flat[:, 1],
        intensity=1000 * np.exp(-np.hypot(*flat.T)),
        score=np.full(len(flat), 30.0),
        var_yy=np.full(len(flat), (sigma_px * q_step[0]) ** 2),
        var_xx=np.full(len(flat), (sigma_px * q_step[1]) ** 2),
        flags=np.zeros(len(flat)),
        scan_shape=shape,
        q_step=q_step,
        q_origin_px=(55.0, 60.0),
        q_shape=(110, 120),
        q_units="1/angstrom",
        scan_coords=_scan_coords(shape),
        attrs={"beam_energy_eV": 200e3, **attrs},
    )


def descriptors(seed: int = 0, noise: float = 0.02) -> xr.Dataset:
    """``descriptors/1`` (7, 9): centres of mass over a smooth potential, in 1/angstrom."""
    rng = np.random.default_rng(seed)
    shape = (7, 9)
    y, x = np.meshgrid(*(np.linspace(0, 2 * np.pi, n) for n in shape), indexing="ij")
    z = np.stack([0.3 * np.cos(y) * np.sin(x), 0.2 * np.sin(y) * np.cos(x)], -1)
    return descriptors_schema.make(
        z + rng.normal(0, noise, z.shape),
        dims=("scan_y", "scan_x"),
        component=("com_y", "com_x"),
        units="1/angstrom",
        coords=_scan_coords(shape),
        attrs={"scan_rotation_deg": 20.0},
    )


def _scan_coords(shape: tuple[int, int]) -> dict[str, xr.Variable]:
    return {
        dim: variable(dim, np.arange(n) * step, "angstrom", f"scan position, {dim[-1]}")
        for dim, n, step in zip(("scan_y", "scan_x"), shape, (12.0, 10.0), strict=True)
    }


def _lattice() -> xr.Dataset:
    shape = (3, 4)
    rng = np.random.default_rng(0)
    vectors: dict[str, Any] = {
        name: np.array(mean) + rng.normal(0, 1e-3, (*shape, 2))
        for name, mean in (("origin", (0.0, 0.0)), ("g1", (0.03, 0.24)), ("g2", (0.31, -0.045)))
    }
    return lattice_schema.make(
        **vectors,
        cov=np.broadcast_to(np.eye(6) * 1e-6, (*shape, 6, 6)).copy(),
        chi2=np.ones(shape),
        n_used=np.full(shape, 20),
        q_units="1/angstrom",
        coords=_scan_coords(shape),
    )


def _maps() -> xr.Dataset:
    rng = np.random.default_rng(0)
    scan = variable(("scan_y", "scan_x"), rng.random((3, 4)).astype(np.float32), "counts", "virtual image")
    mean = variable(("qy", "qx"), rng.random((9, 7)).astype(np.float32), "counts", "mean pattern")
    q = {dim: variable(dim, np.arange(n) - n // 2, "pixel", dim) for dim, n in (("qy", 9), ("qx", 7))}
    return maps_schema.make({"image": scan, "mean_pattern": mean}, {**_scan_coords((3, 4)), **q})


def _decoded() -> xr.Dataset:
    image = np.random.default_rng(0).random((3, 9, 7)).astype(np.float32)
    coords = {dim: variable(dim, np.arange(n) - n // 2, "pixel", dim) for dim, n in (("y", 9), ("x", 7))}
    return decoded_schema.make(image, dims=("class", "y", "x"), coords=coords)


SCHEMAS: dict[str, Callable[[], xr.Dataset]] = {
    "crops/1": lambda: crops().data,
    "fourd/1": lambda: disk_patterns().data,
    "images/1": lambda: atom_images()[0],
    "descriptors/1": descriptors,
    "peaks/1": lattice_peaks,
    "atoms/1": lambda: atom_images()[1],
    "strain/1": strain_map,
    "lattice/1": _lattice,
    "maps/1": _maps,
    "decoded/1": _decoded,
}
"""Schema to a maker of an example; where several would do, the first one here is taken."""


def example(schemas: str) -> xr.Dataset:
    """Example of one of several schemas, ``"fourd/1|crops/1"`` or ``"*"``.

    Raises
    ------
    NotApplicable
        There is none; a contract then overrides `inputs`.
    """
    wanted = {part.strip() for part in schemas.split("|")}
    for name, make in SCHEMAS.items():
        if name in wanted or "*" in wanted:
            return make()
    raise NotApplicable(f"the kit has no example of {schemas}: override `inputs`")


def inputs_of(spec: AlgorithmSpec) -> dict[str, xr.Dataset]:
    """Example of every input that an algorithm needs."""
    return {name: example(schemas) for name, schemas in spec.inputs.items() if not name.endswith("?")}
