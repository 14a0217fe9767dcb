"""Model cards: what weights were trained on, how, for how long, and how good they are.

A card is a mapping that JSON can hold. It travels in the header of the file of weights; `markdown` makes the page that
people read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ronchi.api import DataError
from ronchi_fcunet.samples import Samples
from ronchi_fcunet.train_params import TrainParams
from ronchi_torch.files import whole_file

__all__ = ["NOTES", "markdown", "training_card", "with_notes", "write_json"]

NOTES = {
    "summary": str,
    "commit": str,
    "licence": str,
    "figures": dict,
    "known_failures": list,
}
"""What only its author can say about weights; `with_notes` asks for all of it."""


def training_card(
    p: TrainParams,
    curve: Sequence[Mapping[str, float]],
    *,
    learned: Samples,
    held_out: Samples,
    started_from: str,
    device: str,
    processes: int,
    step: int,
    seconds: float,
    threshold: float,
    radii_px: tuple[float, float],
    kept: int | None,
) -> dict[str, Any]:
    """What a training knows of itself; figures that are no numbers become None.

    ``kept`` is the look whose weights are left, if they are not those of the last one.
    """
    rows = [{name: value if math.isfinite(value) else None for name, value in row.items()} for row in curve]
    seen = rows if kept is None else rows[: kept + 1]
    sigma = next((row["rms_px"] for row in reversed(seen) if row.get("rms_px") is not None), None)
    return {
        "training": p.model_dump(mode="json", exclude={"library", "labelled", "start_from", "checkpoint_s", "workers"}),
        "data": {
            "library": learned.identity,
            "samples": len(learned),
            "prototypes": len(learned.prototypes),
            # Of files their names: where they lie on somebody's disk is not for a card that goes elsewhere.
            "held_out_prototypes": sorted(
                Path(name).name if Path(name).is_absolute() else name for name in held_out.prototypes
            ),
        },
        "started_from": started_from or None,
        "versions": {"ronchi-fcunet": version("ronchi-fcunet"), "torch": torch.__version__},
        "device": device,
        "processes": processes,
        "step": step,
        "seconds": round(seconds),
        "threshold": threshold,
        "radii_px": [round(radius, 2) for radius in radii_px] if all(map(math.isfinite, radii_px)) else None,
        "sigma_px": sigma if sigma is not None else 1.0,
        **({} if kept is None else {"kept_step": int(curve[kept]["step"])}),
        "curve": rows,
    }


def with_notes(card: Mapping[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    """The card with what its author says.

    Raises
    ------
    DataError
        Something of `NOTES` is missing, empty or of another type, or is not asked for.
    """
    wrong = [name for name, kind in NOTES.items() if not isinstance(notes.get(name), kind) or not notes[name]]
    wrong += sorted(set(notes) - set(NOTES))
    if wrong:
        raise DataError(
            f"the notes for the model card have none, or an unknown, {', '.join(wrong)}",
            where="notes",
            fix=f"a mapping with {', '.join(NOTES)}",
        )
    return {**card, **notes}


def markdown(card: Mapping[str, Any], name: str, digest: str) -> str:
    """The page about weights."""
    data, looks = card["data"], card["curve"] or [{}]
    kept = next((row for row in looks if row.get("step") == card.get("kept_step")), looks[-1])
    figures = "\n".join(f"| {what} | {value} |" for what, value in card["figures"].items())
    held_out = "\n".join(f"| {what} | {value:.4g} |" for what, value in kept.items() if value is not None)
    failures = "\n".join(f"- {text}" for text in card["known_failures"])
    started = f"Weights of sha256 {card['started_from']} were trained further." if card["started_from"] else ""
    return f"""# {name}

{card["summary"]}

sha256 `{digest}` · licence {card["licence"]} · commit `{card["commit"]}`

## Network

`{card["kind"]}`: {json.dumps(card["settings"])}

## Data and split

{data["samples"]} samples of {data["prototypes"]} prototypes; library `{data["library"]}`. {started}

Not learned from, and judged by: {", ".join(data["held_out_prototypes"])}.

## Recipe

{card["step"]} batches on {card["processes"]} x {card["device"]} in {card["seconds"]} s; seeds and parameters:

```json
{json.dumps(card["training"], indent=1)}
```

## Figures

| what | value |
| --- | --- |
{figures}

At the look at held-out prototypes with these weights:

| what | value |
| --- | --- |
{held_out}

## Known failures

{failures}
"""


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
