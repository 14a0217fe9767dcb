"""What `ronchi new-plugin` writes: a plugin of every kind that passes the kit of its kind as it is."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from ronchi.cli.main import main
from ronchi.kinds import KINDS
from ronchi.scaffold import TEMPLATES, write_plugin
from ronchi.testing import Contract, isolated_manager


def name_of(kind: str) -> str:
    return f"toy-{kind.replace('_', '-')}"


def contract_in(file: Path) -> type[Contract]:
    spec = importlib.util.spec_from_file_location(f"contract_of_{file.parents[1].name.replace('-', '_')}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (found,) = (each for name, each in vars(module).items() if name.startswith("Test"))
    return found


def code_lines(source: str) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    held = {number for number, line in enumerate(source.splitlines(), 1) if line.strip() and line.strip()[0] != "#"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            held -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(held)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_the_kit_of_its_kind_as_it_is(kind: str, tmp_path: Path, on_path) -> None:
    name = name_of(kind)
    root = write_plugin(name, kind, tmp_path)
    on_path(root / "src")
    contract = contract_in(root / "tests" / "test_contract.py")
    contract.manager = isolated_manager(f"ronchi_{name.replace('-', '_')}.plugin", kind=kind, names=[name])
    if kind == "disk_detector":
        contract.check_processes_give_the_same_result = None  # workers take seconds to start; see the slow test
    report = contract.report()
    assert report.ok, str(report)


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_code_and_ci_of_a_new_plugin_are_well_formed(kind: str, tmp_path: Path) -> None:
    root = write_plugin(name_of(kind), kind, tmp_path)
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    package = f"ronchi_{name_of(kind).replace('-', '_')}"
    assert project["entry-points"] == {KINDS[kind].group: {name_of(kind): f"{package}.plugin"}}
    assert yaml.safe_load((root / ".github/workflows/test.yml").read_text())["jobs"]
    assert "*.old" in (root / ".gitignore").read_text().splitlines()
    sources = [path.read_text() for path in root.rglob("*.py")]
    assert not any("$" in source for source in sources)
    assert all(len(line) <= 120 for source in sources for line in source.splitlines())
    for file in ("pyproject.toml", "README.md", f"src/{package}/plugin.py", f"src/{package}/py.typed"):
        assert (root / file).is_file(), file


def test_a_wheel_holds_no_leftovers_of_editing(tmp_path: Path) -> None:
    root = write_plugin("toy", "metric", tmp_path)
    (root / "src/ronchi_toy/metric.py.old").write_text("")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == {
        f"ronchi_toy/{name}" for name in ("__init__.py", "metric.py", "params.py", "plugin.py", "py.typed")
    }


def test_a_new_plugin_asks_for_a_licence_and_a_citation(tmp_path: Path) -> None:
    root = write_plugin("toy", "metric", tmp_path)
    assert "# license = " in (root / "pyproject.toml").read_text()
    assert 'citation="",' in (root / "src/ronchi_toy/plugin.py").read_text()


def test_a_toy_detector_takes_at_most_80_lines_of_code(tmp_path: Path) -> None:
    root = write_plugin("toy", "disk_detector", tmp_path)
    lines = {path.name: code_lines(path.read_text()) for path in (root / "src").rglob("*.py")}
    assert sum(lines.values()) <= 80, lines
    assert code_lines((root / "tests" / "test_contract.py").read_text()) <= 4


def test_the_command_writes_the_files_and_says_what_is_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-plugin", "my-detector", "--kind", "disk_detector", "-o", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert str(tmp_path / "ronchi-my-detector" / "pyproject.toml") in out
    assert "ronchi test-plugin my-detector --kind disk_detector" in out
    assert main(["new-plugin", "my-detector", "--kind", "disk_detector", "-o", str(tmp_path)]) == 1
    assert "the folder is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("crosscorr", "disk_detector", "the distribution ronchi-crosscorr and the disk detector 'crosscorr' of"),
        ("log", "atom_finder", "the atom finder 'log' of ronchi-atomnet is taken"),
        ("lattice", "disk_detector", "the distribution ronchi-lattice is taken"),
        ("strain-rmse", "metric", "the metric 'strain-rmse' of ronchi is taken"),
        ("mine", "metric", "`pip uninstall ronchi-mine` if it is yours"),
    ],
)
def test_names_that_are_taken_are_refused(name: str, kind: str, words: str, tmp_path: Path, capsys, make_dist) -> None:
    make_dist("ronchi-mine", "")
    assert main(["new-plugin", name, "--kind", kind, "-o", str(tmp_path / "new")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["My-Detector", "7up", "a b", "-x", "lambda", "../x", ""])
def test_names_that_no_algorithm_can_have_are_refused(name: str, tmp_path: Path, capsys) -> None:
    assert main(["new-plugin", "--kind=metric", f"-o{tmp_path}", "--", name]) == 2
    assert "cannot be the name of an algorithm" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_templates_are_there_for_all_kinds() -> None:
    assert set(TEMPLATES) == set(KINDS)


@pytest.mark.slow
def test_wheels_of_all_kinds_install_and_keep_their_contracts_in_a_fresh_environment(tmp_path: Path) -> None:
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    quiet.pop("PYTHONPATH", None)

    def run(*command: str | Path, cwd: Path = tmp_path) -> str:
        done = subprocess.run([*map(str, command)], cwd=cwd, env=quiet, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    roots = {kind: write_plugin(name_of(kind), kind, tmp_path / "plugins") for kind in KINDS}
    core = Path(__file__).resolve().parents[2]
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "wheels"]
    run(*build, core, *roots.values())
    run(sys.executable, "-m", "venv", "--without-pip", "fresh")
    python = tmp_path / "fresh" / "bin" / "python"
    # Of this environment the fresh one sees the dependencies, behind its own packages.
    site = next((tmp_path / "fresh" / "lib").glob("python*/site-packages"))
    packages = {str(Path(importlib.util.find_spec(name).origin).parents[1]) for name in ("numpy", "pytest", "pydantic")}
    (site / "dependencies.pth").write_text("\n".join(packages))
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--ignore-installed",
        *sorted((tmp_path / "wheels").glob("*.whl")))  # fmt: skip
    assert str(site) in run(python, "-c", "import ronchi; print(ronchi.__file__)")
    listed = run(python, "-m", "ronchi", "plugins")
    assert all(name_of(kind) in listed for kind in KINDS)
    tests = [f"{root.name}/tests" for root in roots.values()]
    out = run(python, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-p",
              "ronchi.testing.pytest_plugin", *tests, cwd=tmp_path / "plugins")  # fmt: skip
    assert out.count(" 0 failed") == len(KINDS)
