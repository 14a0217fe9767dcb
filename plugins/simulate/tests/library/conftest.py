"""A library so small that it takes a second."""

from __future__ import annotations

import pytest

from ronchi_simulate.params.library import LibraryParams


@pytest.fixture(scope="session")
def tiny() -> LibraryParams:
    """Three runs of four patterns."""
    return LibraryParams(
        runs=3,
        variants=1,
        pattern_px=64,
        q_step_inv_angstrom=0.06,
        binning=1,
        semiangles_mrad=(4.0, 8.0),
        thickness_max_angstrom=40.0,
    )
