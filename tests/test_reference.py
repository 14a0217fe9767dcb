"""The reference is made from the code and is complete."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ronchi
from ronchi import errors
from ronchi.cli.info import parameter_rows
from ronchi.cli.main import COMMANDS
from ronchi.hookspecs import RonchiSpecs
from ronchi.kinds import KINDS
from ronchi.manager import get_manager
from ronchi.schema import SCHEMAS

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
OWN = [
    (kind, spec)
    for kind in KINDS
    for spec in get_manager().specs(kind)
    if get_manager().entry(kind, spec.name).dist.startswith("ronchi")
]
PARAMETERS = [(f"{kind}/{spec.name}", row) for kind, spec in OWN for row in parameter_rows(spec)]
UNITS_IN_NAMES = {
    "_px": "px",
    "_deg": "deg",
    "_angstrom": "angstrom",
    "_inv_angstrom": "1/angstrom",
    "_eV": "eV",
    "_mrad": "mrad",
    "_m": "m",
    "_mb": "MB",
    "_e": "electron",
    "_e_per_px": "electron/px",
}
QUANTITIES = re.compile(r"radius|radii|distance|angle|rotation|energy|step|length|tolerance", re.IGNORECASE)


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there(command: str) -> None:
    assert f"\n## ronchi {command}\n" in page("commands.md")


@pytest.mark.parametrize("name", ronchi.__all__)
def test_every_public_name_is_there_with_a_text(name: str) -> None:
    section = page("python.md").partition(f"\n## ronchi.{name}\n")[2].partition("\n## ")[0]
    assert re.search(r"[A-Z].{10,}\.", section), "a sentence that says what it is for"


def test_schemas_hooks_and_errors_are_there() -> None:
    assert all(f"\n## {name}\n" in page("schemas.md") for name in SCHEMAS)
    assert all(f"\n## {hook}(" in page("hooks.md") for hook in vars(RonchiSpecs) if hook.startswith("ronchi_"))
    assert all(f"- `{name}`: " in page("python.md") for name in errors.__all__)


@pytest.mark.parametrize(("kind", "spec"), OWN, ids=lambda value: getattr(value, "name", value))
def test_every_algorithm_is_there_with_all_its_parameters(kind: str, spec: object) -> None:
    text = page("algorithms.md").partition(f"\n## {kind}\n")[2]
    section = text.partition(f"\n### {spec.name}\n")[2].partition("\n### ")[0]
    assert spec.summary in section
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    names = [line.split("`")[1] for line in rows]
    learned = spec.training.model_fields if spec.training else ()
    assert [name for name in names if "." not in name] == [*spec.params.model_fields, *learned]


def test_fields_of_a_mapping_are_there_too() -> None:
    row = "\n| `reference.scan_x` | [number, number] \\| null | null | units of the scan axes |"
    assert row in page("algorithms.md")


@pytest.mark.parametrize(("algorithm", "row"), PARAMETERS, ids=lambda v: v if isinstance(v, str) else v["name"])
def test_every_parameter_is_described(algorithm: str, row: dict[str, str]) -> None:
    assert row["description"].endswith("."), "a sentence"
    assert row["type"] != "any"


@pytest.mark.parametrize(("algorithm", "row"), PARAMETERS, ids=lambda v: v if isinstance(v, str) else v["name"])
def test_a_unit_in_the_name_is_the_unit_that_is_declared(algorithm: str, row: dict[str, str]) -> None:
    endings = [ending for ending in UNITS_IN_NAMES if row["name"].endswith(ending)]
    if endings:
        assert row["unit"] == UNITS_IN_NAMES[max(endings, key=len)]


@pytest.mark.parametrize(("algorithm", "row"), PARAMETERS, ids=lambda v: v if isinstance(v, str) else v["name"])
def test_numbers_that_are_lengths_angles_or_energies_have_a_unit(algorithm: str, row: dict[str, str]) -> None:
    number = row["type"].startswith(("number", "integer", "array"))
    unit_is_chosen = any(of == algorithm and other["name"] == f"{row['name']}_unit" for of, other in PARAMETERS)
    count = row["name"].startswith("n_")
    if number and QUANTITIES.search(row["name"]) and not unit_is_chosen and not count:
        assert row["unit"] or "unit" in row["description"], f"{algorithm}: {json.dumps(row)}"
