"""What goes wrong in practice: a clear message, a non-zero exit, and nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.builtin.disks import disk_scan
from ronchi.cli.main import main
from ronchi.manager import KNOWN_DISTS

PIPELINE = """\
schema: ronchi.pipeline/1
name: job
steps:
  load:   {reader: auto, params: {path: scan.nc}}
  disks:  {disk_detector: crosscorr, data: load}
  strain: {strain_solver: lattice, peaks: disks}
outputs:
  peaks:  {from: disks, path: peaks.nc}
  strain: {from: strain, path: strain.nc}
"""


@pytest.fixture(scope="module")
def scan() -> xr.Dataset:
    """A good scan of 2 x 3 patterns, in memory (seed 3)."""
    return disk_scan(np.random.default_rng(3), scan_shape=(2, 3)).data.load()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(PIPELINE)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = main(["run", "job.yaml", "-o", "out", "--quiet", *more])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def edit(old: str, new: str) -> None:
    text = Path("job.yaml").read_text()
    assert old in text
    Path("job.yaml").write_text(text.replace(old, new))


def test_the_good_case_works(folder, scan, capsys):
    ronchi.write(scan, "scan.nc")
    code, shown = run(capsys)
    assert code == 0, shown
    strain = ronchi.read("out/strain.nc")
    assert bool((strain["valid"] == 1).all())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{disk_detector: crosscorr, data: load}", "{disk_detector: crosscor, data: load}", r"job.yaml:5:27.*crosscor"),
        ("{disk_detector: crosscorr, data: load}", "{disk_detector: absent, data: load}", "pip install ronchi-absent"),
        ("data: load}", "data: load, params: {max_peeks: 3}}", r"job.yaml:5:5\d.*max_peeks[\s\S]*max_peaks"),
        ("data: load}", "data: load, params: {max_peaks: -3}}", r"job.yaml:5:\d+.*max_peaks"),
        ("data: load", "data: lode", r"job.yaml:5:\d+.*lode[\s\S]*load"),
        (
            "outputs:",
            "  again: {strain_solver: lattice, peaks: strain}\noutputs:",
            r"job.yaml:7:\d+.*strain/1.*peaks/1",
        ),
        ("peaks: disks}", "peaks: strain}", r"cycle|itself|circle"),
        ("scan.nc", "absent.nc", r"job.yaml:4:\d+.*absent.nc"),
        ("name: job", "nane: job", r"job.yaml:2:1.*nane[\s\S]*name"),
        ("steps:", "steps: [", r"job.yaml:\d+:\d+"),
    ],
    ids=["name", "missing-plugin", "parameter", "value", "reference", "edge", "cycle", "no-file", "field", "yaml"],
)
def test_faults_of_the_pipeline_are_found_before_reading(folder, scan, capsys, monkeypatch, old, new, message):
    monkeypatch.setitem(KNOWN_DISTS, ("disk_detector", "absent"), "ronchi-absent")
    ronchi.write(scan, "scan.nc")
    edit(old, new)
    code = main(["run", "job.yaml", "-o", "out", "--quiet"])
    shown = capsys.readouterr().err
    assert code == 2, shown
    import re

    assert re.search(message, shown), shown
    assert "Traceback" not in shown
    assert not Path("out").exists()


def test_wrong_edge_that_only_the_file_can_tell(folder, scan, capsys):
    """ronchi's own files may hold any schema."""
    ronchi.write(scan, "scan.nc")
    edit("peaks: disks}", "peaks: load}")
    code, shown = run(capsys)
    assert code == 2
    assert "steps that give peaks/1: disks" in shown
    assert "'load' turned out to be fourd/1, but 'lattice' takes peaks/1" in shown


