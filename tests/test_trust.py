"""Data never become code, and no run opens a connection: what the page on plugins says, held against all sources.

Sources are searched for the calls that could do it; and a folder that holds what could be started is worked in.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ronchi.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
ROOTS = sorted(root for folder in ("core/src", "plugins/*/src", "docs/examples/*/src") for root in ROOT.glob(folder))
NEVER = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
NEVER |= {f"{module}.{name}" for module in ("marshal", "dill", "joblib", "cloudpickle") for name in ("load", "loads")}
STARTS = ("os.exec", "os.spawn", "os.posix_spawn", "os.startfile", "asyncio.create_subprocess")
PICKLE = {"pickle.load", "pickle.loads", "pickle.Unpickler"}
CONNECTIONS = {"urllib.request", "http.client", "requests", "httpx", "aiohttp", "socket", "ftplib", "smtplib"}
UNPICKLES_WHAT_IT_PICKLED = {"core/src/ronchi/pipeline/executors/worker.py", "core/src/ronchi/testing/advertised.py"}
FETCHES_ON_DEMAND = {"plugins/fcunet/src/ronchi_fcunet/fetch.py"}
PROCESSES = {"subprocess", "pty", "asyncio.subprocess"}
STARTS_PYTHON = {
    "core/src/ronchi/benchmark/process.py",
    "core/src/ronchi/pipeline/batch.py",
    "core/src/ronchi/testing/advertised.py",
    "plugins/peers/src/ronchi_peers/environments.py",
    "plugins/peers/src/ronchi_peers/process.py",
    "plugins/rosettasciio/src/ronchi_rosettasciio/probe.py",
}
"""They start the Python that they run in, and `ronchi-peers` those of the environments that the user has."""

JOB = """\
schema: ronchi.pipeline/1
name: sent
steps:
  scan: {simulator: disks, params: {scan_shape: [1, 2], pattern_shape: [48, 64], radius_px: 5}}
  find: {disk_detector: pyxem, data: scan, params: {probe_radius_px: 5}}
outputs: {peaks: {from: find, path: peaks.nc}}
"""


def faults(source: str, *, pickle: bool = False, connections: bool = False, processes: bool = False) -> Iterator[str]:
    """What a module must not do, line by line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
            if not connections and CONNECTIONS & set(names):
                yield f"{node.lineno}: imports {', '.join(names)}"
            if not processes and PROCESSES & set(names):
                yield f"{node.lineno}: starts processes, with {', '.join(names)}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            if called in NEVER or called.startswith(STARTS) or (called in PICKLE and not pickle):
                yield f"{node.lineno}: calls {called}"
            if called in ("np.load", "numpy.load") and options.get("allow_pickle", "False") != "False":
                yield f"{node.lineno}: lets numpy unpickle"
            if called == "torch.load" and options.get("weights_only") != "True":
                yield f"{node.lineno}: lets torch unpickle"


@pytest.mark.parametrize("root", ROOTS, ids=lambda path: path.parent.name)
def test_sources_keep_data_and_code_apart(root: Path) -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in root.rglob("*.py")}
    assert sources
    found = [
        f"{name}:{fault}"
        for name, source in sorted(sources.items())
        for fault in faults(
            source,
            pickle=name in UNPICKLES_WHAT_IT_PICKLED,
            connections=name in FETCHES_ON_DEMAND,
            processes=name in STARTS_PYTHON,
        )
    ]
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "import yaml\nyaml.load(text)",
        "import pickle\npickle.loads(data)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "import urllib.request",
        "from urllib import request",
        "import requests",
        "import subprocess",
        "from subprocess import Popen",
        "os.execv(path, words)",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert len(list(faults(source))) == 1


def test_the_search_lets_pass_what_is_safe() -> None:
    good = "import urllib.parse\nyaml.safe_load(text)\nnp.load(path, allow_pickle=False)\nmodel.eval()\n"
    assert not list(faults(good + "torch.load(path, weights_only=True)"))


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from somebody else, with a pipeline and a program that leaves a file when it is started."""
    if importlib.util.find_spec("ronchi_peers") is None:
        pytest.skip("ronchi-peers is not installed: `pip install -e plugins/peers` to run this test")
    if os.name != "posix":
        pytest.skip("a program made of a shell script needs a shell")
    folder = tmp_path / "sent"
    for environment in ("pyxem", "pyxem-0.21.0"):
        python = folder / ".ronchi/peers" / environment / "bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\ntouch '{tmp_path / 'started'}'\n")
        python.chmod(0o755)
        (python.parents[1] / "ronchi-ready").touch()
    (folder / "job.yaml").write_text(JOB)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RONCHI_PEER_FOLDER", str(tmp_path / "own"))
    monkeypatch.delenv("RONCHI_PEER_PYTHON_PYXEM", raising=False)
    return folder


def test_a_pipeline_cannot_name_a_program_to_start(sent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = JOB.replace("probe_radius_px: 5", "probe_radius_px: 5, python: .ronchi/peers/pyxem/bin/python")
    (sent / "job.yaml").write_text(job)
    assert main(["run", "job.yaml", "-o", "out", "--quiet"]) == 2
    assert "python: unknown key" in capsys.readouterr().err
    assert not (sent.parent / "started").exists()


def test_what_lies_in_the_current_folder_is_not_started(sent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "job.yaml", "-o", "out", "--quiet"]) == 1
    shown = capsys.readouterr()
    assert "RONCHI_PEER_PYTHON_PYXEM" in shown.out + shown.err
    assert not (sent.parent / "started").exists()


@pytest.mark.parametrize("command", [["run", "job.yaml", "-o", "out", "--quiet"], ["bench", "bench.yaml", "-o", "out"]])
def test_modules_in_the_current_folder_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    for module in ("multiprocessing", "yaml", "numpy", "h5py"):
        (folder / f"{module}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\nraise SystemExit(7)\n")
    job = JOB.replace(
        "{disk_detector: pyxem, data: scan, params: {probe_radius_px: 5}}", "{disk_detector: crosscorr, data: scan}"
    )
    (folder / "job.yaml").write_text(job + "run: {executor: process, workers: 2}\n")
    (folder / "bench.yaml").write_text(
        job.replace("pipeline/1", "benchmark/1").partition("outputs")[0]
        + "protocol: {timings: 1}\ncompare: {slot: find}\n"
    )
    monkeypatch.chdir(folder)
    assert main(command) == 0
    assert not (tmp_path / "imported").exists()
