"""What a plugin's results depend on besides its own code: the distributions that plugins share."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ronchi.manager import editable_root
from ronchi.pipeline.keys import code_digest

__all__ = ["required", "shared_parts"]


@functools.cache
def shared_parts(dist: str) -> dict[str, dict[str, Any]]:
    """Distributions ``ronchi-…`` that one needs, directly or through another: version, and ``code`` if editable.

    The core is none of them: what of it matters has versions of its own.
    """
    found: dict[str, dict[str, Any]] = {}
    for part in map(canonicalize_name, required(dist)):
        if not part.startswith("ronchi-"):
            continue
        found[part] = {"version": version(part)}
        root = editable_root(part.replace("-", "_"))
        if root is not None:
            found[part]["code"] = code_digest(root)
        found |= shared_parts(part)
    return dict(sorted(found.items()))


def required(dist: str) -> list[str]:
    """Names, as it spells them, of what a distribution asks for without extras; none if it is not there."""
    try:
        needed = map(Requirement, requires(dist) or [])
    except PackageNotFoundError:
        return []
    return [r.name for r in needed if not r.marker or r.marker.evaluate({"extra": ""})]
