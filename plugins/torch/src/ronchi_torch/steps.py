"""Steps of a training that may be stopped at any moment, and goes on where it was."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

import torch
from torch import nn

from ronchi.api import Context
from ronchi_torch.threads import thread_limit

__all__ = ["Training", "follow", "rate", "take_steps"]


class Training(Protocol):
    """What can be stopped: ``step`` and ``seconds`` say how far it is, and are part of what ``save`` writes."""

    step: int
    seconds: float

    def advance(self) -> None:
        """Learn from a batch, and count it."""

    def save(self) -> None:
        """Write all that going on needs."""


def take_steps(
    training: Training,
    steps: int,
    checkpoint_s: float,
    ctx: Context,
    stalled: Callable[[], bool] = lambda: False,
    anyone: Callable[[bool], bool] = bool,
) -> None:
    """Advance up to a number of steps, saving now and then, and when ``ctx.progress`` or a signal stops it.

    The first interrupt, or any request to terminate, lets the step end, so that nothing is lost; a second interrupt
    does not.

    Parameters
    ----------
    checkpoint_s : float
        Between two saves.
    stalled : callable
        Whether more steps are of no use.
    anyone : callable
        Given whether this process was asked to stop, says whether any was, so that all stop after the same step: one
        that went on would wait for the others in the middle of the next; see `ronchi_torch.world.World.anyone`.
    """
    saved = began = time.monotonic()
    whole = True
    with thread_limit(ctx.n_threads), _held_back() as asked:
        try:
            while training.step < steps and not stalled():
                whole = False
                training.advance()
                whole = True
                now = time.monotonic()
                if now - saved > checkpoint_s:
                    training.seconds += now - began
                    saved = began = now
                    training.save()
                ctx.progress(training.step, steps)
                if anyone(bool(asked)):
                    raise _as_exception(asked[0] if asked else signal.SIGTERM)
        except (KeyboardInterrupt, SystemExit):
            # In the middle of a step the weights are neither old nor new: the last checkpoint stays.
            if whole:
                training.seconds += time.monotonic() - began
                training.save()
            raise
        except Exception as error:
            if not asked:
                raise
            # Processes that load batches hear Ctrl-C too, and the step fails for want of them.
            raise _as_exception(asked[0]) from error
    training.seconds += time.monotonic() - began


@contextmanager
def _held_back() -> Iterator[list[int]]:
    """Signals that ask to stop, as they come; a second interrupt is raised.

    A request to terminate may come twice without anybody's impatience: from the system, and from a launcher that hands
    on its own. Handlers of others, and threads, are let be.
    """
    asked: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if number == signal.SIGINT and len(asked) > 1:
            raise _as_exception(number)

    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    mine = threading.current_thread() is threading.main_thread()
    taken = {number: one for number, one in usual.items() if mine and signal.getsignal(number) is one}
    for number in taken:
        signal.signal(number, hold)
    try:
        yield asked
    finally:
        for number, before in taken.items():
            signal.signal(number, before)


def _as_exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def rate(step: int, warm_up: int, steps: int) -> float:
    """Part of the largest learning rate: a straight rise, then half a cosine."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


@torch.no_grad()
def follow(averaged: nn.Module, network: nn.Module, step: int, average: float) -> None:
    """Move averaged weights towards those of a network; at first closely, so that they forget where they began."""
    weight = min(average, (1 + step) / (10 + step))
    for kept, new in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - weight)
        else:
            kept.copy_(new)
