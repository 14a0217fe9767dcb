"""The shape of a disk, from its probe."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_disks.disk_model import model_of_probe
from ronchi_disks.likelihood import fit_disks


@pytest.mark.parametrize("counts", [100, 5000])
def test_a_round_probe_gives_its_radius_without_its_noise(scene: SimpleNamespace, counts: int) -> None:
    rng = np.random.default_rng(13)
    probe = rng.poisson(counts * scene.disk((64, 64), (31.4, 32.3), 6.2)).astype(float)
    model = model_of_probe(probe, 6.5, (31.0, 32.0))
    assert model.radius_px == pytest.approx(6.2, abs=0.02 if counts > 1000 else 0.1)  # seed 13
    middle = model.table[len(model.table) // 2, 0]
    assert middle[np.hypot(model.offset_y, model.offset_x) < 4].std() < 1e-3


def bullseye(scene: SimpleNamespace, centre: Any) -> NDArray[np.float64]:
    """A disk of radius 9 with a dark ring of 2 px."""
    whole, outer, inner = (scene.disk((64, 64), centre, *rim) for rim in ((9.0,), (6.5, 0.5), (4.0, 0.5)))
    return np.asarray(2000 * (whole - 0.8 * (outer - inner)))


def test_a_structured_probe_is_interpolated(scene: SimpleNamespace) -> None:
    model = model_of_probe(bullseye(scene, (32.0, 32.0)), 9.0, (32.0, 32.0))
    for fraction in (0.25, 0.5):
        truth = np.array([[30.0 + fraction, 33.0 - fraction]])
        y, x = (truth + 0.4).T
        fits = fit_disks(bullseye(scene, truth[0])[None], np.array([1]), y, x, model, slope=0.0)
        assert np.abs(scene.error_of(fits, truth)).max() < 0.02  # px


def test_a_dark_probe_is_refused() -> None:
    with pytest.raises(DataError, match="not brighter"):
        model_of_probe(np.zeros((64, 64)), 5.0, (32.0, 32.0))
