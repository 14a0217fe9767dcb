"""Write a data set in another format, block by block: netCDF4 (.nc) or Zarr (.zarr)."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("target", type=Path, metavar="OUT", help="the extension chooses the format")
    parser.add_argument("--reader", default="auto", help="reader by name; by default the most confident one")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="parameter of the reader")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")


def execute(args: argparse.Namespace) -> int:
    """Convert and print the path."""
    from ronchi.errors import ConfigError, OutputError
    from ronchi.pipeline.source import parse_value
    from ronchi.verbs import convert

    if args.target.exists() and not args.overwrite:
        raise OutputError(f"{str(args.target)!r} exists", fix="--overwrite replaces it")
    params = {}
    for text in args.param:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--param {text!r} is not NAME=VALUE")
        params[name] = parse_value(value, f"--param {text}")
    print(convert(args.source, args.target, args.reader, progress=True, **params))
    return 0
