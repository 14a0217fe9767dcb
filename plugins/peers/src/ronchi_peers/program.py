"""What all entries have in common: an environment, and a process in it that has been told its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from ronchi.api import DataError
from ronchi_peers.children.wire import Arrays
from ronchi_peers.environments import environment, find_python, make_environment
from ronchi_peers.params import PeerParams
from ronchi_peers.process import Peer, lend

__all__ = ["PeerProgram"]

_CHILDREN = Path(__file__).parent / "children"


class PeerProgram:
    """Base of the entries.

    Attributes
    ----------
    environment : str
        Name in ``environments.toml``.
    script : str
        File in ``children`` that runs there.
    """

    environment: ClassVar[str]
    script: ClassVar[str]

    def __init__(self, params: PeerParams) -> None:
        self.params: Any = params

    def install(self, tell: Callable[[str], None]) -> None:
        """Make the environment, if there is none yet; `ronchi bench --peers` calls it.

        Raises
        ------
        DataError
            It cannot be made.
        """
        make_environment(environment(self.environment), tell)

    def started(self, settings: Mapping[str, Any], arrays: Arrays, n_threads: int) -> Peer:
        """A process that has been told the settings, for as long as this object lives.

        Raises
        ------
        DataError
            There is no environment, it has another version, or the program refuses the settings.
        """
        python = find_python(environment(self.environment))
        peer = lend(self, self.environment, python, _CHILDREN / self.script, n_threads)
        answer, _ = peer.ask(settings, arrays)
        if answer["version"] != self.params.version:
            raise DataError(
                f"{python} has {self.environment} {answer['version']}, not {self.params.version}",
                where="version",
                fix=f"version: '{answer['version']}', or another environment",
            )
        return peer
