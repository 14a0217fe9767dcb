"""What a check says when an algorithm breaks its contract: what was wrong, where, and what to do."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Mapping
from pathlib import Path

from ronchi.errors import PluginError, RonchiError, SchemaError

__all__ = ["ContractError", "NotApplicable", "from_error", "innermost", "of_an_author"]

_NOT_THE_AUTHORS = (Path(__file__).resolve().parents[1], Path(sysconfig.get_path("stdlib")))
"""ronchi itself and Python's own library."""

_FAULTS = (PluginError, SchemaError)
"""What the core says of a plugin that is wrong, not what an algorithm says of data that do not suit it."""

_FOR_USERS = "report it to the authors of the plugin"
"""What the core advises, and those who run the kit are the authors."""


class ContractError(AssertionError):
    """An algorithm breaks its contract.

    Parameters
    ----------
    what : str
        What was wrong, with the figures.
    where : str, optional
        The algorithm with its parameters, or ``file:line`` of its code.
    fix : str, optional
        What the author can do about it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  -> {self.fix}" if self.fix else text


class NotApplicable(Exception):  # noqa: N818 - it says that there is nothing to check
    """A check has nothing to say about an algorithm; the text says why."""


def from_error(error: BaseException, where: str) -> ContractError:
    """Turn what an algorithm raised into a failure that names the line of the algorithm's own code."""
    if isinstance(error, ContractError):
        return error
    place = innermost(error) or where
    if isinstance(error, RonchiError):
        told = f"{error.where}: {error.what}" if error.where else error.what
        if isinstance(error, _FAULTS):
            fix = "return arrays as `ronchi.api` describes them" if error.fix == _FOR_USERS else error.fix
            return ContractError(f"{type(error).__name__}: {told}", where=place, fix=fix)
        fix = f"{error.fix}; or give the contract `params` and `inputs` that suit the algorithm".removeprefix("; or ")
        return ContractError(f"it refuses what the kit gives it ({type(error).__name__}): {told}", where=where, fix=fix)
    text = " ".join(str(error).split()) or "no message"
    fix = "return the right result, or raise a RonchiError that says what the user can do"
    return ContractError(f"it raised {type(error).__name__}: {text}", where=place, fix=fix)


def innermost(error: BaseException) -> str:
    """``file:line in function`` of the last frame that belongs neither to ronchi nor to an installed package."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if of_an_author(frame.filename)]
    return f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""


def of_an_author(filename: str) -> bool:
    """Whether a file of code is neither ronchi's, nor Python's, nor an installed package's."""
    path = Path(filename)
    return (
        path.suffix == ".py"
        and not any(path.is_relative_to(folder) for folder in _NOT_THE_AUTHORS)
        and not {"site-packages", "dist-packages"} & set(path.parts)
    )


def params_text(params: Mapping[str, object]) -> str:
    """Parameters as they stand in a test's name: ``mode=phase``; ``defaults`` if there are none."""
    return ", ".join(f"{name}={value}" for name, value in params.items()) or "defaults"
