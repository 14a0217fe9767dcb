"""Patterns of turned sheets against each other."""

from __future__ import annotations

import numpy as np

from ronchi.api import Context
from ronchi_simulate.params.graphene_pairs import GraphenePairsParams
from ronchi_simulate.simulators.graphene_pairs import GraphenePairs


def test_turned_objects_give_turned_patterns() -> None:
    params = GraphenePairsParams(
        n_places=2, turns_deg=(0.0, 90.0, 180.0), dose_e=None, defect="vacancy", rotation_deg=9.0
    )
    made = GraphenePairs(params).simulate(Context(rng=np.random.default_rng(0)))
    patterns = made.data["intensity"].values[:, :, 1:, 1:].astype(float)
    for column, quarters in ((1, 1), (2, 2)):
        # rot90 turns from y towards x, for rows go down.
        turned = np.rot90(patterns[:, 0], -quarters, axes=(-2, -1))
        assert abs(patterns[:, column] - turned).max() < 2e-3 * patterns.max()
        assert abs(patterns[:, column] - patterns[:, 0]).max() > 2e-2 * patterns.max()
    assert made.data["scan_x"].attrs["units"] == "pixel"
    np.testing.assert_allclose(made.sides["truth"]["rotation"][0], [0, 90, 180])
    assert made.sides["truth"]["angle"].attrs["n_fold"] == 1
    # The nearest atom turns along.
    dy, dx = (made.sides["truth"][name].values for name in ("nn_dy", "nn_dx"))
    np.testing.assert_allclose(dy[:, 1], dx[:, 0], atol=1e-5)
    np.testing.assert_allclose(dx[:, 1], -dy[:, 0], atol=1e-5)
