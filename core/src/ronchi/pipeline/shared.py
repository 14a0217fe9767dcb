"""What a plugin's results depend on besides its own code: the distributions that plugins share."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ronchi.manager import editable_root
from ronchi.pipeline.keys import code_digest

__all__ = ["known_parts", "required", "shared_parts"]


def shared_parts(dist: str) -> dict[str, dict[str, Any]]:
    """Distributions ``ronchi-…`` that one needs, directly or through another: version, and ``code`` if editable.

    The core is none of them: what of it matters has versions of its own.
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
