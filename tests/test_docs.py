"""Every block of the documentation runs, in order, in an empty folder a page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("tutorial/*.md")),
    *sorted((ROOT / "docs").glob("how-to/*.md")),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = {"", "text"}


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    """sh and python blocks are run; a yaml block is saved under the name in its first line, or checked."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "MPLBACKEND": "Agg"}
    run = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "check": False, "timeout": 300}
    if page.name == "README.md":
        subprocess.run(["ronchi", "demo", "--save-data", "scan.nc"], **run)
    session: list[str] = []
    for number, (language, text) in enumerate(blocks(page)):
        where = f"{page.name}, block {number} ({language})"
        if language == "yaml":
            named = re.match(r"# (\S+\.yaml)\n", text)
            path = tmp_path / (named.group(1) if named else f"block{number}.yaml")
            path.write_text(text)
            done = subprocess.run(["ronchi", "validate", str(path)], **run)
        elif language == "sh":
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], **run)
        elif language == "python":
            session.append(text)
            done = subprocess.run([sys.executable, "-c", "\n".join(session)], **run)
        else:
            assert language in NOT_RUN, f"{where}: nobody runs this language"
            continue
        assert done.returncode == 0, f"{where}\n{done.stdout}\n{done.stderr}"


def test_links_point_to_files() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        if not target.startswith("http") and not (page.parent / target).exists()
    ]
    assert not broken
