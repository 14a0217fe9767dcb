"""Advertises the simulators and the transform ``augment``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl

__all__ = ["ronchi_simulators"]


@hookimpl
def ronchi_simulators() -> Iterator[AlgorithmSpec]:
    """Yield one spec a specimen."""
    yield from ()
