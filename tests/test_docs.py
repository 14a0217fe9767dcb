"""The documentation runs: the blocks of each page, in order, in an empty folder; the notebook; the links hold."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ronchi import api
from ronchi.cli.main import main
from ronchi.kinds import KINDS
from ronchi.pipeline.tiles import BASE_MB

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *(page for folder in ("tutorial", "how-to", "kinds") for page in sorted(DOCS.glob(f"{folder}/*.md"))),
]
READMES = [ROOT / "core" / "README.md", *sorted(ROOT.glob("plugins/*/README.md"))]
COLD = ROOT / "README.md"
"""Where the commands are the installed ones; those of other pages start warm, see `warm.py`."""
NOTEBOOKS = sorted(DOCS.glob("tutorial/*.ipynb"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w./-])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w/])")
SESSION = """
import contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    printed, fault = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(json.loads(line), "<block>", "exec"), names)
    except BaseException:
        fault = traceback.format_exc()
    print(json.dumps([fault, printed.getvalue()]), flush=True)
"""
"""Runs the Python blocks of a page in one process, as a reader would: one line of JSON a block and an answer."""


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def differing(shown: str, printed: str) -> list[str]:
    """Lines of a text block that the output before it does not have.

    Numbers may be off by half, for they illustrate; … stands for lines, or the end of a line, left out.
    """

    def has(line: str) -> bool:
        line, cut, _ = line.partition(" …")
        numbers = [float(text) for text in NUMBER.findall(line)]
        for full in printed.splitlines():
            other = full[: len(line)] if cut else full
            if NUMBER.sub("#", other).split() == NUMBER.sub("#", line).split():
                theirs = [float(text) for text in NUMBER.findall(other)]
                return all(abs(a - b) <= max(0.5 * abs(a), 1e-12) for a, b in zip(numbers, theirs, strict=True))
        return False

    return [line for line in shown.splitlines() if line.strip() not in ("", "…") and not has(untimed(line))]


def untimed(text: str) -> str:
    return re.sub(r"in \d+\.\d s", "in 1.0 s", text)


@pytest.fixture(scope="module")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scan of `ronchi demo`."""
    path = tmp_path_factory.mktemp("demo") / "scan.nc"
    assert main(["demo", "--save-data", str(path)]) == 0
    return path


@pytest.mark.slow
@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    fresh_environment: Callable[..., Any],
    demo_data: Path,
    warm_commands: Path,
) -> None:
    """sh and python blocks are run, text blocks are what they print; yaml blocks are saved and checked.

    A page that installs something has an environment of its own, beside the folder that it runs in.
    """
    interpreter = sys.executable
    first = [*([] if page == COLD else [warm_commands]), Path(sys.executable).parent]
    env = {**os.environ, "PATH": os.pathsep.join([*map(str, first), os.environ["PATH"]])}
    if any(language == "sh" and "pip install" in text for language, text in blocks(page)):
        own = fresh_environment(tmp_path / "environment", checkout=True)
        interpreter, env, tmp_path = str(own.python), own.variables, tmp_path / "page"
        tmp_path.mkdir()
    env["MPLBACKEND"] = "Agg"
    monkeypatch.chdir(tmp_path)
    run: dict[str, Any] = {"cwd": tmp_path, "env": env, "text": True, "timeout": 300, "stdout": subprocess.PIPE}
    if page.name == "README.md":
        # These pages show how things are said; they do not say where the data come from.
        shutil.copy(demo_data, tmp_path)
    python = [interpreter, "-W", "error", "-c", SESSION]
    printed = ""
    with subprocess.Popen(python, cwd=tmp_path, env=env, text=True, stdin=subprocess.PIPE, stdout=-1) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        for number, (language, text) in enumerate(blocks(page)):
            fault: str | list[str] = ""
            if language == "python":
                print(json.dumps(text), file=session.stdin, flush=True)
                fault, printed = json.loads(session.stdout.readline())
            elif language in ("yaml", "sh"):
                command = ["bash", "-euo", "pipefail", "-c", text]
                if language == "yaml":
                    named = re.match(r"# (\S+\.yaml)\n", text)
                    path = tmp_path / (named.group(1) if named else f"block{number}.yaml")
                    path.write_text(text, encoding="utf-8")
                    command = ["ronchi", "validate", str(path)]
                if language == "yaml" and interpreter == sys.executable:
                    code, printed = main(command[1:]), "".join(capfd.readouterr())
                else:
                    done = subprocess.run(command, check=False, stderr=subprocess.STDOUT, **run)
                    code, printed = done.returncode, done.stdout
                fault = printed if code else ""
            elif language == "text":
                fault = differing(text, untimed(printed))
            else:
                assert not language, f"{page.name}, block {number}: nobody runs {language}"
            if fault:
                session.stdin.close()
                pytest.fail(f"{page.name}, block {number} ({language})\n{fault}\nprinted:\n{printed}")
        session.stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# jupyter's packages warn about each other and about event loops; nothing of it comes from the notebook.
@pytest.mark.filterwarnings("default")
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cells run in a kernel of this very interpreter."""
    import nbformat
    from nbclient import NotebookClient

    kernel = tmp_path / "jupyter" / "kernels" / "this-python"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "this", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="this-python", resources=resources).execute()
    errors = [text for cell in notebook.cells for out in cell.get("outputs", ()) if (text := out.get("text", ""))]
    assert not [text for text in errors if "Warning" in text]
    figures = sum("image/png" in out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", ()))
    assert figures == 6, "a cell that ends in a figure shows it"
    assert (tmp_path / "strain.nc").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def test_every_kind_has_a_page_with_its_methods() -> None:
    for kind in KINDS.values():
        page = (DOCS / "kinds" / f"{kind.name}.md").read_text(encoding="utf-8")
        methods = [name for name, each in vars(getattr(api, kind.protocol)).items() if inspect.isfunction(each)]
        assert [name for name in methods if not name.startswith("_") and f"def {name}(" not in page] == []
        assert all(part in page for part in ("## What comes in", "## What goes out", "## Easily wrong"))


def test_the_least_memory_is_what_the_page_says() -> None:
    page = (DOCS / "how-to" / "resume-and-scale.md").read_text(encoding="utf-8")
    assert f"above {BASE_MB:.0f} MB for one process" in page
    assert re.search(rf"above\s{3 * BASE_MB:.0f} MB for two workers", page)


def test_there_are_pages_and_notebooks() -> None:
    assert len(PAGES) >= 8
    assert len(READMES) == 1 + len(list(ROOT.glob("plugins/*/pyproject.toml"))), "every distribution has a README"
    assert NOTEBOOKS


@pytest.mark.parametrize("arguments", [["--version"], ["read", "nowhere.nc"], ["validate"], ["raise"]])
def test_commands_that_start_warm_do_the_same(warm_commands: Path, tmp_path: Path, arguments: list[str]) -> None:
    warm, cold = (
        subprocess.run([folder / "ronchi", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        for folder in (warm_commands, Path(sys.executable).parent)
    )
    assert (warm.returncode, warm.stdout, warm.stderr) == (cold.returncode, cold.stdout, cold.stderr)
    assert warm.stdout or warm.stderr


def test_shell_blocks_need_bash() -> None:
    assert shutil.which("bash"), "the blocks marked sh are run with bash"


def test_links_point_to_files() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *READMES]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if not target.startswith("http") and not (page.parent / target).exists()
    ]
    assert not broken


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = [*PAGES[1:], *NOTEBOOKS, *sorted(DOCS.glob("reference/*.md"))]
    assert not [page.name for page in pages if f"({page.relative_to(DOCS)})" not in index]
