"""Compiled functions: what is told while numba works."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

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


def test_a_function_that_allocates_nothing_counts_no_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @njit(allocates=False)
    def last(values: NDArray[np.float64]) -> float:
        return float(values[1:][-1])

    @njit(allocates=False)
    def zeros(n: int) -> NDArray[np.float64]:
        return np.zeros(n)

    values = np.arange(3.0)
    held = sys.getrefcount(values)
    assert last(values) == 2
    assert sys.getrefcount(values) == held
    # Counting is off, so that arrays cannot be made.
    with pytest.raises(numba.core.errors.NumbaError):
        zeros(3)
