"""Fixtures of the core's tests."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MakeDist = Callable[..., Path]


@pytest.fixture
def shared_data() -> Path:
    """Folder of the shared simulated and real data; skips loudly without it."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder


@pytest.fixture
def make_dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDist]:
    """Install fake distributions: metadata and one module each, in a folder on ``sys.path``."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    made: list[str] = []

    def make(dist: str, entry_points: str, code: str = "", version: str = "1.0") -> Path:
        info = site / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        made.append(dist.replace("-", "_"))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(textwrap.dedent(entry_points))
        if code:
            (site / f"{dist.replace('-', '_')}.py").write_text(textwrap.dedent(code))
        importlib.invalidate_caches()
        return site

    yield make
    for name in made:
        sys.modules.pop(name, None)
