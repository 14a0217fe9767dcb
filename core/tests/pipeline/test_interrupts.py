"""Ctrl-C where a library loses the exception that Python makes of it."""

from __future__ import annotations

import contextlib
import io
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ronchi.builtin.disks import Disks
from ronchi.cli.main import main
from ronchi.pipeline import interrupts
from ronchi.pipeline.progress import PlainProgress, Progress


@pytest.fixture(autouse=True)
def python_s_own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_and_lose() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("progress", [Progress(), PlainProgress(io.StringIO())], ids=["silent", "plain"])
def test_a_lost_interrupt_is_heard_at_the_next_step_and_once(progress: Progress) -> None:
    with interrupts.remembered():
        progress.update(1, 9)
        press_and_lose()
        with pytest.raises(KeyboardInterrupt):
            progress.update(2, 9)
        progress.update(3, 9)
        press_and_lose()
    progress.update(4, 9)  # nobody listens any more
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_of_an_application_is_left_alone() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    with interrupts.remembered():
        signal.raise_signal(signal.SIGINT)
        Progress().update(1, 2)
    assert heard == [signal.SIGINT]


def test_a_run_in_whose_step_it_is_lost_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first step ends as if nothing had been; the second does not begin."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text(
        "schema: ronchi.pipeline/1\nname: two\nsteps:\n"
        "  scan: {simulator: disks, params: {scan_shape: [1, 2], pattern_shape: [32, 32]}}\n"
        "  image: {transform: virtual-image, data: scan}\n"
        "outputs:\n  image: {from: image, path: image.nc}\n"
    )
    whole = Disks.simulate

    def losing(*args: object, **more: object) -> object:
        press_and_lose()
        return whole(*args, **more)

    monkeypatch.setattr(Disks, "simulate", losing)
    assert main(["run", "two.yaml"]) == 130
    assert "stopped; what is finished is kept" in capsys.readouterr().err
    assert not list(tmp_path.rglob("image.nc"))
