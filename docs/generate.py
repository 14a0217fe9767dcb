"""Write docs/reference from the code, and the tables of docs/kinds. ``--check`` compares instead."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic.fields import FieldInfo

import ronchi
from ronchi import errors
from ronchi.benchmark.model import Comparison, Protocol
from ronchi.cli.info import parameter_rows, training_rows
from ronchi.cli.main import COMMANDS, build_parser
from ronchi.hookspecs import RonchiSpecs
from ronchi.kinds import KINDS, STEP_KINDS, Kind
from ronchi.manager import Manager
from ronchi.pipeline.config import OutputConfig, RunOptions
from ronchi.schema import SCHEMAS
from ronchi.training import TrainingOptions
from ronchi.tuning.config import TuningOptions

REFERENCE = Path(__file__).parent / "reference"
KIND_PAGES = Path(__file__).parent / "kinds"
PUBLIC = {
    "ronchi": "`read` and the other [verbs](python.md)",
    "ronchi.api": "specs, parameters, protocols, errors: what is described below",
    "ronchi.bad_pixels": "bad pixels filled",
    "ronchi.blocks": "patterns piece by piece",
    "ronchi.cholesky": "equations of a few unknowns, for compiled loops",
    "ronchi.chunking": "blocks in which a reader gives what it opens lazily",
    "ronchi.compiled": "loops compiled once",
    "ronchi.disk": "the probe's radius, edge and place",
    "ronchi.file_faults": "a damaged file told from other faults, while lazy data are read",
    "ronchi.interop": "data as objects of other programs, and back",
    "ronchi.interop.axis_units": "units of axes, in every spelling that files have",
    "ronchi.interop.py4dstem": "calibration, points and strain of py4DSTEM's files, without the program",
    "ronchi.interop.signals": "array, axes and metadata of a HyperSpy signal, without the program",
    "ronchi.optics": "wavelength, radius of the bright disk",
    "ronchi.photon_transfer": "gain and readout noise of a camera, from light and variance",
    "ronchi.schema": "data layouts, with all their modules: constructors and checks",
    "ronchi.testing": "contracts, in tests",
}
"""Modules that a plugin may import, and what they have."""
EXIT_CODES = "0 done, 1 failed, 2 wrong usage or configuration, 3 some files of a batch failed, 130 interrupted"
HEAD = "<!-- made by docs/generate.py from the code: do not edit -->\n\n"
END = "<!-- end -->"


def commands() -> str:
    """Every command with its help text."""
    os.environ["COLUMNS"] = "100"
    parts = [f"# Commands\n\nExit codes: {EXIT_CODES}.\n"]
    for name, summary in COMMANDS.items():
        parts.append(
            f"## ronchi {name}\n\n{summary[0].upper()}{summary[1:]}.\n\n"
            f"```text\n{build_parser(name).format_help()}```\n"
        )
    return "\n".join(parts)


def algorithms() -> str:
    """Every algorithm of the project's own distributions, with its parameters."""
    manager = Manager()
    parts = ["# Algorithms\n"]
    for kind in KINDS:
        specs = [spec for spec in manager.specs(kind) if manager.entry(kind, spec.name).dist.startswith("ronchi")]
        if not specs:
            continue
        parts.append(f"## {kind}\n")
        for spec in specs:
            takes = ", ".join(f"`{key}` ({value})" for key, value in spec.inputs.items()) or "nothing"
            sides = "".join(f", `.{key}` ({value})" for key, value in spec.sides.items())
            gives = f"writes {', '.join(spec.suffixes)}" if kind == "writer" else f"gives {spec.output}{sides}"
            parts.append(f"### {spec.name}\n\n{spec.summary}\n\nTakes {takes}; {gives}.\n")
            parts += _parameters(parameter_rows(spec))
            if learned := training_rows(spec):
                parts += [f"Parameters of a training, `ronchi train {spec.name} FILE`:\n", *_parameters(learned)]
            if spec.citation:
                parts.append(f"Cite: {spec.citation}\n")
    return "\n".join(parts)


def _parameters(rows: list[dict[str, str]]) -> list[str]:
    if not rows:
        return []
    columns = ("type", "default", "unit", "description")
    lines = [f"| `{row['name']}` | {' | '.join(_cell(row[c]) for c in columns)} |" for row in rows]
    return ["| parameter | type | default | unit | what |\n|---|---|---|---|---|", *lines, ""]


def schemas() -> str:
    """Every schema, with the text and the arguments of its constructor."""
    parts = [
        "# Schemas\n\nAttribute `ronchi_schema` names the schema of a data set; `ronchi.schema.validate` checks it.\n"
    ]
    for name, module in SCHEMAS.items():
        text = inspect.getdoc(module) or ""
        parts.append(f"## {name}\n\n{text}\n\n```text\n{module.__name__}.make{_signature(module.make)}\n```\n")
        parts.append(f"```text\n{inspect.getdoc(module.make)}\n```\n")
    return "\n".join(parts)


def hooks() -> str:
    """Every hook and every protocol."""
    from ronchi import api

    intro = (
        "All names further down come from `ronchi.api`. What comes in and goes out of each kind, with a minimal "
        "example, is in [kinds](../kinds). A plugin may import the names that these modules list in `__all__`, and "
        "nothing else of ronchi:"
    )
    parts = [f"# Hooks and protocols\n\n{intro}\n\n| module | what it has |\n|---|---|"]
    parts += [f"| `{name}` | {what} |" for name, what in PUBLIC.items()]
    parts.append("")
    for name, function in inspect.getmembers(RonchiSpecs, inspect.isfunction):
        parts.append(f"## {name}{_signature(function)}\n\n{inspect.getdoc(function)}\n")
    parts.append("# Protocols\n")
    for kind in KINDS.values():
        protocol = getattr(api, kind.protocol)
        parts.append(f"## {kind.protocol}\n\n{inspect.getdoc(protocol)}\n")
        for name, function in vars(protocol).items():
            if inspect.isfunction(function) and not name.startswith("_"):
                parts.append(f"- `{name}{_signature(function)}`: {_first_line(function)}")
        parts.append("")
    for name in ("AlgorithmSpec", "Geometry", "PeakBatch", "Context", "Result", "Params"):
        parts += [f"## {name}\n\n```text\n{inspect.getdoc(getattr(api, name))}\n```\n"]
    return "\n".join(parts)


