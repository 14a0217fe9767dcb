"""Fixtures of the learners' tests."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context
from ronchi.builtin.motifs import simulate_motifs


@pytest.fixture
def ctx() -> Context:
    return Context(rng=np.random.default_rng(0))


@pytest.fixture(scope="session")
def crops() -> xr.Dataset:
    """300 crops of three motifs that do not turn, so that pixels tell them apart."""
    made = simulate_motifs(
        np.random.default_rng(1),
        motifs=("pristine", "silicon", "f-glyph"),
        n_samples=300,
        angle_range_deg=0,
        shift_range_px=0.2,
        noise_sigma=0.3,
    )
    return made.data.assign(true_label=made.sides["truth"]["label"], template=made.sides["truth"]["template"])
