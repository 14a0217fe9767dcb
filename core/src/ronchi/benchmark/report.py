"""The report of a benchmark: one HTML file with its figures, tables, failures, machine and configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import yaml

from ronchi.benchmark.figure_sides import absent_figures
from ronchi.benchmark.figures import draw_against, draw_costs, draw_forest
from ronchi.benchmark.outcome import FINISHED
from ronchi.benchmark.run import BenchResult
from ronchi.benchmark.stats import Summary, differences, summaries
from ronchi.benchmark.summary import (
    better_of,
    chosen_of,
    compared_of,
    confidence_of,
    interval,
    shown_of,
    unscored,
    verdict,
)
from ronchi.benchmark.table import COSTS, RATES, SECONDS
from ronchi.errors import OutputError
from ronchi.pipeline.cache import write_atomically
from ronchi.report.elements import Section, citation, code, key_figures, messages, paragraph, table
from ronchi.report.figures import Album
from ronchi.report.page import guarded, render_page

__all__ = ["write_bench_report"]

_HASH_LENGTH = 16
_MOST_FIGURES = 6
_COSTS = (
    "Time is that of the compared step alone, in a warm process, without the writing of its result; data that are read "
    "lazily are read in it. Rates are those of the patterns that it reads. Memory is what the step takes on top of "
    "what was there before."
)


def write_bench_report(result: BenchResult, path: Path) -> Path:
    """Write the report.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    about = f"{result.config.name}, configuration sha256 {result.config_sha256}"
    try:
        album = Album(path, about)
        sections = [
            guarded("Summary", partial(_summary, result)),
            guarded("Accuracy", partial(_accuracy, result, album)),
            guarded("Paired differences", partial(_pairs, result, album)),
            guarded("Medians", partial(_medians, result)),
            guarded("Tuning", partial(_tuning, result)),
            guarded("Not finished", partial(_failures, result)),
            guarded("Provenance", partial(_provenance, result)),
        ]
        done = sum(status in FINISHED for *_, status, _ in result.table.cells)
        page = render_page(
            result.config.name,
            f"Benchmark: {done} of {len(result.table.cells)} combinations finished.",
            [section for section in sections if section.body],
            f"ronchi {result.versions.get('ronchi', '')} · configuration sha256 {result.config_sha256}",
        )
        write_atomically(path, page.encode())
    except OSError as error:
        fix = "free some space or choose another folder"
        raise OutputError(f"cannot be written: {error.strerror or error}", where=str(path), fix=fix) from error
    return path


def _summary(result: BenchResult) -> Section:
    cells = result.table.cells
    lost = sum(status not in FINISHED for *_, status, _ in cells)
    body = paragraph(result.config.about) if result.config.about else ""
    said = [f"{lost} of {len(cells)} combinations did not finish: see below"] if lost else []
    body += messages(said + absent_figures(chosen_of(result), result.table.figures()))
    compared, baseline = compared_of(result)
    shown = [("combinations", str(len(cells))), ("repeats", str(result.config.protocol.repeats))]
    if compared:
        entries = result.config.slots[compared].entries
        shown += [("compared", f"{len(entries)} × {compared}"), ("baseline", baseline)]
    body += key_figures(shown)
    body += paragraph(
        f"Medians over repeats, with {100 * confidence_of(result):g} % percentile-bootstrap intervals. All entries see "
        "the same data, so that differences are taken pair by pair."
    )
    if result.config.protocol.timings:
        body += paragraph(_COSTS)
    return Section("Summary", body)


def _accuracy(result: BenchResult, album: Album) -> Section:
    figures = [figure for figure in shown_of(result) if figure not in COSTS][:_MOST_FIGURES]
    timed = [SECONDS] if SECONDS in result.table.figures() else []
    compared, _ = compared_of(result)
    confidence, better = confidence_of(result), better_of(result)
    entries = _entries(result) or [""]
    body = ""
    for factor in (name for name in result.table.factors if name != compared):
        if result.table.numbers(factor) is None:
            continue
        found = summaries(result.table, confidence, [*([compared] if compared else []), factor])
        drawn = _varying(found, [*figures, *timed]) or figures
        if not drawn:
            continue
        others = [name for name in result.table.factors if name not in (compared, factor)]
        over = f", over all of {', '.join(others)}" if others else ""
        body += album.add(
            f"against-{factor}",
            partial(draw_against, found, drawn, factor, entries, better),
            f"{', '.join(drawn)} against {factor}",
            f"Median and interval against {factor}{over}. What is the same everywhere is left out.",
        )
    if compared and timed and figures:
        found = summaries(result.table, confidence, [compared])
        body += album.add(
            "against-time",
            lambda: draw_costs(found, figures, SECONDS, "s", entries, better),
            f"{', '.join(figures)} against time",
            "Accuracy against time, each over all data.",
        )
    return Section("Accuracy", body)


