"""The learners of pixels, small enough for a test, and crops for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context
from ronchi.manager import get_manager

QUICK: dict[str, dict[str, Any]] = {
    "spatial-vae": {"hidden": 16, "epochs": 2},
    "jrvae": {"hidden": 16, "epochs": 2, "n_classes": 3},
    "vae": {"hidden": 16, "epochs": 2},
    "conv-ae": {"epochs": 2},
}


@pytest.fixture
def quick() -> dict[str, dict[str, Any]]:
    """Parameters of each learner that train it in no time."""
    return QUICK


@pytest.fixture(params=QUICK)
def name(request: pytest.FixtureRequest) -> str:
    """Each learner in turn."""
    return request.param


@pytest.fixture
def make() -> Callable[..., Any]:
    """Learner of a name, not fitted."""

    def create(name: str, **changes: Any) -> Any:
        return get_manager().create("descriptor_learner", name, {**QUICK[name], **changes})

    return create


@pytest.fixture
def fitted(make: Callable[..., Any]) -> Callable[..., Any]:
    """Learner of a name, fitted."""

    def fit(name: str, x: xr.DataArray, seed: int = 0, **changes: Any) -> Any:
        learner = make(name, **changes)
        learner.fit(x, Context(rng=np.random.default_rng(seed)))
        return learner

    return fit


@pytest.fixture(scope="session")
def few(crops: Callable[..., Any]) -> xr.DataArray:
    """60 crops of 13 x 13 in 10 frames."""
    return crops(n_samples=60, size_px=13, motifs=("f-glyph", "vacancy"), angle_range_deg=10).data["intensity"]
