"""Data never become code, and no run opens a connection: what the page on plugins says, held against all sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOTS = sorted(root for folder in ("core/src", "plugins/*/src", "docs/examples/*/src") for root in ROOT.glob(folder))
NEVER = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
NEVER |= {f"{module}.{name}" for module in ("marshal", "dill", "joblib", "cloudpickle") for name in ("load", "loads")}
PICKLE = {"pickle.load", "pickle.loads", "pickle.Unpickler"}
CONNECTIONS = {"urllib.request", "http.client", "requests", "httpx", "aiohttp", "socket", "ftplib", "smtplib"}
UNPICKLES_WHAT_IT_PICKLED = {"core/src/ronchi/pipeline/executors/worker.py", "core/src/ronchi/testing/advertised.py"}
FETCHES_ON_DEMAND = {"plugins/fcunet/src/ronchi_fcunet/fetch.py"}


def faults(source: str, *, pickle: bool = False, connections: bool = False) -> Iterator[str]:
    """What a module must not do, line by line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
            if not connections and CONNECTIONS & set(names):
                yield f"{node.lineno}: imports {', '.join(names)}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            if called in NEVER or (called in PICKLE and not pickle):
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
        for fault in faults(source, pickle=name in UNPICKLES_WHAT_IT_PICKLED, connections=name in FETCHES_ON_DEMAND)
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
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert len(list(faults(source))) == 1


def test_the_search_lets_pass_what_is_safe() -> None:
    good = "import urllib.parse\nyaml.safe_load(text)\nnp.load(path, allow_pickle=False)\nmodel.eval()\n"
    assert not list(faults(good + "torch.load(path, weights_only=True)"))
