"""Patterns of zincblende against the symmetry of its sites."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi_simulate.params.zincblende4d import Zincblende4dParams
from ronchi_simulate.scan.record import record_scan
from ronchi_simulate.simulators.zincblende4d import Zincblende4d, blocks

FINE: dict[str, Any] = {"dose_e": None, "thickness_angstrom": 12.0}


def at_sites(params: Zincblende4dParams, sites: list[tuple[float, float]]) -> NDArray[np.float64]:
    """(tile, site, qy, qx) patterns of probes on places in the cell, with q = 0 in the middle."""
    mosaic = blocks(params, np.random.default_rng(0))
    places = []
    for number, grain in enumerate(mosaic.grains):
        # The cell at the middle of the tile, where no other grain is near.
        middle = mosaic.tiles.centre(number)[::-1] - grain.origin_angstrom
        corner = np.rint(middle @ np.linalg.inv(grain.vectors_angstrom))
        # Along [110] every other column begins half a period lower: take one that does not.
        corner[0] -= corner.sum() % 2
        places.append(grain.origin_angstrom + (corner + np.array(sites)) @ grain.vectors_angstrom)
    listed = np.concatenate(places)[None, :, ::-1]
    scan = record_scan(mosaic.atoms(), params, Context(rng=np.random.default_rng(0)), positions_angstrom=listed)
    patterns: NDArray[np.float64] = scan["intensity"].values[0, :, 1:, 1:].astype(float)
    return patterns.reshape(len(places), len(sites), *patterns.shape[-2:])


def change(pattern: NDArray[np.float64], quarters: int, other: NDArray[np.float64] | None = None) -> float:
    """Part of the electrons that lie elsewhere after a turn by so many quarters, or than in another pattern."""
    turned = np.rot90(pattern, quarters)
    return float(abs(turned - (pattern if other is None else other)).sum() / pattern.sum())


def test_sites_of_001_have_their_symmetry() -> None:
    params = Zincblende4dParams(zone="001", rotation_deg=((0.0,),), defects=(("none",),), **FINE)
    sites = [(0.0, 0.0), (0.5, 0.5), (0.5, 0.0), (0.2, 0.1)]
    cation, anion, bridge, general = at_sites(params, sites)[0]
    # Fourfold on both columns, but for the planes of the crystal that one and the other end with.
    assert change(cation, 1) < 0.01
    assert change(anion, 1) < 0.01
    # Between two cations along one axis and two anions along the other: twofold.
    assert change(bridge, 2) < 0.01
    assert change(bridge, 1) > 2 * change(bridge, 2)
    assert min(change(general, 1), change(general, 2)) > 0.1
    # The same symmetry, and yet not the same pattern: gallium is not arsenic.
    assert change(cation, 0, anion) > 0.02


def test_a_grain_turned_by_half_a_circle_gives_patterns_turned_alike() -> None:
    params = Zincblende4dParams(rotation_deg=((20.0, 200.0),), defects=(("none", "none"),), **FINE)
    (cation, anion), (turned_cation, turned_anion) = at_sites(params, [(0.0, 0.0), (0.25, 0.25)])
    for pattern, turned in ((cation, turned_cation), (anion, turned_anion)):
        # The window is cut along the pixels, not along the grain: 0.2 %.
        assert change(pattern, 2, turned) < 0.01
        # Along [110] nothing maps a site on itself but a mirror.
        assert change(pattern, 2) > 0.05


@pytest.mark.parametrize("zone", ["001", "110"])
def test_truth_has_both_sublattices_and_the_fold_of_the_zone(zone: str) -> None:
    params = Zincblende4dParams(
        zone=zone, scan_shape=(12, 12), rotation_deg=((0.0,),), defects=(("none",),), dose_e=None, thickness_angstrom=4
    )
    scan = Zincblende4d(params).simulate(Context(rng=np.random.default_rng(0)))
    truth = scan.sides["truth"]
    assert set(np.unique(truth["sublattice"])) == {0, 1}
    assert truth["angle"].attrs["n_fold"] == {"001": 4, "110": 1}[zone]
    total = scan.data["intensity"].values.sum((-2, -1), dtype=float)
    # A few planes scatter little beyond the detector.
    assert total.min() > 0.9
    assert total.max() < 1 + 1e-5
    period = 5.6533 if zone == "001" else 5.6533 / np.sqrt(2)
    assert scan.data.attrs["thickness_angstrom"] == pytest.approx(period)