def test_truncated_file(folder, scan, capsys):
    ronchi.write(scan, "scan.nc")
    whole = Path("scan.nc").read_bytes()
    Path("scan.nc").write_bytes(whole[: len(whole) // 2])
    code, shown = run(capsys)
    assert code != 0
    assert "truncated" in shown
    assert "scan.nc" in shown


@pytest.mark.parametrize("content", [b"", b"hello, this is no data file", b"\x89HDF\r\n\x1a\n" + bytes(3000)])
def test_files_that_are_something_else(folder, capsys, content):
    Path("scan.nc").write_bytes(content)
    code, shown = run(capsys)
    assert code != 0
    assert "scan.nc" in shown
    assert "Traceback" not in shown


def test_file_that_is_not_4d(folder, capsys):
    images = ronchi.schema.images.make(np.zeros((3, 16, 16), np.float32))
    ronchi.write(images, "scan.nc")
    code, shown = run(capsys)
    assert code != 0
    assert "images/1" in shown
    assert "fourd/1" in shown


def test_nan_is_named_and_finished_work_is_kept(folder, scan, capsys):
    bad = scan.assign(intensity=scan["intensity"].astype(np.float32).copy(deep=True))
    bad["intensity"][1, 1, 5, 6] = np.nan
    ronchi.write(bad, "scan.nc")
    code, shown = run(capsys)
    assert code == 1
    assert "scan_y 1, scan_x 1" in shown
    assert (Path("out") / "log.txt").exists()


def test_one_empty_pattern_is_nan_and_does_not_stop_the_rest(folder, scan, capsys):
    dark = scan.copy(deep=True)
    dark["intensity"][0, 1] = 0
    ronchi.write(dark, "scan.nc")
    code, shown = run(capsys)
    assert code == 0, shown
    strain = ronchi.read("out/strain.nc")
    valid = strain["valid"].values
    assert valid[0, 1] == 0
    assert valid.sum() == valid.size - 1
    assert np.isnan(strain["e_xx"].values[0, 1])


def test_nothing_but_empty_patterns(folder, scan, capsys):
    dark = scan.copy(deep=True)
    dark["intensity"][:] = 0
    ronchi.write(dark, "scan.nc")
    code, shown = run(capsys)
    assert code == 1
    assert "strain" in shown
    assert "peak" in shown
    # The step before is kept: it was done, and says that there are no peaks.
    assert ronchi.read("out/peaks.nc").sizes["peak"] == 0


def test_one_pattern(folder, scan, capsys):
    ronchi.write(scan.isel(scan_y=[0], scan_x=[0]), "scan.nc")
    code, shown = run(capsys)
    assert code == 0, shown
    strain = ronchi.read("out/strain.nc")
    # Its own reference: no strain.
    assert abs(float(strain["e_xx"][0, 0])) < 1e-12


def test_output_folder_that_cannot_be_made(folder, scan, capsys):
    ronchi.write(scan, "scan.nc")
    Path("taken").write_text("a file, not a folder")
    code = main(["run", "job.yaml", "-o", "taken", "--quiet"])
    shown = capsys.readouterr().err
    assert code == 1
    assert "taken" in shown
    assert Path("taken").read_text() == "a file, not a folder"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, a folder that not even root can write to")
def test_read_only_output_folder(folder, scan, capsys):
    ronchi.write(scan, "scan.nc")
    code = main(["run", "job.yaml", "-o", "/proc/ronchi-out", "--quiet"])
    shown = capsys.readouterr().err
    assert code == 1
    assert "/proc/ronchi-out" in shown
    assert "-o" in shown or "folder" in shown


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on file sizes stands in for a full disk")
def test_full_disk_keeps_what_was_there(folder, scan):
    ronchi.write(scan, "scan.nc")
    Path("out").mkdir()
    Path("out/peaks.nc").write_bytes(b"an earlier result")
    code = """
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        from ronchi.cli.main import main
        sys.exit(main(["run", "job.yaml", "-o", "out", "--quiet"]))
    """
    env = {**os.environ, "NUMBA_DISABLE_CACHE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, env=env
    )
    shown = done.stdout + done.stderr
    assert done.returncode == 1, shown
    assert "full" in shown or "limit" in shown
    assert Path("out/peaks.nc").read_bytes() == b"an earlier result"
    assert not list(Path("out").glob(".*peaks*"))


BROKEN = "raise RuntimeError('its library is missing')"
GOOD = """
from ronchi.api import AlgorithmSpec, Params, hookimpl

@hookimpl
def ronchi_disk_detectors():
    return [AlgorithmSpec(name="NAME", summary="s", params=Params, factory="nowhere:Nothing",
                          inputs={"data": "fourd/1"}, output="peaks/1")]
"""


def install(site: Path, dist: str, name: str, code: str) -> None:
    info = site / f"{dist}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ronchi.disk_detectors]\n{name} = {dist}\n")
    (site / f"{dist}.py").write_text(code.replace("NAME", name))


def ronchi_with(site: Path, *arguments: str) -> tuple[int, str]:
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-m", "ronchi", *arguments], capture_output=True, text=True, check=False, env=env
    )
    return done.returncode, done.stdout + done.stderr


def test_broken_plugin_stops_only_what_uses_it(folder, scan):
    ronchi.write(scan, "scan.nc")
    install(folder / "site", "brokendist", "broken", BROKEN)
    code, shown = ronchi_with(folder / "site", "validate", "job.yaml")
    assert code == 0, shown
    edit("disk_detector: crosscorr", "disk_detector: broken")
    code, shown = ronchi_with(folder / "site", "run", "job.yaml", "-o", "out")
    assert code == 2
    assert "brokendist" in shown
    assert "its library is missing" in shown
    code, shown = ronchi_with(folder / "site", "doctor")
    assert code == 1
    assert "its library is missing" in shown
    code, shown = ronchi_with(folder / "site", "plugins")
    assert code == 0
    assert "broken " in shown


def test_clash_of_names(folder, scan):
    ronchi.write(scan, "scan.nc")
    install(folder / "site", "otherdist", "crosscorr", GOOD)
    code, shown = ronchi_with(folder / "site", "run", "job.yaml", "-o", "out")
    assert code == 2
    assert "otherdist:crosscorr" in shown
    assert "ronchi-crosscorr:crosscorr" in shown
    code, shown = ronchi_with(folder / "site", "plugins")
    assert code == 1
    assert "clash" in shown
    edit("disk_detector: crosscorr", "disk_detector: 'ronchi-crosscorr:crosscorr'")
    code, shown = ronchi_with(folder / "site", "validate", "job.yaml")
    assert code == 0, shown
