"""What algorithms log: heard while somebody listens, in whichever thread, and not beyond."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from ronchi.pipeline.logs import Record, collect, logged


def test_the_level_is_lowered_while_anybody_listens_and_then_as_before(tmp_path: Path) -> None:
    log = logging.getLogger("ronchi")
    before = log.level
    heard: list[Record] = []
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with collect([]):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    with logged(tmp_path / "log.txt", []), collect(heard):
        leave.set()
        thread.join()
        logging.getLogger("ronchi.step.find").info("the radius is %g", 3)
    assert [message for *_, message in heard] == ["the radius is 3"]
    assert "the radius is 3" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert log.level == before
