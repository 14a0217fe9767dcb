"""Say what is in a file: shape, type, units, what is calibrated and what is not. Reads no pattern."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

__all__ = ["configure", "describe", "execute"]

_CALIBRATIONS = {
    "beam_energy_eV": "beam energy [eV]",
    "semiangle_mrad": "convergence semiangle [mrad]",
    "camera_length_m": "camera length [m]",
    "scan_rotation_deg": "scan rotation [deg]",
    "dose": "dose [electrons a pattern]",
}


_OF_THE_FILE = {
    "source_format": "format",
    "file_contents": "in the file",
    "notes": "notes",
    "calibration_refused": "not believed",
}

_SAID = {*_CALIBRATIONS, *_OF_THE_FILE, "ronchi_schema", "ronchi_history", "title"}
"""Attributes that have a line of their own."""

_WIDEST = 200


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path)
    parser.add_argument("--reader", default="auto", help="reader by name; by default the most confident one")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="parameter of the reader")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(args: argparse.Namespace) -> int:
    """Print the description."""
    from ronchi.cli.named_values import parse_named
    from ronchi.errors import ConfigError
    from ronchi.verbs import read_result

    if args.file.suffix.lower() in (".yaml", ".yml") and args.file.is_file():
        fix = f"`ronchi validate {args.file}` checks a pipeline"
        raise ConfigError("this is no file of data", where=str(args.file), fix=fix)
    result = read_result(args.file, args.reader, **parse_named(args.param, "--param"))
    text = describe(result.data)
    text["side outputs"] = {name: describe(side) for name, side in result.sides.items()}
    if args.json:
        print(json.dumps(text, indent=2))
    else:
        print(args.file)
        _print(text, "  ")
    return 0


def describe(ds: Any) -> dict[str, Any]:
    """What `execute` prints, as nested dictionaries of plain values."""
    from ronchi.schema import library, schema_of

    rows: dict[str, Any] = {"schema": schema_of(ds) or "none"}
    if "title" in ds.attrs:
        rows["title"] = _short(ds.attrs["title"])
    for attr, label in _OF_THE_FILE.items():
        if ds.attrs.get(attr):
            # What to do about a file must not be cut away.
            rows[label] = _short(ds.attrs[attr], 5 * _WIDEST if attr == "notes" else _WIDEST)
    for dim, size in ds.sizes.items():
        if dim in ds.coords and ds[dim].dtype.kind in "iuf" and size > 1:
            values = ds[dim].values
            step = (float(values[-1]) - float(values[0])) / (size - 1)
            units = ds[dim].attrs.get("units", "?")
            each = f"{step:.6g}" if units == "1" else f"{step:.6g} {units}"
            rows[str(dim)] = f"{size}, step {each}, {values[0]:.6g} to {values[-1]:.6g}"
        else:
            rows[str(dim)] = f"{size}"
    for name, variable in ds.data_vars.items():
        unit = variable.attrs.get("units", "?")
        rows[str(name)] = f"{variable.dtype} ({', '.join(map(str, variable.dims))}) [{unit}]"
    known = {text: ds.attrs[attr] for attr, text in _CALIBRATIONS.items() if attr in ds.attrs}
    if known:
        rows["known"] = {text: float(value) for text, value in known.items()}
    if rows["schema"] == "fourd/1":
        missing = [
            f"{what} ({'/'.join(dims)} in pixels)"
            for dims, what in ((("scan_y", "scan_x"), "scan step"), (("qy", "qx"), "detector step"))
            if any(ds[dim].attrs.get("units") == "pixel" for dim in dims)
        ]
        missing += [text for attr, text in _CALIBRATIONS.items() if attr not in ds.attrs]
        rows["not calibrated"] = missing or "nothing"
        rows["bytes of patterns"] = int(ds["intensity"].nbytes)
    if rows["schema"] == library.NAME:
        rows["contents"] = library.contents(ds)
    if rows["schema"] == "images/1" and any(dim in ds.coords and ds[dim].attrs.get("units") == "pixel" for dim in "yx"):
        rows["not calibrated"] = ["pixel size (y/x in pixels)"]
    others = {name: _short(value) for name, value in ds.attrs.items() if name not in _SAID}
    if others:
        rows["attributes"] = others
    return rows


def _short(value: Any, widest: int = _WIDEST) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= widest else f"{text[: widest - 1]}…"


def _print(rows: dict[str, Any], indent: str) -> None:
    for key, value in rows.items():
        if isinstance(value, dict):
            if value:
                print(f"{indent}{key}:")
                _print(value, indent + "  ")
        elif isinstance(value, list):
            print(f"{indent}{key}: {', '.join(map(str, value))}")
        else:
            print(f"{indent}{key}: {f'{value:.10g}' if isinstance(value, float) else value}")
