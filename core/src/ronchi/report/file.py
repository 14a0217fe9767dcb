"""The report of one file by itself: what is known of it, and what it looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ronchi.errors import OutputError
from ronchi.pipeline.cache import write_atomically
from ronchi.pipeline.provenance import STORE_ATTR
from ronchi.pipeline.remarks import warnings_of
from ronchi.plot.canvas import add_colorbar, box_ratio, draw_image, panels
from ronchi.plot.labels import titled
from ronchi.plot.limits import intensity_norm
from ronchi.plot.scalebar import add_scale_bar
from ronchi.report.data import data_section, reader_remarks
from ronchi.report.elements import Section, code, messages, paragraph
from ronchi.report.figures import Album
from ronchi.report.library import library_body
from ronchi.report.page import guarded, render_page
from ronchi.report.results import result_section
from ronchi.report.survey import Looks
from ronchi.result import RunResult, StepResult
from ronchi.schema import fourd, images, library, schema_of

__all__ = ["write_file_report"]

_MOST_FRAMES = 6


def write_file_report(step: StepResult, name: str, path: Path, *, figures: bool = False) -> Path:
    """Write the report of what a reader gives.

    Of a scan all patterns are read, once and block by block; of images and libraries those that are drawn.

    Parameters
    ----------
    step : StepResult
        The reader, with its data.
    name : str
        Title of the page.
    path : pathlib.Path
        The HTML file; it appears complete or not at all.
    figures : bool
        Write the pictures into ``figures/`` beside it too, at 300 dpi.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    data = step.data
    assert data is not None
    run = RunResult(name=name, config={}, out_dir=path.parent, steps={step.step: step})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside it there may be reports of other files, and of the run that made this one.
        album = Album(path, name, keep=figures, prefix=f"{Path(name).stem}-")
        told = warnings_of(run)
        sections = [Section("Warnings", messages(told))] if told else []
        sections.append(guarded("Data", lambda: _drawn(run, step, data, album)))
        record = data.attrs.get(STORE_ATTR)
        if record:
            text = json.dumps(json.loads(record), indent=1)
            words = paragraph("How it was made; `ronchi replay` makes it again and compares.")
            sections.append(Section("Provenance", words + code(text)))
        sizes = " × ".join(f"{size} {dim}" for dim, size in data.sizes.items())
        footer = str(data.attrs.get("title", ""))
        page = render_page(name, f"{schema_of(data)}: {sizes}, read by {step.name}.", sections, footer)
        write_atomically(path, page.encode("utf-8"))
    except OSError as error:
        fix = "free some space or choose another folder"
        raise OutputError(f"cannot be written: {error.strerror or error}", where=str(path), fix=fix) from error
    return path


def _drawn(run: RunResult, step: StepResult, data: xr.Dataset, album: Album) -> Section:
    schema = schema_of(data)
    if schema == fourd.NAME:
        return data_section(step.step, data, Looks(run), album)
    if schema == library.NAME:
        return Section("Library", library_body("library", data, album))
    if schema == images.NAME:
        caption = f"At most {_MOST_FRAMES} frames, evenly spread, each on its own scale."
        drawn = album.add("frames", lambda: _frames(data), "Images, from the first frame to the last", caption)
        return Section("Images", reader_remarks(data) + drawn)
    return result_section(run, step, album, Looks(run))


def _frames(data: xr.Dataset) -> Any:
    """Frames in grey with a scale bar; only they are read."""
    movie = data["intensity"]
    last = movie.sizes["frame"] - 1
    shown = np.unique(np.linspace(0, last, _MOST_FRAMES).astype(int)).tolist()
    figure, axes = panels(len(shown), box_ratio(data["y"], data["x"]), most_columns=3)
    for ax, number in zip(axes, shown, strict=True):
        image = movie.isel(frame=number).load()
        norm, _ = intensity_norm(image.values, 1.0)
        drawn = draw_image(ax, image, cmap="gray", norm=norm, values=np.asarray(image.values, float))
        add_scale_bar(ax, str(data["x"].attrs.get("units", "pixel")))
        ax.set_title(titled(f"Frame {number}", str(movie.attrs.get("units", ""))), fontsize="medium", loc="left")
        add_colorbar(drawn, ax)
    return figure
