"""Data in the objects, signs and axes of other programs, and back; the programs are imported on use."""

from __future__ import annotations

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
