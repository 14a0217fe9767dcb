"""Messages between ronchi and a program in another environment: a line of JSON, then arrays as npz, never pickle."""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "Verbs", "receive", "send", "serve"]

Arrays = Mapping[str, NDArray[Any]]
Verbs = Mapping[str, Callable[[Arrays], Arrays]]
"""What a program can be asked to do once it has its settings, each with arrays in and arrays out."""


def send(stream: BinaryIO, told: Mapping[str, Any], arrays: Arrays) -> None:
    """Write one message."""
    body = io.BytesIO()
    np.savez(body, **arrays)
    stream.write(json.dumps({**told, "bytes": body.tell()}).encode() + b"\n")
    stream.write(body.getbuffer())
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read one message; raises `EOFError` where there is none any more."""
    line = stream.readline()
    told = json.loads(line) if line.endswith(b"\n") else {}
    body = stream.read(told.pop("bytes", 0))
    if not body:
        raise EOFError
    with np.load(io.BytesIO(body), allow_pickle=False) as stored:
        return told, dict(stored)


def serve(dist: str, start: Callable[[Mapping[str, Any], Arrays], Verbs]) -> None:
    """Answer until the other side closes.

    A message that has a ``verb`` is answered with what that makes of its arrays; any other one tells settings.

    Parameters
    ----------
    dist : str
        Distribution whose version is told in answer to settings.
    start : callable
        ``start(told, arrays)`` of settings, the first ones and any later; it returns the verbs.
    """
    # What the program prints must not get among the messages.
    replies, requests = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    os.dup2(2, 1)
    verbs: Verbs = {}
    while True:
        try:
            told, arrays = receive(requests)
        except EOFError:
            return
        try:
            if "verb" not in told:
                verbs = start(told, arrays)
                send(replies, {"version": metadata.version(dist)}, {})
            elif told["verb"] in verbs:
                send(replies, {}, verbs[told["verb"]](arrays))
            else:
                send(replies, {"error": f"it cannot {told['verb']} yet"}, {})
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side has to know
            traceback.print_exc()
            send(replies, {"error": f"{type(error).__name__}: {error}"}, {})
