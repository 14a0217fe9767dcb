"""Peers are optional: imported on use, and asked for by name where they are absent."""

from __future__ import annotations

import importlib
from typing import Any

from ronchi.errors import PluginError

__all__ = ["need"]


def need(module: str, extra: str) -> Any:
    """Import a module of another program.

    Parameters
    ----------
    module : str
        e.g. ``"hyperspy.api"``.
    extra : str
        The extra of ronchi that brings it.

    Raises
    ------
    PluginError
        It is not installed, or broken.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        program = module.partition(".")[0]
        absent = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == program
        what = f"{program} is not installed" if absent else f"{program} cannot be imported: {error}"
        raise PluginError(what, fix=f'pip install "ronchi[{extra}]"') from error
