"""Compiled functions that are kept on disk where that is possible, and are compiled anew where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba

__all__ = ["njit"]

P = ParamSpec("P")
R = TypeVar("R")


def njit(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function with ``numba.njit``, and keep the machine code on disk if there is a place for it.

    With ``cache=True`` numba refuses to import a module when neither the module's folder nor
    the user's own cache can be written to, as in a read-only container without a home.

    A division by zero gives infinity or NaN, as in NumPy: the test for it would keep loops from being vectorised.

    Parameters
    ----------
    **options
        Of ``numba.njit``, without ``cache``.
    """
    options = {"error_model": "numpy", **options}

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            return numba.njit(**options)(function)

    return decorate
