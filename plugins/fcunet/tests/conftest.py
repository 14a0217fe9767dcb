"""A library of analytic disks, small enough to learn from in seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ronchi
from ronchi.api import Context
from ronchi.schema import library
from ronchi_fcunet.train_params import NetworkParams, TrainParams

SIDE, STEP = 48, 0.05


def disk(centre: tuple[float, float], radius: float, side: int = SIDE) -> np.ndarray:
    """Soft disk of height 1."""
    y, x = np.mgrid[:side, :side]
    return 1 / (1 + np.exp(np.clip((np.hypot(y - centre[0], x - centre[1]) - radius) / 0.35, -50, 50)))


def make_library(
    folder: Path,
    runs: int = 6,
    split: tuple[str, ...] = ("train", "train", "validation"),
    prototypes: tuple[str, ...] = ("P0", "P1", "P2"),
    seed: int = 0,
) -> Path:
    """Square lattices turned by any angle; strengths fall with the distance from the middle."""
    rng = np.random.default_rng(seed)
    intensity = np.zeros((runs, 1, 2, SIDE, SIDE), np.float32)
    labels, points = np.zeros((runs, SIDE, SIDE), np.float32), []
    radius = 3.0
    for run in range(runs):
        angle = rng.uniform(0, np.pi / 2)
        a = 11 * np.array([np.sin(angle), np.cos(angle)])
        b = np.array([-a[1], a[0]])
        hk = np.array([(h, k) for h in range(-3, 4) for k in range(-3, 4)])
        q = hk @ np.stack([a, b])
        strength = np.exp(-((np.hypot(*q.T) / 18) ** 2))
        for (y, x), s in zip(q + SIDE // 2, strength, strict=True):
            intensity[run, 0] += s * disk((y, x), radius).astype(np.float32)
            labels[run] += s * np.exp(-((np.mgrid[:SIDE, :SIDE][0] - y) ** 2 + (np.mgrid[:SIDE, :SIDE][1] - x) ** 2))
        points.append((hk, q * STEP, strength))
    intensity /= intensity.sum((-2, -1), keepdims=True)
    counts = [len(hk) for hk, _, _ in points]
    zeros = np.zeros(sum(counts))
    made = library.make(
        intensity=intensity,
        probe=np.broadcast_to(disk((SIDE // 2, SIDE // 2), radius).astype(np.float32), (runs, 1, SIDE, SIDE)) / 30,
        structure_factor=labels,
        n_reflections=counts,
        reflections={
            "reflection_qy": np.concatenate([q[:, 0] for _, q, _ in points]),
            "reflection_qx": np.concatenate([q[:, 1] for _, q, _ in points]),
            "h": np.concatenate([hk[:, 0] for hk, _, _ in points]),
            "k": np.concatenate([hk[:, 1] for hk, _, _ in points]),
            "l": zeros.astype(int),
            "amplitude": np.concatenate([s for _, _, s in points]),
            "excitation_error": zeros,
        },
        runs={
            "prototype": np.array([prototypes[i % len(split)] for i in range(runs)]),
            "formula": np.array(["X"] * runs),
            "split": np.array([split[i % len(split)] for i in range(runs)]),
            "beam_energy_eV": np.full(runs, 2e5),
        },
        semiangle_mrad=np.full((runs, 1), 2.0),
        thickness=[20.0, 40.0],
        q_step=STEP,
    )
    path = folder / "library.zarr"
    ronchi.write(made, path)
    return path


class Plain:
    """Augments by nothing but counts."""

    def augment_batch(self, batch: Mapping[str, Any], seeds: list[int]) -> dict[str, Any]:
        """Poisson noise at 1e5 electrons."""
        expected = np.asarray(batch["pattern"]) * 1e5
        noisy = [np.random.default_rng(seed).poisson(frame) for seed, frame in zip(seeds, expected, strict=True)]
        images = {name: torch.from_numpy(np.asarray(batch[name])) for name in ("probe", "label", "peaks")}
        bad = torch.zeros(expected.shape, dtype=torch.bool)
        return {**images, "pattern": torch.from_numpy(np.stack(noisy).astype(np.float32)), "bad_pixel": bad}


@pytest.fixture
def small_library(tmp_path: Path) -> Path:
    """Six runs of two thicknesses: eight samples to learn from, four to judge by."""
    return make_library(tmp_path)


@pytest.fixture
def plain() -> Plain:
    """An augmentation that only counts."""
    return Plain()


@pytest.fixture
def library_maker() -> Any:
    """`make_library`, for other splits."""
    return make_library


@pytest.fixture
def params(small_library: Path) -> Callable[..., TrainParams]:
    """Six steps of a compact network on the small library, without half precision; all may be said otherwise."""
    usual = {
        "network": NetworkParams(kind="compact", widths=(8, 16, 16), blocks=1, attention=1),
        "steps": 6, "batch": 4, "validate_every": 3, "validation_batches": 1, "half": False,
        "warm_up": 2, "workers": 0, "checkpoint_s": 1e6,
    }  # fmt: skip
    return lambda **changes: TrainParams(library=small_library, **{**usual, **changes})


@pytest.fixture
def context() -> Callable[..., Context]:
    """Of seed 0, with whatever is to be called at each step."""

    def make(progress: Callable[[int, int], None] = lambda done, total: None) -> Context:
        return Context(rng=np.random.default_rng(0), progress=progress, log=logging.getLogger("test"))

    return make
