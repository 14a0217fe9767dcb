"""Fitted states on disk: numbers as JSON, arrays as safetensors; nothing in either can run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError

__all__ = ["load_state", "save_state"]

_NUMBERS, _ARRAYS = "state.json", "arrays.safetensors"


class _Stored(dict[str, Any]):
    """What a file held; asks for a new fit where that is not what is looked for."""

    def __init__(self, held: Mapping[str, Any], folder: Path) -> None:
        super().__init__(held)
        self._folder = folder

    def __missing__(self, name: str) -> Any:
        what = f"the fitted state has no {name!r}: another version of ronchi-rvae wrote it"
        raise DataError(what, where=str(self._folder), fix="fit again")


def save_state(folder: Path, numbers: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a state.

    Parameters
    ----------
    folder : Path
        Exists.
    numbers : mapping
        What JSON can hold.
    arrays : mapping of str to array
        Real or complex64.
    """
    from safetensors.numpy import save_file

    held = {name: np.ascontiguousarray(_as_real(array)) for name, array in arrays.items()}
    complex_names = [name for name, array in arrays.items() if np.iscomplexobj(array)]
    (folder / _NUMBERS).write_text(json.dumps({**numbers, "complex": complex_names}), encoding="utf-8")
    save_file(held, folder / _ARRAYS)


def load_state(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what `save_state` wrote.

    Raises
    ------
    DataError
        The folder holds no state; or later, of the result, something is looked for that the state does not hold.
    """
    from safetensors.numpy import load_file

    try:
        numbers = json.loads((folder / _NUMBERS).read_text(encoding="utf-8"))
        arrays = load_file(folder / _ARRAYS)
    except OSError as error:
        raise DataError(f"no fitted state: {error}", where=str(folder), fix="fit and save first") from error
    complex_names = numbers.pop("complex")
    made = {name: a.view(np.complex64)[..., 0] if name in complex_names else a for name, a in arrays.items()}
    return _Stored(numbers, folder), _Stored(made, folder)


def _as_real(array: NDArray[Any]) -> NDArray[Any]:
    if not np.iscomplexobj(array):
        return array
    return np.stack([array.real, array.imag], axis=-1).astype(np.float32)
