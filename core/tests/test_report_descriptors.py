"""Sections of a report on crops, descriptors and decoded images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ronchi.builtin.motifs import simulate_motifs
from ronchi.report.descriptors import crops_figures, decoded_figures, descriptor_figures
from ronchi.result import StepResult
from ronchi.schema import decoded, descriptors
from ronchi.schema.common import variable


class Album:
    """Draws every figure, and notes its name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str, draw: Callable[[], Any], alt: str, caption: str) -> str:
        draw().draw_without_rendering()
        self.names.append(name)
        return f"{alt}|{caption}"


@pytest.fixture
def album() -> Album:
    return Album()


@pytest.fixture(scope="module")
def made():
    return simulate_motifs(np.random.default_rng(0), n_samples=40, n_frames=2)


def test_what_was_learned_from_crops_is_drawn_on_the_atoms(made, album):
    truth = made.sides["truth"]
    learned = descriptors.make(
        truth["z"].values,
        dims=("sample",),
        angle=truth["angle"].values,
        n_fold=3,
        label=truth["label"].values,
        coords={name: coord.variable for name, coord in made.data.coords.items() if coord.dims == ("sample",)},
        loss=variable("epoch", np.arange(4.0), "1", "loss"),
    )
    means = decoded.make(truth["template"].values, dims=("class", "y", "x"))
    body = descriptor_figures(
        StepResult(step="learn", kind="descriptor_learner", name="rvae", data=learned, sides={"means": means}), album
    )
    wanted = ("z0", "z1", "angle", "classes", "histograms", "training", "means")
    assert album.names == [f"learn-{name}" for name in wanted]
    assert "modulo 120° (3-fold)" in body
    assert "Sizes of the classes" in body
    assert "against the frame" in body


def test_samples_without_a_place_have_distributions_alone(album):
    bare = descriptors.make(np.random.default_rng(0).random((30, 1)), dims=("sample",), label=np.arange(30) % 2)
    descriptor_figures(StepResult(step="learn", kind="descriptor_learner", name="gmm", data=bare), album)
    assert album.names == ["learn-histograms"]
    nothing = descriptors.make(np.full((30, 1), np.nan), dims=("sample",))
    descriptor_figures(StepResult(step="none", kind="descriptor_learner", name="gmm", data=nothing), album)
    assert album.names == ["learn-histograms"]


def test_crops_and_grids(made, album):
    body = crops_figures(StepResult(step="cut", kind="transform", name="crops", data=made.data), album)
    assert "Some of 40 crops" in body
    grid = decoded.make(np.random.default_rng(0).random((2, 3, 5, 5)), dims=("z1", "z0", "y", "x"))
    assert "over the latents z0 and z1" in decoded_figures("grid-images", "grid", grid, album)
    means = decoded.make(np.ones((3, 1, 2)), dims=("class", "y", "x"))
    assert "Values of each descriptor: means" in decoded_figures("means", "means", means, album)
    assert album.names == ["cut-crops", "grid-images", "means"]
