"""What a plugin's results depend on besides its own code: the distributions that plugins share."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ronchi.manager import editable_root
from ronchi.pipeline.keys import code_digest

__all__ = ["shared_parts"]


@functools.cache
def shared_parts(dist: str) -> dict[str, dict[str, Any]]:
    """Distributions ``ronchi-…`` that one needs, directly or through another: version, and ``code`` if editable.

    The core is none of them: what of it matters has versions of its own.
    """
    try:
        needed = requires(dist) or []
    except PackageNotFoundError:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for requirement in map(Requirement, needed):
        part = canonicalize_name(requirement.name)
        if not part.startswith("ronchi-") or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[part] = {"version": version(part)}
        root = editable_root(part.replace("-", "_"))
        if root is not None:
            found[part]["code"] = code_digest(root)
        found |= shared_parts(part)
    return dict(sorted(found.items()))
