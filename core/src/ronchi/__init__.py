"""ronchi: a plugin platform for 4D-STEM.

The names below are imported on first use, so that ``import ronchi`` costs next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

# At once: it notes when that was.
import ronchi.imported  # noqa: F401

if TYPE_CHECKING:
    from ronchi import plot, schema
    from ronchi.errors import RonchiError
    from ronchi.verbs import (
        algorithms,
        bench,
        com,
        convert,
        detect,
        dpc,
        encode,
        learn,
        mean_pattern,
        overview,
        read,
        run,
        score,
        simulate,
        strain,
        to_yaml,
        transform,
        virtual_image,
        write,
    )

__all__ = [
    "RonchiError",
    "algorithms",
    "bench",
    "com",
    "convert",
    "detect",
    "dpc",
    "encode",
    "learn",
    "mean_pattern",
    "overview",
    "plot",
    "read",
    "run",
    "schema",
    "score",
    "simulate",
    "strain",
    "to_yaml",
    "transform",
    "virtual_image",
    "write",
]

__version__ = "0.1.0"

_MODULES = {"plot": "ronchi.plot", "schema": "ronchi.schema", "RonchiError": "ronchi.errors"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ronchi' has no attribute {name!r}")
    module = importlib.import_module(_MODULES.get(name, "ronchi.verbs"))
    return module if name in ("plot", "schema") else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


if "xarray" in sys.modules:
    # Only then can a data set be asked for `ds.ronchi`, which the schemas register.
    importlib.import_module("ronchi.schema")
