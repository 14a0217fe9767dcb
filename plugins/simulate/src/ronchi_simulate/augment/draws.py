"""What is drawn for a sample: every number from its own seed, so that neither the batch nor other effects matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.params.augment import AugmentParams

__all__ = ["Draws", "draw", "draw_jitter", "draw_pixels"]

Array = NDArray[np.float64]

_COLUMNS = (
    "scale", "ratio", "direction", "shift_y", "shift_x", "plasmon_weight", "plasmon_width",
    *(f"ring_{what}_{n}" for n in range(4) for what in ("weight", "radius", "width")),
    "mtf", "dose", "gap_y", "gap_y_at", "gap_y_width", "gap_x", "gap_x_at", "gap_x_width",
    "stop", "stop_radius", "stop_direction", "hot_fraction", "dead_fraction", "probe_scale", "probe_blur",
)  # fmt: skip
"""One uniform number each; new ones go to the end, or every sample changes."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Values of n samples, neutral where an effect is switched off; positions are (y, x).

    Parameters
    ----------
    matrix : (n, 2, 2)
        Linear part of the map of positions about the centre: scale times ellipse.
    shift_px : (n, 2)
    plasmon_weight, plasmon_width : (n,)
        Width in 1/angstrom.
    ring_weight, ring_radius, ring_width : (n, rings)
        Radius and width in 1/angstrom.
    mtf_sigma_px : (n,)
    dose_e : (n,)
        NaN where the patterns stay expectations.
    gap_at, gap_width_px : (n, 2)
        First row and column of the gap as a part of the axis, and its width; 0 without one.
    stop_radius, stop_direction : (n,)
        In 1/angstrom, 0 without one, and in rad from x towards y.
    hot_fraction, dead_fraction : (n,)
    probe_scale, probe_blur_px : (n,)
    """

    matrix: Array
    shift_px: Array
    plasmon_weight: Array
    plasmon_width: Array
    ring_weight: Array
    ring_radius: Array
    ring_width: Array
    mtf_sigma_px: Array
    dose_e: Array
    gap_at: Array
    gap_width_px: Array
    stop_radius: Array
    stop_direction: Array
    hot_fraction: Array
    dead_fraction: Array
    probe_scale: Array
    probe_blur_px: Array

    def repeat(self, n: int) -> Draws:
        """The first sample's values, ``n`` times: one instrument for many patterns."""
        return Draws(**{f.name: np.repeat(getattr(self, f.name)[:1], n, axis=0) for f in fields(self)})


def draw(p: AugmentParams, seeds: Sequence[int]) -> Draws:
    """Draw one instrument a sample.

    Parameters
    ----------
    p : AugmentParams
    seeds : sequence of n non-negative int

    Returns
    -------
    Draws
    """
    numbers = np.stack([np.random.default_rng(int(seed)).random(len(_COLUMNS)) for seed in seeds])
    u = dict(zip(_COLUMNS, numbers.T, strict=True))
    on = {effect: effect in p.effects for effect in ("ellipse", "scale", "shift", *_SWITCHED)}
    n = len(numbers)

    def pick(effect: str, value: Array, neutral: float) -> Array:
        return value if on[effect] else np.full_like(value, neutral)

    ratio = pick("ellipse", _even(p.ellipse_ratio, u["ratio"]), 1.0)
    scale = pick("scale", _even(p.scale, u["scale"]), 1.0)
    shift = (2 * np.stack([u["shift_y"], u["shift_x"]], 1) - 1) * p.shift_px
    rings = np.stack([[u[f"ring_{what}_{i}"] for what in ("weight", "radius", "width")] for i in range(4)])
    weight, radius, width = (rings[: p.n_rings, i].T.reshape(n, p.n_rings) for i in range(3))
    gap = np.stack([u["gap_y"], u["gap_x"]], 1) < p.gap_probability
    low, high = p.gap_width_px
    gap_width = low + np.floor(np.stack([u["gap_y_width"], u["gap_x_width"]], 1) * (high - low + 1))
    return Draws(
        matrix=scale[:, None, None] * _stretch(ratio, np.pi * u["direction"]),
        shift_px=pick("shift", shift, 0.0),
        plasmon_weight=pick("plasmon", _even(p.plasmon_weight, u["plasmon_weight"]), 0.0),
        plasmon_width=_logarithmic(p.plasmon_width_inv_angstrom, u["plasmon_width"]),
        ring_weight=pick("rings", _even(p.ring_weight, weight), 0.0),
        ring_radius=_even(p.ring_radius_inv_angstrom, radius),
        ring_width=_even(p.ring_width_inv_angstrom, width),
        mtf_sigma_px=pick("mtf", _even(p.mtf_sigma_px, u["mtf"]), 0.0),
        dose_e=pick("dose", _logarithmic(p.dose_e, u["dose"]), np.nan),
        # Gaps lie in the middle half, where they matter.
        gap_at=0.25 + 0.5 * np.stack([u["gap_y_at"], u["gap_x_at"]], 1),
        gap_width_px=pick("gap", gap * gap_width, 0.0),
        stop_radius=pick(
            "stop", (u["stop"] < p.stop_probability) * _even(p.stop_radius_inv_angstrom, u["stop_radius"]), 0.0
        ),
        stop_direction=2 * np.pi * u["stop_direction"],
        hot_fraction=pick("hot", _even(p.hot_fraction, u["hot_fraction"]), 0.0),
        dead_fraction=pick("dead", _even(p.dead_fraction, u["dead_fraction"]), 0.0),
        probe_scale=pick("probe", _even(p.probe_scale, u["probe_scale"]), 1.0),
        probe_blur_px=pick("probe", _even(p.probe_blur_px, u["probe_blur"]), 0.0),
    )


_SWITCHED = ("plasmon", "rings", "mtf", "dose", "gap", "stop", "hot", "dead", "probe")


def draw_jitter(p: AugmentParams, seeds: Sequence[int]) -> Array:
    """What the descan leaves of each pattern's shift, (n, 2) px; zeros if switched off."""
    if "jitter" not in p.effects:
        return np.zeros((len(seeds), 2))
    return p.jitter_px * np.stack([np.random.default_rng((int(seed), 1)).standard_normal(2) for seed in seeds])


def draw_pixels(seeds: Sequence[int], most: int) -> Array:
    """Places for hot and dead pixels, and how hot: (n, 2, most, 2) numbers from 0 to 1."""
    return np.stack([np.random.default_rng((int(seed), 2)).random((2, most, 2)) for seed in seeds])


def _even(bounds: tuple[float, float], u: Array) -> Array:
    return bounds[0] + (bounds[1] - bounds[0]) * u


def _logarithmic(bounds: tuple[float, float], u: Array) -> Array:
    values: Array = bounds[0] * (bounds[1] / bounds[0]) ** u
    return values


def _stretch(ratio: Array, angle: Array) -> Array:
    """(n, 2, 2) symmetric matrices of determinant 1 that make a circle an ellipse, long along ``angle``."""
    along = np.stack([np.sin(angle), np.cos(angle)], -1)
    projector = along[:, :, None] * along[:, None, :]
    root = np.sqrt(ratio)[:, None, None]
    stretch: Array = projector * root + (np.eye(2) - projector) / root
    return stretch
