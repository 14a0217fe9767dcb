"""A diffraction library in a report: what it holds, and some of its samples; by itself or as the result of a step."""

from __future__ import annotations

import json
from pathlib import Path

import xarray as xr

from ronchi import plot
from ronchi.errors import OutputError
from ronchi.pipeline.cache import write_atomically
from ronchi.pipeline.simulation import RECORD_ATTR
from ronchi.report.elements import Section, code, key_figures, paragraph, table
from ronchi.report.figures import Album
from ronchi.report.page import guarded, render_page
from ronchi.schema import library

__all__ = ["library_body", "write_library_report"]

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


def write_library_report(data: xr.Dataset, name: str, path: Path, *, figures: bool = False) -> Path:
    """Write the report of a library by itself.

    Parameters
    ----------
    data : xarray.Dataset
        ``library/1``, lazy.
    name : str
        Title of the page.
    path : pathlib.Path
        The HTML file; it appears complete or not at all.
    figures : bool
        Write the picture into ``figures/`` beside it too, at 300 dpi.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        album = Album(path.parent / "figures", name, keep=figures)
        title = "Library"
        sections = [guarded(title, lambda: Section(title, library_body("library", data, album)))]
        record = data.attrs.get(RECORD_ATTR)
        if record:
            text = json.dumps(json.loads(record), indent=1)
            words = paragraph("How it was made; `ronchi replay` makes it again and compares.")
            sections.append(Section("Provenance", words + code(text)))
        state = f"{library.NAME}, {data.sizes['run']} runs."
        write_atomically(path, render_page(name, state, sections, str(data.attrs.get("title", ""))).encode("utf-8"))
    except OSError as error:
        fix = "free some space or choose another folder"
        raise OutputError(f"cannot be written: {error.strerror or error}", where=str(path), fix=fix) from error
    return path
