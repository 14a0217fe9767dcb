"""Analytic test scans: soft disks at exact sub-pixel positions on a strained lattice.

The disk S = 1 / (1 + exp((r - R) / a)) has a closed Cramér-Rao bound for its position,
sigma = sqrt(2 a R / N) px for N counts without background, so that an error can be judged
against what the counts allow. Centres are never rounded to pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi.builtin.disks_geometry import Geometry
from ronchi.builtin.disks_render import render, shadow, spoil
from ronchi.builtin.disks_truth import maps_truth, peaks_truth, strain_truth
from ronchi.builtin.params_disks import DisksParams
from ronchi.schema import fourd
from ronchi.schema.strain import COMPONENTS

__all__ = ["Disks", "disk_scan"]

Array = NDArray[np.float64]


class Disks:
    """Simulator ``disks``."""

    def __init__(self, params: DisksParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Make the scan with the sides ``truth``, ``truth_peaks`` and ``truth_maps``."""
        return disk_scan(ctx.rng, params=self.params)


def disk_scan(
    rng: np.random.Generator,
    strain: Mapping[str, Any] | None = None,
    *,
    params: DisksParams | None = None,
    **changes: Any,
) -> Result:
    """Simulate a scan over a strained crystal.

    Disks that overlap add their counts, as those of grains or thick crystals do: there is no interference.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides intensities, bad pixels and noise.
    strain : mapping, optional
        ``e_xx, e_yy, e_xy`` [1] and ``theta`` [rad], each broadcastable to the scan, in
        the scan frame. The params' profile by default; what is not named is 0.
    params : DisksParams, optional
    **changes
        Fields of `DisksParams`, on top of ``params``.

    Returns
    -------
    Result
        ``fourd/1`` with its probe, and with ``bad_pixel`` where gaps and beam stop are: a microscopist knows those.
        The sides are ``truth`` (``strain/1``), ``truth_peaks`` (``peaks/1``, every disk whose centre is on the
        detector, as it lies there: descan and ellipse included, with the electrons that it holds beside and behind
        all shadows; flags 1 if the border cuts it, 4 if it overlaps another, 8 if a gap or the beam stop hides some
        of it) and ``truth_maps`` (``maps/1``: all of ``bad_pixel``, hot and dead ones included, and the beam position
        ``origin_y``, ``origin_x`` in px).

    Examples
    --------
    >>> scan = disk_scan(np.random.default_rng(0), scan_shape=(1, 2), pattern_shape=(48, 40))
    >>> scan.data["intensity"].shape
    (1, 2, 48, 40)
    """
    p = DisksParams.model_validate((params.model_dump() if params else {}) | changes)
    components = _strain_maps(p, strain)
    geometry = Geometry(p)
    origin = geometry.origins()
    patterns, table = render(p, geometry, geometry.lattice(components), origin, rng)
    hidden = shadow(p, geometry)
    bad = spoil(p, patterns, rng) | hidden
    patterns[..., hidden] = 0
    data = fourd.make(
        patterns,
        scan_step=p.scan_step_angstrom,
        q_step=p.q_step_inv_angstrom,
        probe=geometry.probe().astype(np.float32),
        bad_pixel=hidden if hidden.any() else None,
        centre_px=geometry.centre,
        beam_energy_eV=p.beam_energy_eV,
        semiangle_mrad=geometry.semiangle_mrad,
        scan_rotation_deg=p.scan_rotation_deg,
        dose=p.dose_e,
        title="synthetic soft disks",
    )
    sides = {
        "truth": strain_truth(data, components),
        "truth_peaks": peaks_truth(data, table, hidden),
        "truth_maps": maps_truth(data, bad, origin),
    }
    return Result(data, sides)


def _strain_maps(p: DisksParams, strain: Mapping[str, Any] | None) -> dict[str, Array]:
    if strain is not None:
        given = {name: np.asarray(strain.get(name, 0.0), float) for name in COMPONENTS}
        return {name: np.broadcast_to(value, p.scan_shape).astype(float) for name, value in given.items()}
    along = np.arange(p.scan_shape[1]) / p.scan_shape[1]
    shape = {
        "uniform": np.ones_like(along),
        "ramp": along,
        "layers": np.choose((4 * along).astype(int), [1.0, -1.0, 0.5, 0.0]),
    }[p.profile]
    amplitude = {"e_xx": p.e_xx, "e_yy": p.e_yy, "e_xy": p.e_xy, "theta": np.deg2rad(p.theta_deg)}
    return {name: np.broadcast_to(value * shape, p.scan_shape).astype(float) for name, value in amplitude.items()}
