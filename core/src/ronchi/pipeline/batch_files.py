"""The files of a batch: which of those that a pattern finds are inputs, and where their outputs go."""

from __future__ import annotations

import glob
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ronchi.errors import ConfigError
from ronchi.pipeline.config import PipelineConfig
from ronchi.pipeline.provenance import FILE_NAME

__all__ = ["absolute", "find_inputs", "folders_of", "is_text", "path_override"]


def find_inputs(pattern: str, config: PipelineConfig, folder: Path) -> list[Path]:
    """Find the files that a pattern matches, without what runs of this pipeline have written.

    Parameters
    ----------
    pattern : str
        Glob, ``**`` included.
    config : PipelineConfig
        What lies in its cache is left out.
    folder : Path
        Folder of a batch's folders; of these, what lies in those of this pipeline is left out.

    Returns
    -------
    list of Path
        Absolute and sorted.

    Raises
    ------
    ConfigError
        None is left.
    """
    found = sorted({absolute(name) for name in glob.glob(pattern, recursive=True)})  # noqa: PTH207 - `Path.glob` takes no absolute pattern
    folders = {parent for path in found for parent in (path, *path.parents)}
    made = {above for above in folders if folder in above.parents and _name_of_run(above) == config.name}
    made.add(absolute(config.run.cache))
    inputs = [path for path in found if not made & {path, *path.parents}]
    if not inputs:
        what = f"no file matches but what this pipeline has made in {folder}" if found else "no file matches"
        raise ConfigError(what, where=f"--inputs {pattern}", fix="quote the pattern: --inputs 'scans/*.nc'")
    return inputs


def absolute(path: str | Path) -> Path:
    """Absolute, without ``..``, links left as they are: equal places have equal names."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` follows links, `absolute` keeps the dots


def folders_of(files: Sequence[Path], folder: Path) -> list[Path]:
    """A folder for every file: its stem, or its name and the folders above where stems clash."""
    stems = Counter(file.stem for file in files)
    above = Path(os.path.commonpath([file.parent for file in files]))
    return [
        folder / (file.stem if stems[file.stem] == 1 else "--".join(file.relative_to(above).parts)) for file in files
    ]


def path_override(reader: str, file: Path) -> str:
    """The override that names a file."""
    return f"{reader}.params.path={json.dumps(str(file), ensure_ascii=False)}"


def is_text(file: Path) -> bool:
    """False if bytes of a file's name are not UTF-8: no parameter can hold such a name."""
    return str(file).encode(errors="replace").decode() == str(file)


def _name_of_run(folder: Path) -> str:
    """Pipeline whose outputs lie in a folder; empty if it is no folder of a run."""
    try:
        return str(json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
