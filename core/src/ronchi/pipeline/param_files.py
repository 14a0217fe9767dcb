"""Files that parameters name, wherever in them they are: where they lie, and what counts of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ronchi.api import Params

__all__ = ["beside", "files_in", "without_files"]


def beside(params: Params, base: Path) -> Params:
    """Parameters whose relative paths start at a folder, also inside of tuples and of other parameters."""
    return _mapped(params, lambda _, path: base / path.expanduser())


def files_in(params: Params) -> dict[str, Path]:
    """Every path in parameters, by its place: ``mask``, ``masks.0``, ``inner.table``."""
    found: dict[str, Path] = {}

    def note(place: str, path: Path) -> Path:
        found[place] = path
        return path

    _mapped(params, note)
    return found


def without_files(params: Params) -> dict[str, Any]:
    """Parameters as JSON types, with nothing in the place of a path: where a file lies does not count."""
    return _mapped(params, lambda place, path: Path()).model_dump(mode="json")


def _mapped(params: Params, change: Callable[[str, Path], Path]) -> Params:
    def changed(place: str, value: Any) -> Any:
        if isinstance(value, Path):
            return change(place, value)
        if isinstance(value, Params):
            return model(f"{place}.", value)
        if isinstance(value, tuple | list):
            return type(value)(changed(f"{place}.{number}", item) for number, item in enumerate(value))
        if isinstance(value, Mapping):
            return {key: changed(f"{place}.{key}", item) for key, item in value.items()}
        return value

    def model(prefix: str, held: Params) -> Params:
        new = {name: changed(f"{prefix}{name}", getattr(held, name)) for name in type(held).model_fields}
        # What is updated counts as given, so only what holds a path is.
        return held.model_copy(update={name: value for name, value in new.items() if value != getattr(held, name)})

    return model("", params)
