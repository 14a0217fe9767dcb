"""The proof of a record: run again what it says, and compare every array bit for bit."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.errors import ConfigError
from ronchi.pipeline.arrays import array_digests
from ronchi.pipeline.keys import FileDigests
from ronchi.pipeline.provenance import FILE_NAME, SCHEMA, UNFINISHED
from ronchi.pipeline.run import run_pipeline
from ronchi.pipeline.store_replay import replay_store
from ronchi.result import Replay, RunResult

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["replay"]


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
    if Path(path).is_dir():
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


def _read(path: Path) -> dict[str, Any]:
    fix = f"give the {FILE_NAME} of a run"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path), fix=fix) from error
    if isinstance(record, dict) and record.get("schema") == UNFINISHED:
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
