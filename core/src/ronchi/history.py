"""What was done to a data set in a session, carried in its attributes, and written out as a pipeline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ronchi.errors import ConfigError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ATTR", "forget", "record", "to_yaml"]

ATTR = "ronchi_history"
"""Attribute with the steps as JSON, in order; each has an id, kind, name, params and inputs by id."""

_STEP_NAMES = {
    "reader": "load",
    "simulator": "simulate",
    "disk_detector": "disks",
    "descriptor_learner": "descriptors",
    "strain_solver": "strain",
    "atom_finder": "atoms",
}


def record(
    made: Mapping[str, xr.Dataset], kind: str, name: str, params: Mapping[str, Any], inputs: Mapping[str, xr.Dataset]
) -> dict[str, xr.Dataset]:
    """Note in the results (main result under ``""``, sides under their names) the step that made them.

    A result whose inputs have no history of their own gets none: it could not be repeated.
    """
    steps: dict[str, dict[str, Any]] = {}
    references = {}
    for input_name, data in inputs.items():
        known = json.loads(data.attrs.get(ATTR, "[]"))
        if not known:
            return {side: forget(result) for side, result in made.items()}
        steps.update({step["id"]: step for step in known})
        side = known[-1].get("side", "")
        references[input_name] = known[-1]["id"] + (f".{side}" if side else "")
    step = {"kind": kind, "name": name, "params": dict(params), "inputs": references}
    step_id = hashlib.sha256(json.dumps(step, sort_keys=True).encode()).hexdigest()[:16]
    steps.pop(step_id, None)
    before = [{key: value for key, value in old.items() if key != "side"} for old in steps.values()]
    results = {}
    for side, data in made.items():
        last = {"id": step_id, **step, **({"side": side} if side else {})}
        results[side] = data.assign_attrs({ATTR: json.dumps([*before, last])})
    return results


def forget(data: xr.Dataset) -> xr.Dataset:
    """The data set without its history."""
    kept = data.copy(deep=False)
    kept.attrs.pop(ATTR, None)
    return kept


def to_yaml(data: xr.Dataset, name: str = "session") -> str:
    """Write what led to a data set as a pipeline.

    Parameters
    ----------
    data : xarray.Dataset
        Result of ronchi's verbs, made from a file that was read with `ronchi.read`.
    name : str
        Name of the pipeline.

    Returns
    -------
    str
        YAML that ``ronchi run`` takes.

    Raises
    ------
    ConfigError
        The data do not come from a file, so that nobody could repeat what was done.
    """
    import yaml

    steps = json.loads(data.attrs.get(ATTR, "[]"))
    if not steps:
        fix = "save your array with ronchi.write, and begin with ronchi.read"
        raise ConfigError("the history of this data set is unknown: it does not begin with a file", fix=fix)
    names: dict[str, str] = {}
    for step in steps:
        base = _STEP_NAMES.get(step["kind"], step["name"].replace("-", "_"))
        count = sum(taken == base or taken.startswith(f"{base}_") for taken in names.values())
        names[step["id"]] = f"{base}_{count + 1}" if count else base
    rows = {}
    for step in steps:
        inputs = {key: _named(reference, names) for key, reference in step["inputs"].items()}
        params = {"params": step["params"]} if step["params"] else {}
        rows[names[step["id"]]] = {step["kind"]: step["name"], **inputs, **params}
    last = names[steps[-1]["id"]]
    side = steps[-1].get("side", "")
    source = f"{last}.{side}" if side else last
    pipeline = {
        "schema": "ronchi.pipeline/1",
        "name": name,
        "steps": rows,
        "outputs": {last: {"from": source, "path": f"{last}.nc"}, "report": {"path": "report.html"}},
    }
    text: str = yaml.safe_dump(pipeline, sort_keys=False, default_flow_style=None, width=110)
    return text


def _named(reference: str, names: Mapping[str, str]) -> str:
    step, _, side = reference.partition(".")
    return f"{names[step]}.{side}" if side else names[step]
