"""Compiled functions work where nothing can be written, and are kept where it can."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ronchi.compiled import njit

NO_CACHE = """
    import numba.core.caching as caching
    # As in a read-only container without a home: no place to keep machine code is to be had.
    caching.CacheImpl._locator_classes = []
"""


def test_compiled_modules_can_be_imported_where_no_cache_can_be_written() -> None:
    code = """
        import numba, numpy as np
        try:
            numba.njit(cache=True)(lambda x: x)
        except RuntimeError as error:
            print(error)
        from ronchi.builtin.reduce import reduce_scan
        from ronchi.schema import fourd
        print(float(reduce_scan(fourd.make(np.ones((1, 1, 4, 4), "u2")))["sum"][0, 0]))
    """
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(NO_CACHE) + textwrap.dedent(code)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    refused, total = run.stdout.splitlines()
    assert "cannot cache function" in refused
    assert total == "16.0"


def test_options_reach_the_compiler_and_the_code_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counted.py").write_text(
        "from ronchi.compiled import njit\n\n\n@njit(error_model='numpy')\ndef inverse(x):\n    return 1.0 / x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "cache"))
    import counted  # type: ignore[import-not-found]

    assert counted.inverse(0.0) == float("inf")
    assert list((tmp_path / "cache").rglob("*.nbi"))
    sys.modules.pop("counted")


def test_other_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**options: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr("numba.njit", broken)
    with pytest.raises(RuntimeError, match="no compiler"):
        njit()(lambda x: x)
