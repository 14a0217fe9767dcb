"""How checks are counted, expected to fail, limited in time, and shown to pytest."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ronchi.testing import Contract, ContractError, NotApplicable


class Toy(Contract):
    kind = "toy"
    algorithm = "toy"
    min_checks = 2

    def check_passes(self) -> None:
        """It passes."""

    def check_fails(self) -> None:
        """It fails."""
        raise ContractError("it is wrong", where="here", fix="make it right")

    def check_does_not_apply(self) -> None:
        """It does not apply."""
        raise NotApplicable("there is nothing to check")

    def check_each(self, params) -> None:
        """It is run for every set of parameters."""
        assert params.get("a", 1) == 1, "a is not 1"


def statuses(contract: type[Contract]) -> dict[str, str]:
    return {outcome.check.id: outcome.status for outcome in contract.report().outcomes}


def test_outcomes_are_counted_and_printed() -> None:
    contract = type("T", (Toy,), {"params": ({}, {"a": 2})})
    report = contract.report()
    assert {outcome.check.id: outcome.status for outcome in report.outcomes} == {
        "passes": "passed",
        "fails": "failed",
        "does_not_apply": "not applicable",
        "each": "passed",
        "each-a=2": "failed",
        "enough_checks_ran": "passed",
    }
    assert not report.ok
    assert report.summary.startswith("toy/toy: 5 checks, 2 failed, 0 expected to fail, 1 that do not apply")
    assert "FAILED fails\n    here: it is wrong\n      -> make it right" in str(report)
    assert "a is not 1" in str(report)


def test_what_fails_most_checks_comes_first_and_their_names_are_cut() -> None:
    def fails(self, params) -> None:
        """It fails."""
        raise ContractError("it is wrong everywhere")

    contract = type("T", (Toy,), {"params": [{"a": i} for i in range(5)], "check_each": fails})
    assert str(contract.report()).splitlines()[1:] == [
        "  FAILED each-a=0, and 4 more like it",
        "    it is wrong everywhere",
        "  FAILED fails",
        "    here: it is wrong",
        "      -> make it right",
    ]


def test_checks_that_need_what_failed_are_not_run() -> None:
    class Fresh(Toy):
        _needed = ("each",)

        def check_more(self, params) -> None:
            """It is run for those parameters that are right."""

    contract = type("T", (Fresh,), {"params": ({}, {"a": 2}), "check_fails": None})
    for _ in range(2):  # what an earlier report found out is no cause for checks before it
        report = contract.report()
        assert {outcome.check.id: outcome.status for outcome in report.outcomes} == {
            "passes": "passed",
            "does_not_apply": "not applicable",
            "each": "passed",
            "each-a=2": "failed",
            "more": "passed",
            "more-a=2": "not run",
            "enough_checks_ran": "passed",
        }
    assert "5 checks, 1 failed, 0 expected to fail, 1 that do not apply, 1 not run" in report.summary


def test_a_check_that_takes_long_is_told_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ronchi.testing.contract._LATE_S", 0.1)

    class Slow(Toy):
        check_fails = check_does_not_apply = None

        def check_passes(self) -> None:
            """It waits until somebody has heard of it, 30 s at most."""
            assert told.wait(30)

    told = threading.Event()
    heard: list[tuple[str, float, float]] = []

    def late(check, seconds: float, limit_s: float) -> None:
        heard.append((check.name, seconds, limit_s))
        told.set()

    assert Slow.report(late=late).ok
    assert heard[0] == ("passes", 0.1, 120.0)


def test_expected_failures_are_strict_and_have_reasons() -> None:
    contract = type("T", (Toy,), {"expected_failures": {"fails": "known since 2026"}})
    assert statuses(contract)["fails"] == "expected"
    assert contract.report().ok
    surprised = type("T", (Toy,), {"expected_failures": {"passes": "known", "fails": "known"}}).report()
    (failed,) = surprised.of("failed")[:1]
    assert "it passes, though it is expected to fail: known" in failed.message
    with pytest.raises(TypeError, match="'flies', which is no check"):
        type("T", (Toy,), {"expected_failures": {"flies": "known"}})
    with pytest.raises(TypeError, match="gives no reason"):
        type("T", (Toy,), {"expected_failures": {"fails": " "}})


def test_a_contract_that_checks_next_to_nothing_fails() -> None:
    excused = {"fails": "known", "each": "known"}
    contract = type("T", (Toy,), {"expected_failures": excused, "params": ({"a": 2},), "min_checks": 2})
    (failed,) = contract.report().of("failed")
    assert failed.check.name == "enough_checks_ran"
    assert "only 1 checks ran, a toy has to stand at least 2" in failed.message


def test_a_part_of_the_checks_is_not_held_to_the_floor() -> None:
    contract = type("T", (Toy,), {})
    floor = contract.checks()[-1]
    assert contract().perform(floor).status == "not applicable"


def test_checks_can_be_taken_off_by_name() -> None:
    assert "fails" not in statuses(type("T", (Toy,), {"check_fails": None}))


def test_a_check_runs_in_an_empty_folder_and_leaves_the_old_one() -> None:
    class Writes(Toy):
        def check_passes(self) -> None:
            """It writes."""
            assert not list(Path().iterdir())
            Path("file").write_text("")

    before = Path.cwd()
    outcome = Writes().perform(Writes.checks()[0])
    assert outcome.status == "passed"
    assert Path.cwd() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="alarms are a thing of POSIX systems")
def test_what_swallows_the_alarm_is_stopped_by_the_next_one() -> None:
    class Stubborn(Toy):
        time_limit_s = 0.2

        def check_passes(self) -> None:
            """It hangs, and catches what it can."""
            for _ in range(2):
                with contextlib.suppress(BaseException):  # as bad as it gets
                    time.sleep(30)

    start = time.perf_counter()
    outcome = Stubborn().perform(Stubborn.checks()[0])
    assert time.perf_counter() - start < 10
    assert outcome.status == "failed"  # though it came back by itself, after both sleeps were cut short
    assert "it hangs: not done after 0.2 s" in outcome.message
    assert "in check_passes" in outcome.message


@pytest.mark.skipif(not hasattr(os, "fork"), reason="alarms are a thing of POSIX systems")
def test_what_hangs_in_every_check_is_waited_for_in_full_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ronchi.testing.contract._SHORT_LIMIT_S", 0.1)

    class Hangs(Toy):
        time_limit_s = 0.4
        params = ({"a": 1}, {"a": 2}, {"a": 3})

        def check_each(self, params) -> None:
            """It hangs."""
            time.sleep(30)

    last = Hangs.report().of("failed")[-1]
    assert last.check.params == 2
    assert "it hangs: not done after 0.1 s" in last.message


def test_pytest_shows_one_test_a_check(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "from ronchi.testing import SimulatorContract\n\n\n"
        "class TestDisks(SimulatorContract):\n"
        '    algorithm = "disks"\n'
        '    params = [{"scan_shape": [2, 3], "pattern_shape": [24, 20]}]\n'
        '    expected_failures = {"parameters_are_described": "it is only a trial"}\n'
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        "-p",
        "ronchi.testing.pytest_plugin",
    ]
    done = subprocess.run(
        [*command, "test_it.py", "-k", "described or frozen or schema or applicable"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "PASSED test_it.py::TestDisks::test[parameters_are_closed_and_frozen]" in done.stdout, done.stdout
    assert "it passes, though it is expected to fail: it is only a trial" in done.stdout
    assert "simulator/disks: 3 checks, 1 failed" in done.stdout
    assert done.returncode == 1
    # The kit is for those who ask for it: no test run of anyone loads it by itself.
    plain = subprocess.run(
        [sys.executable, "-m", "pytest", "--trace-config", "--collect-only", "-q", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "ronchi.testing.pytest_plugin" not in plain.stdout


def test_global_numbers_of_numpy_are_left_as_they_were() -> None:
    from ronchi.testing.guards import global_random_state

    before = global_random_state()
    np.random.default_rng().random()
    assert global_random_state() == before
    np.random.random()  # noqa: NPY002
    assert global_random_state() != before
