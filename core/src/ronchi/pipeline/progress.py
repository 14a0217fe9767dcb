"""Progress for people: a live bar on a terminal, one plain line every 10 % elsewhere."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from ronchi.pipeline.interrupts import check

if TYPE_CHECKING:
    from ronchi.result import StepResult

__all__ = ["PlainProgress", "Progress", "RichProgress", "make_progress"]


class Progress:
    """Says nothing; the base of those that do. With every step of the work, a Ctrl-C that was lost is heard again."""

    def started(self, step: StepResult) -> None:
        """Note that a step begins to run."""
        check()

    def update(self, done: int, total: int) -> None:
        """``done`` of ``total`` units of the current step are finished."""
        check()

    def note(self, text: str) -> None:
        """Say why nothing seems to happen."""

    def tell(self, text: str) -> None:
        """Say what those who want no progress have to know too, as that another process is waited for."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def finished(self, step: StepResult) -> None:
        """Note that a step is done, reused, failed or skipped."""


class PlainProgress(Progress):
    """Lines for a log file: every tenth of a step, and how each step ended."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._step = ""
        self._tenths = 0

    def started(self, step: StepResult) -> None:
        """Begin to count tenths."""
        super().started(step)
        self._step, self._tenths = step.step, 0

    def update(self, done: int, total: int) -> None:
        """Write a line if another tenth is finished."""
        super().update(done, total)
        tenths = 10 * done // total if total else 10
        if tenths > self._tenths:
            self._tenths = tenths
            self._line(f"{self._step}: {10 * tenths} % ({done} of {total})")

    def note(self, text: str) -> None:
        """Write a line."""
        self._line(text)

    tell = note

    def finished(self, step: StepResult) -> None:
        """Write how the step ended."""
        self._line(describe(step))

    def _line(self, text: str) -> None:
        # A log that cannot be written to must not stop the work.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text + "\n")
            self.stream.flush()


class RichProgress(Progress):
    """One bar a running step."""

    def __init__(self, bars: Any) -> None:
        self.bars = bars
        self._task: Any = None

    def started(self, step: StepResult) -> None:
        """Show a bar without length."""
        super().started(step)
        self._task = self.bars.add_task(f"{step.step}: {step.kind} {step.name}", total=None)

    def update(self, done: int, total: int) -> None:
        """Set the length of the bar."""
        super().update(done, total)
        if self._task is not None:
            self.bars.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self.bars.console.print(text, markup=False, highlight=False)

    tell = note

    def finished(self, step: StepResult) -> None:
        """Replace the bar by a line that stays."""
        if self._task is not None:
            self.bars.remove_task(self._task)
            self._task = None
        self.note(describe(step))


def describe(step: StepResult) -> str:
    """One line on how a step ended."""
    head = f"{step.step}: {step.kind} {step.name}"
    if step.status == "cached":
        return f"{head}: reused" + (f", took {step.made_seconds:.1f} s" if step.made_seconds else "")
    if step.status == "done":
        reused = f", {step.blocks_reused} of {step.blocks} blocks reused" if step.blocks_reused else ""
        return f"{head}: done in {step.seconds:.1f} s{reused}"
    return f"{head}: {step.status}: {step.error}"


@contextlib.contextmanager
def make_progress(show: bool = True, stream: TextIO | None = None) -> Iterator[Progress]:
    """Choose by what stderr (or ``stream``) is."""
    stream = sys.stderr if stream is None else stream
    if not show:
        yield Progress()
    elif not stream.isatty():
        with _compilation_told(plain := PlainProgress(stream)):
            yield plain
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bars(*columns, console=Console(file=stream), transient=True) as bars:
            rich = RichProgress(bars)
            with _compilation_told(rich):
                yield rich


@contextlib.contextmanager
def _compilation_told(progress: Progress) -> Iterator[None]:
    """Pass on, once, that functions are being compiled (see `ronchi.compiled`)."""

    class Once(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.removeHandler(self)
            progress.note(record.getMessage())

    log, once = logging.getLogger("ronchi.compiled"), Once()
    log.addHandler(once)
    try:
        yield
    finally:
        log.removeHandler(once)
