"""Slopes of the light in disks do not pass for shifts, and where there are none they cost little."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ronchi_disks.disk_model import model_of_probe
from ronchi_disks.likelihood import NOT_REFINED, fit_disks


def test_slopes_do_not_pass_for_shifts(scene: SimpleNamespace) -> None:
    rng = np.random.default_rng(2)
    frames, truth = scene.scan(rng, slope=0.35, counts=20000)
    _, learnt = scene.fit_scan(frames, truth, rng)
    _, ignored = scene.fit_scan(frames, truth, rng, slope=0.0)
    assert np.sqrt((learnt**2).mean()) < 0.03  # px, seed 2; the noise alone is 0.02
    assert np.sqrt((ignored**2).mean()) > 0.1


def test_learning_that_there_are_no_slopes_costs_little(scene: SimpleNamespace) -> None:
    rng = np.random.default_rng(3)
    frames, truth = scene.scan(rng, slope=0.0, n=40)
    _, learnt = scene.fit_scan(frames, truth, np.random.default_rng(4))
    _, told = scene.fit_scan(frames, truth, np.random.default_rng(4), slope=0.0)
    _, free = scene.fit_scan(frames, truth, np.random.default_rng(4), slope=1.0)
    rms = [float(np.sqrt((e**2).mean())) for e in (told, learnt, free)]
    assert rms[1] < 1.08 * rms[0]  # seed 3
    assert rms[2] > 1.25 * rms[0]


@pytest.mark.parametrize("which", ["slope", "background_slope"])
def test_a_spread_next_to_nothing_is_none(scene: SimpleNamespace, which: str) -> None:
    frames, truth = scene.scan(np.random.default_rng(2), slope=0.3, n=1)
    none, _ = scene.fit_scan(frames, truth, np.random.default_rng(4), **{which: 0.0})
    least, _ = scene.fit_scan(frames, truth, np.random.default_rng(4), **{which: 1e-200})
    assert not (none.flags & NOT_REFINED).any()
    np.testing.assert_array_equal(least.y, none.y)


def test_a_pixel_that_is_no_number_leaves_the_slopes_of_other_disks_alone(scene: SimpleNamespace) -> None:
    """Also where only the second look at a disk, from another pixel, has it in its window."""
    frames, truth = scene.scan(np.random.default_rng(2), slope=0.35, n=1, counts=20000)
    frames = frames.astype(np.float32)
    good, _ = scene.fit_scan(frames, truth, np.random.default_rng(1))
    row, column = np.rint(truth[0, 5]).astype(int)
    for dy, dx in np.argwhere(np.abs(np.hypot(*np.mgrid[-9:10, -9:10]) - 8) < 0.8) - 9:
        spoilt = frames.copy()
        spoilt[0, row + dy, column + dx] = np.nan
        found, _ = scene.fit_scan(spoilt, truth, np.random.default_rng(1))
        assert np.abs(np.delete(found.y - good.y, 5)).max() < 0.05  # px; 0.4 without slopes


@pytest.mark.parametrize("radius", [12.0, 20.0])
def test_a_start_that_a_slope_has_moved_is_near_enough_for_a_large_disk(scene: SimpleNamespace, radius: float) -> None:
    size = int(2 * radius) + 21
    truth = np.array([[size / 2 + 0.2, size / 2 - 0.4]])
    # A correlation puts a disk of a slope s at s R / 4 from its place.
    start = truth + 0.15 * radius
    frames = 500 * scene.disk((size, size), truth[0], radius, slope=(0.6, 0.6))[None]
    fits = scene.one_each(frames, start, radius)
    assert fits.flags[0] & NOT_REFINED == 0
    assert np.abs(scene.error_of(fits, truth)).max() < 0.03  # px


def test_structured_disks_converge(scene: SimpleNamespace) -> None:
    """Bright, steep disks with a structure that the model has not: full Fisher steps swing on a fifth of them."""
    rng = np.random.default_rng(14)
    truth = 12 + rng.uniform(-0.5, 0.5, (300, 2))
    shapes = []
    for centre, slope in zip(truth, rng.normal(0, 0.5, truth.shape), strict=True):
        dy, dx = np.arange(25)[:, None] - centre[0], np.arange(25)[None, :] - centre[1]
        saddle = 1 + 0.6 * (dy**2 - dx**2) / 2.1**2
        shapes.append((scene.disk((25, 25), centre, 2.1, 0.2, slope) * saddle).clip(0))
    frames = rng.poisson(500 * np.stack(shapes) + 0.02).astype(np.uint16)
    fits = scene.one_each(frames, truth + rng.uniform(-0.4, 0.4, truth.shape), 2.1, 0.2, slope=0.5)
    assert (fits.flags & NOT_REFINED != 0).mean() < 0.01  # seed 14
    assert np.sqrt((scene.error_of(fits, truth) ** 2).mean()) < 0.2  # px


@pytest.fixture(scope="module")
def shared() -> Path:
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder


def test_multislice_disks_lie_on_the_lattice(scene: SimpleNamespace, shared: Path) -> None:
    """Dynamical disks of an unstrained, tilted crystal: their slopes move a slope-free fit far off the lattice."""
    import xarray as xr

    path = shared / "sim" / "sige_tilt.nc"
    with xr.open_dataset(path) as ds, xr.open_dataset(path, group="truth") as truth:
        where = np.argwhere((truth.is_substrate.values > 0) & (truth.dist_interface.values > 20))
        frames = ds.intensity.values[tuple(where.T)]
        step, a = float(ds.qx[1] - ds.qx[0]), truth.attrs["substrate_a_angstrom"]
        model = model_of_probe(ds.probe.values, 2.2, (48.0, 48.0))
    g = np.array([[np.sqrt(2) / a, 1 / a], [-np.sqrt(2) / a, 1 / a]]) / step
    sites = np.array([(h, k) for h in range(-4, 5) for k in range(-4, 5)]) @ g + 48
    sites = sites[(np.abs(sites - 48) < 40).all(1)]
    y, x = np.tile(sites + 0.3, (len(frames), 1)).T
    rms = {}
    for slope in (None, 0.0):
        fits = fit_disks(frames, np.full(len(frames), len(sites)), y, x, model, slope=slope)
        bright = fits.intensity > 500
        error = scene.error_of(fits, np.tile(sites, (len(frames), 1)))[bright]
        rms[slope] = float(np.sqrt((error**2).mean()))
    assert len(error) > 100
    assert rms[None] < 0.08  # px
    assert rms[None] < 0.6 * rms[0.0]
