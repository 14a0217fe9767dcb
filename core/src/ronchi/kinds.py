"""The kinds of algorithm: name in a pipeline, entry-point group, hook and protocol in one table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "OBSERVER_GROUP", "STEP_KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One kind of algorithm."""

    name: str
    group: str
    hook: str
    protocol: str
    method: str


def _kind(name: str, protocol: str, method: str) -> Kind:
    return Kind(name, f"ronchi.{name}s", f"ronchi_{name}s", protocol, method)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind("reader", "Reader", "open"),
        _kind("simulator", "Simulator", "simulate"),
        _kind("transform", "Transform", "apply"),
        _kind("disk_detector", "DiskDetector", "detect"),
        _kind("descriptor_learner", "DescriptorLearner", "transform"),
        _kind("strain_solver", "StrainSolver", "solve"),
        _kind("atom_finder", "AtomFinder", "find"),
        _kind("metric", "Metric", "score"),
        _kind("writer", "Writer", "write"),
    )
}
"""Kind name to its row."""

STEP_KINDS = tuple(name for name in KINDS if name != "writer")
"""Kinds that a step of a pipeline may have; writers serve its outputs."""

OBSERVER_GROUP = "ronchi.observers"
