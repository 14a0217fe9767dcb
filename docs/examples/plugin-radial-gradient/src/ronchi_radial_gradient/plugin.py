"""Advertises the detector ``radial-gradient``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_radial_gradient.params import RadialGradientParams

__all__ = ["ronchi_disk_detectors"]


@hookimpl
def ronchi_disk_detectors() -> Iterator[AlgorithmSpec]:
    """Yield the detector."""
    yield AlgorithmSpec(
        name="radial-gradient",
        summary="Bragg disks where the intensity falls most steeply across a circle of the probe's radius.",
        params=RadialGradientParams,
        factory="ronchi_radial_gradient.detector:RadialGradient",
        inputs={"data": "fourd/1"},
        output="peaks/1",
        capabilities=frozenset({"cpu", "deterministic", "masks", "subpixel", "variance"}),
        citation="Mueller et al., Appl. Phys. Lett. 101, 212110 (2012), doi:10.1063/1.4767655",
        api=1,
    )
