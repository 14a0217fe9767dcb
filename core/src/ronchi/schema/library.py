"""``library/1``: simulated diffraction patterns of many crystals with their truth, to learn from.

A run is one crystal in one orientation and one beam energy; it has patterns at every semiangle and thickness, one probe
a semiangle, one structure-factor image and one list of reflections. The lists are a CF contiguous ragged array along
``reflection``. A structure-factor image times the thickness is the label of a pattern: it is linear in thickness, and
so kept once, per unit of thickness.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.optics import wavelength_angstrom
from ronchi.schema.common import ATTR, check_dataset, fail, variable

__all__ = [
    "NAME",
    "PER_REFLECTION",
    "PER_RUN",
    "SPLITS",
    "contents",
    "describe",
    "make",
    "offsets",
    "reflections",
    "validate",
    "weighed_from",
]

NAME = "library/1"
SPLITS = ("train", "validation", "test")
"""What the runs are for; all crystals of one prototype are for the same."""

_IMAGES = {
    "intensity": (("run", "semiangle", "thickness", "qy", "qx"), "1", "fraction of the beam in a pixel, without noise"),
    "probe": (("run", "semiangle", "qy", "qx"), "1", "fraction of the beam in a pixel, over vacuum"),
    "structure_factor": (("run", "qy", "qx"), "V", "structure-factor image, per unit of thickness"),
}

PER_RUN = {
    "prototype": ("1", "AFLOW label of the structure prototype"),
    "formula": ("1", "reduced formula"),
    "split": ("1", f"one of {', '.join(SPLITS)}"),
    "beam_energy_eV": ("eV", "beam energy"),
}
"""Coordinate along ``run`` to its units and name; there may be more."""

PER_REFLECTION = {
    "reflection_qy": ("1/angstrom", "position of the reciprocal-lattice point on the detector, y"),
    "reflection_qx": ("1/angstrom", "position of the reciprocal-lattice point on the detector, x"),
    "h": ("1", "Miller index"),
    "k": ("1", "Miller index"),
    "l": ("1", "Miller index"),
    "amplitude": ("V", "modulus of the structure factor V_g"),
    "excitation_error": ("1/angstrom", "excitation error s_g, positive where the point is inside the Ewald sphere"),
}
"""Variable along ``reflection`` to its units and name."""

_SURFACES = ("sphere", "plane")
_SIGMA_INV_ANGSTROM = 0.05
"""Where a library does not say it."""

_LISTED = 6
"""As many values are told one by one."""

_REQUIRED = {
    **{name: dims for name, (dims, _, _) in _IMAGES.items()},
    **dict.fromkeys((*PER_RUN, "n_reflections"), ("run",)),
    **dict.fromkeys(PER_REFLECTION, ("reflection",)),
    "semiangle_mrad": ("run", "semiangle"),
    "thickness": ("thickness",),
    "qy": ("qy",),
    "qx": ("qx",),
}


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``library/1`` data set.

    Raises
    ------
    SchemaError
    """
    check_dataset(ds, NAME, _REQUIRED, None, where)
    where = where or "data set"
    if ds["n_reflections"].attrs.get("sample_dimension") != "reflection":
        raise fail(where, "'n_reflections' needs the attribute sample_dimension='reflection' (CF ragged array)")
    total = int(ds["n_reflections"].values.sum())
    if total != ds.sizes["reflection"]:
        raise fail(where, f"'n_reflections' adds up to {total}, but there are {ds.sizes['reflection']} reflections")
    splits = {str(name) for name in ds["split"].values}
    if splits - set(SPLITS):
        raise fail(where, f"'split' holds {sorted(splits - set(SPLITS))}, allowed: {', '.join(SPLITS)}")
    if weighed_from(ds) not in _SURFACES:
        raise fail(where, f"'weighed_from' is {weighed_from(ds)!r}, allowed: {', '.join(_SURFACES)}")
    used: dict[str, set[str]] = {}
    for prototype, split in zip(ds["prototype"].values, ds["split"].values, strict=True):
        used.setdefault(str(prototype), set()).add(str(split))
    leaking = sorted(prototype for prototype, found in used.items() if len(found) > 1)
    if leaking:
        raise fail(where, f"prototypes are in two splits: {', '.join(leaking[:5])}", "split by prototype")
    return ds


def describe(name: str) -> tuple[tuple[str, ...], str, str]:
    """Dims, units and name in words of a variable of the schema, for those who write a store themselves."""
    if name in _IMAGES:
        return _IMAGES[name]
    if name in PER_RUN:
        return ("run",), *PER_RUN[name]
    return ("reflection",), *PER_REFLECTION[name]


