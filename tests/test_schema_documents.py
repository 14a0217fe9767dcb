"""The JSON Schemas for editors accept the files that ronchi reads, and point at what is wrong in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ronchi.cli.schema import benchmark_schema, pipeline_schema, training_schema, tuning_schema

DOCS = Path(__file__).resolve().parents[1] / "docs"
SCHEMAS = {"ronchi.pipeline/1": pipeline_schema, "ronchi.benchmark/1": benchmark_schema}
FILES = [
    path
    for path in sorted([*DOCS.glob("examples/*.yaml"), *DOCS.glob("benchmarks/*.yaml")])
    if yaml.safe_load(path.read_text()).get("schema") in SCHEMAS
]
TRAINING = {
    "schema": "ronchi.training/1",
    "name": "compact",
    "params": {"library": "library.zarr", "network": {"kind": "compact", "widths": [4, 8], "attention": 0}},
}


@pytest.fixture(scope="module", params=["ronchi.pipeline/1", "ronchi.benchmark/1"])
def schema(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return request.param, SCHEMAS[request.param]()


def faults(schema: dict[str, Any], document: Any) -> list[str]:
    return [fault.message for fault in jsonschema.Draft202012Validator(schema).iter_errors(document)]


def test_our_own_files_fit(schema: tuple[str, dict[str, Any]]) -> None:
    name, document = schema
    own = {path.name: yaml.safe_load(path.read_text()) for path in FILES}
    own = {file: text for file, text in own.items() if text["schema"] == name}
    assert len(own) > 5
    assert not {file: told for file, text in own.items() if (told := faults(document, text))}


def test_what_is_wrong_inside_a_mapping_is_seen() -> None:
    text = yaml.safe_load((DOCS / "examples" / "strain.yaml").read_text())
    text["steps"]["strain"]["params"]["reference"]["scan_z"] = [0, 1]
    assert faults(pipeline_schema(), text)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({"name": None}, True),
        ({"name": "a/b"}, False),
        ({"name": "a", "detector": "ronchi-crosscorr:crosscorr"}, True),
        ({"name": "a", "detector": "ronchi-lattice:crosscorr"}, False),
    ],
)
@pytest.mark.parametrize("schema", ["ronchi.pipeline/1", "ronchi.benchmark/1"], indirect=True)
def test_what_a_run_takes_fits(schema: tuple[str, dict[str, Any]], change: dict[str, Any], fits: bool) -> None:
    """Without a name, which is then that of the file; with the distribution before the name of an algorithm."""
    name, document = schema
    disks = {"disk_detector": change.get("detector", "crosscorr"), "data": "load"}
    text = {"schema": name, "name": change["name"], "steps": {"load": {"reader": "auto"}, "disks": disks}}
    text = {key: value for key, value in text.items() if value is not None}
    assert (not faults(document, text)) == fits


@pytest.mark.parametrize(
    ("change", "fits"),
    [({}, True), ({"network": {"kind": "compcat"}}, False), ({"wram_up": 3}, False), ({"steps": 0}, False)],
)
def test_a_training_fits(change: dict[str, Any], fits: bool) -> None:
    document = {**TRAINING, "params": {**TRAINING["params"], **change}}
    assert (not faults(training_schema(), document)) == fits


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"params": {}}, True),
        ({"params": {"wram_up": 3}}, False),
        ({"search": {}}, False),
        ({"search": {"learning_rate": {"low": 1e-4}}}, False),
        ({"engine": "grid"}, False),
        ({"trails": 3}, False),
    ],
)
def test_a_search_fits(change: dict[str, Any], fits: bool) -> None:
    """What is searched for, the library here, need not stand among the parameters."""
    search = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "library": ["a.zarr", "b.zarr"]}
    document = {"schema": "ronchi.tuning/1", "trials": 3, "search": search, "params": {"steps": 2}, **change}
    assert (not faults(tuning_schema(), document)) == fits
