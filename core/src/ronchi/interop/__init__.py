"""Data in the objects, signs and axes of other programs, and back; the programs are imported on use.

So are the functions below: ``import ronchi.interop`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ronchi.interop.hyperspy import from_hyperspy, to_hyperspy
    from ronchi.interop.libertem import from_libertem, to_libertem
    from ronchi.interop.py4dstem import from_py4dstem, to_py4dstem
    from ronchi.interop.pyxem import from_pyxem, to_pyxem

__all__ = [
    "from_hyperspy",
    "from_libertem",
    "from_py4dstem",
    "from_pyxem",
    "to_hyperspy",
    "to_libertem",
    "to_py4dstem",
    "to_pyxem",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ronchi.interop' has no attribute {name!r}")
    # Each program has a module of its name.
    return getattr(importlib.import_module(f"ronchi.interop.{name.partition('_')[2]}"), name)


def __dir__() -> list[str]:
    return __all__
