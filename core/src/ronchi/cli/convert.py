"""Write a data set in another format, block by block; `ronchi info writer/NAME` describes a format."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument(
        "target", type=Path, metavar="OUT", help="the extension chooses the format: .nc, .zarr, or that of a plugin"
    )
    parser.add_argument("--reader", default="auto", help="reader by name; by default the most confident one")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="parameter of the reader")
    parser.add_argument("--writer", default="auto", help="writer by name; by default the one that knows the extension")
    parser.add_argument(
        "--writer-param", action="append", default=[], metavar="NAME=VALUE", help="parameter of the writer"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def execute(args: argparse.Namespace) -> int:
    """Convert and print the path."""
    from ronchi.cli.named_values import parse_named
    from ronchi.errors import OutputError
    from ronchi.verbs import convert

    if args.target.exists() and not args.overwrite:
        raise OutputError(f"{str(args.target)!r} exists", fix="--overwrite replaces it")
    print(
        convert(
            args.source,
            args.target,
            args.reader,
            writer=args.writer,
            writer_params=parse_named(args.writer_param, "--writer-param"),
            progress=not args.quiet,
            **parse_named(args.param, "--param"),
        )
    )
    return 0
