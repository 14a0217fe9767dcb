"""Plugins that are written into a folder and found by a manager of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ronchi.testing import CONTRACTS, Contract, isolated_manager

MakeContract = Callable[..., type[Contract]]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Path]]:
    """Put folders on ``sys.path``, and forget what was imported from them."""
    before = set(sys.modules)
    folders: list[str] = []

    def put(folder: Path) -> Path:
        monkeypatch.syspath_prepend(str(folder))
        folders.append(str(folder))
        return folder

    yield put
    for name in set(sys.modules) - before:
        if any(str(getattr(sys.modules[name], "__file__", "") or "").startswith(folder) for folder in folders):
            del sys.modules[name]


@pytest.fixture
def contract_of() -> MakeContract:
    """Contract of an algorithm that a module brings, with a manager that knows nothing else but ronchi's own."""

    def make(module: str, kind: str, name: str, base: type[Contract] | None = None, **attributes) -> type[Contract]:
        manager = isolated_manager(module, kind=kind, names=[name])
        return type("Trial", (base or CONTRACTS[kind],), {"algorithm": name, "manager": manager, **attributes})

    return make
