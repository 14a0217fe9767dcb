"""The seeded search looks where a lattice says, and only there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ronchi.api import DataError
from ronchi_crosscorr.seeded import find_lattice, lattice_sites

SHAPE = (128, 120)
LATTICE = np.array([[63.2, 60.7], [21.0, 3.5], [-4.0, 22.0]])


def pattern(scene: SimpleNamespace, counts: float, shift: tuple[float, float] = (0.0, 0.0)) -> tuple[Any, Any]:
    sites = lattice_sites(LATTICE, SHAPE, 7.0) + shift
    return sites, scene.disks(SHAPE, sites, 5.0, counts, 0.2)


@pytest.mark.parametrize("known", [True, False])
def test_shifted_disks_are_found_on_a_given_or_found_lattice(scene: SimpleNamespace, known: bool) -> None:
    sites, clean = pattern(scene, 3000.0, (1.3, -0.9))
    _, mean = pattern(scene, 1e5)
    given = {"origin": tuple(LATTICE[0]), "g1": tuple(LATTICE[1]), "g2": tuple(LATTICE[2])} if known else {}
    detector = scene.make_detector(
        SHAPE, scene.probe(SHAPE, 5.0), mean_pattern=mean.astype(np.float32), search="seeded", **given
    )
    frames = np.random.default_rng(0).poisson(clean, (5, *SHAPE)).astype(np.uint16)
    batch = detector.detect(frames)
    assert (batch.counts == len(sites)).all()
    found = np.stack([batch.qy_px, batch.qx_px], 1)
    distance = np.hypot(*(found[:, None] - sites[None]).transpose(2, 0, 1)).min(1)
    assert np.sqrt((distance**2).mean()) < 0.12


def test_a_disk_off_the_lattice_is_not_taken(scene: SimpleNamespace) -> None:
    sites, clean = pattern(scene, 3000.0)
    stray = (LATTICE[0] + 0.5 * LATTICE[1] + 0.5 * LATTICE[2])[None]
    frame = np.random.default_rng(1).poisson(clean + scene.disks(SHAPE, stray, 5.0, 5000.0))
    lattice = {"origin": tuple(LATTICE[0]), "g1": tuple(LATTICE[1]), "g2": tuple(LATTICE[2])}
    blind = scene.make_detector(SHAPE, scene.probe(SHAPE, 5.0)).detect(frame[None])
    seeded = scene.make_detector(SHAPE, scene.probe(SHAPE, 5.0), search="seeded", **lattice).detect(frame[None])
    assert blind.counts[0] == len(sites) + 1
    assert seeded.counts[0] == len(sites)


@pytest.mark.parametrize(("limit", "n"), [({"min_relative": 0.5}, 12), ({"max_peaks": 5}, 5), ({}, 25)])
def test_limits_of_a_pattern_hold_for_all_its_windows_together(scene: SimpleNamespace, limit: Any, n: int) -> None:
    sites = lattice_sites(LATTICE, SHAPE, 7.0)
    counts = np.where(np.arange(len(sites)) % 2, 5000.0, 500.0)
    frames = np.random.default_rng(3).poisson(scene.disks(SHAPE, sites, 5.0, counts, 0.2), (3, *SHAPE))
    lattice = {"origin": tuple(LATTICE[0]), "g1": tuple(LATTICE[1]), "g2": tuple(LATTICE[2])}
    detector = scene.make_detector(SHAPE, scene.probe(SHAPE, 5.0), search="seeded", **lattice, **limit)
    batch = detector.detect(frames)
    assert (batch.counts == n).all()
    if n < 25:
        assert (batch.intensity > 2000).all()
    told = detector.explain(frames)
    assert (told["reason"] == 0).sum() == batch.counts.sum()


def test_a_brighter_disk_in_the_corner_of_a_window_hides_none(scene: SimpleNamespace) -> None:
    lattice = {"origin": (64.0, 60.0), "g1": (40.0, 0.0), "g2": (0.0, 40.0)}
    sites = lattice_sites(np.array([*lattice.values()]), SHAPE, 7.0)
    stray = scene.disks(SHAPE, sites + 12.0, 5.0, 6000.0)
    frames = np.random.default_rng(4).poisson(scene.disks(SHAPE, sites, 5.0, 3000.0, 0.1) + stray, (3, *SHAPE))
    detector = scene.make_detector(SHAPE, scene.probe(SHAPE, 5.0), search="seeded", capture=3.0, **lattice)
    batch = detector.detect(frames)
    assert (batch.counts == len(sites)).all()
    assert (batch.intensity < 4500).all()


def test_known_sites_allow_a_lower_threshold(scene: SimpleNamespace) -> None:
    sites, clean = pattern(scene, 28.0)
    frames = np.random.default_rng(2).poisson(clean, (20, *SHAPE)).astype(np.uint8)
    lattice = {"origin": tuple(LATTICE[0]), "g1": tuple(LATTICE[1]), "g2": tuple(LATTICE[2])}
    probe = scene.probe(SHAPE, 5.0)
    blind = scene.make_detector(SHAPE, probe).detect(frames)
    seeded = scene.make_detector(SHAPE, probe, search="seeded", min_snr=3.0, capture=0.5, **lattice).detect(frames)
    assert blind.counts.sum() < 0.4 * 20 * len(sites)
    assert seeded.counts.sum() > 0.8 * 20 * len(sites)


def test_lattice_is_found_from_noisy_positions_with_holes() -> None:
    rng = np.random.default_rng(3)
    sites = lattice_sites(LATTICE, SHAPE, 7.0)
    kept = sites[rng.random(len(sites)) < 0.8] + rng.normal(0, 0.05, 2)
    lattice = find_lattice(kept[:, 0], kept[:, 1], (64.0, 60.0))
    assert abs(abs(np.linalg.det(lattice[1:])) / abs(np.linalg.det(LATTICE[1:])) - 1) < 0.01
    index = (sites - lattice[0]) @ np.linalg.inv(lattice[1:])
    assert np.abs(index - np.rint(index)).max() < 0.03


@pytest.mark.parametrize("where", [(0.35, 0.1), (0.5, 0.0), (0.02, 0.4)])
@pytest.mark.parametrize("cell", [(0, 0), (1, -1)])
def test_a_stray_disk_of_the_mean_pattern_does_not_make_the_lattice(
    where: tuple[float, float], cell: tuple[int, int]
) -> None:
    sites = lattice_sites(LATTICE, SHAPE, 7.0)
    stray = LATTICE[0] + (np.array(cell) + where) @ LATTICE[1:]
    y, x = np.concatenate([[stray], sites]).T
    lattice = find_lattice(y, x, tuple(stray))
    assert abs(abs(np.linalg.det(lattice[1:])) / abs(np.linalg.det(LATTICE[1:])) - 1) < 1e-6
    index = (sites - lattice[0]) @ np.linalg.inv(lattice[1:])
    assert np.abs(index - np.rint(index)).max() < 1e-6


def test_a_lattice_is_found_from_one_long_row_and_a_few_disks_beside_it() -> None:
    row = LATTICE[0] + np.arange(-7, 8)[:, None] * LATTICE[1]
    lattice = find_lattice(*np.concatenate([row, row[6:9] + LATTICE[2]]).T, tuple(LATTICE[0]))
    assert abs(abs(np.linalg.det(lattice[1:])) / abs(np.linalg.det(LATTICE[1:])) - 1) < 1e-6


@pytest.mark.parametrize("other", [LATTICE[2] + 40 * LATTICE[1], -LATTICE[2] - 3 * LATTICE[1]])
@pytest.mark.parametrize("steps", [0, 200])
def test_sites_do_not_depend_on_the_vectors_that_span_the_lattice(other: Any, steps: int) -> None:
    expected = lattice_sites(LATTICE, SHAPE, 7.0)
    found = lattice_sites(np.stack([LATTICE[0] + steps * LATTICE[1], LATTICE[1], other]), SHAPE, 7.0)
    assert len(found) == len(expected)
    assert np.hypot(*(found[:, None] - expected).transpose(2, 0, 1)).min(1).max() < 1e-6


def test_lattices_that_cannot_be_are_refused(scene: SimpleNamespace) -> None:
    with pytest.raises(DataError, match="do not make a lattice"):
        find_lattice(np.array([1.0, 2.0]), np.array([1.0, 2.0]), (0.0, 0.0))
    with pytest.raises(DataError, match="in a row"):
        find_lattice(np.array([10.0, 20.0, 30.0]), np.array([5.0, 5.0, 5.0]), (0.0, 0.0))
    with pytest.raises(DataError, match="needs a lattice"):
        scene.make_detector(SHAPE, scene.probe(SHAPE, 5.0), search="seeded")
    with pytest.raises(DataError, match=r"0.25 px apart.*radius"):
        scene.make_detector(
            SHAPE, scene.probe(SHAPE, 5.0), search="seeded", origin=(0.0, 0.0), g1=(0.25, 0.0), g2=(3.0, 0.26)
        )
    with pytest.raises(DataError, match="no site"):
        scene.make_detector(
            SHAPE, scene.probe(SHAPE, 5.0), search="seeded", origin=(500.3, 0.0), g1=(900.0, 0.0), g2=(0.0, 900.0)
        )


def test_nan_is_refused_naming_the_frame(scene: SimpleNamespace) -> None:
    lattice = {"origin": tuple(LATTICE[0]), "g1": tuple(LATTICE[1]), "g2": tuple(LATTICE[2])}
    frames = np.ones((4, *SHAPE), np.float32)
    frames[2, 60, 60] = np.nan
    with pytest.raises(DataError, match="frame 2"):
        scene.make_detector(SHAPE, scene.probe(SHAPE, 5.0), search="seeded", **lattice).detect(frames)


def test_masked_sites_are_left_out(scene: SimpleNamespace) -> None:
    sites, clean = pattern(scene, 3000.0)
    bad = np.zeros(SHAPE, bool)
    bad[:50, :40] = True
    lattice = {"origin": tuple(LATTICE[0]), "g1": tuple(LATTICE[1]), "g2": tuple(LATTICE[2])}
    frame = np.where(bad, np.nan, np.random.default_rng(4).poisson(clean))
    batch = scene.make_detector(SHAPE, scene.probe(SHAPE, 5.0), bad_pixel=bad, search="seeded", **lattice).detect(
        frame[None]
    )
    clear = (sites[:, 0] > 56) | (sites[:, 1] > 46)
    assert clear.sum() <= batch.counts[0] < len(sites)
