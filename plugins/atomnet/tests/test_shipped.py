"""The weights that come with the plugin: what they find does not depend on scale, angle and contamination."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import ronchi
from ronchi.manager import get_manager
from ronchi.schema import images
from ronchi_atomnet.finder import Atomnet
from ronchi_atomnet.params import AtomnetParams
from ronchi_atomnet.registry import SHIPPED_FOLDER, shipped
from ronchi_atomnet.weights import load_weights


def worst(found: np.ndarray, true: np.ndarray) -> float:
    """Largest distance of a true point from what was found."""
    return float(np.sqrt(((found[:, None] - true) ** 2).sum(-1)).min(0).max())


def test_files_are_those_of_the_index_and_have_a_page():
    for name, entry in shipped().items():
        file = SHIPPED_FOLDER / entry["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
        assert entry["sha256"] in file.with_suffix(".md").read_text()
        assert file.stat().st_size < 20e6
        network = load_weights(name).network
        assert sum(each.numel() for each in network.parameters()) < 1e6


@pytest.mark.parametrize("step", [0.08, 0.2, 0.3, None])
@pytest.mark.parametrize("angle_deg", [0.0, 25.0])
def test_graphene_is_found_whole_at_any_scale_and_angle(draw, honeycomb, ctx, step, angle_deg):
    pixel = step or 0.15  # without a scale, the lattice tells it
    shape = (int(30 / pixel), int(34 / pixel))
    true = honeycomb(1.42 / pixel, shape, angle_deg)
    image = draw(true, shape, 0.42 / pixel, 30.0, 4.0)
    noisy = np.random.default_rng(0).poisson(image)
    found = Atomnet(AtomnetParams()).find(images.make(noisy, step=(step, step) if step else None), ctx)
    points = np.stack([found["y"].values, found["x"].values], 1) / (step or 1)
    inner = ((true > 1 / pixel) & (true < np.array(shape) - 1 / pixel)).all(1)
    assert worst(points, true[inner]) * pixel < 0.25
    inside = ((points > 1 / pixel) & (points < np.array(shape) - 1 / pixel)).all(1)
    assert worst(true, points[inside]) * pixel < 0.25
    # Nearly all are carbon.
    assert found["species"].values.mean() < 0.02


def test_contamination_in_a_corner_hides_nothing_elsewhere(draw, honeycomb, ctx):
    shape = (150, 170)
    true = honeycomb(7.1, shape, 13.0)
    image = draw(true, shape, 2.1, 20.0, 10.0)
    image[110:, 120:] += 300
    noisy = np.random.default_rng(1).poisson(image)
    found = Atomnet(AtomnetParams()).find(images.make(noisy, step=(0.2, 0.2)), ctx)
    points = np.stack([found["y"].values, found["x"].values], 1) / 0.2
    clean = ((true > 5) & (true < np.array(shape) - 5)).all(1) & ~((true > [100, 110]).all(1))
    assert worst(points, true[clean]) < 2.0


def test_holes_stay_empty(draw, honeycomb, ctx):
    shape = (150, 170)
    true = honeycomb(7.1, shape, 40.0)
    kept = true[np.hypot(*(true - [75, 85]).T) > 35]
    noisy = np.random.default_rng(2).poisson(draw(kept, shape, 2.1, 20.0, 3.0))
    found = Atomnet(AtomnetParams()).find(images.make(noisy, step=(0.2, 0.2)), ctx)
    points = np.stack([found["y"].values, found["x"].values], 1) / 0.2
    assert (np.hypot(*(points - [75, 85]).T) < 30).sum() == 0


def test_frames_that_noise_alone_fills_are_named(draw, honeycomb, ctx, caplog):
    shape = (130, 140)
    true = honeycomb(7.1, shape, 20.0)
    frames = np.stack([draw(true[: n * len(true)], shape, 2.1, 5.0, 3.0) for n in (1, 0, 1, 1)])
    noisy = images.make(np.random.default_rng(3).poisson(frames), step=(0.2, 0.2))
    found = Atomnet(AtomnetParams()).find(noisy, ctx)
    assert "in 1 of 4 frames, such as frame 1, most atoms have odds as the network gives them to noise" in caplog.text
    medians = [float(np.median(found["score"].values[found["frame"].values == n])) for n in range(4)]
    assert medians[1] < 0.52
    assert min(medians[0], *medians[2:]) > 0.57
    caplog.clear()
    Atomnet(AtomnetParams()).find(noisy.isel(frame=[0, 2, 3]), ctx)
    assert not caplog.text


def test_both_finders_on_the_shared_movie(shared_data, ctx):
    path = shared_data / "sim" / "graphene_movie.nc"
    part = ronchi.read(path).isel(frame=slice(1), y=slice(160), x=slice(160))
    truth = ronchi.read(path, side="truth")
    inside = (truth["frame"].values == 0) & (truth["y_px"].values < 159.5) & (truth["x_px"].values < 159.5)
    truth = truth.isel(atom=np.flatnonzero(inside))
    metric = get_manager().create("metric", "atoms", {"tolerance_unit": "angstrom", "tolerance": 0.7, "border_px": 2.0})
    figures = {
        name: metric.score(get_manager().create("atom_finder", name, params).find(part, ctx), truth, ctx)
        for name, params in (("log", {"species_above": (2.0,)}), ("atomnet", {}))
    }
    assert figures["log"]["f1"] > 0.99
    assert figures["atomnet"]["f1"] > 0.99
    assert figures["atomnet"]["rms_angstrom"] < figures["log"]["rms_angstrom"] < 0.09
    assert min(each["species_balanced"] for each in figures.values()) == 1
