"""Publish weights: a file with its whole card, a page about it, and an entry in a registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ronchi.api import DataError
from ronchi_fcunet.cards import markdown, with_notes
from ronchi_fcunet.registry import Entry, check_entry, read_index, select, write_index
from ronchi_fcunet.weights import load_weights, save_weights

__all__ = ["MOST_BYTES", "release"]

MOST_BYTES = 20_000_000
"""Of a file: packages stay small enough to be installed anywhere."""


def release(weights: Path, name: str, version: str, notes: Mapping[str, Any], folder: Path) -> Entry:
    """Add a version of weights to the registry in a folder.

    Parameters
    ----------
    weights : Path
        As a training left them.
    notes : mapping
        What `ronchi_fcunet.cards.NOTES` asks for.
    folder : Path
        ``shipped/`` of this plugin, or what a web server is to show.

    Raises
    ------
    DataError
        The weights cannot be used, or their file would be too large; the notes are not complete; the version is
        published already, or name and version are none.
    """
    loaded = load_weights(weights)
    card = with_notes(loaded.card, notes)
    summary = " ".join(card["summary"].split())
    check_entry(
        {"name": name, "version": version, "file": "a.safetensors", "sha256": "0" * 64, "summary": summary}, "release"
    )
    entries = read_index(folder)
    full_name, file = f"{name}@{version}", f"{name}-{version}.safetensors"
    if select(entries, full_name) is not None or (folder / file).exists():
        raise DataError(f"{full_name} is published", where=str(folder), fix="give the next version")
    if weights.stat().st_size > MOST_BYTES:
        what = f"the file has {weights.stat().st_size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}"
        raise DataError(what, where=str(weights), fix="train a smaller network")
    folder.mkdir(parents=True, exist_ok=True)
    digest = save_weights(folder / file, loaded.network, card)
    page = markdown(load_weights(folder / file).card, full_name, digest)
    (folder / file).with_suffix(".md").write_text(page, encoding="utf-8")
    entry = Entry(name, version, file, digest, summary)
    write_index(folder, [entry, *entries])
    return entry
