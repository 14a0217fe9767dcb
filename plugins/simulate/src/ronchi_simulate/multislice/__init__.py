"""Multislice: diffraction patterns of a specimen, by torch or by abTEM."""

from __future__ import annotations

from ronchi_simulate.multislice.engine import Engine, diffract

__all__ = ["Engine", "diffract"]
