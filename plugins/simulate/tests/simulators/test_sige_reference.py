"""Against patterns of the same stack by abTEM alone, which are shared beside the repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ronchi
from ronchi.api import Context
from ronchi_simulate.params.sige import SigeParams
from ronchi_simulate.simulators.sige import Sige

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("column", [3, 12, 36])
@pytest.mark.parametrize("name", ["onzone", "tilt"])
def test_patterns_are_those_of_abtem(name: str, column: int, shared_data: Path) -> None:
    path = shared_data / "sim" / f"sige_{name}_noisefree.nc"
    expected, truth = ronchi.read(path), ronchi.read(path, side="truth").isel(scan_y=0, scan_x=column)
    magnitude = float(np.hypot(truth["tilt_y"], truth["tilt_x"]))
    direction = float(np.rad2deg(np.arctan2(truth["tilt_y"], truth["tilt_x"])))
    params = SigeParams(
        scan_shape=(1, 1),
        scan_start_angstrom=(0.0, float(expected["scan_x"][column])),
        tilt_magnitude_deg=(magnitude, magnitude),
        tilt_direction_deg=(direction, direction),
        alloy="mean",
        # abTEM alone spreads atoms bilinearly, and so takes from the potential what this coarse grid takes.
        wave_shape=(432, 432),
        dose_e=None,
    )
    made = Sige(params).simulate(Context(rng=np.random.default_rng(5)))
    pattern = made.data["intensity"].values[0, 0]
    reference = expected["intensity"].values[0, column]
    assert np.corrcoef(pattern.ravel(), reference.ravel())[0, 1] > 0.997
    np.testing.assert_allclose(made.data["probe"].values, expected["probe"].values, atol=1e-6)
    for key in ("e_xx", "tilt_y", "tilt_x", "dist_interface", "is_substrate"):
        assert made.sides["truth"][key].item() == pytest.approx(truth[key].item(), abs=1e-4)
