"""Fixtures of the simulators' tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def shared_data() -> Path:
    """Folder of the shared simulated and real data; skips loudly without it."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder
