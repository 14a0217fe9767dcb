"""A diffraction library in a report: what it holds, and some of its samples."""

from __future__ import annotations

import xarray as xr

from ronchi import plot
from ronchi.report.elements import key_figures, table
from ronchi.report.figures import Album
from ronchi.schema import library

__all__ = ["library_body"]

_LARGE = ("runs", "patterns", "crystals")


def library_body(name: str, data: xr.Dataset, album: Album) -> str:
    """Numbers and a picture of 5 x 5 samples, as HTML; nothing else of the patterns is read.

    Parameters
    ----------
    name : str
        Of the figure.
    data : xarray.Dataset
        ``library/1``.
    """
    rows = library.contents(data)
    body = key_figures([(key, rows[key]) for key in _LARGE])
    body += table(("quantity", "value"), [row for row in rows.items() if row[0] not in _LARGE], "What is in it")
    return body + album.add(
        f"{name}-samples",
        lambda: plot.library_samples(data, plot.spread_samples(data)),
        "25 diffraction patterns of different crystals, with circles around their reflections",
        "Samples from the first run to the last, thicker from left to right; the semiangle changes from row to row. "
        "Logarithmic scale over five decades. Circles mark true reflections, larger with |V_g| near the Ewald sphere.",
    )
