"""Fixtures of the tests across packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def repo_root() -> Path:
    """Top of the checkout."""
    return ROOT


@pytest.fixture
def shared_data() -> Path:
    """Folder of the shared simulated and real data; skips loudly without it."""
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder
