"""Compiled functions: what is told while numba works, and when what it keeps is read again."""

from __future__ import annotations

import io
import os
import subprocess
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


def test_code_that_is_kept_goes_stale_with_what_it_imports(tmp_path: Path) -> None:
    """A function of one file calls that of another, which uses a constant of a third."""
    header = "from ronchi.compiled import njit\n"
    files = {
        "constants.py": "SHIFT = 1\n",
        "low.py": header + "from constants import SHIFT\n@njit()\ndef low(x):\n    return x + SHIFT\n",
        "middle.py": header + "from low import low\n@njit()\ndef middle(x):\n    return low(x)\n",
        "top.py": header
        + "from middle import middle\n@njit()\ndef top(x):\n    return 10 * middle(x)\n"
        + "print(top(1), sum(top.stats.cache_hits.values()))\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def run() -> list[int]:
        return [int(number) for number in run_alone(tmp_path / "top.py")]

    assert run() == [20, 0]
    assert run() == [20, 1]
    (tmp_path / "low.py").write_text(files["low.py"].replace("x +", "x -"))
    assert run() == [0, 0]
    assert run() == [0, 1]
    (tmp_path / "constants.py").write_text("SHIFT = -2\n")
    assert run() == [30, 0]


def run_alone(path: Path, **environment: str) -> list[str]:
    # Said by name: under PYTHONSAFEPATH a file's own folder is none of those that it imports from.
    environment |= {"PYTHONPATH": str(path.parent)}
    found = subprocess.run(
        [sys.executable, path.name], cwd=path.parent, capture_output=True, text=True, env=os.environ | environment
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def test_functions_stay_as_they_are_where_numba_is_disabled(tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    path.write_text("from ronchi.compiled import njit\n@njit()\ndef f(x):\n    return x + 1\nprint(f(1))\n")
    assert run_alone(path, NUMBA_DISABLE_JIT="1") == ["2"]


def test_code_is_kept_beside_others_functions_and_constants_of_any_kind(tmp_path: Path) -> None:
    """The stamp of another's function is no text; the text of an object has its address, which no other run has."""
    (tmp_path / "foreign.py").write_text("import numba\n@numba.njit(cache=True)\ndef g(x):\n    return x + 1\n")
    path = tmp_path / "own.py"
    path.write_text(
        "from foreign import g\nfrom ronchi.compiled import njit\nTHINGS = (object(), 1)\n"
        "@njit()\ndef f(x):\n    return g(x) + 1\nprint(f(1), sum(f.stats.cache_hits.values()))\n"
    )
    assert run_alone(path) == ["3", "0"]
    assert run_alone(path) == ["3", "1"]


def test_code_that_is_kept_goes_stale_with_the_fields_of_named_tuples(tmp_path: Path) -> None:
    fields, path = tmp_path / "fields.py", tmp_path / "own.py"
    path.write_text(
        "from fields import Pair\nfrom ronchi.compiled import njit\n"
        "@njit()\ndef f(pair):\n    return pair.a\nprint(f(Pair(a=1, b=2)))\n"
    )
    for order in ("ab", "ba"):
        lines = "".join(f"    {name}: int\n" for name in order)
        fields.write_text(f"from typing import NamedTuple\nclass Pair(NamedTuple):\n{lines}")
        assert run_alone(path) == ["1"]


def test_kept_code_of_a_type_that_is_gone_is_compiled_anew(tmp_path: Path) -> None:
    """numba reads the types that a function was called with before it looks whether what it keeps is fresh."""
    fields, path = tmp_path / "fields.py", tmp_path / "own.py"
    for name in ("Pair", "Couple"):
        fields.write_text(f"from typing import NamedTuple\nclass {name}(NamedTuple):\n    a: int\n")
        path.write_text(
            f"from fields import {name}\nfrom ronchi.compiled import njit\n"
            f"@njit()\ndef f(pair):\n    return pair.a\n\nprint(f({name}(a=1)), sum(f.stats.cache_hits.values()))\n"
        )
        assert run_alone(path) == ["1", "0"]
        assert run_alone(path) == ["1", "1"]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_damaged_code_is_compiled_anew(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "from ronchi.compiled import njit\n@njit()\ndef f(x):\n    return x + 1\n"
        "print(f(1), sum(f.stats.cache_hits.values()))\n"
    )
    assert run_alone(path) == ["2", "0"]
    (kept,) = tmp_path.rglob(f"*.{suffix}")
    kept.write_bytes(kept.read_bytes()[:40])
    assert run_alone(path) == ["2", "0"]
    assert run_alone(path) == ["2", "1"]


def test_a_part_runs_in_what_calls_it_and_its_change_makes_that_stale(tmp_path: Path) -> None:
    low, path = tmp_path / "low.py", tmp_path / "own.py"
    text = "from ronchi.compiled import part\n@part()\ndef low(x, twice):\n    return 2 * x if twice else x + 1\n"
    low.write_text(text)
    path.write_text(
        "from low import low\nfrom ronchi.compiled import njit\n"
        "@njit()\ndef f(x):\n    return low(x, True) - low(x, False)\n"
        "print(f(5), low(5, True), len(f.signatures), sum(f.stats.cache_hits.values()))\n"
    )
    assert run_alone(path) == ["4", "10", "1", "0"]
    assert run_alone(path) == ["4", "10", "1", "1"]
    low.write_text(text.replace("x + 1", "x + 2"))
    assert run_alone(path) == ["3", "10", "1", "0"]
    assert [kept.name for kept in tmp_path.rglob("low.low*.nbc")] == []
