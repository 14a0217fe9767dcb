"""The kinds of algorithm: name in a pipeline, entry-point group, hook and protocol in one table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "OBSERVER_GROUP", "Kind"]


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
    )
}
"""Kind name, as written in a pipeline, to its row."""

OBSERVER_GROUP = "ronchi.observers"
