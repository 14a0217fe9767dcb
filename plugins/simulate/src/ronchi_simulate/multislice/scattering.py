"""How strongly an atom scatters: the projected potential of Lobato and Van Dyck 2014 in reciprocal space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ronchi.api import DataError

if TYPE_CHECKING:
    import torch

Grid = TypeVar("Grid", NDArray[np.float64], "torch.Tensor")

__all__ = ["Scattering", "abtem_scattering", "projected_form_factor"]

Scattering = Mapping[int, ArrayLike]
"""Lobato's parameters by atomic number: (2, 5), the row a in angstrom above the row b in angstrom^2."""

_POTENTIAL_PER_SCATTERING_V_ANGSTROM2 = 47.87764724
"""h^2 / (2 pi m e), m at rest: potential in volt angstrom^3 for a scattering length in angstrom (CODATA 2022)."""


@cache
def abtem_scattering() -> Scattering:
    """Lobato's parameters of all elements, from abTEM's table, without the seconds that the import of abTEM takes."""
    from ase.data import atomic_numbers

    table = Path(str(distribution("abtem").locate_file("abtem/parametrizations/data/lobato.json")))
    parameters = json.loads(table.read_text(encoding="utf-8"))
    return {atomic_numbers[symbol]: np.asarray(rows) for symbol, rows in parameters.items()}


def projected_form_factor(scattering: Scattering, number: int, q_squared: Grid) -> Grid:
    """Fourier transform of an atom's potential, projected along the beam.

    f(q) = sum_i a_i (2 + b_i q^2) / (1 + b_i q^2)^2 in angstrom (Lobato and Van Dyck 2014,
    doi:10.1107/S205327331401643X, eq. 13).

    Parameters
    ----------
    scattering : mapping
    number : int
        Atomic number.
    q_squared : numpy.ndarray or torch.Tensor
        In 1/angstrom^2, with q = 1 / spacing.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        In volt angstrom^3, like ``q_squared``.

    Raises
    ------
    DataError
        The table lacks the element.
    """
    if number not in scattering:
        raise DataError(
            f"no scattering factor for atomic number {number}",
            where="projected_form_factor",
            fix="use elements that Lobato's table has (hydrogen to lawrencium), or give a table with this one",
        )
    a, b = np.asarray(scattering[number], dtype=np.float64).tolist()
    form_factor = 0 * q_squared
    for amplitude, width in zip(a, b, strict=True):
        spread = width * q_squared
        form_factor += amplitude * (2 + spread) / (1 + spread) ** 2
    return _POTENTIAL_PER_SCATTERING_V_ANGSTROM2 * form_factor
