"""library/1: what it asks for, what it says when that is not there, and its ragged reflections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.errors import SchemaError
from ronchi.schema import library, validate

COUNTS = [3, 0, 2]


def small() -> xr.Dataset:
    total = sum(COUNTS)
    plain = {name: np.arange(total, dtype=np.float32) for name in library.PER_REFLECTION}
    return library.make(
        intensity=np.ones((3, 2, 4, 8, 8), np.float32) / 64,
        probe=np.ones((3, 2, 8, 8), np.float32) / 64,
        structure_factor=np.ones((3, 8, 8), np.float32),
        n_reflections=COUNTS,
        reflections=plain,
        runs={
            "prototype": ["A_cF4_225_a", "A_cI2_229_a", "A_hP2_194_c"],
            "formula": ["Cu", "W", "Mg"],
            "split": ["train", "test", "validation"],
            "beam_energy_eV": [200e3, 80e3, 300e3],
        },
        semiangle_mrad=[[1, 2], [1, 2], [1, 4]],
        thickness=[20, 40, 60, 80],
        q_step=0.02,
    )


def test_reflections_belong_to_their_runs() -> None:
    data = validate(small())
    assert library.offsets(data).tolist() == [0, 3, 3, 5]
    assert [library.reflections(data, run).sizes["reflection"] for run in range(3)] == COUNTS
    assert library.reflections(data, 2)["amplitude"].values.tolist() == [3, 4]
    assert float(data["qy"][4]) == 0


def test_reflections_are_weighed_by_their_distance_from_the_sphere_or_from_the_plane() -> None:
    data = small()
    q, s, sigma = 1.2, 0.03, 0.04
    for name, value in {"reflection_qy": q, "reflection_qx": 0.0, "excitation_error": s, "amplitude": 2.0}.items():
        data[name].values[:] = value
    data.attrs["sigma_inv_angstrom"] = sigma
    sphere = library.reflections(data, 0)["weighed_amplitude"]
    np.testing.assert_allclose(sphere, 2 * np.exp(-(s**2) / (2 * sigma**2)), rtol=1e-6)
    data.attrs["weighed_from"] = "plane"
    # Electrons of 200 keV have 0.02508 angstrom: the sphere is lambda q^2 / 2 below the plane, at -0.01806.
    plane = library.reflections(data, 0)["weighed_amplitude"]
    np.testing.assert_allclose(plane, 2 * np.exp(-((-s - 0.01806) ** 2) / (2 * sigma**2)), rtol=1e-4)


def test_a_surface_that_there_is_not_is_refused() -> None:
    with pytest.raises(SchemaError, match="'weighed_from' is 'plain', allowed: sphere, plane"):
        library.validate(small().assign_attrs(weighed_from="plain"))


def test_runs_are_chosen_by_split() -> None:
    data = small()
    assert data.isel(run=data["split"] == "test")["formula"].values.tolist() == ["W"]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_it_survives_a_file(suffix: str, tmp_path: Path) -> None:
    data = small()
    stored = ronchi.read(ronchi.write(data, tmp_path / f"library{suffix}"))
    assert set(stored.coords) == set(data.coords)
    for name in data.variables:
        np.testing.assert_array_equal(stored[name].values, data[name].values)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda ds: ds.drop_vars("probe"), "'probe' of library/1 is missing"),
        (lambda ds: ds.isel(reflection=slice(0, 4)), "'n_reflections' adds up to 5, but there are 4"),
        (lambda ds: ds.assign_coords(split=ds["split"].copy(data=["train", "exam", "test"])), "'exam'"),
        (lambda ds: ds.transpose("semiangle", ...), "has dims"),
        (lambda ds: ds.assign(n_reflections=("run", COUNTS, {"units": "1", "long_name": "n"})), "sample_dimension"),
    ],
)
def test_what_is_wrong_is_said(spoil: object, told: str) -> None:
    with pytest.raises(SchemaError, match=told):
        validate(spoil(small()))  # type: ignore[operator]
