"""The peers themselves, each in its own environment: an interpreter that has it, named by an environment variable.

``RONCHI_PEER_PYTHON_PYXEM`` and ``RONCHI_PEER_PYTHON_LIBERTEM`` name it; it needs what core needs besides (xarray,
pydantic, pluggy, netCDF4).
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ronchi import interop

HERE = Path(__file__).parent


@pytest.mark.parametrize("peer", ["pyxem", "libertem"])
def test_the_peer_agrees(peer: str) -> None:
    name = f"RONCHI_PEER_PYTHON_{peer.upper()}"
    python = os.environ.get(name)
    if not python:
        pytest.skip(f"{peer} was not asked: set {name} to an interpreter that has it")
    source = HERE.parents[1] / "src"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(source), str(HERE)])}
    # The peers warn of their own dependencies.
    command = [python, "-W", "ignore", str(HERE / f"peer_{peer}.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert done.stdout.rstrip().endswith("ok")


def test_importing_the_package_imports_nothing_that_takes_time() -> None:
    code = "import ronchi.interop, sys; print({'numpy', 'xarray', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


def test_what_is_shown_is_what_is_promised() -> None:
    for package in (interop, importlib.import_module("ronchi.plot")):
        assert dir(package) == package.__all__
        assert all(callable(getattr(package, name)) for name in package.__all__)
    with pytest.raises(AttributeError, match=r"module 'ronchi\.interop' has no attribute 'to_nowhere'"):
        _ = interop.to_nowhere
