"""The documentation runs: the blocks of each page, in order, in an empty folder; the notebook; the links hold."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("tutorial/*.md")), *sorted(DOCS.glob("how-to/*.md"))]
READMES = [ROOT / "core" / "README.md", *sorted(ROOT.glob("plugins/*/README.md"))]
NOTEBOOKS = sorted(DOCS.glob("tutorial/*.ipynb"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = {"", "text"}
SESSION = """
import json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "<block>", "exec"), names)
        fault = ""
    except BaseException:
        fault = traceback.format_exc()
    print(json.dumps(fault), file=sys.__stderr__, flush=True)
"""
"""Runs the Python blocks of a page in one process, as a reader would: one line of JSON a block and an answer."""


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    """sh and python blocks are run; a yaml block is saved under the name in its first line, and checked."""
    bin_folder = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "MPLBACKEND": "Agg"}
    run: dict[str, Any] = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "timeout": 300}
    if page.name == "README.md":
        # These pages show how things are said; they do not say where the data come from.
        subprocess.run(["ronchi", "demo", "--save-data", "scan.nc"], check=True, **run)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SESSION], cwd=tmp_path, env=env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as session:  # fmt: skip
        assert session.stdin is not None
        assert session.stderr is not None
        for number, (language, text) in enumerate(blocks(page)):
            where = f"{page.name}, block {number} ({language})"
            if language == "python":
                print(json.dumps(text), file=session.stdin, flush=True)
                fault = json.loads(session.stderr.readline())
            elif language == "yaml":
                named = re.match(r"# (\S+\.yaml)\n", text)
                path = tmp_path / (named.group(1) if named else f"block{number}.yaml")
                path.write_text(text, encoding="utf-8")
                done = subprocess.run(["ronchi", "validate", str(path)], check=False, **run)
                fault = done.stderr if done.returncode else ""
            elif language == "sh":
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=False, **run)
                fault = f"{done.stdout}\n{done.stderr}" if done.returncode else ""
            else:
                assert language in NOT_RUN, f"{where}: nobody runs this language"
                continue
            if fault:
                session.stdin.close()
                pytest.fail(f"{where}\n{fault}")
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


def test_there_are_pages_and_notebooks() -> None:
    assert len(PAGES) >= 8
    assert len(READMES) == 1 + len(list(ROOT.glob("plugins/*/pyproject.toml"))), "every distribution has a README"
    assert NOTEBOOKS


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
