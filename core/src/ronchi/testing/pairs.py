"""Results beside their truth, as bad as one likes: what metrics are checked on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from ronchi.schema import atoms, decoded, descriptors, peaks, strain
from ronchi.testing import data as examples
from ronchi.testing.failure import NotApplicable

__all__ = ["result_and_truth"]

Pair = dict[str, xr.Dataset]


def result_and_truth(inputs: Mapping[str, str], error: float) -> Pair:
    """``result`` and ``truth`` of the first schemas that a metric takes.

    Parameters
    ----------
    inputs : mapping
        Of the metric's spec.
    error : float
        0 for a perfect result, 1 for a useless one.

    Raises
    ------
    NotApplicable
        The kit has no such pair; a contract then overrides `pair`.
    """
    wanted = tuple(inputs.get(name, "*").split("|") for name in ("result", "truth"))
    for (result, truth), make in _PAIRS.items():
        if result in wanted[0] and truth in wanted[1]:
            return make(error)
    raise NotApplicable(f"the kit has no pair of {inputs}: override `pair`")


def _strain(error: float) -> Pair:
    """One position has no fit, as some have in every map."""
    truth = examples.strain_map()[list(strain.COMPONENTS)].assign_attrs(is_truth=1)
    result = examples.strain_map(seed=1, noise=0.02 * error)
    for name in (*strain.COMPONENTS, *(f"se_{name}" for name in strain.COMPONENTS)):
        result[name].values[0, 0] = np.nan
    result["valid"].values[0, 0] = 0
    return {"result": strain.validate(result), "truth": truth}


def _peaks(error: float) -> Pair:
    scan = examples.disk_patterns()
    truth = scan.sides["truth_peaks"]
    rng = np.random.default_rng(2)
    steps = truth.attrs["q_step"]
    result = truth.copy(deep=True)
    del result.attrs["is_truth"]
    for name, step in zip(("qy", "qx"), steps, strict=True):
        result[name].values[:] += rng.normal(0, 3 * error * step, truth.sizes["peak"])
        result[f"var_{name[-1] * 2}"].values[:] = max(3 * error * step, 0.01 * step) ** 2
    return {"result": peaks.validate(result), "truth": truth}


def _descriptors(error: float) -> Pair:
    """Classes and angles of crops; the latents tell the angle, the more the larger the error."""
    made = examples.crops(n=120)
    truth = made.sides["truth"]
    rng = np.random.default_rng(3)
    n = truth.sizes["sample"]
    label, angle = truth["label"].values.astype(int), truth["angle"].values.astype(float)
    swapped = rng.random(n) < error
    label = np.where(swapped, rng.integers(0, label.max() + 1, n), label)
    z = rng.normal(0, 1, (n, 2)) + 6 * error * np.stack([np.sin(angle), np.cos(angle)], 1)
    coords = {name: made.data[name].variable for name in ("frame", "atom") if name in made.data.coords}
    result = descriptors.make(
        z, dims=("sample",), angle=angle + rng.normal(0, 1.5 * error, n), label=label, coords=coords
    )
    return {"result": result, "truth": truth}


def _decoded(error: float) -> Pair:
    truth = examples.crops().sides["truth"]
    template = truth["template"].values
    noise = np.random.default_rng(4).normal(0, np.ptp(template), template.shape)
    image = (1 - error) * template + error * noise
    return {"result": decoded.make(image, dims=("class", "y", "x")), "truth": truth}


def _crops(error: float) -> Pair:
    data = examples.crops().data
    values = data["intensity"].values
    noise = np.random.default_rng(5).normal(0, np.std(values), values.shape).astype(values.dtype)
    return {"result": data.assign(intensity=data["intensity"] + error * noise), "truth": data}


def _atoms(error: float) -> Pair:
    truth = examples.atom_images()[1]
    rng = np.random.default_rng(6)
    result = truth.copy(deep=True)
    for name in ("y", "x"):
        result[name].values[:] += rng.normal(0, error, truth.sizes["atom"])
    return {"result": atoms.validate(result), "truth": truth.assign_attrs(is_truth=1)}


_PAIRS: dict[tuple[str, str], Callable[[float], Pair]] = {
    ("strain/1", "strain/1"): _strain,
    ("peaks/1", "peaks/1"): _peaks,
    ("descriptors/1", "descriptors/1"): _descriptors,
    ("decoded/1", "descriptors/1"): _decoded,
    ("crops/1", "crops/1"): _crops,
    ("atoms/1", "atoms/1"): _atoms,
}
