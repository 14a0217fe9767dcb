"""How results came about, in a file beside them, and the proof: run again and compare."""

from __future__ import annotations

import json
import math
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.errors import ConfigError, OutputError
from ronchi.pipeline.arrays import array_digests
from ronchi.pipeline.cache import file_sha256, write_atomically
from ronchi.pipeline.keys import FileDigests
from ronchi.pipeline.steps import is_stored

if TYPE_CHECKING:
    import xarray as xr

    from ronchi.manager import Manager
    from ronchi.pipeline.plan import Plan
    from ronchi.pipeline.result import RunResult

__all__ = [
    "FILE_NAME",
    "SCHEMA",
    "Replay",
    "begin_record",
    "check_folder_is_own",
    "replay",
    "write_provenance",
]

SCHEMA = "ronchi.provenance/1"
FILE_NAME = "provenance.json"
_UNFINISHED = "ronchi.unfinished/1"
"""Of a record in whose place the outputs were not all written yet."""


@dataclass(frozen=True)
class Replay:
    """Outcome of `replay`.

    Parameters
    ----------
    run : RunResult or None
        The new run; of a store there is none.
    compared : int
        Number of arrays compared.
    differences : list of str
        Arrays and steps that differ; empty if all are equal bit for bit.
    notes : list of str
        What else is not as it was: versions, platform.
    """

    run: RunResult | None
    compared: int
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """True if every recorded array came out equal bit for bit."""
        return not self.differences


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
    told = {"schema": _UNFINISHED, "name": run.name, "created": datetime.now(UTC).isoformat(timespec="seconds")}
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


def replay(
    path: str | Path,
    *,
    out: str | Path | None = None,
    overrides: tuple[str, ...] = (),
    manager: Manager | None = None,
    progress: bool = True,
) -> Replay:
    """Run a recorded pipeline again, from nothing, and compare every array bit for bit.

    Parameters
    ----------
    path : path
        ``provenance.json``, or a Zarr store that a simulator wrote itself, which has its record in its attributes.
    out : path, optional
        Folder for the new outputs; a temporary one by default.
    overrides : tuple of str
        ``"load.params.path=…"`` where an input file has moved.

    Raises
    ------
    ConfigError
        Not a provenance file, or an input file has other content than then.
    """
    from ronchi.pipeline.run import run_pipeline

    if Path(path).is_dir():
        from ronchi.pipeline.store_replay import replay_store

        if overrides:
            raise ConfigError("a store has no steps", where="--set", fix="leave it out")
        return replay_store(Path(path), out=out, manager=manager, progress=progress)
    record = _read(Path(path))
    with tempfile.TemporaryDirectory(prefix="ronchi-replay-") as folder:
        _check_inputs(record, overrides, Path(folder) / "files.json")
        run = run_pipeline(
            record["config"],
            out=out or Path(folder) / "out",
            overrides=(*overrides, f"run.cache={json.dumps(str(Path(folder) / 'cache'), ensure_ascii=False)}"),
            manager=manager,
            progress=progress,
            base=Path(record["base"]),
        )
        compared, differences = _compare(record, run)
    # Of what the recorded run had reused, other versions may have made it.
    then = dict.fromkeys(record["versions"].items())
    for step in record["steps"].values():
        then |= dict.fromkeys(step.get("made_with", {}).items())
    now = run.versions
    notes = [f"{name} was {was}, is {now.get(name, 'absent')}" for name, was in then if was != now.get(name)]
    if record["platform"] != platform.platform():
        notes.append(f"the platform was {record['platform']}, is {platform.platform()}")
    return Replay(run, compared, differences, notes)


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


def _read(path: Path) -> dict[str, Any]:
    fix = f"give the {FILE_NAME} of a run"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path), fix=fix) from error
    if isinstance(record, dict) and record.get("schema") == _UNFINISHED:
        raise ConfigError("the run was stopped while it wrote its outputs", where=str(path), fix="run it again")
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise ConfigError(f"this is no provenance record ({SCHEMA})", where=str(path), fix=fix)
    return record


def _check_inputs(record: Mapping[str, Any], overrides: tuple[str, ...], memo: Path) -> None:
    moved = {text.partition("=")[0].removeprefix("steps.") for text in overrides}
    digests = FileDigests(memo)
    for name, known in record["inputs"].items():
        path = Path(known["path"])
        # The files beside one that has moved are found beside it.
        if name in moved or name.partition("+")[0] in moved:
            continue
        if not path.exists():
            raise ConfigError("the input file is gone", where=str(path), fix=f"--set {name}=PATH if it has moved")
        if digests.of(path)["sha256"] != known["sha256"]:
            raise ConfigError("the input file has changed since the run", where=str(path), fix="restore it")


def _compare(record: Mapping[str, Any], run: RunResult) -> tuple[int, list[str]]:
    compared, differences = 0, []
    for name, old in record["steps"].items():
        for reference, digests in old["arrays"].items():
            try:
                new = array_digests(run[reference])
            except KeyError:
                differences.append(f"{reference}: was not made: {run.steps[name].error}")
                continue
            for variable in sorted(digests.keys() | new.keys()):
                compared += 1
                if digests.get(variable) != new.get(variable):
                    differences.append(f"{reference}.{variable}: the values differ")
    return compared, differences
