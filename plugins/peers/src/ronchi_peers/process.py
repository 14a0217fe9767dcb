"""A program in its own environment, spoken to through pipes."""

from __future__ import annotations

import os
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_peers.children.wire import Arrays, receive, send

__all__ = ["Peer", "lend"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


_idle: dict[tuple[str, str, int], list[Peer]] = {}
"""Processes that nobody uses: the next one of their kind is spared the start and the imports."""


def lend(borrower: object, name: str, python: Path, script: Path, n_threads: int) -> Peer:
    """A process for as long as the borrower lives, who is its only user; see `Peer`."""
    key = (str(python), str(script), n_threads)
    kept = _idle.setdefault(key, [])
    while kept:
        peer = kept.pop()
        if peer.alive:
            break
    else:
        peer = Peer(name, python, script, n_threads)
    weakref.finalize(borrower, kept.append, peer).atexit = False
    return peer


class Peer:
    """A child process that lives as long as this object.

    Parameters
    ----------
    name : str
        Of the program, for messages.
    python, script : Path
    n_threads : int
        Threads that it may use.
    """

    def __init__(self, name: str, python: Path, script: Path, n_threads: int) -> None:
        self.name = name
        # A file, not a pipe: nobody reads it until something goes wrong.
        self._log: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _end
        # Packages of this environment must not get into the other one; what lies beside the script must.
        left_out = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")
        env = {key: value for key, value in os.environ.items() if key not in left_out}
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(script)],
            env={**env, **dict.fromkeys(_THREADS, str(n_threads))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        weakref.finalize(self, _end, self._process, self._log)

    def ask(self, told: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Send a message and wait for the answer.

        Raises
        ------
        DataError
            The program failed, or has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            send(self._process.stdin, told, arrays)
            answer, result = receive(self._process.stdout)
        except (BrokenPipeError, EOFError) as error:
            code = self._process.wait()
            raise DataError(f"{self.name} ended with exit code {code}: {self._last_words()}") from error
        if "error" in answer:
            raise DataError(f"{self.name} failed: {answer['error']}")
        return answer, result

    @property
    def alive(self) -> bool:
        """False once the program has ended."""
        return self._process.poll() is None

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _end(process: subprocess.Popen[bytes], log: Any) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, log):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                # What it did not read is lost with it.
                continue
