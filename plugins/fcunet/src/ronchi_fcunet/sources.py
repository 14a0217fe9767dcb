"""Where the samples of a training come from: libraries, one or several, or patterns of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from ronchi.api import DataError, SchemaError
from ronchi_fcunet.labelled import LabelledSamples
from ronchi_fcunet.library_samples import LibrarySamples, told_by
from ronchi_fcunet.samples import Sample, Samples
from ronchi_fcunet.train_params import TrainParams

__all__ = ["MixedSamples", "open_samples"]


def open_samples(p: TrainParams, split: str) -> Samples:
    """What a training learns from, or what it is judged by.

    Raises
    ------
    SchemaError
        A prototype is in two splits, be it of two libraries.
    DataError
        The data cannot be read, there are none of this split, or libraries differ in the size of their patterns or in
        what their lattice points are weighed from.
    """
    if p.library is None:
        return LabelledSamples(p.labelled, split)
    paths = (p.library,) if isinstance(p.library, Path) else p.library
    if len(paths) == 1:
        return LibrarySamples(paths[0], split)
    told = {path: told_by(path) for path in paths}
    prototypes = {path: known for path, (known, _) in told.items()}
    _check_apart(prototypes)
    weighed = {surface: path for path, (_, surface) in told.items()}
    if len(weighed) > 1:
        listed = ", ".join(f"the {surface} in {path}" for surface, path in weighed.items())
        raise DataError(f"lattice points are weighed from {listed}", where="library", fix="one `weighed_from` for all")
    parts = [LibrarySamples(path, split) for path, known in prototypes.items() if known.get(split)]
    if not parts:
        what, where = f"the libraries have no runs for {split}", ", ".join(map(str, paths))
        raise DataError(what, where=where, fix="add one of all prototypes: `ronchi simulate library`")
    shapes = {part.pattern_shape: part.path for part in parts}
    if len(shapes) > 1:
        listed = ", ".join(f"{shape[0]} x {shape[1]} px in {path}" for shape, path in shapes.items())
        raise DataError(
            f"patterns are of several sizes: {listed}", where="library", fix="the same `pattern_px` for all"
        )
    return MixedSamples(parts)


def _check_apart(prototypes: Mapping[Path, Mapping[str, set[str]]]) -> None:
    """Raise `SchemaError` where crystals of a prototype are learned from in one library and judged by in another."""
    used: dict[str, tuple[str, Path]] = {}
    for path, splits in prototypes.items():
        for split, found in splits.items():
            for prototype in sorted(found):
                known, first = used.setdefault(prototype, (split, path))
                if known != split:
                    what = f"the prototype {prototype} is for {known} in {first}, and for {split} here"
                    raise SchemaError(what, where=str(path), fix="make both with the same `validation` and `test`")


class MixedSamples:
    """Samples of several sources behind one another: each is drawn as often as any other, whichever it is of.

    Parameters
    ----------
    parts : sequence of Samples
        Their patterns are of one shape.

    Attributes
    ----------
    prototypes : set of str
        Those of all parts.
    identity : str
        Theirs, joined by ``" + "``.
    """

    def __init__(self, parts: Sequence[Samples]) -> None:
        self.parts = list(parts)
        self._ends = list(accumulate(len(part) for part in self.parts))
        self.prototypes = set[str]().union(*(part.prototypes for part in self.parts))
        self.identity = " + ".join(part.identity for part in self.parts)

    def __len__(self) -> int:
        return self._ends[-1]

    def sample(self, number: int) -> Sample:
        """One of them."""
        place = int(np.searchsorted(self._ends, number, side="right"))
        return self.parts[place].sample(number - (self._ends[place] - len(self.parts[place])))