def kind_table(kind: Kind) -> str:
    """How a kind is registered, and its methods, for the page of the kind."""
    from ronchi import api

    protocol = getattr(api, kind.protocol)
    manager = Manager()
    own = [name for name in manager.names(kind.name) if manager.entry(kind.name, name).dist.startswith("ronchi")]
    step = f"`STEP: {{{kind.name}: NAME, …}}`" if kind.name in STEP_KINDS else "none: chosen by the name of the file"
    rows = {
        "entry-point group": f"`{kind.group}`",
        "hook": f"`{kind.hook}()`",
        "in a pipeline": step,
        "protocol": f"`ronchi.api.{kind.protocol}`",
        "contract": f"`ronchi.testing.{kind.protocol}Contract`",
        "those of the project": ", ".join(f"`{name}`" for name in own),
    }
    methods = [
        f"- `{name}{_signature(function)}`: {_first_line(function)}"
        for name, function in vars(protocol).items()
        if inspect.isfunction(function) and not name.startswith("_")
    ]
    table = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    return "\n".join([*table, "", *methods, ""])


def python() -> str:
    """Every public name of ``ronchi``."""
    parts = ["# Python\n\nNames of `import ronchi`; each is imported on first use.\n"]
    for name in ronchi.__all__:
        thing = getattr(ronchi, name)
        if callable(thing) and not inspect.isclass(thing):
            parts.append(f"## ronchi.{name}\n\n```text\n{name}{_signature(thing)}\n\n{inspect.getdoc(thing)}\n```\n")
        else:
            parts.append(f"## ronchi.{name}\n\n{_first_line(thing)}\n")
        if inspect.ismodule(thing):
            inside = [(each, verb) for each in thing.__all__ if inspect.isfunction(verb := getattr(thing, each))]
            parts += [f"- `{name}.{each}{_signature(verb)}`: {_first_line(verb)}" for each, verb in inside]
            parts.append("")
    parts.append("# Errors\n")
    parts += [f"- `{name}`: {_first_line(getattr(errors, name))}" for name in errors.__all__]
    return "\n".join(parts) + "\n"


def files() -> str:
    """Every section of a file that people write which has keys of its own."""
    intro = (
        "What may stand in the sections that have keys of their own. Steps take the parameters of their "
        "[algorithms](algorithms.md), where those of trainings are too. `ronchi schema pipeline`, `ronchi schema "
        "benchmark`, `ronchi schema training` and `ronchi schema tuning` print all of it as JSON Schema, for editors."
    )
    parts = [f"# Pipeline, benchmark, training and tuning files\n\n{intro}\n"]
    for title, model in (
        ("Pipeline: run", RunOptions),
        ("Pipeline: each of outputs", OutputConfig),
        ("Benchmark: protocol", Protocol),
        ("Benchmark: compare", Comparison),
        ("Training: run", TrainingOptions),
        ("Search for training parameters: top level", TuningOptions),
    ):
        parts.append(f"## {title}\n\n| key | type | default | what |\n|---|---|---|---|")
        parts += [_key_row(name, field) for name, field in model.model_fields.items()]
        parts.append("")
    steps = (
        "As in a pipeline, and besides: the key of the kind takes a list; an entry is a name or "
        "`{name: NAME, as: LABEL, params: {…}}`, with `params` on top of the step's own; "
        "`vary: {PARAMETER: [VALUE, …]}` gives a parameter several values, and in `run` an option. Else `run` and "
        "`plugins` are as in a pipeline; "
        "`about` opens the report; the seed of a repeat is `seed` plus its number."
    )
    parts.append(f"## Benchmark: steps\n\n{steps}\n")
    return "\n".join(parts)


def _key_row(name: str, field: FieldInfo) -> str:
    kind = str(field.annotation).removeprefix("<class '").removesuffix("'>").replace("typing.", "")
    default = "needed" if field.is_required() else json.dumps(field.get_default(call_default_factory=True))
    return f"| `{field.alias or name}` | {_cell(kind)} | {default} | {_cell(field.description or '')} |"


def kind_page(kind: Kind) -> tuple[Path, str]:
    """Page of a kind, which is written by hand but for the part between two marks."""
    path = KIND_PAGES / f"{kind.name}.md"
    head, _, rest = path.read_text(encoding="utf-8").partition(HEAD.strip())
    return path, f"{head}{HEAD}{kind_table(kind)}\n{END}{rest.partition(END)[2]}"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "algorithms.md": algorithms,
    "schemas.md": schemas,
    "files.md": files,
    "hooks.md": hooks,
    "python.md": python,
}


def _signature(function: Callable[..., object]) -> str:
    return re.sub(r"\bself(, )?", "", str(inspect.signature(function))).replace("'", "")


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").splitlines()[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the pages, or with ``--check`` name those that are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    wanted = [(REFERENCE / name, HEAD + make()) for name, make in PAGES.items()]
    for path, text in [*wanted, *map(kind_page, KINDS.values())]:
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
            if not check:
                path.write_text(text)
    if check and stale:
        print(f"out of date: {', '.join(stale)}; run `make docs`")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
