"""What became of a cell, as it travels from its process to the table and lies in the folder of rows."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FINISHED", "Outcome"]

FINISHED = ("done", "partial")
"""How a cell ends that has figures."""


@dataclass(kw_only=True)
class Outcome:
    """What became of a cell.

    Parameters
    ----------
    status : str
        ``"done"``; ``"partial"`` where metrics could not score what it has made, such as angles that a learner does
        not give; ``"failed"``, ``"skipped"``, ``"timeout"``, ``"memory"`` or ``"crashed"``.
    error : str
        Message, if it is not done; one a line for ``"partial"``.
    scores : mapping
        ``step.figure`` to number.
    seconds : list of float
        Wall times of the compared step in a warm process, without writing its result.
    peak_mb : list of float
        Highest resident memory during each of those, above that just before.
    patterns, gigabytes : float
        What the compared step reads as ``data``; 0 where that has no patterns, or no intensity.
    allowed : str
        What the cell was allowed in time, memory and plugins, on which machine and with which versions: one that
        did not finish may with more, or elsewhere.
    """

    status: str
    error: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    patterns: int = 0
    gigabytes: float = 0.0
    allowed: str = ""
