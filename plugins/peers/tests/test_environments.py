"""Environments are made once, with what is written down, and an unfinished one is made anew."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from ronchi.api import DataError
from ronchi.cli.main import main
from ronchi_peers.environments import Environment, environment, environments_folder, find_python, make_environment

PROGRAM = {"ronchi_fake_program.py": "NAME = 'here'\n"}
BENCHMARK = """\
schema: ronchi.benchmark/1
name: small
steps:
  scan:  {simulator: disks, params: {scan_shape: [1, 2], pattern_shape: [48, 64], radius_px: 5}}
  find:  {disk_detector: [py4dstem, pyxem], data: scan, params: {probe_radius_px: 5}}
  found: {metric: peak-f1, result: find, truth: scan.truth_peaks}
compare: {slot: find, figures: [found.recall]}
"""


def _wheel(folder: Path, dist: str, version: str, files: Mapping[str, str]) -> Path:
    path = folder / f"{dist}-{version}-py3-none-any.whl"
    info = f"{dist}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.parametrize("name", ["py4dstem", "libertem", "pyxem", "atomai", "pyroved"])
def test_the_first_requirement_is_the_program_at_its_version(name: str) -> None:
    which = environment(name)
    assert which.requirements[0].endswith(f"=={which.version}")
    assert which.variable == f"RONCHI_PEER_PYTHON_{name.upper()}"


def test_they_lie_in_the_users_cache_or_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environments_folder() == tmp_path / "environments"
    monkeypatch.delenv("RONCHI_PEER_FOLDER")
    folders = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        folders.add(environments_folder())
    (folder,) = folders
    assert folder == Path(platformdirs.user_cache_dir("ronchi-peers"))
    assert not folder.is_relative_to(tmp_path)


def test_nothing_in_the_current_folder_is_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that came with a pipeline in it may hold what looks like an environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RONCHI_PEER_PYTHON_PYXEM", raising=False)
    which = environment("pyxem")
    for name in (which.name, f"{which.name}-{which.version}"):
        python = tmp_path / ".ronchi/peers" / name / which.python.relative_to(which.folder)
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        (tmp_path / ".ronchi/peers" / name / "ronchi-ready").touch()
    with pytest.raises(DataError, match="there is none"):
        find_python(which)


def test_one_of_another_version_or_without_its_python_is_none() -> None:
    """They outlive the pins that they were made with, and the Python too."""
    old, new = (Environment("fake", version, ("fake",)) for version in ("1.0", "2.0"))
    old.python.parent.mkdir(parents=True)
    old.python.symlink_to(sys.executable)
    (old.folder / "ronchi-ready").touch()
    assert find_python(old) == old.python
    with pytest.raises(DataError, match="there is none"):
        find_python(new)
    old.python.unlink()
    old.python.symlink_to("gone")
    with pytest.raises(DataError, match="there is none"):
        find_python(old)


@pytest.mark.slow
def test_an_environment_is_made_once_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # What lies in the current folder under the names of what is started is not.
    for name in ("venv.py", "pip.py"):
        Path(name).write_text("raise SystemExit('this came with the data')")
    which = Environment("fake", "1.0", (str(_wheel(tmp_path, "ronchi_fake_program", "1.0", PROGRAM)),))
    told: list[str] = []
    # What an interrupted attempt leaves is no environment.
    which.folder.mkdir(parents=True)
    with pytest.raises(DataError, match="there is none"):
        find_python(which)
    make_environment(which, told.append)
    make_environment(which, told.append)
    assert len(told) == 1
    command = [str(find_python(which)), "-c", "import ronchi_fake_program as p; print(p.NAME)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "here\n"


@pytest.mark.slow
def test_the_command_makes_them_first_and_one_that_cannot_be_made_is_a_row(
    programs: Mapping[str, tuple[str, str, Mapping[str, str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    dist, version, files = programs["py4dstem"]
    # The fake program needs numpy, which its environment borrows from here instead of loading it down.
    borrowed = {"borrowed.pth": f"{Path(np.__file__).parents[1]}\n"}
    wheel = _wheel(tmp_path, dist, version, {**files, **borrowed})
    wanted = {
        "py4dstem": Environment("py4dstem", version, (str(wheel),)),
        "pyxem": Environment("pyxem", "0.21.0", (str(tmp_path / "absent.whl"),)),
    }
    monkeypatch.setattr("ronchi_peers.program.environment", wanted.__getitem__)
    for which in wanted.values():
        monkeypatch.delenv(which.variable, raising=False)
    Path("bench.yaml").write_text(BENCHMARK)
    assert main(["bench", "bench.yaml", "-o", "out", "--peers"]) == 0
    printed = capsys.readouterr()
    assert "py4dstem: making " in printed.err
    assert "pyxem could not be installed" in printed.err
    medians, _, lost = printed.out.partition("not finished")
    assert re.search(r"^py4dstem +found\.recall +\S+ +— +1$", medians, re.MULTILINE)
    assert "pyxem" not in medians
    assert lost.split()[4:7] == ["pyxem", "0", "failed"]
    # What is there is not made again.
    assert main(["bench", "bench.yaml", "-o", "out", "--peers"]) == 0
    assert "py4dstem: making " not in capsys.readouterr().err


@pytest.mark.slow
def test_what_pip_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    which = Environment("absent", "1.0", (str(tmp_path / "absent.whl"),))
    with pytest.raises(DataError, match="absent could not be installed"):
        make_environment(which, lambda text: None)
    with pytest.raises(DataError, match="there is none"):
        find_python(which)


def test_one_that_is_named_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RONCHI_PEER_PYTHON_PYXEM", "/some/python")
    make_environment(environment("pyxem"), pytest.fail)
    assert list(tmp_path.iterdir()) == []
