"""``scores/1``: named figures of a metric, as scalar variables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, variable

__all__ = ["NAME", "make", "validate"]

NAME = "scores/1"


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``scores/1`` data set. Raises `SchemaError`."""
    return check_dataset(ds, NAME, dict.fromkeys(map(str, ds.data_vars), ()), None, where)


def make(figures: Mapping[str, float], metric: str = "") -> xr.Dataset:
    """Build a ``scores/1`` data set from named numbers."""
    data = {name: variable((), np.float64(value), "1", name) for name, value in figures.items()}
    return validate(xr.Dataset(data, attrs={ATTR: NAME, "metric": metric}))
