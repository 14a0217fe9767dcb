"""Weights from elsewhere, when the user asks for them: nothing else in this plugin opens a connection."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from ronchi.api import ConfigError, DataError
from ronchi_fcunet.registry import INDEX, Entry, fetched_folder, read_index, select, write_index

__all__ = ["URL_VARIABLE", "fetch", "offered"]

URL_VARIABLE = "RONCHI_WEIGHTS_URL"
"""Environment variable: address of the registry, a folder that holds ``weights.json``."""
_TIMEOUT_S = 30


def offered(url: str | None = None) -> tuple[Entry, ...]:
    """What a registry offers.

    Parameters
    ----------
    url : str, optional
        ``http`` or ``https``; that of `URL_VARIABLE` if absent.

    Raises
    ------
    ConfigError
        No address is given.
    DataError
        It cannot be reached, or holds no index.
    """
    address = f"{_address(url)}/{INDEX}"
    with tempfile.TemporaryDirectory() as folder:
        _download(address, Path(folder), INDEX, None)
        return read_index(Path(folder), address)


def fetch(which: str, url: str | None = None) -> tuple[Path, Entry]:
    """Fetch ``NAME`` (the newest version) or ``NAME@VERSION``, unless it was fetched before.

    Returns
    -------
    file : Path
    entry : Entry
        From now on ``weights: NAME@VERSION`` finds it, without a connection.

    Raises
    ------
    ConfigError
        No address is given.
    DataError
        The registry cannot be reached or does not have it, the file is not the one that the registry describes, or a
        version that was fetched before is now said to be another file.
    """
    address = _address(url)
    entries = offered(address)
    entry = select(entries, which)
    if entry is None:
        names = ", ".join(each.full_name for each in entries) or "nothing"
        raise DataError(f"the registry does not have {which!r}", where=address, fix=f"it has {names}")
    folder = fetched_folder()
    before = read_index(folder)
    held = select(before, entry.full_name)
    if held is not None and held.sha256 != entry.sha256:
        raise DataError(
            f"{entry.full_name} is not what was fetched before: its sha256 was {held.sha256[:12]} and is now "
            f"{entry.sha256[:12]}",
            where=address,
            fix=f"published versions never change: ask who runs the registry, or remove {folder / held.file} "
            f"and its entry in {folder / INDEX}",
        )
    folder.mkdir(parents=True, exist_ok=True)
    # Files of two registries may have one name.
    path = _download(f"{address}/{entry.file}", folder, f"{entry.full_name}.safetensors", entry.sha256)
    kept = Entry(entry.name, entry.version, path.name, entry.sha256, entry.summary)
    write_index(folder, [kept, *(each for each in before if each.full_name != entry.full_name)])
    return path, entry


def _address(url: str | None) -> str:
    address = url or os.environ.get(URL_VARIABLE, "")
    if not address.startswith(("http://", "https://")):
        what = f"no registry of weights can be at {address!r}" if address else "no registry of weights is given"
        raise ConfigError(what, where=URL_VARIABLE, fix="an address that begins with https://, there or as --url")
    return address.rstrip("/")


def _download(address: str, folder: Path, name: str, sha256: str | None) -> Path:
    import pooch
    import requests

    # It tells of every file at the level of information.
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        made = pooch.retrieve(
            address,
            known_hash=None if sha256 is None else f"sha256:{sha256}",
            fname=name,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S),
        )
    except (requests.RequestException, OSError) as error:
        what = f"cannot be fetched: {error}"
        raise DataError(what, where=address, fix="look at the address and the connection") from error
    except ValueError as error:
        what = "what came is not the file that the registry describes: its sha256 differs"
        raise DataError(what, where=address, fix="try again; if it stays so, tell who runs the registry") from error
    return Path(made)
