"""What a plugin's results depend on besides its own code: the distributions that plugins share."""

from __future__ import annotations

import functools
import importlib.util
import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from ronchi.pipeline.keys import code_digest

__all__ = ["shared_parts"]

_NAME = re.compile(r"ronchi-[a-z0-9-]+", re.IGNORECASE)


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
    for requirement in needed:
        name = _NAME.match(requirement)
        if name is None or "extra ==" in requirement:
            continue
        part = name.group().lower()
        found[part] = {"version": version(part)}
        root = _editable_root(part.replace("-", "_"))
        if root is not None:
            found[part]["code"] = code_digest(root)
        found |= shared_parts(part)
    return dict(sorted(found.items()))


def _editable_root(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    root = Path(spec.origin).parent if spec is not None and spec.origin else None
    return None if root is None or {"site-packages", "dist-packages"} & set(root.parts) else root
