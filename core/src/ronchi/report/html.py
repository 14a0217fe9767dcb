"""A run as one HTML file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ronchi.errors import OutputError
from ronchi.pipeline.cache import write_atomically
from ronchi.report.data import data_section
from ronchi.report.elements import Section
from ronchi.report.figures import Album
from ronchi.report.page import guarded, render_page
from ronchi.report.provenance import config_hash, provenance_section
from ronchi.report.results import result_section
from ronchi.report.summary import steps_section, summary_section
from ronchi.report.survey import Looks
from ronchi.result import RunResult
from ronchi.schema import fourd, schema_of

__all__ = ["write_report"]


def write_report(result: RunResult, path: str | Path, *, figures: bool = False, started: float | None = None) -> Path:
    """Write the report of a run.

    A section that cannot be made is replaced by a message: a failed run has a report as well.

    Parameters
    ----------
    result : RunResult
    path : path
        The HTML file; it appears complete or not at all.
    figures : bool
        Write the figures into ``figures/`` beside it too, as PNG files at 300 dpi. Those of an earlier
        report of this name are removed from there in any case.
    started : float, optional
        `time.perf_counter` when the writing began, for the report's own row among the steps.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OutputError
        The file or a figure cannot be written.
    """
    path = Path(path)
    digest = config_hash(result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        album = Album(path, f"{result.name}, configuration sha256 {digest}", keep=figures)
        page = _page(result, _sections(result, album, started), digest)
        write_atomically(path, page.encode("utf-8"))
    except OSError as error:
        fix = "free some space or choose another folder"
        raise OutputError(f"cannot be written: {error.strerror or error}", where=str(path), fix=fix) from error
    return path


def _sections(result: RunResult, album: Album, started: float | None) -> list[Section]:
    looks = Looks(result)
    makers = [
        (f"Data: {name}", partial(data_section, name, result[name], looks, album)) for name in _scans_to_show(result)
    ]
    makers += [
        (name, partial(result_section, result, step, album, looks))
        for name, step in result.steps.items()
        if step.data is not None and step.kind != "metric" and schema_of(step.data) != fourd.NAME
    ]
    made = [guarded(title, make) for title, make in makers]
    return [summary_section(result), *made, steps_section(result, started), provenance_section(result)]


def _scans_to_show(result: RunResult) -> list[str]:
    """References to the ``fourd/1`` data that something was made of, as read and as used."""
    scans = [
        name for name, step in result.steps.items() if step.data is not None and schema_of(step.data) == fourd.NAME
    ]
    used = {
        reference
        for step in result.steps.values()
        if step.data is not None and schema_of(step.data) != fourd.NAME
        for reference in step.inputs.values()
    }
    return [name for name in scans if name in used] or scans[-1:]


def _page(result: RunResult, sections: list[Section], digest: str) -> str:
    done = sum(step.status in ("done", "cached") for step in result.steps.values())
    complete = "complete" if result.ok else "incomplete"
    state = f"Run {complete}: {done} of {len(result.steps)} steps."
    footer = f"ronchi {result.versions.get('ronchi', '')} · configuration sha256 {digest}"
    return render_page(result.name, state, sections, footer)
