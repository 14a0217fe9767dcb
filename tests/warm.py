"""Commands of ``ronchi`` that start warm: a process of its own each, forked from one that has others' packages.

Half of what a command on a small scan takes is the import of PyTorch and its like, which no page of the documentation
is about. ``python warm.py SOCKET`` imports these and nothing of ronchi or its plugins, and forks for each command that
arrives at the socket. The fork has the caller's arguments, environment, folder and streams, and runs the script that
is installed, to the end of the interpreter. What a fork cannot show, such as a package that ronchi forgets to import,
shows where the installed script itself is called.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

IMPORTED = (
    "dask.array", "distributed", "matplotlib.backends.backend_agg", "matplotlib.figure", "netCDF4", "numba",
    "scipy.ndimage", "scipy.optimize", "torch", "xarray",
)  # fmt: skip
"""What ``ronchi run`` imports of others' for a strain map of a netCDF file."""


def next_command(address: str) -> list[Any]:
    """Wait for commands at a socket, until the standard input ends; returns for each, in a process of its own."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen()
        # Only now is there somebody who answers.
        Path(f"{address}.new").rename(address)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    return received(connection)
    sys.exit()


def received(connection: socket.socket) -> list[Any]:
    """What is to be run, in the process that runs it; one between it and the server tells how it ends."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as rest:
        order: list[Any] = json.loads(rest.read(int.from_bytes(size, "big")))
    if child := os.fork():
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return order


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    # Threads are not forked, and what one of them holds would be held for ever.
    threads = list(Path("/proc/self/task").iterdir())
    assert len(threads) == 1, "a library has started threads"
    assert not [name for name in sys.modules if name.startswith("ronchi")]
    script, arguments, cwd, environment = next_command(sys.argv[1])
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = [script, *arguments], str(Path(script).parent)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    runpy.run_path(script, run_name="__main__")