def _entries(result: BenchResult) -> list[str]:
    """Entries of the compared step, in the order of the benchmark: each has its colour by its place."""
    compared, _ = compared_of(result)
    return [entry.label for entry in result.config.slots[compared].entries] if compared else []


def _varying(found: Sequence[Summary], figures: Sequence[str]) -> list[str]:
    """Figures that are not the same for all entries and values of a factor."""
    return [name for name in figures if len({each.median for each in found if each.figure == name}) > 1]


def _pairs(result: BenchResult, album: Album) -> Section:
    compared, baseline = compared_of(result)
    if not compared:
        return Section("Paired differences", "")
    confidence, better = confidence_of(result), better_of(result)
    pooled = differences(result.table, compared, baseline, confidence, pooled=True)
    single = differences(result.table, compared, baseline, confidence)
    others = [name for name in result.table.factors if name != compared]
    body = ""
    compared_figures = [name for name in shown_of(result) if name not in RATES]
    for figure in compared_figures:
        together, apart = ([each for each in listed if each.figure == figure] for listed in (pooled, single))
        if together:
            side = better[figure]
            body += album.add(
                f"pairs-{figure}",
                partial(draw_forest, together, apart, others, figure, baseline, _entries(result)),
                f"Differences of {figure} from {baseline}",
                f"{figure}: difference from {baseline} on the same data" + (f"; {side} is better." if side else "."),
            )
    rows = [
        (each.entry, each.figure, f"{each.median:+.4g}", interval(each, "+"), each.n,
         verdict(each, better, confidence))
        for each in pooled if each.figure in compared_figures
    ]  # fmt: skip
    head = (compared, "figure", "median difference", "interval", "pairs", "")
    return Section("Paired differences", body + table(head, rows, f"From {baseline}, over all pairs"))


def _medians(result: BenchResult) -> Section:
    shown = set(shown_of(result))
    rows = [
        (*each.factors, each.figure, f"{each.median:.4g}", interval(each), each.n)
        for each in summaries(result.table, confidence_of(result))
        if each.figure in shown
    ]
    head = (*result.table.factors, "figure", "median", "interval", "values")
    return Section("Medians", table(head, rows, "Over repeats") if rows else "")


def _tuning(result: BenchResult) -> Section:
    if not result.tuned:
        return Section("Tuning", "")
    tuning = result.config.protocol.tuning
    assert tuning is not None
    body = paragraph(
        f"{tuning.trials} trials of every entry below, on data with other seeds than those of the comparison; the best "
        f"{tuning.figure} there decides."
    )
    rows = [(each.entry, str(dict(each.params)), f"{each.value:.4g}", len(each.trials)) for each in result.tuned]
    return Section("Tuning", body + table(("entry", "parameters", tuning.figure, "trials"), rows, "Found, and used"))


def _failures(result: BenchResult) -> Section:
    rows = [
        (number, *factors, repeat, status, error)
        for number, (factors, repeat, status, error) in enumerate(result.table.cells)
        if status not in FINISHED
    ]
    head = ("cell", *result.table.factors, "repeat", "status", "why")
    body = table(head, rows, "Combinations that gave no figures") if rows else ""
    partial_rows = unscored(result)
    if partial_rows:
        head = (compared_of(result)[0] or "entry", "combinations", "why")
        body += table(head, partial_rows, "What a metric could not score")
    return Section("Not finished", body)


def _provenance(result: BenchResult) -> Section:
    source = result.config.source
    text = source.text or yaml.safe_dump(source.data, sort_keys=False, allow_unicode=True)
    body = "<h3>Benchmark</h3>" + code(text) + paragraph(f"sha256 of the configuration {result.config_sha256}")
    body += "<h3>Machine</h3>" + table(("what", "value"), result.environment.items(), "Where this ran")
    body += "<h3>Versions</h3>" + table(("distribution", "version"), result.versions.items(), "What computed this")
    rows = list(_data_keys(result))
    body += "<h3>Data</h3>" + code(
        "\n".join("  ".join(row) for row in rows), f"Keys of the data of {len(rows)} steps: equal keys are equal data"
    )
    if result.citations:
        cited = "".join(f"<li>{citation(text)}</li>" for text in result.citations)
        body += f"<h3>Please cite</h3><ul>{cited}</ul>"
    return Section("Provenance", body)


def _data_keys(result: BenchResult) -> Iterator[tuple[str, str]]:
    """Steps that are the same for all entries of the compared one, and the first digits of each of their keys."""
    compared, _ = compared_of(result)
    found: dict[str, dict[tuple[object, ...], set[str]]] = {}
    for number, keys in result.keys.items():
        factors, repeat, *_ = result.table.cells[number]
        others = [value for name, value in zip(result.table.factors, factors, strict=True) if name != compared]
        for step, key in keys.items():
            found.setdefault(step, {}).setdefault((*others, repeat), set()).add(key)
    for step, by_data in found.items():
        if all(len(keys) == 1 for keys in by_data.values()):
            for key in sorted(set().union(*by_data.values())):
                yield step, key[:_HASH_LENGTH]
