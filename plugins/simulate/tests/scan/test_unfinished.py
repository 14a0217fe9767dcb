"""Patterns that outlive their process, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ronchi_simulate.scan.unfinished import UnfinishedScan

SHAPE, COUNTS = (5, 3, 4), np.dtype(np.uint16)


def opened(folder: Path | None, identity: str = "one") -> UnfinishedScan:
    return UnfinishedScan.open(folder, SHAPE, COUNTS, identity)


def filled(first: int, *positions: int) -> tuple[np.ndarray, np.ndarray]:
    values = first + np.arange(len(positions) * 12, dtype=COUNTS).reshape(-1, 3, 4)
    return np.array(positions), values


@pytest.mark.parametrize("kept", [False, True])
def test_patterns_come_back_at_their_positions(tmp_path: Path, kept: bool) -> None:
    scan = opened(tmp_path if kept else None)
    scan.add(*filled(0, 3, 0))
    scan.add(*filled(100, 1, 4, 2))
    assert scan.done.all()
    expected = np.concatenate([filled(0, 3, 0)[1], filled(100, 1, 4, 2)[1]])[[1, 2, 4, 0, 3]]
    np.testing.assert_array_equal(scan.patterns(), expected)
    assert scan.patterns().dtype == COUNTS


def test_another_process_finds_what_is_done(tmp_path: Path) -> None:
    opened(tmp_path).add(*filled(7, 4, 1))
    again = opened(tmp_path)
    assert again.done.tolist() == [False, True, False, False, True]
    np.testing.assert_array_equal(again.patterns()[[4, 1]], filled(7, 4, 1)[1])


def test_a_line_that_is_cut_off_counts_for_nothing(tmp_path: Path) -> None:
    scan = opened(tmp_path)
    scan.add(*filled(7, 4, 1))
    with (tmp_path / "positions_done").open("a") as log:
        log.write("2 3")
    assert opened(tmp_path).done.tolist() == [False, True, False, False, True]
    opened(tmp_path).add(*filled(9, 0))
    # What was cut off is not the beginning of the next line.
    assert opened(tmp_path).done.tolist() == [True, True, False, False, True]


def test_the_work_of_another_scan_is_dropped(tmp_path: Path) -> None:
    opened(tmp_path).add(*filled(7, 4, 1))
    assert not opened(tmp_path, "two").done.any()
    assert not opened(tmp_path).done.any(), "the other one has taken the folder"
