"""The results of a benchmark as one data set: a cell each place, factors as coordinates, figures as variables."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from ronchi.benchmark.run import BenchResult
from ronchi.benchmark.table import COSTS

__all__ = ["to_dataset"]


def to_dataset(result: BenchResult) -> xr.Dataset:
    """Figures over ``cell``, costs over ``cell`` and ``timing``; NaN where a cell has none.

    Returns
    -------
    xarray.Dataset
        Coordinates ``repeat`` and every factor over ``cell``, numbers where all its values are; variables
        ``status``, every figure ``step.figure``, and, where time was measured, its `COSTS`.
    """
    table = result.table
    n = len(table.cells)
    at = {(factors, repeat): number for number, (factors, repeat, *_) in enumerate(table.cells)}
    coords: dict[str, tuple[str, list[object]]] = {"repeat": ("cell", [repeat for _, repeat, *_ in table.cells])}
    for number, factor in enumerate(table.factors):
        texts = [factors[number] for factors, *_ in table.cells]
        numbers = table.numbers(factor)
        coords[factor] = ("cell", [numbers[text] if numbers else text for text in texts])
    made = xr.Dataset({"status": ("cell", [status for *_, status, _ in table.cells])}, coords)
    for figure in table.figures():
        values = table.values(figure)
        width = max(map(len, values.values()))
        column = np.full((n, width), np.nan)
        for key, listed in values.items():
            column[at[key], : len(listed)] = listed
        made[figure] = (("cell", "timing"), column) if figure in COSTS else ("cell", column[:, 0])
    for figure, unit in COSTS.items():
        if figure in made:
            made[figure].attrs["units"] = unit
    config = json.dumps(result.config.source.data, default=str)
    return made.assign_attrs(name=result.config.name, about=result.config.about, config=config)
