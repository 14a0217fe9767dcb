"""What was done to a data set in a session, carried in its attributes, and written out as a pipeline.

The attributes also survive what is done outside of ronchi, such as ``data.isel(...)``. A print of the data set,
taken when a step was noted, tells: a data set that no longer fits it has no history. Values that are changed in
place in memory go unnoticed.
"""

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
"""Attribute with the steps as JSON, in order; each has an id, kind, name, seed, params and inputs by id.

The last one also has the print of the data set, and its ``side`` if it is one.
"""

_STEP_NAMES = {
    "reader": "load",
    "simulator": "simulate",
    "disk_detector": "disks",
    "descriptor_learner": "descriptors",
    "strain_solver": "strain",
    "atom_finder": "atoms",
}


def record(
    made: Mapping[str, xr.Dataset],
    kind: str,
    name: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, xr.Dataset],
    seed: int = 0,
) -> dict[str, xr.Dataset]:
    """Note in the results (main result under ``""``, sides under their names) the step that made them.

    A result whose inputs have no history of their own gets none: it could not be repeated.
    """
    steps: dict[str, dict[str, Any]] = {}
    references = {}
    for input_name, data in inputs.items():
        known = _known(data)
        if not known:
            return {side: forget(result) for side, result in made.items()}
        steps.update({step["id"]: step for step in known})
        side = known[-1].get("side", "")
        references[input_name] = known[-1]["id"] + (f".{side}" if side else "")
    step = {"kind": kind, "name": name, "seed": seed, "params": dict(params), "inputs": references}
    step_id = _digest(step)
    steps.pop(step_id, None)
    before = [{key: value for key, value in old.items() if key not in ("side", "print")} for old in steps.values()]
    results = {}
    for side, data in made.items():
        last = {"id": step_id, **step, **({"side": side} if side else {}), "print": _print(data)}
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
        The data do not come from a file, or were changed outside of ronchi, or steps used different
        seeds: nobody could repeat what was done.
    """
    import yaml

    steps = _known(data)
    if not steps:
        what = "it does not begin with a file, or was changed outside of ronchi"
        fix = "use ronchi.transform, or save it with ronchi.write and begin with ronchi.read"
        raise ConfigError(f"the history of this data set is unknown: {what}", fix=fix)
    seeds = {step["seed"] for step in steps if step["kind"] != "reader"} or {0}
    if len(seeds) > 1:
        raise ConfigError(f"the steps used the seeds {sorted(seeds)}, but a pipeline has one", fix="use one for all")
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
        "seed": seeds.pop(),
        "steps": rows,
        "outputs": {last: {"from": source, "path": f"{last}.nc"}, "report": {"path": "report.html"}},
    }
    text: str = yaml.safe_dump(pipeline, sort_keys=False, default_flow_style=None, width=110)
    return text


def _named(reference: str, names: Mapping[str, str]) -> str:
    step, _, side = reference.partition(".")
    return f"{names[step]}.{side}" if side else names[step]


def _known(data: xr.Dataset) -> list[dict[str, Any]]:
    """Steps that led to a data set; none if it was changed since."""
    steps: list[dict[str, Any]] = json.loads(data.attrs.get(ATTR, "[]"))
    if not steps:
        return []
    then, now = steps[-1]["print"], _print(data)
    # Loading lazy values does not change them, so graphs count only where there still are some.
    shared = then["graphs"].keys() & now["graphs"].keys()
    same = then["form"] == now["form"] and all(then["graphs"][name] == now["graphs"][name] for name in shared)
    return steps if same else []


def _print(data: xr.Dataset) -> dict[str, Any]:
    """What tells a data set from its changed copies without reading values: form, coordinates, dask graphs."""
    form = {
        "variables": {str(name): [list(map(str, v.dims)), v.shape, str(v.dtype)] for name, v in data.variables.items()},
        "coordinates": {str(name): v.values.tolist() for name, v in data.coords.items() if v.ndim <= 1},
        "attributes": {str(name): str(value) for name, value in data.attrs.items() if name != ATTR},
    }
    graphs = {str(name): v.data.name for name, v in data.data_vars.items() if v.chunks is not None}
    return {"form": _digest(form), "graphs": graphs}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
