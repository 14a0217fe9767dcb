"""Put weights into the package, with a page about them: ``python -m ronchi_atomnet.release FILE NAME NOTES.json``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ronchi.api import DataError
from ronchi_atomnet.registry import SHIPPED_FOLDER, shipped
from ronchi_atomnet.weights import load_weights
from ronchi_torch.weights import write_weights

__all__ = ["NOTES", "release"]

NOTES = {"summary": str, "commit": str, "licence": str, "figures": dict, "known_failures": list}
"""What only the author of weights can say about them."""
MOST_BYTES = 20_000_000


def release(weights: Path, name: str, notes: Mapping[str, Any], folder: Path = SHIPPED_FOLDER) -> str:
    """Add weights to a folder of weights, or replace those of the same name; returns their sha256.

    Parameters
    ----------
    weights : Path
        As a training left them.
    notes : mapping
        All of `NOTES`.

    Raises
    ------
    DataError
        The weights cannot be used or are too large, or a note is missing.
    """
    missing = [key for key, kind in NOTES.items() if not isinstance(notes.get(key), kind) or not notes[key]]
    if missing:
        raise DataError(
            f"the notes have no {', '.join(missing)}", where="notes", fix=f"a mapping with {', '.join(NOTES)}"
        )
    learned = load_weights(weights)
    if weights.stat().st_size > MOST_BYTES:
        what = f"the file has {weights.stat().st_size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}"
        raise DataError(what, where=str(weights), fix="train a smaller network")
    folder.mkdir(parents=True, exist_ok=True)
    card = {**learned.card, **{key: notes[key] for key in NOTES}}
    file = folder / f"{name}.safetensors"
    digest = write_weights(file, learned.network, card)
    file.with_suffix(".md").write_text(_page(name, digest, card), encoding="utf-8")
    index = {**shipped(folder), name: {"file": file.name, "sha256": digest, "summary": str(notes["summary"])}}
    (folder / "weights.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return digest


def _page(name: str, digest: str, card: Mapping[str, Any]) -> str:
    figures = "\n".join(f"| {what} | {value} |" for what, value in card["figures"].items())
    last = card["curve"][-1] if card["curve"] else {}
    held_out = "\n".join(f"| {what} | {value:.4g} |" for what, value in last.items() if value is not None)
    failures = "\n".join(f"- {text}" for text in card["known_failures"])
    return f"""# {name}

{card["summary"]}

sha256 `{digest}` · licence {card["licence"]} · commit `{card["commit"]}`

U-Net {json.dumps(card["settings"])}; classes {", ".join(card["classes"])}; {card["pixel_angstrom"]} angstrom a pixel.
{card["step"]} batches on {card["processes"]} x {card["device"]} in {card["seconds"]} s, from
{card["frames"][0]} simulated frames; judged by {card["frames"][1]} others, of movies that it never learned from.
Seeds {card["seeds"]}; parameters:

```json
{json.dumps(card["training"], indent=1)}
```

## Figures

| what | value |
|---|---|
{figures}

At the last look at held-out movies:

| what | value |
|---|---|
{held_out}

## Known failures

{failures}
"""


def main() -> None:
    """Release from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("name")
    parser.add_argument("notes", type=Path)
    args = parser.parse_args()
    release(args.weights, args.name, json.loads(args.notes.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
