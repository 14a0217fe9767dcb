"""Write a plugin to start from: it can be installed, and passes the conformance kit as it is."""

from __future__ import annotations

import argparse
from pathlib import Path

from ronchi.kinds import KINDS

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="of the algorithm: lower-case letters, digits and hyphens")
    parser.add_argument("--kind", required=True, choices=list(KINDS), metavar="KIND", help=f"one of {', '.join(KINDS)}")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder to write ronchi-NAME into; here by default",
    )


def execute(args: argparse.Namespace) -> int:
    """Write the files, and say what to do next."""
    from ronchi.scaffold import write_plugin

    root = write_plugin(args.name, args.kind, args.out)
    name = root.name.removeprefix("ronchi-")
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        print(path)
    print(f'\nnext:\n  pip install -e "{root}[test]"\n  ronchi test-plugin {name} --kind {args.kind}\n  pytest {root}')
    return 0
