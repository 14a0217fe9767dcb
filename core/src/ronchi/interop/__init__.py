"""Data in the objects, signs and axes of other programs, and back."""

from __future__ import annotations

from ronchi.interop.py4dstem import from_py4dstem, to_py4dstem
from ronchi.interop.pyxem import from_pyxem, to_pyxem

__all__ = ["from_py4dstem", "from_pyxem", "to_py4dstem", "to_pyxem"]
