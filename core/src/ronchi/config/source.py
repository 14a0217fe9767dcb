"""YAML with a memory: every value knows the line and column that it came from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ronchi.errors import ConfigError

__all__ = ["FieldPath", "Source", "did_you_mean", "parse_value", "read_source"]

FieldPath = tuple[str | int, ...]
"""Keys and indices from the top of the document to a value."""

_LOOK_BYTES = 4096
_MAX_NODES = 100_000
"""Aliases multiply: a few lines of YAML can stand for more nodes than memory holds."""


class _Loader(yaml.SafeLoader):
    """Safe loader with the scalars of YAML 1.2: `1e-3` is a number, `no` and `12:30` are text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf)|\.(nan|NaN)", [*"-+.0123456789"]),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


@dataclass
class Source:
    """A parsed document and the faults found in it.

    Parameters
    ----------
    name : str
        File name for the messages.
    data : dict
        The document as plain Python objects.
    text : str
        The text it came from, ``""`` if it was given as a mapping.
    base : pathlib.Path
        Folder that relative input paths start from.
    marks : dict
        Field path to ``file:line:column`` of the value; of a key under ``(*path, ":key")``.
    """

    name: str
    data: dict[str, Any]
    base: Path
    text: str = ""
    marks: dict[FieldPath, str] = field(default_factory=dict)
    faults: list[ConfigError] = field(default_factory=list)

    def where(self, path: FieldPath, *, key: bool = False) -> str:
        """Position of the value (or key) at ``path``, or of the nearest thing around it."""
        if key and (*path, ":key") in self.marks:
            return self.marks[*path, ":key"]
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, self.name)

    def fault(self, path: FieldPath, what: str, fix: str = "", *, key: bool = False) -> None:
        """Note a fault; `check` raises it together with the others."""
        dotted = ".".join(str(part) for part in (path[1:] if path[:1] == ("steps",) else path))
        text = f"{dotted}: {what}" if dotted else what
        self.faults.append(ConfigError(text, where=self.where(path, key=key), fix=fix))

    def check(self) -> None:
        """Raise what was noted.

        Raises
        ------
        ConfigError
            One fault as it is, several as a list.
        """
        if not self.faults:
            return
        if len(self.faults) == 1:
            raise self.faults[0]
        raise ConfigError("\n".join([f"{len(self.faults)} faults", *map(str, self.faults)]), where=self.name)

    def drop_empty(self, *sections: str) -> None:
        """Take sections without content for absent: all their lines may be commented out."""
        for section in sections:
            if self.data.get(section, self) is None:
                del self.data[section]

    def set(self, path: FieldPath, value: Any, origin: str) -> None:
        """Replace one value; messages about it then name ``origin``."""
        at: Any = self.data
        for i, part in enumerate(path[:-1]):
            if not isinstance(at.setdefault(part, {}), dict):
                raise ConfigError(f"{'.'.join(map(str, path[: i + 1]))} is not a mapping", where=origin)
            at = at[part]
        at[path[-1]] = value
        for stale in [mark for mark in self.marks if mark[: len(path)] == path]:
            del self.marks[stale]
        self.marks[path] = origin


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A close match and what is allowed, for the last line of a message."""
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), names, 1)
    allowed = otherwise or (f"allowed: {', '.join(names)}" if names else "nothing is allowed here")
    return f"did you mean {close[0]!r}? {allowed}" if close else allowed


def read_source(origin: str | Path | Mapping[str, Any], *, base: Path | None = None) -> Source:
    """Parse a pipeline file, or take a mapping as it is.

    Raises
    ------
    ConfigError
        The file is absent, is not YAML, is not a mapping, or names a key twice.
    """
    if isinstance(origin, Mapping):
        return Source("pipeline", _plain(origin), base or Path.cwd())
    path = Path(origin)
    try:
        text = _text_of(path)
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and not path.is_dir():
            what, fix = f"the file cannot be read: {error.strerror}", "check the path"
        elif path.suffix.lower() in (".yaml", ".yml"):
            what, fix = "the file cannot be read: it is not UTF-8 text", "give a pipeline file"
        else:
            # Data are folders too, such as zarr stores.
            what, fix = "this is no pipeline file, it looks like data", f"`ronchi read {path}` says what is in it"
        raise ConfigError(what, where=str(path), fix=fix) from error
    source = Source(path.name, {}, base or path.absolute().parent, text)
    data = _compose(text, source)
    if not isinstance(data, dict):
        raise ConfigError(f"a pipeline is a mapping, this is {_kind(data)}", where=source.where(()))
    source.data = data
    return source


def _text_of(path: Path) -> str:
    """Text of a file; of one that is no text, such as a scan of many gigabytes, only the beginning is read."""
    with path.open("rb") as file:
        if b"\0" in (start := file.read(_LOOK_BYTES)):
            raise UnicodeDecodeError("utf-8", start, 0, 1, "a byte that no text has")
    return path.read_text(encoding="utf-8")


def parse_value(text: str, origin: str) -> Any:
    """Parse the right-hand side of ``--set``; raises `ConfigError`."""
    return _compose(text, Source(origin, {}, Path()))


def _plain(value: Any) -> Any:
    # A copy that `Source.set` may change, with tuples, paths and numpy's values as YAML would write them.
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return str(value) if isinstance(value, Path) else value


def _kind(value: Any) -> str:
    if value is None:
        return "empty"
    return "a list" if isinstance(value, list) else f"{value!r}"


def _compose(text: str, source: Source) -> Any:
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        return _Builder(loader, source).build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source.name}:{mark.line + 1}:{mark.column + 1}" if mark else source.name
        what = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"not valid YAML: {what}", where=where, fix=_yaml_hint(what)) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=source.name) from None
    except RecursionError:
        raise ConfigError("brackets or lists are nested without end", where=source.name) from None
    finally:
        if loader is not None:
            loader.dispose()


def _yaml_hint(what: str) -> str:
    if "'\\t'" in what:
        return "indent with spaces, not tabs"
    if "double-quoted" in what and "escape" in what:
        return r"within double quotes \ is special: write 'C:\data' in single quotes, or C:/data"
    if "mapping values are not allowed" in what:
        return "quote text that contains ': ', and check the indentation"
    return "check brackets, quotes and indentation"


class _Builder:
    def __init__(self, loader: yaml.SafeLoader, source: Source) -> None:
        self.loader, self.source = loader, source
        self.count = 0
        self.open: set[int] = set()
        self.flat: set[int] = set()

    def mark(self, node: yaml.Node) -> str:
        return f"{self.source.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def build(self, node: yaml.Node, path: FieldPath) -> Any:
        self.count += 1
        if self.count > _MAX_NODES or id(node) in self.open:
            raise ConfigError("aliases refer to themselves or multiply without end", where=self.mark(node))
        if node.tag.rpartition(":")[2] not in ("map", "seq", "str", "null", "bool", "int", "float"):
            raise ConfigError(f"the tag {node.tag!r} is not allowed", where=self.mark(node), fix="write plain values")
        self.source.marks[path] = self.mark(node)
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
            return self.loader.construct_object(node)
        except (ValueError, KeyError):
            what = f"{node.value!r} is no {node.tag.rpartition(':')[2]}"
            raise ConfigError(what, where=self.mark(node), fix="leave out the tag, or mend the value") from None
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, Any]:
        first: dict[Any, yaml.Node] = {}
        # Of one that merges others, aliases meet those already merged in.
        for key, _ in node.value if id(node) not in self.flat else ():
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError("a key must be plain text", where=self.mark(key))
            if key.value in first:
                line = first[key.value].start_mark.line + 1
                what = f"the key {key.value!r} is here twice (first on line {line})"
                raise ConfigError(what, where=self.mark(key), fix="give one of them another name, or remove it")
            first[key.value] = key
        # Merged keys come first, so that the mapping's own ones win below.
        if id(node) not in self.flat:
            self.flat.add(id(node))
            self.loader.flatten_mapping(node)
        built = {}
        for key, value in node.value:
            name = str(key.value)
            built[name] = self.build(value, (*path, name))
            self.source.marks[*path, name, ":key"] = self.mark(key)
        return built
