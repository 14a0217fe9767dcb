"""Ideal movies to learn from, made by a simulator that is called by its name, and kept beside what is learned."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi_atomnet.train_params import TrainParams
from ronchi_torch.checkpoint import fingerprint

__all__ = ["FINER", "IdealFrame", "ideal_frames"]

FINER = 0.6
"""Pixel of the ideal frames over the network's, so that turning them blurs nothing."""


@dataclass(frozen=True)
class IdealFrame:
    """A frame without noise, contamination and distortion.

    Parameters
    ----------
    image : (rows, columns) float32
        In maxima of carbon.
    points : (n, 2) float64
        Atoms (y, x) in px.
    species : (n,) int64
    """

    image: NDArray[np.float32]
    points: NDArray[np.float64]
    species: NDArray[np.int64]


def ideal_frames(
    p: TrainParams, folder: Path, create: Callable[..., Any], seed: int, count: int, log: logging.Logger
) -> list[IdealFrame]:
    """Simulate movies, or read those that an earlier call has left in the folder.

    Raises
    ------
    DataError
        The simulator gives no true atoms, or species that are not in ``p.classes``; a movie in the folder is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A movie of other parameters must not be taken for one of these.
    told = p.model_dump_json(include={"simulator", "simulator_params", "frames", "frame_px", "pixel_angstrom"})
    identity = fingerprint(told, str(seed))[:16]
    made = []
    for number in range(count):
        path = folder / f"{identity}-{number}.npz"
        if not path.exists():
            log.info("simulating movie %d of %d", number + 1, count)
            _simulate(p, path, create, np.random.default_rng([seed, number]))
        made += _read(path)
    most = max((int(frame.species.max()) for frame in made if len(frame.species)), default=0)
    if most >= len(p.classes):
        what = f"the simulator {p.simulator!r} gives {most + 1} species, of which {len(p.classes)} have names"
        raise DataError(what, where="classes", fix="name every species of it")
    return made


def _simulate(p: TrainParams, path: Path, create: Callable[..., Any], rng: np.random.Generator) -> None:
    params = {**(_graphene(p, rng) if p.simulator == "graphene-movie" else {}), **p.simulator_params}
    result = create("simulator", p.simulator, params).simulate(Context(rng=rng))
    truth = result.sides.get("truth")
    if truth is None or "species" not in truth:
        raise DataError(f"the simulator {p.simulator!r} gives no true atoms", where="simulator")
    start, second = (np.array([float(result.data[dim][i]) for dim in ("y", "x")]) for i in (0, 1))
    step = second - start
    points = np.stack([truth[dim].values.astype(np.float64) for dim in ("y", "x")], 1)
    if truth["y"].attrs.get("units") == "angstrom":
        points = (points - start) / step
    # A partial file must not be taken for a whole one, nor for that of another process of the same training.
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        np.savez(
            file,
            image=result.data["intensity"].values.astype(np.float32),
            frame=truth["frame"].values.astype(np.int64),
            points=points,
            species=truth["species"].values.astype(np.int64),
        )
    partial.replace(path)


def _read(path: Path) -> list[IdealFrame]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            images, frame, points, species = (held[name] for name in ("image", "frame", "points", "species"))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        what, fix = f"the movie is damaged: {error}", "remove it, and it is simulated again"
        raise DataError(what, where=str(path), fix=fix) from error
    return [IdealFrame(image, points[frame == number], species[frame == number]) for number, image in enumerate(images)]


def _graphene(p: TrainParams, rng: np.random.Generator) -> dict[str, Any]:
    """Another sheet, probe and contrast for every movie."""
    tails = rng.uniform(0, 0.4)
    return {
        "n_frames": p.frames,
        "image_shape": [p.frame_px, p.frame_px],
        "step_angstrom": FINER * p.pixel_angstrom,
        "grain_angles_deg": rng.uniform(0, 60, rng.integers(1, 4)).tolist(),
        "n_holes": int(rng.integers(0, 4)),
        "hole_radius_angstrom": float(rng.uniform(3, 9)),
        "n_silicon": int(rng.integers(10, 40)),
        "edge_loss": 0.15,
        "vacancies_per_1000": 3.0,
        "silicon_hop": 1.0,
        "drift_px": [0.0, 0.0],
        "drift_walk_px": 0.0,
        "line_jitter_px": 0.0,
        "probe_sigma_angstrom": float(rng.uniform(0.28, 0.48)),
        "tail_fraction": float(tails),
        "tail_sigma_angstrom": float(rng.uniform(1.0, 2.0)),
        "contrast_exponent": float(rng.uniform(1.3, 1.9)),
        "contamination": 0.0,
        "carbon_counts": 1.0,
        "background_counts": 0.0,
        "noise": False,
    }
