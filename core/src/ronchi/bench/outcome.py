"""What became of a cell, as it travels from its process to the table and lies in the folder of rows."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Outcome"]


@dataclass(kw_only=True)
class Outcome:
    """What became of a cell.

    Parameters
    ----------
    status : str
        ``"done"``, ``"failed"``, ``"skipped"``, ``"timeout"``, ``"memory"`` or ``"crashed"``.
    error : str
        Message, if it is not done.
    scores : mapping
        ``step.figure`` to number.
    seconds : list of float
        Wall times of the compared step in a warm process, without writing its result.
    peak_mb : list of float
        Highest resident memory during each of those, above that just before.
    """

    status: str
    error: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
