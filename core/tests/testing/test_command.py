"""`ronchi test-plugin`: which algorithm it finds, what it prints, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ronchi.cli.main import main

Captured = pytest.CaptureFixture[str]


def test_an_algorithm_that_keeps_its_contract_exits_with_0(capsys: Captured) -> None:
    assert main(["test-plugin", "metric/strain-rmse", "-v"]) == 0
    out = capsys.readouterr().out
    assert "result_follows_its_schema" in out
    assert "metric/strain-rmse: " in out.splitlines()[-1]
    assert " 0 failed" in out.splitlines()[-1]


def test_one_that_does_not_exits_with_1_and_says_why(capsys: Captured) -> None:
    # Without a distance to the interface in the truth it cannot be run with this parameter.
    assert main(["test-plugin", "strain-rmse", "-p", "min_interface_distance_angstrom=3", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    (row,) = (row for row in rows if row["check"].startswith("result_follows_its_schema"))
    assert row["status"] == "failed"
    assert "dist_interface" in row["message"]
    assert row["algorithm"] == "metric/strain-rmse"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["native"], "'native' is a reader and a writer"),
        (["strain-rms"], "did you mean 'strain-rmse'"),
        (["strain-rmse", "--kind", "reader"], "no reader is called"),
        (["metrics/strain-rmse"], "unknown kind 'metrics'"),
        (["strain-rmse", "-p", "x"], "is not NAME=VALUE"),
        (["strain-rmse", "--contract", "nowhere.py"], "no such Python file"),
    ],
)
def test_what_cannot_be_meant_exits_with_2(arguments: list[str], words: str, capsys: Captured) -> None:
    assert main(["test-plugin", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_check_that_takes_long_is_named_and_what_is_printed_is_not_in_the_json(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ronchi.testing.contract._LATE_S", 0.1)
    file = tmp_path / "test_contract.py"
    file.write_text(
        "import time\nfrom ronchi.testing import MetricContract\n\n\nclass TestIt(MetricContract):\n"
        '    algorithm = "strain-rmse"\n\n    def check_is_quick(self):\n        """It is not."""\n'
        '        print("still there")\n        time.sleep(0.5)\n'
    )
    assert main(["test-plugin", "strain-rmse", "--json", "--contract", str(file)]) == 0
    shown = capsys.readouterr()
    assert "is_quick" in [row["check"] for row in json.loads(shown.out)]
    assert "is_quick has run for 0.1 s, and is stopped after 120 s" in shown.err


def test_a_contract_in_a_file_is_the_one_that_is_run(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "test_contract.py"
    file.write_text(
        "from ronchi.testing import MetricContract\n\n\nclass TestIt(MetricContract):\n"
        '    algorithm = "strain-rmse"\n    expected_failures = {"better_names_figures": "a trial"}\n'
    )
    assert main(["test-plugin", "strain-rmse", "--contract", str(file)]) == 1
    assert "it passes, though it is expected to fail: a trial" in capsys.readouterr().out
    assert main(["test-plugin", "peak-f1", "--contract", str(file)]) == 2
    assert "there is no contract of metric/peak-f1" in capsys.readouterr().err
