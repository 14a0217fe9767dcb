"""What a search for parameters leaves behind, from which the same search goes on."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ronchi.atomic import all_or_nothing
from ronchi.errors import OutputError

__all__ = ["LOOKS", "SEARCH", "TRIALS", "Looks", "Trial", "begun", "open_search", "training_folder", "write_trials"]

SEARCH = "search.json"
"""What is searched for; a folder holds one search."""
TRIALS = "tuning.json"
"""Trainings that ended: as they end, and best first in the end."""
LOOKS = "looks.json"
"""In the folder of a training: its parameters, and its looks at held-out data so far."""


@dataclass(frozen=True)
class Trial:
    """One training that ended.

    Parameters
    ----------
    params : mapping
    loss : float
        Lowest of its looks at held-out data, NaN if it failed before the first.
    looks : int
        Their number.
    error : str
        Why it failed, if it did.
    number : int
        Which one of the search it is, from 0.
    losses : tuple of float
        Of all its looks.
    stopped : bool
        Whether it was one of the worse, and not trained to its end.
    """

    params: Mapping[str, Any]
    loss: float
    looks: int
    error: str = ""
    number: int = 0
    losses: tuple[float, ...] = ()
    stopped: bool = False

    @classmethod
    def of(
        cls, number: int, params: Mapping[str, Any], losses: Sequence[float], *, error: str = "", stopped: bool = False
    ) -> Trial:
        """One with these looks."""
        best = min(filter(math.isfinite, losses), default=math.nan)
        if not error and not math.isfinite(best):
            error = "it never looked at held-out data" if not losses else "no look at held-out data had a finite loss"
        return cls(params, best, len(losses), error, number, tuple(losses), stopped and not error)


class Looks:
    """Looks of a training at held-out data, kept beside its checkpoints: one that goes on does not make them again.

    What a trainer that left no file of its own had done is lost, and its looks are forgotten. Where figures have a
    ``step``, looks that are made again, because the last checkpoint was before them, take the place of the old ones.
    """

    def __init__(self, folder: Path, params: Mapping[str, Any]) -> None:
        self._path, self._params = folder / LOOKS, params
        self._rows: list[tuple[float | None, float]] = []
        if begun(folder) is not None:
            self._rows = [(step, _number(loss)) for step, loss in _read(self._path)["looks"]]
        self._write()

    @property
    def losses(self) -> list[float]:
        """All so far."""
        return [loss for _, loss in self._rows]

    def add(self, figures: Mapping[str, float]) -> None:
        """Note the figures of a look."""
        step = None if "step" not in figures else float(figures["step"])
        if step is not None:
            self._rows = [row for row in self._rows if row[0] is None or row[0] < step]
        self._rows.append((step, float(figures["loss"])))
        self._write()

    def _write(self) -> None:
        _write(self._path, {"params": self._params, "looks": [(step, _told(loss)) for step, loss in self._rows]})


def training_folder(out: Path, number: int) -> Path:
    """Folder of a training of a search."""
    return out / "trainings" / str(number)


def begun(folder: Path) -> dict[str, Any] | None:
    """Parameters of a training that can go on, None if it left nothing to go on from."""
    left = {item.name for item in folder.iterdir() if not _is_remainder(item)} if folder.is_dir() else set()
    if LOOKS not in left or left == {LOOKS}:
        return None
    params: dict[str, Any] = _read(folder / LOOKS)["params"]
    return params


def open_search(out: Path, search: Mapping[str, Any]) -> list[Trial]:
    """Begin a search in a folder, or go on with the one that is in it.

    Parameters
    ----------
    out : Path
    search : mapping
        All that the trainings and their order depend on, as JSON knows it.

    Returns
    -------
    list of Trial
        Trainings that ended, by number.

    Raises
    ------
    OutputError
        The folder holds trainings of another search, or of nobody knows which; or its files are damaged.
    """
    path = out / SEARCH
    # JSON has no infinite numbers, which parameters may have.
    search = json.loads(json.dumps(search), parse_constant=str)
    if not _holds_trainings(out):
        # Looks without a checkpoint are of no use to another search.
        shutil.rmtree(out / "trainings", ignore_errors=True)
        _write(path, search)
        return []
    fix = "choose another folder with -o, or remove this one if its trainings are of no use"
    if not path.exists():
        raise OutputError(f"the folder holds trainings, and no {SEARCH} that says of what", where=str(out), fix=fix)
    differing = _differences(_read(path), search)
    if differing:
        what = f"the folder holds another search, which differs in {', '.join(differing)}"
        raise OutputError(what, where=str(out), fix=f"{fix}; {SEARCH} says what was searched for")
    return sorted(_read_trials(out), key=lambda trial: trial.number)


def write_trials(out: Path, trials: Sequence[Trial]) -> None:
    """Replace the table of the trainings that ended."""
    told = [
        {**asdict(trial), "loss": _told(trial.loss), "losses": [_told(loss) for loss in trial.losses]}
        for trial in trials
    ]
    _write(out / TRIALS, told)


def _holds_trainings(out: Path) -> bool:
    left = (item for item in (out / "trainings").glob("*/*") if not _is_remainder(item))
    return (out / TRIALS).exists() or any(item.name != LOOKS for item in left)


def _is_remainder(item: Path) -> bool:
    """Whether it is a lock, or half a file, of a process that was killed."""
    return item.name.startswith(".")


def _read_trials(out: Path) -> list[Trial]:
    path = out / TRIALS
    if not path.exists():
        return []
    try:
        return [
            Trial(**{**row, "loss": _number(row["loss"]), "losses": tuple(map(_number, row["losses"]))})
            for row in _read(path)
        ]
    except (KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _differences(old: Any, new: Any, at: str = "") -> list[str]:
    """Dotted names of what is not the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [name for name in (*new, *old) if name not in new or old.get(name) != new[name] or name not in old]
        return [
            found
            for name in dict.fromkeys(names)
            for found in _differences(old.get(name), new.get(name), f"{at}.{name}" if at else name)
        ]
    return [at]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> OutputError:
    fix = "choose another folder with -o, or put the file back as it was"
    return OutputError(f"the record of the search cannot be understood: {error}", where=str(path), fix=fix)


def _write(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with all_or_nothing(path, path.suffix, len(text)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _told(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def _number(loss: float | None) -> float:
    return math.nan if loss is None else float(loss)
