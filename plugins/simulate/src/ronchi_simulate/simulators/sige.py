"""The simulator ``sige``: a scan across a Si / SiGe multilayer along [011], with its strain known everywhere."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi_simulate.params.sige import SigeParams
from ronchi_simulate.scan.positions import scan_positions
from ronchi_simulate.scan.probe import probe_profile
from ronchi_simulate.scan.record import record_scan
from ronchi_simulate.specimens.sige import sige_atoms
from ronchi_simulate.specimens.sige_stack import Stack
from ronchi_simulate.specimens.tilt import helical_tilt
from ronchi_simulate.specimens.truth import strain_truth

__all__ = ["Sige", "sige_truth"]


class Sige:
    """Simulator ``sige``."""

    def __init__(self, params: SigeParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Record the scan, with the side ``truth``."""
        params, stack = self.params, Stack.of(self.params)
        positions, tilts = scan_positions(params), helical_tilt(params)
        atoms, left = sige_atoms(stack, params, ctx.rng)
        data = record_scan(
            atoms,
            params,
            ctx,
            positions_angstrom=positions - [0.0, left],
            tilts_mrad=tilts,
            scan_step_angstrom=params.scan_step_angstrom,
            title="Si / SiGe multilayer, [011]",
        )
        return Result(data, {"truth": sige_truth(stack, params, data)})


def sige_truth(stack: Stack, params: SigeParams, data: xr.Dataset) -> xr.Dataset:
    """``strain/1`` truth at every position of the scan, in the frame of the scan.

    Beside the four components: ``e_xx_probe``, the mean of e_xx over the probe and over its way through the leaning
    specimen; the tilt; whether the position is on the substrate; the distance to the next interface; the part of Ge.
    """
    x = scan_positions(params)[..., 1].ravel()
    layer = stack.layer_at(x)
    return strain_truth(
        data,
        params,
        {"e_xx": stack.strain[layer]},
        {
            "e_xx_probe": (_strain_under_probe(stack, params, data), "1", "true e_xx averaged over the probe"),
            "is_substrate": (layer == len(stack.strain) - 1, "1", "1 on the substrate"),
            "dist_interface": (stack.distance_to_interface(x), "angstrom", "distance to the nearest interface"),
            "germanium": (stack.germanium[layer], "1", "part of Ge atoms"),
        },
        reference="the substrate",
        zone_axis="[011]",
        substrate_a_angstrom=stack.lattice_angstrom,
        layer_boundary_angstrom=stack.start_angstrom,
        layer_strain=stack.strain,
    )


def _strain_under_probe(stack: Stack, params: SigeParams, data: xr.Dataset) -> NDArray[np.float64]:
    """(n,) e_xx averaged over the probe in vacuum and over the thickness, through which it goes straight."""
    depths, offsets, weights = probe_profile(params, data.attrs["thickness_angstrom"])
    half = (offsets[1] - offsets[0]) / 2
    edges = np.append(offsets - half, offsets[-1] + half)
    x, lean = (values[..., 1].ravel() for values in (scan_positions(params), helical_tilt(params) * 1e-3))
    means = [
        stack.mean_strain((x - depth * np.tan(lean))[:, None] + edges) @ weight
        for depth, weight in zip(depths, weights, strict=True)
    ]
    return np.asarray(np.mean(means, axis=0))
