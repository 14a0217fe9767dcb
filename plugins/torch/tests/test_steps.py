"""A training that is stopped loses nothing that was whole, and saves nothing that was not."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ronchi.api import Context
from ronchi_torch.steps import follow, rate, take_steps


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C as in a terminal: what a shell has started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Counting:
    """Advances by counting; ``broken_in`` is the step in whose middle it is interrupted."""

    def __init__(self, broken_in: int | None = None) -> None:
        self.step, self.seconds, self.broken_in = 0, 0.0, broken_in
        self.half_done = False
        self.saved: list[int] = []

    def advance(self) -> None:
        self.half_done = True
        if self.step == self.broken_in:
            raise KeyboardInterrupt
        self.step += 1
        self.half_done = False

    def save(self) -> None:
        assert not self.half_done
        self.saved.append(self.step)


def _context(stop_at: int | None = None) -> Context:
    def progress(done: int, of: int) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    return Context(rng=np.random.default_rng(0), progress=progress)


def test_all_steps_are_taken_and_the_time_is_counted() -> None:
    training = Counting()
    take_steps(training, 5, 1e9, _context())
    assert (training.step, training.saved) == (5, [])
    assert training.seconds > 0
    take_steps(training, 5, 1e9, _context())
    assert training.step == 5


def test_it_saves_between_steps_when_it_is_time() -> None:
    training = Counting()
    take_steps(training, 3, -1.0, _context())
    assert training.saved == [1, 2, 3]


def test_stopped_between_steps_it_saves_and_in_the_middle_of_one_it_does_not() -> None:
    between, within = Counting(), Counting(broken_in=2)
    with pytest.raises(KeyboardInterrupt):
        take_steps(between, 5, 1e9, _context(stop_at=3))
    with pytest.raises(KeyboardInterrupt):
        take_steps(within, 5, 1e9, _context())
    assert (between.saved, within.saved) == ([3], [])


class Signalled(Counting):
    """Is sent signals in the middle of its third step."""

    def __init__(self, *numbers: signal.Signals) -> None:
        super().__init__()
        self.numbers = numbers

    def advance(self) -> None:
        self.half_done = True
        if self.step == 2:
            for number in self.numbers:
                signal.raise_signal(number)
        super().advance()


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_in_the_middle_of_a_step_lets_it_end_and_saves_it(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    before, training = signal.getsignal(number), Signalled(number)
    with pytest.raises(raised):
        take_steps(training, 5, 1e9, _context())
    assert training.saved == [3]
    assert signal.getsignal(number) is before


def test_a_step_that_fails_after_a_signal_was_stopped_by_it() -> None:
    class Starved(Counting):
        def advance(self) -> None:
            signal.raise_signal(signal.SIGINT)
            raise RuntimeError("a process that loads batches is gone")

    training = Starved()
    with pytest.raises(KeyboardInterrupt):
        take_steps(training, 5, 1e9, _context())
    assert training.saved == []


def test_a_launcher_that_hands_on_what_the_system_told_all_is_no_second_request() -> None:
    training = Signalled(signal.SIGTERM, signal.SIGTERM)
    with pytest.raises(SystemExit):
        take_steps(training, 5, 1e9, _context())
    assert training.saved == [3]


def test_a_second_interrupt_stops_at_once() -> None:
    training = Signalled(signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        take_steps(training, 5, 1e9, _context())
    assert (training.step, training.saved) == (2, [])


def test_it_ends_early_where_more_is_of_no_use() -> None:
    training = Counting()
    take_steps(training, 9, 1e9, _context(), lambda: training.step == 4)
    assert training.step == 4


def test_the_rate_rises_and_falls() -> None:
    rates = [rate(step, 10, 100) for step in range(101)]
    assert rates[9] == rates[10] == 1.0
    assert rates[0] == 0.1
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[100] == pytest.approx(0.0, abs=1e-12)


def test_averaged_weights_forget_where_they_began() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    averaged = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(3.0)
    network[1].num_batches_tracked.fill_(7)
    for step in range(100):
        follow(averaged, network, step, 0.999)
    # Of the first weights (1 + n) / (10 + n) is kept in step n: by the hundredth a few billionths.
    assert all(torch.allclose(kept, torch.tensor(3.0), atol=1e-5) for kept in averaged.parameters())
    assert averaged[1].num_batches_tracked == 7
