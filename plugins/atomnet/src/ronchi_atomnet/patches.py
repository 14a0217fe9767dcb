"""Patches to learn from: ideal frames turned, flipped, scaled, distorted, contaminated and recorded with noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates, zoom

from ronchi_atomnet.movies import FINER, IdealFrame
from ronchi_atomnet.scaling import normalise
from ronchi_atomnet.train_params import LooksParams, TrainParams

__all__ = ["Patch", "draw_patch", "odds"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Patch:
    """An image as the network gets it, and the atoms in it.

    Parameters
    ----------
    image : (size, size) float32
    points : (n, 2) float64
        Atoms (y, x) in px, those just beside the patch as well.
    species : (n,) int64
    """

    image: NDArray[np.float32]
    points: Array
    species: NDArray[np.int64]


def draw_patch(frames: Sequence[IdealFrame], p: TrainParams, rng: np.random.Generator) -> Patch:
    """A patch of any of the frames, at any place and angle.

    Everything up to the noise happens on the pixels that are recorded, which may be coarser than the network's: noise
    is then as smooth as that of images which were made finer.
    """
    looks, size = p.looks, p.patch_px
    frame = frames[int(rng.integers(len(frames)))]
    coarser = rng.uniform(1, looks.coarser) if rng.random() < 0.4 else 1.0
    n = max(16, round((size - 1) / coarser) + 1)
    pitch = (size - 1) / (n - 1)
    matrix = _affine(looks, rng)
    # Half of the extent along each axis of the frame, of which the patch shall show nothing from beyond.
    half = np.abs(matrix).sum(1) * size / 2
    shape = np.array(frame.image.shape)
    centre = rng.uniform(np.minimum(half, shape / 2 - 1), np.maximum(shape - half, shape / 2 + 1))
    grid = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij")) * pitch
    jitter = rng.uniform(0, looks.line_jitter_px) * rng.standard_normal((2, n, 1)) * pitch
    at = centre[:, None] + matrix @ ((grid + jitter - (size - 1) / 2).reshape(2, -1))
    signal = map_coordinates(frame.image, at, order=1, mode="nearest").astype(np.float64).reshape(n, n)
    points = np.linalg.solve(matrix, (frame.points - centre).T).T + (size - 1) / 2
    near = ((points > -6) & (points < size + 5)).all(1)
    image = _recorded(signal, looks, pitch, rng)
    if n != size:
        image = affine_transform(
            image, np.full(2, 1 / pitch), output_shape=(size, size), order=int(rng.choice((1, 3))), mode="nearest"
        )
    normal = normalise(image) * np.exp(rng.uniform(*np.log(looks.gain))) + rng.uniform(-looks.offset, looks.offset)
    return Patch(normal.astype(np.float32), points[near], frame.species[near])


def odds(patch: Patch, p: TrainParams) -> NDArray[np.float32]:
    """Odds (1 + species, size, size) of each class, the background first: Gaussians of which the highest counts."""
    size, sigma = p.patch_px, p.target_sigma_px
    made = np.zeros((1 + len(p.classes), size, size), np.float32)
    reach = int(np.ceil(3 * sigma))
    for (y, x), species in zip(patch.points, patch.species, strict=True):
        rows = np.arange(max(0, round(y) - reach), min(size, round(y) + reach + 1))
        columns = np.arange(max(0, round(x) - reach), min(size, round(x) + reach + 1))
        if len(rows) and len(columns):
            spot = np.exp(-0.5 * ((rows[:, None] - y) ** 2 + (columns - x) ** 2) / sigma**2)
            part = made[1 + species, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            np.maximum(part, spot, out=part)
    total = made.sum(0)
    made /= np.maximum(total, 1)
    made[0] = 1 - np.minimum(total, 1)
    return made


def _affine(looks: LooksParams, rng: np.random.Generator) -> Array:
    """From px of the patch to px of the ideal frame, both (y, x)."""
    angle, scale = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(*np.log(looks.scale)))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    flip = np.diag([1.0, rng.choice((-1.0, 1.0))])
    distortion = np.eye(2) + looks.shear * np.clip(rng.standard_normal((2, 2)), -2, 2)
    made: Array = turn @ flip @ distortion * scale / FINER
    return made


def _recorded(signal: Array, looks: LooksParams, pitch: float, rng: np.random.Generator) -> Array:
    """What a microscope makes of an ideal signal (n, n), in maxima of carbon; a px is ``pitch`` of the network's."""
    signal = gaussian_filter(signal, rng.uniform(0, looks.blur_px) / pitch, mode="nearest")
    # Blur and tails lower the maxima, which the dose is told by.
    signal = signal / max(float(np.quantile(signal, 0.97)), 0.3)
    if rng.random() < 0.6:
        signal = signal + _contamination(signal.shape[0], looks, rng)
    signal = signal + np.exp(rng.uniform(*np.log(looks.dark)))
    dose = np.exp(rng.uniform(*np.log(looks.dose))) * pitch**2
    image = rng.poisson(np.clip(dose * signal, 0, None)) / dose
    if rng.random() < 0.5:
        image = image + rng.uniform(0, looks.camera_noise) * rng.standard_normal(image.shape)
    if rng.random() < 0.4:
        image = gaussian_filter(image, rng.uniform(0, looks.smoothing_px), mode="nearest")
    if rng.random() < 0.5:
        low, high = np.quantile(image, (0.001, 0.999))
        part = np.clip((image - low) / max(high - low, 1e-9), 0, 1.5)
        image = part ** np.exp(rng.uniform(*np.log(looks.gamma)))
    return np.asarray(image, np.float64)


def _contamination(n: int, looks: LooksParams, rng: np.random.Generator) -> Array:
    """Brightness (n, n) of patches with uneven surfaces, or of a slope."""
    smooth = _field(n, rng.uniform(0.15, 0.6) * n, rng)
    uneven = _field(n, rng.uniform(2.0, 6.0), rng)
    level = np.quantile(smooth, rng.uniform(0, 0.9))
    above = np.clip(smooth - level, 0, None)
    above /= max(float(above.max()), 1e-9)
    # Most of it is thin.
    thickest = looks.contamination * rng.uniform() ** 2
    made: Array = thickest * above * np.clip(1 + rng.uniform(0, 0.4) * uneven, 0, None)
    return made


def _field(n: int, length: float, rng: np.random.Generator) -> Array:
    """Random numbers (n, n) of variance 1 that change over a length in px."""
    nodes = max(2, int(np.ceil(n / length))) + 3
    field = zoom(rng.standard_normal((nodes, nodes)), (n + 2 * length) / nodes, order=3, mode="nearest", grid_mode=True)
    start = (field.shape[0] - n) // 2
    field = field[start : start + n, start : start + n]
    spread = float(field.std())
    return np.asarray((field - field.mean()) / (spread if spread > 0 else 1.0))
