"""Environments are made once, with what is written down, and an unfinished one is made anew."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from ronchi.api import DataError
from ronchi_peers.environments import Environment, environment, find_python, make_environment


def _wheel(folder: Path) -> Path:
    path = folder / "ronchi_fake_program-1.0-py3-none-any.whl"
    info = "ronchi_fake_program-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("ronchi_fake_program.py", "NAME = 'here'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: ronchi-fake-program\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.parametrize("name", ["py4dstem", "libertem", "pyxem"])
def test_the_first_requirement_is_the_program_at_its_version(name: str) -> None:
    which = environment(name)
    assert which.requirements[0].endswith(f"=={which.version}")
    assert which.variable == f"RONCHI_PEER_PYTHON_{name.upper()}"


@pytest.mark.slow
def test_an_environment_is_made_once_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    which = Environment("fake", "1.0", (str(_wheel(tmp_path)),))
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
