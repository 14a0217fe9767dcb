"""Every command: what it prints, its exit code, and its JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi.cli.main import COMMANDS, main
from ronchi.manager import get_manager
from ronchi.schema import images
from ronchi.verbs import apply
from ronchi.writing import write

PIPELINE = """\
schema: ronchi.pipeline/1
name: small
steps:
  load:   {reader: auto, params: {path: scan.nc}}
  disks:  {disk_detector: crosscorr, data: load}
  strain: {strain_solver: lattice, peaks: disks, params: {reference: {scan_x: [0, 20]}}}
  score:  {metric: strain-rmse, result: strain, truth: load.truth}
outputs:
  strain: {from: strain, path: strain.nc}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small scan with its truth."""
    for kind, name in (("disk_detector", "crosscorr"), ("strain_solver", "lattice")):
        if name not in get_manager().names(kind):
            pytest.skip(f"the plugin ronchi-{name} is not installed: `pip install -e plugins/{name}` to run this test")
    made = apply("simulator", "disks", {"scan_shape": (2, 6), "pattern_shape": (64, 64)}, {})
    return write(made.data, tmp_path_factory.mktemp("data") / "scan.nc", made.sides)


@pytest.fixture
def folder(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a pipeline on the scan."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scan.nc").write_bytes(scan.read_bytes())
    (tmp_path / "small.yaml").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def ronchi(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; gives the exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(list(arguments))
        except SystemExit as stop:  # argparse ends --help and usage errors itself
            code = int(stop.code or 0)
        return code, *capsys.readouterr()

    return run


def read_json(ronchi: Run, *arguments: str) -> Any:
    code, out, err = ronchi(*arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


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


def test_read(ronchi: Run, folder: Path) -> None:
    code, out, _ = ronchi("read", "scan.nc")
    assert code == 0
    for line in ("schema: fourd/1", "scan_x: 6, step 10 angstrom", "beam energy [eV]: 200000.0", "not calibrated:"):
        assert line in out
    described = read_json(ronchi, "read", "scan.nc")
    assert described["schema"] == "fourd/1"
    assert set(described["side outputs"]) == {"truth", "truth_peaks", "truth_maps"}


def test_read_says_what_is_missing(ronchi: Run, folder: Path) -> None:
    code, _, err = ronchi("read", "none.nc")
    assert code == 1
    assert err.startswith("ronchi: ")
    assert "none.nc" in err
    assert "Traceback" not in err


def test_convert(ronchi: Run, folder: Path) -> None:
    assert ronchi("convert", "scan.nc", "copy.nc")[:2] == (0, "copy.nc\n")
    code, _, err = ronchi("convert", "scan.nc", "copy.nc")
    assert code == 1
    assert "--overwrite" in err
    assert "convert" in ronchi("convert", "scan.nc", "copy.nc", "--overwrite")[2]
    assert ronchi("convert", "scan.nc", "copy.nc", "--overwrite", "--quiet") == (0, "copy.nc\n", "")
    assert ronchi("convert", "scan.nc", "x.nc", "--param", "block_mb")[0] == 2
    assert ronchi("convert", "scan.nc", "x.nc", "--param", "block_mbb=3")[0] == 2


def test_validate(ronchi: Run, folder: Path) -> None:
    code, out, _ = ronchi("validate", "small.yaml")
    assert code == 0
    assert out.endswith("small.yaml: valid\n")
    assert "disks: disk_detector crosscorr of ronchi-crosscorr" in out
    (folder / "bad.yaml").write_text(PIPELINE.replace("data: load", "data: laod").replace("truth: load", "truht: load"))
    code, _, err = ronchi("validate", "bad.yaml")
    assert code == 2
    assert "bad.yaml:5:44: disks.data: there is no step 'laod'" in err
    assert "did you mean 'load'?" in err
    assert "bad.yaml:7:49: score.truht: unknown input" in err, "all faults are told at once"


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


def test_a_pipeline_that_keeps_nothing_says_so(ronchi: Run, folder: Path) -> None:
    steps = PIPELINE.partition("  score:")[0]
    (folder / "bare.yaml").write_text(steps)
    says = "the pipeline writes no results: it needs e.g. `outputs: {strain: {from: strain, path: strain.nc}}`\n"
    assert f"warning: {says}" in ronchi("validate", "bare.yaml")[1]
    code, out, _ = ronchi("run", "bare.yaml", "--quiet")
    assert code == 0
    assert says in out
    # Scores are kept in the record, and printed.
    (folder / "bare.yaml").write_text(PIPELINE.partition("outputs:")[0])
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


def test_preview(ronchi: Run, folder: Path) -> None:
    code, out, _ = ronchi("preview", "small.yaml", "--frames", "2")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith("candidates in 2 patterns")
    assert sum(int(line.split()[-1]) for line in lines[1:-1]) == int(lines[0].split()[0])
    assert (folder / "preview.png").read_bytes().startswith(b"\x89PNG")
    counts = read_json(ronchi, "preview", "small.yaml", "--frames", "2")
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


def test_a_report_among_the_outputs_is_drawn_once(ronchi: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ronchi.report import html

    drawn: list[Path] = []

    def count(result: object, path: Path, **options: object) -> Path:
        drawn.append(path)
        return path

    monkeypatch.setattr(html, "write_report", count)
    (folder / "small.yaml").write_text(PIPELINE + "  report: {path: report.html}\n")
    assert ronchi("report", "small.yaml", "-o", "out")[:2] == (0, f"{folder / 'out' / 'report.html'}\n")
    assert drawn == [folder / "out" / "report.html"]
    ronchi("report", "small.yaml", "-o", "out", "--path", "page.html")
    assert drawn[1:] == [folder / "out" / "report.html", Path("page.html")]


def test_plugins(ronchi: Run) -> None:
    code, out, _ = ronchi("plugins", "metric")
    assert code == 0
    assert "strain-rmse" in out
    assert "transform" not in out
    listed = read_json(ronchi, "plugins")["algorithms"]
    assert ("transform", "crop") in {(entry["kind"], entry["name"]) for entry in listed}
    assert ronchi("plugins", "metrics")[0] == 2


def test_info(ronchi: Run) -> None:
    code, out, _ = ronchi("info", "transform/calibrate")
    assert code == 0
    assert "beam_energy_eV: number (>= 1000, < 5e+06) | null = null [eV]" in out
    assert ronchi("info", "calibrate")[1] == out, "a name that is unique needs no kind"
    assert "beam_energy_eV" in read_json(ronchi, "info", "calibrate")["properties"]
    code, _, err = ronchi("info", "calibrat")
    assert code == 2
    assert "ronchi plugins" in err


def test_schema(ronchi: Run) -> None:
    assert [line.split()[0] for line in ronchi("schema")[1].splitlines()][:4] == [
        "pipeline", "benchmark", "fourd/1", "peaks/1"
    ]  # fmt: skip
    assert "counts : (pos,) int" in ronchi("schema", "peaks/1")[1]
    assert ronchi("schema", "peak/1")[0] == 2
    benchmark = json.loads(ronchi("schema", "benchmark")[1])
    assert {"protocol", "compare", "about"} < set(benchmark["properties"])
    described = json.loads(ronchi("schema", "pipeline")[1])
    assert set(described["properties"]) == {"schema", "name", "seed", "plugins", "run", "steps", "outputs"}


def test_doctor(ronchi: Run, make_dist: Callable[..., Path]) -> None:
    assert ronchi("doctor")[0] == 0
    assert read_json(ronchi, "doctor") == []
    site = make_dist("sick", "[ronchi.metrics]\nsick = sick\n", "raise RuntimeError('no licence')\n")
    code, out, _ = ronchi("doctor")
    assert code == 1
    assert "no licence" in out
    code, out, _ = ronchi("doctor", "sick", "--json")
    assert code == 1
    assert [problem["dist"] for problem in json.loads(out)] == ["sick"]
    assert ronchi("doctor", "--path", str(site))[0] == 0, "another environment is looked at, not imported"
    make_dist("ronchi-mute", "[console_scripts]\nmute = mute:main\n")
    code, out, _ = ronchi("doctor", "ronchi-mute")
    assert code == 1
    assert "registers no algorithm" in out


def test_demo(ronchi: Run, folder: Path) -> None:
    assert ronchi("demo", "--save-data", "demo.nc")[:2] == (0, "demo.nc\n")
    assert xr.open_dataset("demo.nc").attrs["ronchi_schema"] == "fourd/1"
    assert ronchi("demo", "--save-data", "none/demo.nc")[0] == 1


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


def test_reader_parameters_are_parsed_as_in_a_pipeline(ronchi: Run, folder: Path) -> None:
    code, _, err = ronchi("convert", "scan.nc", "out.nc", "--param", "x=[1")
    assert code == 2
    assert err.startswith("ronchi: --param x=[1:")
    assert "not valid YAML" in err


@pytest.mark.parametrize("option", [("--explain",), ("--dry-run",), ("--force", "disks")])
def test_options_that_a_batch_cannot_have(ronchi: Run, folder: Path, option: tuple[str, ...]) -> None:
    code, _, err = ronchi("run", "small.yaml", "--inputs", "*.nc", *option)
    assert code == 2
    assert "neither --explain nor --dry-run nor --force" in err
    assert not (folder / "small-out").exists()


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


def test_read_says_what_is_known_of_an_image(ronchi: Run, tmp_path: Path) -> None:
    image = images.make(np.ones((1, 4, 4)), step=(0.1, 0.1), beam_energy_eV=300e3)
    _, out, _ = ronchi("read", str(write(image, tmp_path / "image.nc")))
    assert "beam energy [eV]: 300000.0" in out
    assert "not calibrated" not in out


def test_read_says_where_axes_begin_and_end_and_the_title(ronchi: Run, folder: Path) -> None:
    with xr.open_dataset("scan.nc") as ds:
        last = float(ds["scan_x"][-1])
        copy = ds.load().assign_attrs(title="a crystal", operator="R. Hooke")
    write(copy, Path("titled.nc"))
    out = ronchi("read", "titled.nc")[1]
    assert f", 0 to {last:g}\n" in out
    assert "title: a crystal" in out
    assert "operator: R. Hooke" in out


def test_info_shows_an_example_and_the_shape_of_arrays(ronchi: Run) -> None:
    out = ronchi("info", "crop")[1]
    assert "  crop: {transform: crop, data: STEP}\n" in out
    assert "scan_x: [number | null, number | null] | null" in out
    assert "load: {reader: npy, params: {path: FILE}}" in ronchi("info", "npy")[1]
    assert "`ronchi plugins reader`" in ronchi("info", "reader")[2]
    assert "did you mean 'calibrate'?" in ronchi("info", "calibrat")[2]
    assert "reader/native or writer/native" in ronchi("info", "native")[2]
    assert "unknown kind 'detector'\n  -> did you mean 'disk_detector'?" in ronchi("info", "detector/crosscorr")[2]


def test_plugins_of_a_kind_say_what_they_do(ronchi: Run) -> None:
    assert "Keep a part of scan or patterns." in ronchi("plugins", "transform")[1]
    assert "Keep a part" not in ronchi("plugins")[1]
