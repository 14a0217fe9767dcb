"""Samples as a scan: the patterns, their one probe, and their reflections where the disks are."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context, DataError
from ronchi.schema import library, peaks
from ronchi_simulate.library.as_scan import LibraryScan
from ronchi_simulate.params.library import LibraryParams
from ronchi_simulate.params.library_scan import LibraryScanParams
from ronchi_simulate.simulators.library import Library


@pytest.fixture(scope="module")
def made(tiny: LibraryParams) -> xr.Dataset:
    one_energy = tiny.model_copy(update={"beam_energies_eV": (200e3,), "splits": ("test",)})
    return Library(one_energy).simulate(Context(rng=np.random.default_rng(4))).data


def scan(data: xr.Dataset, **params: object) -> tuple[xr.Dataset, xr.Dataset]:
    result = LibraryScan(LibraryScanParams(**params)).apply(data=data, ctx=Context(rng=np.random.default_rng(0)))
    return result.data, result.sides["truth_peaks"]


def test_only_the_asked_splits_are_simulated(made: xr.Dataset) -> None:
    assert set(made["split"].values) == {"test"}
    assert len(set(made["prototype"].values)) == 3


def test_rows_are_runs_and_columns_thicknesses(made: xr.Dataset) -> None:
    data, truth = scan(made, semiangle=1, runs=2, thicknesses_angstrom=(40.0,))
    assert data["intensity"].shape == (2, 1, 64, 64)
    np.testing.assert_array_equal(data["intensity"][1, 0], made["intensity"].values[1, 1, -1])
    np.testing.assert_array_equal(data["probe"], made["probe"].values[0, 1])
    assert data.attrs["semiangle_mrad"] == 8.0
    assert data.attrs["beam_energy_eV"] == 200e3
    here, listed = peaks.at(truth, 1, 0), library.reflections(made, 1)
    strongest = listed["amplitude"].values.argmax()
    assert float(here["intensity"].max()) == pytest.approx(float(listed["amplitude"][strongest]), rel=1e-6)
    assert set(here["qx"].values) <= set(listed["reflection_qx"].values)


def test_the_brightest_pixels_lie_in_disks_of_the_truth(made: xr.Dataset) -> None:
    """Of thin crystals, whose light has not gone anywhere else."""
    data, truth = scan(made, thicknesses_angstrom=(20.0,))
    radius = 4e-3 / 0.02508 + 0.06
    for row in range(data.sizes["scan_y"]):
        pattern = data["intensity"].values[row, 0]
        y, x = np.nonzero(pattern > 0.02 * pattern.max())
        q = np.stack([data["qy"].values[y], data["qx"].values[x]], 1)
        here = peaks.at(truth, row, 0)
        at = np.stack([here["qy"].values, here["qx"].values], 1)
        assert np.hypot(*(q[:, None] - at).T).min(axis=0).max() < radius


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"split": "train"}, "no runs for train"),
        ({"semiangle": 2}, "2 semiangles, no number 2"),
        ({"thicknesses_angstrom": (30.0,)}, "no thickness of 30 angstrom"),
    ],
)
def test_what_the_library_lacks_is_named(made: xr.Dataset, params: dict[str, object], what: str) -> None:
    with pytest.raises(DataError, match=what):
        scan(made, **params)


def test_several_energies_have_no_common_probe(made: xr.Dataset) -> None:
    mixed = made.assign_coords(beam_energy_eV=made["beam_energy_eV"].copy(data=[2e5, 2e5, 1e5]))
    with pytest.raises(DataError, match="2 beam energies, and a scan has one probe"):
        scan(mixed)
