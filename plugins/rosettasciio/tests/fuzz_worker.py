"""Feeds damaged copies of real files to the reader, in a process of its own with little memory.

``python fuzz_worker.py DATA SCRATCH SEED EVERY PART``: of all cases, those whose number leaves PART when divided by
EVERY. Prints a line of JSON for each case that does anything but open or raise a `RonchiError`, and a last one with
the figures. A case that hangs inside C ends the process, with its name as the last line of the standard error.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

LIMIT_S = 10
"""Of work: the clock of a busy machine says little. In time it is three times as much."""

MEMORY_BYTES = 4 * 2**30
KINDS = {"truncated": 13, "flipped": 10, "flipped head": 12, "renamed": 3, "empty": 1}
NAMES = (
    "a.h5",
    "a.dm3",
    "a.mib",
    "a.blo",
    "a.tif",
    "a.hspy",
    "a.xml",
    "a.npy",
    "a.mrc",
    "a.emd",
    "a.ser",
    "a",
    "a.zspy",
)


class TooLong(BaseException):
    """Not an Exception, so that nobody catches it on its way."""


def damaged(whole: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Bytes of a file, damaged."""
    if kind == "empty" or not whole:
        return b""
    if kind == "truncated":
        # Half of the cuts fall into the header, where most is at stake.
        most = len(whole) if rng.random() < 0.5 else min(len(whole), 8192)
        return whole[: int(rng.integers(0, most))]
    if kind.startswith("flipped"):
        data = np.frombuffer(whole, np.uint8).copy()
        most = len(data) if kind == "flipped" else min(len(data), 4096)
        for at in rng.integers(0, most, int(rng.integers(1, 24))):
            data[at] ^= 1 << int(rng.integers(0, 8))
        return data.tobytes()
    return whole


def cases(data: Path, seed: int, every: int, part: int) -> Iterator[tuple[Path, str, int, np.random.Generator]]:
    """All cases, in a fixed order."""
    number = 0
    for file in sorted(path for path in data.rglob("*") if path.is_file() and path.suffix != ".md"):
        for kind, count in KINDS.items():
            for repeat in range(count):
                number += 1
                if number % every == part:
                    yield file, kind, repeat, np.random.default_rng([seed, number])


def use(path: Path, form: str) -> str:
    """Open a file, and read its first and last frame."""
    from ronchi.errors import RonchiError
    from ronchi_rosettasciio.params import RosettaParams
    from ronchi_rosettasciio.reader import RosettaReader

    reader = RosettaReader(RosettaParams(path=str(path), format=form))
    sure = reader.confidence(path)
    assert 0 <= sure <= 1
    try:
        intensity = reader.open(path)["intensity"]
        for at in (0, -1):
            np.asarray(intensity[(at,) * (intensity.ndim - 2)].values)
    except RonchiError as error:
        return "refused" if error.what and error.where and error.fix else "unclear"
    return "opened"


def main(data: Path, scratch: Path, seed: int, every: int, part: int) -> None:
    """Run the cases."""
    from ronchi.pipeline.resources import peak_rss_mb
    from ronchi_rosettasciio import sniff

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        # What is imported at first use is no case's time.
        use(file, "auto")

    def stop(*_: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGPROF, stop)
    tally: dict[str, int] = {}
    slowest: tuple[float, str] = (0.0, "")
    for file, kind, repeat, rng in cases(data, seed, every, part):
        folder = scratch / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for other in file.parent.iterdir():
            (folder / other.name).symlink_to(other)
        name = str(rng.choice(NAMES)) if kind == "renamed" else file.name
        damaged_file = folder / name
        damaged_file.unlink(missing_ok=True)
        damaged_file.write_bytes(damaged(file.read_bytes(), kind, rng))
        known = sniff.identify(file)
        form = known.name if known is not None and repeat % 2 else "auto"
        told = f"{file.relative_to(data)}, {kind} {repeat}, {name}, {form}"
        print(told, file=sys.stderr, flush=True)
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        signal.alarm(3 * LIMIT_S)
        faulthandler.dump_traceback_later(3 * LIMIT_S + 5, exit=True)
        try:
            outcome = use(damaged_file, form)
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
        tally[outcome] = tally.get(outcome, 0) + 1
    print(
        json.dumps(
            {"tally": tally, "slowest_s": round(slowest[0], 2), "slowest": slowest[1], "peak_mb": round(peak_rss_mb())}
        )
    )


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:6]))
