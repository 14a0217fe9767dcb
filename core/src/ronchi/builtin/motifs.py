"""Simulator ``motifs``: crops around atoms with the truth of class, angle, shift and dose.

Every crop is drawn from coordinates. Rotating a crop instead would blur it by an amount that depends on the
angle, and bring its corners into view: a learner could read the angle from either.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi.builtin.motif_library import MOTIFS, motif_atoms
from ronchi.builtin.params_motifs import MotifsParams
from ronchi.schema import crops
from ronchi.schema.common import ATTR, variable

__all__ = ["Motifs", "draw_atoms", "simulate_motifs"]

Array = NDArray[np.float64]

_CUT = 5.0
"""An atom farther than this many sigma from the window is left out: below 4e-6 of its peak."""
_BLOCK = 512


class Motifs:
    """Simulator ``motifs``."""

    def __init__(self, params: MotifsParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Make the crops with the side ``truth``."""
        return simulate_motifs(ctx.rng, params=self.params)


def simulate_motifs(rng: np.random.Generator, *, params: MotifsParams | None = None, **changes: Any) -> Result:
    """Simulate crops of atomic neighbourhoods.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides classes, poses, variation and noise.
    params : MotifsParams, optional
    **changes
        Fields of `MotifsParams`, on top of ``params``.

    Returns
    -------
    Result
        ``crops/1``, and the side ``truth`` (``descriptors/1``): ``label``, ``angle`` [rad], ``shift`` (y, x) [px],
        ``dose`` (expected sum of the crop), ``orbit`` (number of the neighbourhood), ``z`` with the components
        ``bond`` (relative bond length) and ``tilt_deg``; along ``class`` its name, ``n_fold``, and ``template``,
        the noise-free crop at angle and shift 0 without variation.

    Examples
    --------
    >>> made = simulate_motifs(np.random.default_rng(0), n_samples=8)
    >>> made.data["intensity"].shape, made.sides["truth"]["label"].dtype
    ((8, 25, 25), dtype('int32'))
    """
    p = MotifsParams.model_validate((params.model_dump() if params else {}) | changes)
    n, turns = p.n_samples, p.n_rotations
    orbits = n // turns
    label = rng.permutation(np.arange(orbits) % len(p.motifs)).astype(np.int32)
    angle = np.deg2rad(rng.uniform(-p.angle_range_deg, p.angle_range_deg, orbits))
    shift = rng.uniform(-p.shift_range_px, p.shift_range_px, (orbits, 2))
    bond = rng.uniform(1 - p.bond_spread, 1 + p.bond_spread, orbits)
    tilt_deg = rng.uniform(0, p.tilt_max_deg, orbits)
    label, angle, shift, bond, tilt_deg = (np.repeat(v, turns, axis=0) for v in (label, angle, shift, bond, tilt_deg))
    angle = np.angle(np.exp(1j * (angle + 2 * np.pi * (np.arange(n) % turns) / turns)))
    expected = np.empty((n, p.size_px, p.size_px))
    for index, name in enumerate(p.motifs):
        chosen = np.flatnonzero(label == index)
        atoms = _atoms(p, name)
        for block in np.split(chosen, np.arange(_BLOCK, len(chosen), _BLOCK)):
            where = _placed(atoms, p.bond_px * bond[block], tilt_deg[block], angle[block]) + shift[block, None]
            expected[block] = draw_atoms(where, atoms[:, 2], p.sigma_px, (p.size_px, p.size_px)) + p.background
    templates = np.stack([_template(p, name) for name in p.motifs])
    intensity, dose = _recorded(p, expected, templates, rng)
    data = _as_crops(p, intensity)
    truth = xr.Dataset(
        {
            "z": variable(("sample", "component"), np.stack([bond, tilt_deg], 1), "1", "true variation"),
            "label": variable("sample", label, "1", "true class"),
            "angle": variable("sample", angle, "rad", "true angle, from x towards y"),
            "shift": variable(("sample", "axis"), shift, "pixel", "true shift"),
            "dose": variable("sample", dose, data["intensity"].attrs["units"], "expected sum of the crop"),
            "orbit": variable("sample", np.arange(n, dtype=np.int32) // turns, "1", "number of the neighbourhood"),
            "n_fold": variable("class", _n_folds(p), "1", "symmetry: the angle is defined modulo 2 pi / n_fold"),
            "template": variable(("class", "y", "x"), templates.astype(np.float32), "1", "noise-free crop, angle 0"),
        },
        {
            "component": ("component", np.array(["bond", "tilt_deg"])),
            "axis": ("axis", np.array(["y", "x"])),
            "class": ("class", np.array(p.motifs)),
            **{name: coord.variable for name, coord in data.coords.items()},
        },
        {ATTR: "descriptors/1", "is_truth": 1},
    )
    return Result(data, {"truth": truth})


def draw_atoms(where: Array, peaks: Array, sigma_px: float, shape: tuple[int, int]) -> Array:
    """Images of Gaussian atoms.

    Parameters
    ----------
    where : (n, atoms, 2) float
        Positions (y, x) in px from the window's centre, the pixel ``(N // 2, N // 2)``.
    peaks : (atoms,) float
    sigma_px : float
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    (n, *shape) float64
    """
    rows, columns = (np.arange(size) - size // 2 for size in shape)
    along_y = peaks[:, None] * np.exp(-0.5 * ((rows - where[..., 0, None]) / sigma_px) ** 2)
    along_x = np.exp(-0.5 * ((columns - where[..., 1, None]) / sigma_px) ** 2)
    drawn: Array = along_y.swapaxes(1, 2) @ along_x
    return drawn


def _atoms(p: MotifsParams, name: str) -> Array:
    """Atoms that reach into the window at any angle, shift, bond length and tilt."""
    corner = math.sqrt(2) * (p.size_px // 2 + 0.5 + p.shift_range_px) + _CUT * p.sigma_px
    shortest = p.bond_px * (1 - p.bond_spread) * math.cos(math.radians(p.tilt_max_deg))
    return motif_atoms(name, corner / shortest)


def _placed(atoms: Array, bond_px: Array, tilt_deg: Array, angle: Array) -> Array:
    """(n, atoms, 2) positions in px, tilted about the motif's y axis first, then turned."""
    y = bond_px[:, None] * atoms[:, 0]
    x = (bond_px * np.cos(np.deg2rad(tilt_deg)))[:, None] * atoms[:, 1]
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.stack([s * x + c * y, c * x - s * y], -1)


def _template(p: MotifsParams, name: str) -> Array:
    atoms = _atoms(p, name)
    where = _placed(atoms, np.array([p.bond_px]), np.zeros(1), np.zeros(1))
    return draw_atoms(where, atoms[:, 2], p.sigma_px, (p.size_px, p.size_px))[0] + p.background


def _n_folds(p: MotifsParams) -> NDArray[np.int32]:
    """A tilt leaves at most a twofold axis."""
    folds = [MOTIFS[name].n_fold for name in p.motifs]
    return np.array([math.gcd(n, 2) if p.tilt_max_deg else n for n in folds], np.int32)


def _recorded(
    p: MotifsParams, expected: Array, templates: Array, rng: np.random.Generator
) -> tuple[NDArray[Any], Array]:
    """Crops as they are recorded, and the expected sum of each."""
    if p.noise == "poisson":
        low, high = np.log(p.dose_e_per_px)
        # Relative to the mean of the classes, so that a heavy atom still shows as more counts.
        expected = expected * (np.exp(rng.uniform(low, high, len(expected))) / templates.mean())[:, None, None]
        return rng.poisson(expected).astype(np.uint16 if expected.max() < 3e4 else np.uint32), expected.sum((1, 2))
    noise = rng.normal(0, p.noise_sigma, expected.shape) if p.noise == "gaussian" else 0.0
    return (expected + noise).astype(np.float32), expected.sum((1, 2))


def _as_crops(p: MotifsParams, intensity: NDArray[Any]) -> xr.Dataset:
    """Crops side by side in their frames, so that results can be mapped back."""
    frame = np.arange(p.n_samples) * p.n_frames // p.n_samples
    first = np.searchsorted(frame, frame)
    across = math.ceil(math.sqrt(math.ceil(p.n_samples / p.n_frames)))
    row, column = np.divmod(np.arange(p.n_samples) - first, across)
    middle = p.size_px // 2
    return crops.make(
        intensity,
        frame=frame,
        atom=np.arange(p.n_samples),
        position_y=row * p.size_px + middle,
        position_x=column * p.size_px + middle,
        units="counts" if p.noise == "poisson" else "1",
        title="simulated motifs",
    )
