"""Plugins import from the core what authors are promised and nothing else, so that anybody's plugin can do the same."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ronchi.scaffold import TEMPLATES, write_plugin

ROOT = Path(__file__).resolve().parents[1]
HOOKS = (ROOT / "docs/reference/hooks.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/how-to/publish-a-plugin.md").read_text(encoding="utf-8")
PUBLIC = set(re.findall(r"^\| `(ronchi[\w.]*)` \|", HOOKS, re.MULTILINE))
ROOTS = [root for pattern in ("plugins/*/src", "docs/examples/*/src") for root in sorted(ROOT.glob(pattern))]
KINDS = sorted((ROOT / "docs/kinds").glob("*.md"))


@functools.cache
def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def is_public(module: str) -> bool:
    """It is listed, or is one of the schemas, which are promised with all their modules."""
    return module in PUBLIC or module.startswith("ronchi.schema.")


def faults(source: str) -> Iterator[str]:
    """What a plugin must not import, line by line."""
    for node in ast.walk(ast.parse(source)):
        wanted: list[tuple[str, str]] = []
        if isinstance(node, ast.Import):
            wanted = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            wanted = [(node.module or "", alias.name) for alias in node.names]
        for module, name in wanted:
            if module.partition(".")[0] != "ronchi":
                continue
            inner = f"{module}.{name}"
            if not is_public(inner if name and is_module(inner) else module):
                yield f"{node.lineno}: {inner.rstrip('.')}: its module is not public"
            elif name and not is_module(inner) and name not in importlib.import_module(module).__all__:
                yield f"{node.lineno}: {inner}: its module does not list it"


@pytest.mark.parametrize("root", ROOTS, ids=lambda path: path.parent.name)
def test_plugins_import_what_is_promised(root: Path) -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}
    assert sources
    assert not [f"{name}:{fault}" for name, source in sources.items() for fault in faults(source)]


@pytest.mark.parametrize("kind", sorted(TEMPLATES))
def test_new_plugins_import_what_is_promised(kind: str, tmp_path: Path) -> None:
    write_plugin("some-name", kind, tmp_path)
    written = sorted(tmp_path.rglob("*.py"))
    assert written
    assert not [f"{path.name}:{fault}" for path in written for fault in faults(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", KINDS, ids=lambda path: path.stem)
def test_examples_of_the_kinds_import_what_is_promised(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks
    assert not [fault for block in blocks for fault in faults(block)]


def test_the_pages_promise_the_same_modules() -> None:
    assert {"ronchi.api", "ronchi.schema", "ronchi.chunking"} < PUBLIC
    section = PAGE.partition("## What a plugin may and may not do")[2].partition("|")[0]
    assert set(re.findall(r"`(ronchi[\w.]*)`", section)) == PUBLIC


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_what_is_promised_is_there_and_listed(module: str) -> None:
    there = importlib.import_module(module)
    assert [name for name in there.__all__ if not hasattr(there, name)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import ronchi.pipeline",
        "from ronchi import manager",
        "from ronchi.errors import DataError",
        "from ronchi.builtin.npy import NpyReader",
        "from ronchi.interop.signal_parts import Parts",
        "from ronchi.interop import py4dstem_data",
        "from ronchi.schema.common import CARRIED_ATTRS",
        "def late():\n    from ronchi.verbs import read",
    ],
)
def test_the_search_finds_what_is_not_promised(source: str) -> None:
    assert len(list(faults(source))) == 1


def test_the_search_lets_pass_what_is_promised() -> None:
    good = (
        "import ronchi",
        "from ronchi import schema, read",
        "from ronchi.api import DataError",
        "from ronchi.schema import fourd",
        "from ronchi.interop import axis_units, to_py4dstem",
        "from ronchi_mine import anything",
        "from . import own",
    )
    assert not [fault for source in good for fault in faults(source)]
