"""Feeds damaged copies of files to the readers, in a process of its own with little memory.

``python worker.py READERS SHARED SCRATCH SEED EVERY PART [FIRST]``: of all cases of the reader of vendors' files
(READERS ``vendors``) or of the others (``project``), those from the number FIRST on that leave PART when divided by
EVERY. Prints a line of JSON for each case that does anything but open or raise a `RonchiError`, and a last one with
the figures. A case that hangs inside C ends the process, with its name as the last line of the standard error.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from damage import copy_damaged
from files import RAW, healthy, write_small_files

LIMIT_S = 10
"""Of work: the clock of a busy machine says little. In time it is three times as much."""

MEMORY_BYTES = 4 * 2**30
KINDS = {"truncated": 6, "flipped": 7, "flipped head": 8, "flipped heap": 6, "renamed": 2, "empty": 1, "missing": 1}
KINDS_AUTO = {"truncated": 3, "flipped": 3, "flipped head": 4, "flipped heap": 1, "renamed": 3, "empty": 1}
KINDS_VENDORS = {"truncated": 13, "flipped": 10, "flipped head": 12, "renamed": 3, "empty": 1}


class TooLong(BaseException):
    """Not an Exception, so that nobody catches it on its way."""


def cases(small: Path, shared: Path, vendors: bool) -> Iterator[tuple[str, Path, str]]:
    """All cases, in a fixed order: reader, file, kind of damage."""
    for reader, file in healthy(small, shared, vendors):
        for kind, count in {"auto": KINDS_AUTO, "rosettasciio": KINDS_VENDORS}.get(reader, KINDS).items():
            yield from [(reader, file, kind)] * count


def params_of(reader: str, file: Path, number: int) -> dict[str, Any]:
    """Parameters for a file: what raw frames need, and the format of a vendor's file by name every other time."""
    if reader == "rosettasciio" and number % 2:
        from ronchi_rosettasciio import sniff

        known = sniff.identify(file)
        return {"format": known.name} if known else {}
    return RAW if reader == "raw" else {}


def use(path: Path, reader: str, params: dict[str, Any]) -> str:
    """Ask for the confidence, open a file, and read all that is small and the ends of what is not."""
    from ronchi import verbs
    from ronchi.errors import RonchiError
    from ronchi.file_faults import reading
    from ronchi.manager import get_manager

    if reader != "auto":
        asked = get_manager().create("reader", reader, {**params, "path": str(path)})
        assert 0 <= asked.confidence(path) <= 1
    try:
        result = verbs.read_result(path, reader, **params)
        for data in (result.data, *result.sides.values()):
            for name, var in data.variables.items():
                ends = [(at,) * (var.ndim - 2) for at in (0, -1)] if var.ndim > 2 else [()]
                with reading(var, str(name)):
                    for key in ends:
                        np.asarray(var[key].values)
            data.close()
    except RonchiError as error:
        return "refused" if error.what and error.where and error.fix else f"unclear: {error!r}"
    return "opened"


def main(vendors: bool, shared: Path, scratch: Path, seed: int, every: int, part: int, first: int = 0) -> None:
    """Run the cases."""
    from ronchi.pipeline.resources import peak_rss_mb

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    small = scratch / "small"
    if not vendors:
        write_small_files(small, seed)
    for reader, file in healthy(small, shared, vendors):
        # What is imported at first use is no case's time; and whole files have to open.
        whole = reader != "auto" and file.is_relative_to(small)
        if whole and use(file, reader, params_of(reader, file, 0)) != "opened":
            raise SystemExit(f"{reader} does not open {file}")
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    def stop(*_: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGPROF, stop)
    tally: Counter[str] = Counter()
    slowest = (0.0, "")
    for number, (reader, file, kind) in enumerate(cases(small, shared, vendors)):
        if number < first or number % every != part:
            continue
        folder = scratch / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        params = params_of(reader, file, number)
        told = f"{number}: {reader}, {file.name}, {kind}, {params.get('format', 'auto')}"
        print(told, file=sys.stderr, flush=True)
        damaged = copy_damaged(file, folder, kind, np.random.default_rng([seed, number]))
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        signal.alarm(3 * LIMIT_S)
        faulthandler.dump_traceback_later(3 * LIMIT_S + 5, exit=True)
        try:
            outcome = use(damaged, reader, params)
        except TooLong:
            outcome = "hung"
        except BaseException:  # noqa: BLE001 - that is what is looked for
            outcome = f"crashed: {traceback.format_exc()[-3000:]}"
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()
        if outcome not in ("opened", "refused"):
            print(json.dumps({"case": told, "outcome": outcome}), flush=True)
            outcome = outcome.partition(":")[0]
        slowest = max(slowest, (time.perf_counter() - start, told))
        tally[f"{reader} {outcome}"] += 1
    figures = {"tally": tally, "slowest_s": round(slowest[0], 2), "slowest": slowest[1]}
    print(json.dumps({**figures, "peak_mb": round(peak_rss_mb()), "cpu_s": round(time.process_time())}))


if __name__ == "__main__":
    main(sys.argv[1] == "vendors", Path(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:]))
