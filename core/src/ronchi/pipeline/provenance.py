"""How results came about, in a file beside them."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.errors import OutputError
from ronchi.pipeline.arrays import array_digests
from ronchi.pipeline.cache import file_sha256, write_atomically
from ronchi.pipeline.steps import is_stored

if TYPE_CHECKING:
    import xarray as xr

    from ronchi.pipeline.planned import Plan
    from ronchi.result import RunResult

__all__ = [
    "FILE_NAME",
    "SCHEMA",
    "STORE_ATTR",
    "UNFINISHED",
    "begin_record",
    "check_folder_is_own",
    "write_provenance",
]

SCHEMA = "ronchi.provenance/1"
FILE_NAME = "provenance.json"
UNFINISHED = "ronchi.unfinished/1"
"""Of a record in whose place the outputs were not all written yet."""
STORE_ATTR = "ronchi_simulation"
"""Attribute of a store that a simulator wrote itself: its name, parameters, seed and versions, as JSON."""


def check_folder_is_own(name: str, out_dir: Path) -> None:
    """Refuse a folder whose record is that of a pipeline of another name: its outputs and record would be replaced.

    Raises
    ------
    OutputError
    """
    path = out_dir / FILE_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    other = record.get("name", name) if isinstance(record, dict) else name
    if other != name:
        what = f"the folder holds the outputs of another pipeline, {other!r}, which {name!r} would replace"
        fix = f"choose another folder with -o, or remove {FILE_NAME} from this one if they are not needed"
        raise OutputError(what, where=str(out_dir), fix=fix)


def begin_record(run: RunResult) -> None:
    """Put a word in the place of an older record, which is none of the outputs that are written from now on.

    Raises
    ------
    OutputError
    """
    told = {"schema": UNFINISHED, "name": run.name, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    _write(run, told)


def write_provenance(run: RunResult, plan: Plan, components: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write ``provenance.json`` into the run's folder.

    Raises
    ------
    OutputError
    """
    outputs = {name: plan.config.outputs[name].source or "" for name in run.outputs}
    wanted = {source for source in outputs.values() if source}
    record = {
        "schema": SCHEMA,
        "name": run.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "ok": run.ok,
        "seed": run.seed,
        "seconds": round(run.seconds, 3),
        "peak_rss_mb": round(max((step.peak_rss_mb for step in run.steps.values()), default=0.0), 1),
        "versions": dict(run.versions),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "config": _finite(run.config),
        "source": run.source,
        "base": str(plan.config.source.base),
        "inputs": {
            f"{name}.params.{field}": {"path": str(path), **components[name]["files"][field]}
            for name, step in plan.steps.items()
            for field, path in step.files.items()
        },
        "steps": {
            name: {
                "kind": step.kind,
                "name": step.name,
                "dist": step.dist,
                "version": step.version,
                "params": _finite(step.params),
                "inputs": step.inputs,
                "key": step.key,
                "device": components[name].get("device", "cpu"),
                "status": step.status,
                "reason": step.reason,
                "error": step.error,
                "seconds": round(step.seconds, 3),
                "peak_rss_mb": round(step.peak_rss_mb, 1),
                "made_seconds": round(step.made_seconds, 3),
                "made_peak_rss_mb": round(step.made_peak_rss_mb, 1),
                "made_with": dict(step.made_with),
                "blocks": step.blocks,
                "blocks_reused": step.blocks_reused,
                "citation": step.citation,
                "arrays": _arrays(run, name, is_stored(plan.steps[name]), wanted),
            }
            for name, step in run.steps.items()
        },
        "outputs": {
            name: {"from": outputs[name], "path": str(path.relative_to(run.out_dir)), "sha256": _file_digest(path)}
            for name, path in run.outputs.items()
        },
        "scores": {
            step: {name: value if math.isfinite(value) else None for name, value in figures.items()}
            for step, figures in run.scores().items()
        },
        "citations": sorted({step.citation for step in run.steps.values() if step.citation}),
        "warnings": run.warnings,
    }
    return _write(run, record)


def _write(run: RunResult, record: Mapping[str, Any]) -> Path:
    path = run.out_dir / FILE_NAME
    try:
        write_atomically(path, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        fix = "free some space or choose another folder; results are kept in the cache"
        raise OutputError(f"cannot be written: {error.strerror}", where=str(path), fix=fix) from error
    return path


def _finite(value: Any) -> Any:
    # JSON has no number for these; as text they are still what a parameter accepts when the run is replayed.
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _arrays(run: RunResult, name: str, stored: bool, wanted: set[str]) -> dict[str, dict[str, str]]:
    """Digests by reference: of all stored results, of lazy ones only if they were written out."""
    step = run.steps[name]
    if step.data is None:
        return {}
    found: dict[str, xr.Dataset] = {name: step.data, **{f"{name}.{side}": data for side, data in step.sides.items()}}
    return {reference: array_digests(data) for reference, data in found.items() if stored or reference in wanted}


def _file_digest(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""
