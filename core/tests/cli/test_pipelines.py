"""Commands that take a pipeline: `validate`, `run`, `preview`, `replay`, `report`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

Run = Callable[..., tuple[int, str, str]]


def test_validate(ronchi: Run, folder: Path, pipeline: str) -> None:
    code, out, _ = ronchi("validate", "small.yaml")
    assert code == 0
    assert out.endswith("small.yaml: valid\n")
    assert "disks: disk_detector crosscorr of ronchi-crosscorr" in out
    (folder / "bad.yaml").write_text(pipeline.replace("data: load", "data: laod").replace("truth: load", "truht: load"))
    code, _, err = ronchi("validate", "bad.yaml")
    assert code == 2
    assert "bad.yaml:5:44: disks.data: there is no step 'laod'" in err
    assert "did you mean 'load'?" in err
    assert "bad.yaml:7:49: score.truht: unknown input" in err, "all faults are told at once"


def test_a_pipeline_that_keeps_nothing_says_so(ronchi: Run, folder: Path, pipeline: str) -> None:
    steps = pipeline.partition("  score:")[0]
    (folder / "bare.yaml").write_text(steps)
    says = "the pipeline writes no results: it needs e.g. `outputs: {strain: {from: strain, path: strain.nc}}`\n"
    assert f"warning: {says}" in ronchi("validate", "bare.yaml")[1]
    code, out, _ = ronchi("run", "bare.yaml", "--quiet")
    assert code == 0
    assert says in out
    # Scores are kept in the record, and printed.
    (folder / "bare.yaml").write_text(pipeline.partition("outputs:")[0])
    assert "writes no results" not in ronchi("validate", "bare.yaml")[1] + ronchi("run", "bare.yaml", "--quiet")[1]


def test_run_resumes_explains_and_scores(ronchi: Run, folder: Path) -> None:
    code, out, err = ronchi("run", "small.yaml", "-o", "out")
    assert code == 0
    assert "score: coverage = 1\n" in out
    assert "disks: 100 %" in err
    assert xr.open_dataset("out/strain.nc").attrs["ronchi_schema"] == "strain/1"
    assert "disks: disk_detector crosscorr: reused" in ronchi("run", "small.yaml", "-o", "out")[2]
    code, out, _ = ronchi("run", "small.yaml", "--explain", "--set", "strain.params.min_peaks=6")
    assert code == 0
    assert "disks: reuse: nothing it depends on has changed" in out
    assert "strain: run: params.min_peaks changed 5 -> 6" in out
    assert ronchi("run", "small.yaml", "--dry-run", "--force", "disks")[1].count("disks: run: forced") == 1
    assert ronchi("run", "small.yaml", "--quiet")[2] == ""
    assert ronchi("run", "small.yaml", "-q")[2] == ""


def test_run_tells_wrong_usage_from_failure(ronchi: Run, folder: Path) -> None:
    assert ronchi("run", "none.yaml")[0] == 2
    assert ronchi("run", "small.yaml", "--set", "disks.params.min_snrr=3")[0] == 2
    assert ronchi("run", "small.yaml", "--force", "disk")[0] == 2
    code, out, _ = ronchi("run", "small.yaml", "--set", "disks.params.probe_radius_px=60", "--quiet")
    assert code == 1
    assert "failed: disks" in out


def test_the_log_is_named_only_where_it_has_a_traceback(
    ronchi: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ronchi.errors import DataError
    from ronchi_lattice import solver

    def fail(error: Exception) -> str:
        def solve(*args: object, **more: object) -> None:
            raise error

        monkeypatch.setattr(solver.LatticeSolver, "solve", solve)
        return ronchi("run", "small.yaml", "--quiet")[1]

    assert "the traceback is in" not in fail(DataError("no lattice"))
    assert fail(ValueError("no lattice")).count("the traceback is in") == 1


def test_batch_has_a_row_a_file_and_its_own_exit_code(ronchi: Run, folder: Path) -> None:
    (folder / "scans").mkdir()
    (folder / "scans" / "good.nc").write_bytes((folder / "scan.nc").read_bytes())
    (folder / "scans" / "cut.nc").write_bytes((folder / "scan.nc").read_bytes()[:5000])
    assert ronchi("run", "small.yaml", "--inputs", "scans/*.nc", "-o", "all")[0] == 3
    rows = (folder / "all" / "summary.csv").read_text().splitlines()
    assert rows[0].startswith("input,status,reason")
    assert [line.split(",")[1] for line in rows[1:]] == ["failed", "done"]
    assert ronchi("run", "small.yaml", "--inputs", "scans/*.tif")[0] == 2


def test_a_pattern_that_the_shell_has_filled_in_is_to_be_quoted(ronchi: Run) -> None:
    code, _, err = ronchi("run", "small.yaml", "--inputs", "a.nc", "b.nc")
    assert code == 2
    assert "unrecognized arguments: b.nc; quote the pattern of --inputs, e.g. --inputs 'scans/*.nc'" in err
    assert "quote" not in ronchi("run", "small.yaml", "b.nc")[2]
    assert "quote" not in ronchi("run", "small.yaml", "--inputs", "a.nc", "--sett")[2]


@pytest.mark.parametrize("option", [("--explain",), ("--dry-run",), ("--force", "disks")])
def test_options_that_a_batch_cannot_have(ronchi: Run, folder: Path, option: tuple[str, ...]) -> None:
    code, _, err = ronchi("run", "small.yaml", "--inputs", "*.nc", *option)
    assert code == 2
    assert "neither --explain nor --dry-run nor --force" in err
    assert not (folder / "small-out").exists()


def test_preview(ronchi: Run, read_json: Callable[..., Any], folder: Path) -> None:
    code, out, _ = ronchi("preview", "small.yaml", "--frames", "2")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith("candidates in 2 patterns")
    assert sum(int(line.split()[-1]) for line in lines[1:-1]) == int(lines[0].split()[0])
    assert (folder / "preview.png").read_bytes().startswith(b"\x89PNG")
    counts = read_json("preview", "small.yaml", "--frames", "2")
    assert sum(counts["reasons"].values()) == counts["candidates"]
    assert ronchi("preview", "small.yaml", "--frames", "0")[0] == 2
    assert ronchi("preview", "small.yaml", "-o", "picture.foo")[0] == 2
    assert ronchi("preview", "small.yaml", "-o", "none/picture.png")[0] == 1


def test_replay_and_report(ronchi: Run, folder: Path) -> None:
    ronchi("run", "small.yaml", "-o", "out", "--quiet")
    code, out, _ = ronchi("replay", "out/provenance.json")
    assert code == 0
    assert out.endswith("arrays compared: all equal\n")
    record = json.loads((folder / "out" / "provenance.json").read_text())
    record["steps"]["strain"]["arrays"]["strain"]["e_xx"] = "0" * 64
    (folder / "out" / "provenance.json").write_text(json.dumps(record))
    code, out, _ = ronchi("replay", "out/provenance.json")
    assert code == 1
    assert "differs: strain.e_xx: the values differ" in out
    assert ronchi("replay", "small.yaml")[0] == 2
    code, out, _ = ronchi("report", "small.yaml", "-o", "out", "--path", "page.html")
    assert (code, out) == (0, "page.html\n")
    assert "<html" in (folder / "page.html").read_text()
    for name in ("out", "out/provenance.json"):
        code, _, err = ronchi("report", name)
        assert (code, err.splitlines()[-1]) == (2, "  -> `ronchi report PIPELINE.yaml -o out`")


def test_what_was_never_run_has_no_report(ronchi: Run, folder: Path) -> None:
    code, out, err = ronchi("report", "small.yaml")
    assert (code, out) == (2, "")
    assert err.startswith(
        "ronchi: small-out: no run of the pipeline has ended here\n  -> `ronchi run small.yaml` first"
    )
    assert not (folder / "small-out").exists()
    assert not (folder / ".ronchi").exists()


def test_a_report_among_the_outputs_is_drawn_once(
    ronchi: Run, folder: Path, pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ronchi.report import html

    drawn: list[Path] = []

    def count(result: object, path: Path, **options: object) -> Path:
        drawn.append(path)
        return path

    ronchi("run", "small.yaml", "-o", "out", "--quiet")
    monkeypatch.setattr(html, "write_report", count)
    (folder / "small.yaml").write_text(pipeline + "  report: {path: report.html}\n")
    assert ronchi("report", "small.yaml", "-o", "out")[:2] == (0, f"{folder / 'out' / 'report.html'}\n")
    assert drawn == [folder / "out" / "report.html"]
    ronchi("report", "small.yaml", "-o", "out", "--path", "page.html")
    assert drawn[1:] == [folder / "out" / "report.html", Path("page.html")]
