"""Every command: help, options, documents for another command, and faults, in a line and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ronchi.cli.main import COMMANDS

Run = Callable[..., tuple[int, str, str]]


def test_without_command_the_help_comes_with_a_usage_error(ronchi: Run) -> None:
    code, out, _ = ronchi()
    assert code == 2
    assert all(f"  {name} " in out for name in COMMANDS)
    assert ronchi("--help")[0] == 0
    assert ronchi("--version")[1].startswith("ronchi 0.")


def test_an_unknown_command_suggests_its_neighbour(ronchi: Run) -> None:
    assert ronchi("vaildate") == (2, "", "ronchi: unknown command 'vaildate'\n  -> did you mean 'validate'?\n")
    assert ronchi("list")[2] == "ronchi: unknown command 'list'\n  -> did you mean 'plugins'?\n"


def test_help_names_a_command_either_way(ronchi: Run) -> None:
    assert ronchi("help", "run") == ronchi("run", "--help")
    assert ronchi("help") == ronchi("--help")
    assert ronchi("help", "rum") == ronchi("rum")


@pytest.mark.parametrize("command", [["help"], ["help", "run"], ["plugins"]])
def test_a_reader_that_has_seen_enough_is_no_fault(command: list[str]) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "ronchi", *command], stdout=nobody, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == ""
    assert done.returncode in (0, 1)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_refuses_unknown_options(ronchi: Run, command: str) -> None:
    code, out, _ = ronchi(command, "--help")
    assert code == 0
    assert out.startswith(f"usage: ronchi {command}")
    code, out, err = ronchi(command, "--no-such-option")
    assert (code, out) == (2, "")
    assert "usage:" in err


@pytest.mark.parametrize(
    ("command", "schema", "says"),
    [
        (("run",), "benchmark", "a benchmark (ronchi.benchmark/1), where a pipeline is expected\n  -> `ronchi bench"),
        (("bench",), "pipeline", "a pipeline (ronchi.pipeline/1), where a benchmark is expected\n  -> `ronchi run"),
        (("validate",), "training", "a training (ronchi.training/1), where a pipeline is expected\n  -> `ronchi tra"),
        (("preview",), "provenance", "a record of a run (ronchi.provenance/1), where a pipeline is expected\n  -> `ro"),
    ],
)
def test_a_document_for_another_command_is_told_with_that_command(
    ronchi: Run, tmp_path: Path, command: tuple[str, ...], schema: str, says: str
) -> None:
    (tmp_path / "it.yaml").write_text(f"schema: ronchi.{schema}/1\nprotocol: {{repeats: 2}}\nparams: {{a: 1}}\n")
    code, _, err = ronchi(*command, str(tmp_path / "it.yaml"))
    assert code == 2
    assert f"it.yaml:1:9: this is {says}" in err
    assert "faults" not in err


def test_errors_leave_a_traceback_only_where_it_is_wanted(
    ronchi: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ronchi.errors import ConfigError

    assert "Traceback" not in ronchi("validate", "none.yaml")[2]
    monkeypatch.setenv("RONCHI_TRACE", "1")
    with pytest.raises(ConfigError):
        ronchi("validate", "none.yaml")


def test_unexpected_errors_are_one_line(ronchi: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **more: object) -> None:
        raise KeyError("first line\nsecond")

    monkeypatch.setattr("ronchi.verbs.read_result", broken)
    code, out, err = ronchi("read", "scan.nc")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("ronchi: unexpected KeyError: ")
    assert err.endswith(" -> please report it; RONCHI_TRACE=1 shows the traceback\n")
    monkeypatch.setenv("RONCHI_TRACE", "1")
    with pytest.raises(KeyError):
        ronchi("read", "scan.nc")
