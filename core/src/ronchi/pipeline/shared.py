"""What a plugin's results depend on besides its own code: distributions that plugins share, numerics of the core."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ronchi.manager import editable_root
from ronchi.pipeline.cache import file_sha256
from ronchi.pipeline.keys import code_digest

__all__ = ["known_parts", "numerics_digest", "required", "shared_parts"]

_NUMERICS = (
    "bad_pixels",
    "blocks",
    "cholesky",
    "disk",
    "disk_shape",
    "optics",
    "photon_transfer",
    "pipeline.camera",
    "pipeline.detect",
    "pipeline.detect_job",
    "pipeline.sample",
    "pipeline.tiles",
    "seen_disk",
)
"""Modules of the core that make numbers for plugins; all else of it leaves results as they are, or has a version."""

_READING = ("blocks", "interop", "optics")
"""Those, and packages, that make numbers for the readers of plugins."""


def shared_parts(dist: str) -> dict[str, dict[str, Any]]:
    """Distributions ``ronchi-…`` that one needs, directly or through another: version, and ``code`` if editable.

    The core is none of them: not every release of it changes results. `numerics_digest` tells of what may.
    """
    return {
        part: {"version": number} if root is None else {"version": number, "code": code_digest(root)}
        for part, (number, root) in sorted(known_parts(dist).items())
    }


@functools.cache
def known_parts(dist: str) -> dict[str, tuple[str, Path | None]]:
    """Version of each of `shared_parts`, and the folder of its code if that is editable."""
    found: dict[str, tuple[str, Path | None]] = {}
    for part in map(canonicalize_name, required(dist)):
        if part.startswith("ronchi-"):
            found[part] = version(part), editable_root(part.replace("-", "_"))
            found |= known_parts(part)
    return found


def required(dist: str) -> list[str]:
    """Names, as it spells them, of what a distribution asks for without extras; none if it is not there."""
    try:
        needed = map(Requirement, requires(dist) or [])
    except PackageNotFoundError:
        return []
    return [r.name for r in needed if not r.marker or r.marker.evaluate({"extra": ""})]


@functools.cache
def numerics_digest(kind: str) -> str:
    """Sha256 over the core's modules that make numbers for plugins of a kind, as they were first asked for."""
    digest = hashlib.sha256()
    for name in _READING if kind == "reader" else _NUMERICS:
        spec = importlib.util.find_spec(f"ronchi.{name}")
        if spec is None or spec.origin is None:
            raise ImportError(f"ronchi.{name} is not there", name=f"ronchi.{name}")
        file = Path(spec.origin)
        for each in sorted(file.parent.glob("*.py")) if spec.submodule_search_locations else [file]:
            digest.update(f"{name}\0{file_sha256(each)}\n".encode())
    return digest.hexdigest()
