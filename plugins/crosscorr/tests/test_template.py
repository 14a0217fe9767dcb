"""What disks look like: from a probe wherever it is in its frame, the mean pattern, a radius, or the calibration."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ronchi.api import Context, DataError, Geometry


@pytest.mark.parametrize("centre", [(64.0, 64.0), (63.6, 64.3), (20.2, 90.7)])
def test_place_of_the_probe_in_its_frame_does_not_shift_the_answer(
    scene: SimpleNamespace, centre: tuple[float, float]
) -> None:
    shape = (128, 128)
    sites = scene.lattice(shape, 21.0, 9)
    frame = scene.disks(shape, sites, 5.0, 1e6, background=0.5)
    batch = scene.make_detector(shape, scene.probe(shape, 5.0, centre)).detect(frame[None])
    error, missed, false = scene.pair(scene.positions(batch), sites)
    assert (missed, false) == (0, 0)
    assert np.abs(error.mean(0)).max() < 0.02


@pytest.mark.parametrize("template", ["measured", "disk", "edge", "radial-gradient"])
@pytest.mark.parametrize("high_pass", [0.0, 3.0])
def test_every_template_finds_the_disks_where_they_are(scene: SimpleNamespace, template: str, high_pass: float) -> None:
    shape, rng = (128, 127), np.random.default_rng(10)
    sites = scene.lattice(shape, 21.0, 10)
    frame = rng.poisson(scene.disks(shape, sites, 5.0, 1e4, 0.1))
    detector = scene.make_detector(shape, scene.probe(shape, 5.0), template=template, high_pass=high_pass)
    error, missed, false = scene.pair(scene.positions(detector.detect(frame[None])), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.15


def test_without_a_probe_the_radius_comes_from_the_mean_pattern(scene: SimpleNamespace) -> None:
    shape, rng = (128, 128), np.random.default_rng(12)
    sites = scene.lattice(shape, 21.0, 9)
    counts = np.where(np.hypot(*(sites - 64).T) < 5, 1e5, 3e3)
    clean = scene.disks(shape, sites, 5.0, counts, 0.1)
    detector = scene.make_detector(shape, mean_pattern=clean.astype(np.float32))
    assert abs(detector.shape.radius_px - 5.0) < 0.2
    error, missed, false = scene.pair(scene.positions(detector.detect(rng.poisson(clean)[None])), sites)
    assert (missed, false) == (0, 0)
    assert np.sqrt((error**2).sum(1).mean()) < 0.2


def test_calibration_alone_gives_the_radius(scene: SimpleNamespace) -> None:
    geometry = Geometry(
        shape=(96, 96), centre_px=(48, 48), q_step=(0.0315, 0.0315), q_units="1/angstrom",
        beam_energy_eV=200e3, semiangle_mrad=1.7,
    )  # fmt: skip
    detector = scene.make_detector((96, 96), scene.probe((96, 96), 3.0))
    detector.prepare(geometry, None, Context(rng=np.random.default_rng(0)))
    assert abs(detector.shape.radius_px - 2.15) < 0.02


def test_unknown_or_impossible_radius_is_refused(scene: SimpleNamespace) -> None:
    with pytest.raises(DataError, match="size of the disks is unknown"):
        scene.make_detector((64, 64))
    with pytest.raises(DataError, match="does not fit"):
        scene.make_detector((64, 64), probe_radius_px=40.0)
    with pytest.raises(DataError, match="constant"):
        scene.make_detector((64, 64), np.ones((64, 64), np.float32))
    with pytest.raises(DataError, match="measured"):
        scene.make_detector((64, 64), template="measured", probe_radius_px=4.0)
