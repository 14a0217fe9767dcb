"""Fixtures of the tests across packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_OURS = re.compile(r"_*(editable_impl_)?ronchi")
_SCRIPT = """\
#!{python}
import sys
from {module} import main
if __name__ == "__main__":
    sys.exit(main())
"""
_WARM_SCRIPT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    order = json.dumps([{installed!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(order).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(order)
    code = int(server.recv(16))
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class Environment:
    """A fresh virtual environment that borrows what this one has, so that nothing is downloaded.

    Parameters
    ----------
    folder : pathlib.Path
        Where to make it.
    checkout : bool
        Borrow the distributions of this checkout, too. Without them what is borrowed are links in a folder of its own:
        a checkout that is installed in place must not shine through.
    """

    def __init__(self, folder: Path, *, checkout: bool = False) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        (self.site,) = folder.glob("lib/python*/site-packages")
        here = Path(sysconfig.get_path("purelib"))
        if checkout:
            (self.site / "borrowed.pth").write_text(f"import site; site.addsitedir({str(here)!r})\n")
        else:
            borrowed = folder / "borrowed"
            borrowed.mkdir()
            for item in here.iterdir():
                if not _OURS.match(item.name):
                    (borrowed / item.name).symlink_to(item)
            (self.site / "borrowed.pth").write_text(f"{borrowed}\n")
        for name, module in (("pip", "pip._internal.cli.main"), ("ronchi", "ronchi.cli.main")):
            script = folder / "bin" / name
            script.write_text(_SCRIPT.format(python=self.python, module=module))
            script.chmod(0o755)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of a shell in which it is active; pip reaches for no index there."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RONCHI_"))}
        # Of pip's switches the names that begin with NO mean the contrary: 0 switches the isolation off.
        pip = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        return {**kept, **pip, "PATH": f"{self.folder / 'bin'}{os.pathsep}{kept['PATH']}"}

    def call(self, *command: str | Path, cwd: Path, ok: tuple[int, ...] = (0,)) -> str:
        """Output of a command in it; fails unless the exit code is as expected."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode in ok, f"{command} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def install(self, *wheels: Path) -> None:
        """Install wheels, and nothing else."""
        self.call("pip", "install", "--quiet", "--no-deps", *wheels, cwd=self.folder)

    def ronchi(self, *arguments: str | Path, cwd: Path, ok: tuple[int, ...] = (0,)) -> str:
        """Output of a command of ronchi."""
        return self.call("ronchi", *arguments, cwd=cwd, ok=ok)


@pytest.fixture(scope="session")
def fresh_environment() -> Callable[..., Environment]:
    """Makes an `Environment`."""
    return Environment


@pytest.fixture(scope="session")
def warm_commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with a ``ronchi`` that starts warm, see `warm.py`, to be put first on PATH."""
    folder = tmp_path_factory.mktemp("warm")
    address, script = folder / "socket", folder / "bin" / "ronchi"
    installed = Path(sys.executable).with_name("ronchi")
    script.parent.mkdir()
    script.write_text(_WARM_SCRIPT.format(python=sys.executable, address=str(address), installed=str(installed)))
    script.chmod(0o755)
    # What libraries look for when they are imported; threads of theirs could not be forked.
    env = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, Path(__file__).with_name("warm.py"), address]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE) as server:
        while not address.exists():
            assert server.poll() is None, "no commands can be forked"
            time.sleep(0.05)
        yield script.parent


@pytest.fixture
def repo_root() -> Path:
    """Top of the checkout."""
    return ROOT


@pytest.fixture
def shared_data() -> Path:
    """Folder of the shared simulated and real data; skips loudly without it."""
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder
