"""Benchmarks from end to end: equal bytes, resume, times, Ctrl-C, and rows for whatever happens."""

from __future__ import annotations

import contextlib
import html
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

import ronchi
from ronchi.benchmark.config import load_bench
from ronchi.benchmark.report import write_bench_report
from ronchi.benchmark.run import BenchResult, run_bench
from ronchi.benchmark.summary import print_summary
from ronchi.benchmark.table import Row, Table
from ronchi.cli.main import main
from ronchi.errors import ConfigError

FAR_PX = 0.5
"""Error that the detector ``far`` makes on purpose."""
OF_DISTANCE = ("median_px", "rms_px", "p95_px", "efficiency", "recall")


def _run(bench: dict[str, Any], **options: Any) -> BenchResult:
    return run_bench(bench, stream=io.StringIO(), **options)


def test_the_command_from_end_to_end(small: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    small["protocol"] = {"repeats": 2, "jobs": 2}
    # A slope across the disk would move its centre of mass by more than what is planted below.
    small["steps"]["load"]["params"]["slope"] = 0.0
    Path("bench.yaml").write_text(yaml.safe_dump(small))
    assert main(["bench", "bench.yaml", "-o", "one"]) == 0
    printed = capsys.readouterr()
    assert "differences from near, pair by pair" in printed.out
    assert "4/4" in printed.err

    # The second run starts no process.
    assert main(["bench", "bench.yaml", "-o", "one"]) == 0
    again = capsys.readouterr()
    assert again.err == "combinations: 4, 4 of them known\n"
    assert again.out == printed.out

    # Neither the cache nor finished rows help a fresh one, and it writes the same bytes.
    shutil.rmtree(".ronchi")
    assert main(["bench", "bench.yaml", "-o", "two"]) == 0
    capsys.readouterr()
    for name in ("results.csv", "cells.csv", "summary.csv", "differences.csv", "bench.json"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()

    with xr.open_dataset("one/results.nc", engine="netcdf4") as rows:
        assert list(rows["find"].values) == ["near", "far"] * 2
        assert list(rows["status"].values) == ["done"] * 4
        rms = rows["score.rms_px"].values
    assert (rms > 0).all()
    assert not np.isclose(rms[0], rms[2]), "repeats have noise of their own"

    report = Path("one/report.html").read_text()
    assert "near" in report
    assert "<script" not in report

    # The command that made the baseline passes; an algorithm that has become a fifth worse does not, and only that.
    baseline = shutil.copy("one/summary.csv", "baseline.csv")
    assert main(["bench", "bench.yaml", "-o", "one", "--check", baseline]) == 0
    small["steps"]["find"]["disk_detector"][1]["params"] = {"offset_px": 1.2 * FAR_PX}
    Path("bench.yaml").write_text(yaml.safe_dump(small))
    assert main(["bench", "bench.yaml", "-o", "one", "--check", baseline]) == 1
    worse = [line for line in capsys.readouterr().out.splitlines() if line.startswith("worse:")]
    assert {line.partition(": was")[0] for line in worse} <= {f"worse: far score.{name}" for name in OF_DISTANCE}
    (median,) = (line for line in worse if "median_px" in line)
    was, now = (float(text) for text in re.findall(r"(?:was|is) ([\d.]+)", median))
    # A little noise comes on top of the planted distance.
    assert now / was == pytest.approx(1.2, abs=0.05)


@pytest.mark.slow
def test_a_cell_that_fails_is_a_row_and_the_rest_goes_on(small: dict[str, Any]) -> None:
    entries = small["steps"]["find"]["disk_detector"]
    usual = list(entries)
    entries += [{"name": "direct", "as": how, "params": {"how": how}} for how in ("raise", "die", "eat")]
    small["protocol"] = {"timeout_s": 600, "memory_mb": 1500, "jobs": 2}
    result = _run(small)
    ended = {factors[0]: (status, error) for factors, _, status, error in result.table.cells}
    assert ended["near"] == ended["far"] == ("done", "")
    assert ended["raise"][0] == "failed"
    assert "a planted fault" in ended["raise"][1]
    assert str(result.out_dir) not in ended["raise"][1]
    assert ended["die"][0] == "crashed"
    assert "signal 9" in ended["die"][1]
    assert ended["eat"] == ("memory", "took more than 1500 MB")
    lost = print_summary(result).partition("not finished")[2]
    assert all(f"\n{name}" in lost for name in ("raise", "die", "eat"))

    # One second is too little for any cell: those that work are known by now.
    hang = [{"name": "direct", "as": name, "params": {"how": "hang", "offset_px": n}} for n, name in enumerate("hH")]
    small["steps"]["find"]["disk_detector"] = [*usual, *hang]
    small["protocol"] = {"timeout_s": 1}
    result = _run(small)
    assert [cell[2:] for cell in result.table.cells] == [("done", "")] * 2 + [("timeout", "took more than 1 s")] * 2
    assert all(f"\n{name}" in print_summary(result).partition("not finished")[2] for name in "hH")


def test_what_did_not_finish_is_run_again_when_it_may_take_more(small: dict[str, Any]) -> None:
    small["steps"]["find"]["disk_detector"] = [{"name": "direct", "as": "hang", "params": {"how": "hang"}}]
    small.pop("compare", None)
    small["protocol"] = {"timeout_s": 1}
    told = io.StringIO()
    for timeout_s, known in ((1, 0), (1, 1), (2, 0)):
        small["protocol"]["timeout_s"] = timeout_s
        told.truncate(told.seek(0))
        result = run_bench(small, stream=told)
        assert f"combinations: 1, {known} of them known" in told.getvalue()
        assert result.table.cells[0][2:] == ("timeout", f"took more than {timeout_s} s")


@pytest.mark.parametrize(("timings", "how", "known"), [(0, "", 1), (1, "", 0), (0, "raise", 0)])
def test_times_of_another_machine_are_not_taken_nor_are_its_failures(
    small: dict[str, Any], monkeypatch: pytest.MonkeyPatch, timings: int, how: str, known: int
) -> None:
    small["steps"]["find"]["disk_detector"] = [{"name": "direct", "params": {"how": how}}]
    small["protocol"] = {"timings": timings, "warm_up": 0}

    def count() -> int:
        told = io.StringIO()
        run_bench(small, stream=told)
        return int(re.findall(r"combinations: 1, (\d) of them known", told.getvalue())[0])

    assert [count(), count()] == [0, 1]
    for what, changed in (("environment", {"processor": "another one"}), ("versions_of", {"numpy": "0.9"})):
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(f"ronchi.benchmark.running.{what}", lambda *_, new=changed: new)
            assert count() == known, what
    if how == "":
        assert count() == 1, "those of this machine are still there"


def test_plugins_that_are_not_allowed_are_told_before_anything_runs(small: dict[str, Any]) -> None:
    small["plugins"] = {"allow": ["ronchi"]}
    with pytest.raises(ConfigError, match="allow-list"):
        _run(small)


def test_a_benchmark_of_which_nothing_finishes_is_a_failure(
    small: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small["steps"]["find"]["disk_detector"] = [{"name": "direct", "as": "raise", "params": {"how": "raise"}}]
    small.pop("compare", None)
    small["run"] = None
    file = tmp_path / "none.yaml"
    file.write_text(yaml.safe_dump(small))
    assert main(["bench", str(file), "-o", str(tmp_path / "out")]) == 1
    assert "nothing finished" in capsys.readouterr().out


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc (Linux)")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_what_was_started_ends_with_the_benchmark_and_what_is_finished_is_kept(
    small: dict[str, Any], tmp_path: Path, how: signal.Signals, code: int
) -> None:
    entries = [{"name": "direct", "as": "near"}, {"name": "direct", "as": "hang", "params": {"how": "hang"}}]
    small["steps"]["find"]["disk_detector"] = entries
    # The hanging cell carries this in its environment, by which it is found.
    mark = f"RONCHI_TEST_MARK={tmp_path}"
    env = {**os.environ, "RONCHI_TEST_MARK": str(tmp_path)}
    Path("bench.yaml").write_text(yaml.safe_dump(small))
    command = [sys.executable, "-m", "ronchi.cli.main", "bench", "bench.yaml", "-o", "out"]
    bench = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
    assert bench.stderr is not None
    for line in bench.stderr:
        if line.startswith("1/2"):
            break
    deadline = time.monotonic() + 60
    while len(_marked(mark)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(_marked(mark)) >= 2
    os.kill(bench.pid, how)
    assert bench.wait(20) == code
    bench.stderr.close()
    deadline = time.monotonic() + 10
    while _marked(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _marked(mark) == []
    assert len(list(Path("out/rows").glob("*.json"))) == 1


def _marked(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) != os.getpid() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def test_an_algorithm_that_is_not_installed_is_an_error_or_a_row(small: dict[str, Any]) -> None:
    small["steps"]["find"]["disk_detector"] = ["direct", "absent-detector"]
    with pytest.raises(ConfigError, match="absent-detector"):
        run_bench(small, stream=io.StringIO())
    result = _run(small, skip_missing=True)
    assert [status for _, _, status, _ in result.table.cells] == ["done", "skipped"]


def test_what_a_metric_cannot_score_costs_its_own_figures(small: dict[str, Any]) -> None:
    small["steps"]["load"]["params"]["slope"] = 0.0
    small["steps"]["take"] = {"metric": "picky", "result": "find", "truth": "load.truth_peaks"}
    small["compare"]["figures"] = ["score.median_px", "take.n"]
    result = _run(small)
    (near, far) = result.table.cells
    assert near[2:] == ("done", "")
    assert far[2] == "partial"
    assert "too far down" in far[3]
    assert set(result.table.values("score.median_px")) == {(("near",), 0), (("far",), 0)}
    assert set(result.table.values("take.n")) == {(("near",), 0)}
    printed = print_summary(result)
    assert "not finished" not in printed
    assert printed.partition("not scored by every metric\n")[2].splitlines()[1].split()[:3] == ["far", "1", "take:"]


def test_a_figure_to_compare_that_no_metric_gives_is_told(
    small: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small["compare"]["figures"] = ["score.median_p"]
    small["steps"]["load"]["vary"] = {"dose_e": [200, 2000]}
    rows = tuple(Row((dose, entry), 0, "score.median_px", 0.1) for dose in ("200", "2000") for entry in ("near", "far"))
    result = BenchResult(load_bench(small), Table(("load.dose_e", "find"), rows, ()), tmp_path, {}, {}, {}, {})
    told = "compare.figures: nothing is called 'score.median_p'; did you mean 'score.median_px'?"
    assert told in print_summary(result)
    page = html.unescape(write_bench_report(result, tmp_path / "report.html").read_text())
    assert told in page
    assert capsys.readouterr().err == "", "nothing of the report fails for want of figures"


def test_a_wrong_figure_to_compare_is_told_before_the_run_and_after_its_first_cell(
    small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    small["compare"]["figures"] = ["score.median_p", "seconds", "score.median_px"]
    Path("bench.yaml").write_text(yaml.safe_dump(small))
    told = "compare.figures: nothing says whether more or less of 'score.median_p' is better; did you mean 'score.medi"
    assert main(["validate", "bench.yaml"]) == 0
    assert capsys.readouterr().out.count("warning: ") == 1
    assert main(["bench", "bench.yaml"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("  ->")]
    assert lines[0].startswith(told)
    assert [line[:3] for line in lines[1:]] == ["com", "1/2", "com", "2/2"]
    assert "nothing is called 'score.median_p'" in lines[3]


def test_what_cannot_be_made_for_an_entry_is_a_row(small: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    near, far = small["steps"]["find"]["disk_detector"]
    near["params"] = {"needs": "a garden"}
    far["params"]["needs"] = "the moon"
    Path("bench.yaml").write_text(yaml.safe_dump(small))
    assert main(["bench", "bench.yaml", "--peers"]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[:3] == ["making a garden", "making the moon", "direct: out of reach"]
    assert "near  score.median_px" in printed.out
    assert printed.out.partition("not finished")[2].split()[4:9] == ["far", "0", "failed", "find:", "out"]


def test_wrong_parameters_are_told_before_anything_runs(small: dict[str, Any]) -> None:
    small["steps"]["find"]["disk_detector"][1]["params"] = {"ofset_px": 1.0}
    with pytest.raises(ConfigError, match="did you mean 'offset_px'"):
        run_bench(small, stream=io.StringIO())
    assert not Path("small-bench/rows").exists()


def test_time_and_memory_are_those_of_the_step_alone(small: dict[str, Any]) -> None:
    """The detector sleeps 0.3 s, imports for 1 s, and holds 80 MB; nothing else counts."""
    small["steps"]["find"]["disk_detector"] = [{"name": "direct", "params": {"how": "slow"}}]
    small["protocol"] = {"timings": 2}
    table = _run(small).table
    costs = ("seconds", "peak_mb", "patterns_per_s", "GB_per_s")
    times, memory, rates, bandwidths = (next(iter(table.values(figure).values())) for figure in costs)
    assert len(times) == len(memory) == 2
    # 1.0 is what the import would add; this machine may be busy with other things.
    assert all(0.3 <= value < 1.0 for value in times)
    assert all(75 < value < 120 for value in memory)
    # Three patterns of 48 x 48 16-bit counts.
    assert rates == pytest.approx([3 / value for value in times])
    assert bandwidths == pytest.approx([3 * 48 * 48 * 2e-9 / value for value in times])


def test_rates_are_the_time_again_and_not_compared_a_second_time(small: dict[str, Any], tmp_path: Path) -> None:
    values = {"seconds": 2.0, "patterns_per_s": 1.5, "GB_per_s": 0.25, "score.median_px": 0.1}
    rows = tuple(Row((entry,), 0, name, value) for entry in ("near", "far") for name, value in values.items())
    cells = tuple(((entry,), 0, "done", "") for entry in ("near", "far"))
    table = Table(("find",), rows, cells)
    result = BenchResult(load_bench(small), table, tmp_path, {}, {}, {"score": {"median_px": "lower"}}, {})
    path = write_bench_report(result, tmp_path / "report.html")
    pairs, medians = path.read_text().partition("Paired differences</h2>")[2].split("Medians</h2>")
    printed = print_summary(result).partition("pair by pair")[2]
    for told in (pairs, printed):
        assert "seconds" in told
        assert "per_s" not in told
    assert "patterns_per_s" in medians


def test_a_comparison_without_pairs_has_no_table_of_them(small: dict[str, Any], tmp_path: Path) -> None:
    table = Table(("find",), (Row(("near",), 0, "score.median_px", 0.1),), ((("near",), 0, "done", ""),))
    result = BenchResult(load_bench(small), table, tmp_path, {}, {}, {"score": {"median_px": "lower"}}, {})
    assert "differences" not in print_summary(result)


def test_what_is_lazy_cannot_be_timed(small: dict[str, Any]) -> None:
    small["steps"]["find"]["data"] = "less"
    small["steps"]["less"] = {"transform": ["crop", "bin"], "data": "load"}
    small["compare"] = {"slot": "less"}
    small["protocol"] = {"timings": 2}
    with pytest.raises(ConfigError, match="takes no time"):
        run_bench(small, stream=io.StringIO())


def test_the_verb_gives_what_the_command_writes(small: dict[str, Any]) -> None:
    rows = ronchi.bench(small, "here")
    with xr.open_dataset("here/results.nc") as written:
        assert written["status"].values.tolist() == rows["status"].values.tolist() == ["done", "done"]
        np.testing.assert_array_equal(written["score.median_px"], rows["score.median_px"])
    assert rows["find"].values.tolist() == ["near", "far"]
    assert Path("here/report.html").exists()
