"""Compiled functions: what is told while numba works."""

from __future__ import annotations

import io
from pathlib import Path

import numba
import pytest

from ronchi.compiled import njit
from ronchi.pipeline.progress import make_progress


def test_compilation_is_told_once_and_only_while_it_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What an earlier run of this test kept would be read, not compiled.
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @njit()
    def double(x: float) -> float:
        return 2 * x

    @njit()
    def triple(x: float) -> float:
        return 3 * x

    said = io.StringIO()
    with make_progress(stream=said):
        assert double(2.0) == 4
        assert triple(2.0) == 6
    assert said.getvalue().count("compiling for this machine") == 1
    silent = io.StringIO()
    with make_progress(stream=silent):
        assert double(3.0) == 6
    assert silent.getvalue() == ""