def make(
    *,
    intensity: Any,
    probe: Any,
    structure_factor: Any,
    n_reflections: Any,
    reflections: dict[str, Any],
    runs: dict[str, Any],
    semiangle_mrad: Any,
    thickness: Any,
    q_step: float,
    more: dict[str, xr.Variable] | None = None,
    **attrs: Any,
) -> xr.Dataset:
    """Build a ``library/1`` data set.

    Parameters
    ----------
    intensity : (run, semiangle, thickness, qy, qx) float
        Fraction of the beam; q = 0 at the pixel ``N // 2``.
    probe : (run, semiangle, qy, qx) float
    structure_factor : (run, qy, qx) float
        In volt.
    n_reflections : (run,) int
        Reflections of each run.
    reflections : dict
        The (reflection,) arrays of `PER_REFLECTION`, run after run.
    runs : dict
        The (run,) arrays of `PER_RUN`.
    semiangle_mrad : (run, semiangle) float
    thickness : (thickness,) float
        In angstrom.
    q_step : float
        Pixel of the detector in 1/angstrom.
    more : dict, optional
        Further variables, such as orientations.

    Raises
    ------
    SchemaError
    """
    pictures = {"intensity": intensity, "probe": probe, "structure_factor": structure_factor}
    data = {name: variable(_IMAGES[name][0], value, *_IMAGES[name][1:]) for name, value in pictures.items()}
    data |= {
        name: variable("reflection", np.asarray(reflections[name]), *PER_REFLECTION[name]) for name in PER_REFLECTION
    }
    counts = np.asarray(n_reflections, np.int32)
    data["n_reflections"] = variable("run", counts, "1", "number of reflections", sample_dimension="reflection")
    size = dict(zip(("qy", "qx"), intensity.shape[-2:], strict=True))
    coords = {
        dim: variable(dim, (np.arange(n) - n // 2) * q_step, "1/angstrom", f"scattering vector, {dim[-1]}")
        for dim, n in size.items()
    }
    coords["thickness"] = variable("thickness", np.asarray(thickness, float), "angstrom", "thickness")
    coords["semiangle_mrad"] = variable(("run", "semiangle"), np.asarray(semiangle_mrad, float), "mrad", "semiangle")
    coords |= {name: variable("run", np.asarray(runs[name]), *PER_RUN[name]) for name in PER_RUN}
    kept = {name: value for name, value in attrs.items() if value is not None}
    return validate(xr.Dataset({**data, **(more or {})}, coords, {**kept, ATTR: NAME}))


def offsets(ds: xr.Dataset) -> NDArray[np.int64]:
    """(run + 1,) start of each run's reflections in the flat arrays."""
    return np.concatenate([[0], np.cumsum(ds["n_reflections"].values, dtype=np.int64)])


def weighed_from(ds: xr.Dataset) -> str:
    """What the distance of a reflection is told from that weighs it: ``"sphere"`` or ``"plane"``."""
    return str(ds.attrs.get("weighed_from", _SURFACES[0]))


def reflections(ds: xr.Dataset, run: int) -> xr.Dataset:
    """Reflections of one run, by its place in the data set.

    Besides what is kept of each there is its ``weighed_amplitude`` in volt, its height in the structure-factor image:
    the amplitude times a Gaussian of its distance from the Ewald sphere or, where the attribute ``weighed_from`` is
    ``"plane"``, from the plane through the origin across the beam; ``sigma_inv_angstrom`` is the Gaussian's.
    """
    edges = offsets(ds)
    found = ds[list(PER_REFLECTION)].isel(reflection=slice(int(edges[run]), int(edges[run + 1])))
    distance = found["excitation_error"].values.astype(float)
    if weighed_from(ds) == "plane":
        q_squared = found["reflection_qy"].values.astype(float) ** 2 + found["reflection_qx"].values.astype(float) ** 2
        distance = -distance - wavelength_angstrom(float(ds["beam_energy_eV"].values[run])) / 2 * q_squared
    sigma = float(ds.attrs.get("sigma_inv_angstrom", _SIGMA_INV_ANGSTROM))
    weighed = found["amplitude"].values * np.exp(-(distance**2) / (2 * sigma**2))
    found["weighed_amplitude"] = variable("reflection", weighed, "V", "height in the structure-factor image")
    return found


def contents(ds: xr.Dataset) -> dict[str, str]:
    """What a library holds, in words; no pattern is read."""
    runs, angles, depths = (ds.sizes[dim] for dim in ("run", "semiangle", "thickness"))
    prototypes, splits = ds["prototype"].values.astype(str), ds["split"].values.astype(str)
    crystals = {*zip(prototypes, ds["formula"].values.astype(str), strict=True)}
    rows = {
        "runs": f"{runs} of {angles * depths} patterns",
        "patterns": f"{runs * angles * depths}",
        "crystals": f"{len(crystals)} of {len(set(prototypes))} prototypes",
    }
    for name in SPLITS:
        chosen = splits == name
        rows[name] = f"{chosen.sum()} runs, {len(set(prototypes[chosen]))} prototypes"
    step = (float(ds["qx"][-1]) - float(ds["qx"][0])) / (ds.sizes["qx"] - 1)
    return {
        **rows,
        "beam energy": _range(ds["beam_energy_eV"].values / 1e3, "keV"),
        "semiangle": _range(ds["semiangle_mrad"].values, "mrad"),
        "thickness": _range(ds["thickness"].values, "angstrom"),
        "detector": f"{ds.sizes['qy']} x {ds.sizes['qx']} px of {step:.4g} 1/angstrom",
        "reflections": f"{ds.sizes['reflection']}, {np.median(ds['n_reflections'].values):.0f} in the middle run",
    }


def _range(values: NDArray[Any], units: str) -> str:
    found = np.unique(values)
    if len(found) <= _LISTED:
        return f"{', '.join(f'{value:.4g}' for value in found)} {units}"
    return f"{found[0]:.4g} to {found[-1]:.4g} {units}, {len(found)} values"
