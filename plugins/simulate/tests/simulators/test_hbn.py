"""Patterns of boron nitride under its probes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ronchi.api import Context, Result
from ronchi.disk import measure_disk
from ronchi.optics import disk_radius
from ronchi_simulate.params.hbn import HbnParams
from ronchi_simulate.simulators.hbn import Hbn

SMALL = {"scan_shape": (2, 3), "pattern_shape": (64, 64), "binning": 1, "thickness_angstrom": 14.0, "dose_e": None}


def simulate(**changes: Any) -> Result:
    params = HbnParams.model_validate(SMALL | changes)
    return Hbn(params).simulate(Context(rng=np.random.default_rng(0)))


def test_there_is_no_strain_and_disks_apart_are_the_same_everywhere_but_for_the_tilt() -> None:
    made = simulate(semiangle_mrad=3.4, thickness_angstrom=60.0)
    truth, patterns = made.sides["truth"], made.data["intensity"].values
    for component in ("e_xx", "e_yy", "e_xy", "theta"):
        assert not truth[component].values.any()
    np.testing.assert_allclose(truth["tilt_x"].values[0], [0, 0.25, 0.5], atol=1e-6)
    # The rim of the window is not quite the same for two places in a cell.
    by_place = np.abs(patterns[0] - patterns[1]).max()
    by_tilt = np.abs(patterns[0, 0] - patterns[0, 2]).max()
    assert by_place < 1e-3 * patterns.max()
    assert by_tilt > 10 * by_place


def test_disks_that_overlap_interfere_so_that_the_place_in_the_cell_shows() -> None:
    patterns = simulate(semiangle_mrad=12.0, tilt_magnitude_deg=(0, 0)).data["intensity"].values[0]
    assert np.abs(patterns[0] - patterns[1]).max() > 0.02 * patterns.max()


@pytest.mark.parametrize("semiangle_mrad", [3.4, 12.0])
def test_a_bullseye_is_cut_out_of_the_probe(semiangle_mrad: float) -> None:
    bullseye, circle = (
        simulate(semiangle_mrad=semiangle_mrad, aperture=aperture, scan_shape=(1, 1)).data["probe"].values
        for aperture in ("bullseye", "circle")
    )
    assert bullseye.sum() == pytest.approx(circle.sum(), rel=1e-5)
    # What is opaque makes the rest brighter, and nothing is outside.
    assert bullseye.max() > 1.2 * circle.max()
    assert bullseye[circle < 1e-6 * circle.max()].max() < 1e-2 * bullseye.max()


@pytest.mark.parametrize("semiangle_mrad", [8.0, 12.0])
def test_the_radius_of_a_bullseye_is_the_semiangle(semiangle_mrad: float) -> None:
    data = simulate(semiangle_mrad=semiangle_mrad, aperture="bullseye", scan_shape=(1, 1)).data
    radius_px = disk_radius(80e3, semiangle_mrad) / float(data["qx"][1] - data["qx"][0])
    # 12.5 and 18.7 px: rings of 1.6 px and more.
    assert measure_disk(data["probe"].values).radius_px == pytest.approx(radius_px, rel=0.02)


def test_a_step_that_may_use_more_threads_uses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transforms of this size take several times as long on two, and round otherwise."""
    import pyfftw

    plan, of_plans, of_torch = pyfftw.FFTW, set[int](), set[int]()

    def noted(*arrays: Any, threads: int, **options: Any) -> Any:
        of_plans.add(threads)
        return plan(*arrays, threads=threads, **options)

    monkeypatch.setattr(pyfftw, "FFTW", noted)
    params = HbnParams(scan_shape=(1, 1), pattern_shape=(32, 32), q_step_inv_angstrom=0.06, thickness_angstrom=7.0)
    before = torch.get_num_threads()

    def progress(done: int, total: int) -> None:
        of_torch.add(torch.get_num_threads())

    Hbn(params).simulate(Context(rng=np.random.default_rng(0), n_threads=2, progress=progress))
    assert of_plans == of_torch == {1}
    assert torch.get_num_threads() == before
