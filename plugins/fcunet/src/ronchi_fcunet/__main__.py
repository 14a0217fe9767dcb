"""Weights of the learned detector: ``python -m ronchi_fcunet {list,show,fetch,export,release} …``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 wrong usage."""
    from ronchi.api import RonchiError

    args = _parser().parse_args(argv)
    try:
        args.execute(args)
    except (RonchiError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ronchi_fcunet", description="Weights of the learned detector.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, execute: object, what: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=what, description=what)
        made.set_defaults(execute=execute)
        return made

    url = "address of the registry (default: RONCHI_WEIGHTS_URL)"
    listed = command("list", _list, "list weights that can be used without a connection")
    listed.add_argument("--url", help="list those of a registry instead")
    shown = command("show", _show, "print the model card of weights")
    shown.add_argument("weights", help="NAME, NAME@VERSION or a .safetensors file")
    fetched = command("fetch", _fetch, "fetch weights from a registry")
    fetched.add_argument("weights", help="NAME for the newest version, or NAME@VERSION")
    fetched.add_argument("--url", help=url)
    exported = command("export", _export, "write the network as ONNX")
    exported.add_argument("weights", help="NAME, NAME@VERSION or a .safetensors file")
    exported.add_argument("shape", type=int, nargs=2, metavar=("ROWS", "COLUMNS"), help="of the patterns")
    exported.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.onnx")
    released = command("release", _release, "publish trained weights in a registry on disk")
    released.add_argument("weights", type=Path, help="a .safetensors file")
    released.add_argument("name")
    released.add_argument("version")
    released.add_argument("--notes", type=Path, required=True, metavar="FILE.json", help="what its author has to say")
    released.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    return parser


def _list(args: argparse.Namespace) -> None:
    from ronchi_fcunet.fetch import offered
    from ronchi_fcunet.registry import fetched_folder, read_index, shipped_folder

    entries = offered(args.url) if args.url else [*read_index(shipped_folder()), *read_index(fetched_folder())]
    for entry in entries:
        print(f"{entry.full_name}\n    {entry.summary}")


def _show(args: argparse.Namespace) -> None:
    from ronchi_fcunet.weights import load_weights

    loaded = load_weights(args.weights)
    print(json.dumps({"sha256": loaded.sha256, **loaded.card}, indent=1))


def _fetch(args: argparse.Namespace) -> None:
    from ronchi_fcunet.fetch import fetch

    path, entry = fetch(args.weights, args.url)
    print(f"{path}\nuse it as weights: {entry.full_name}")


def _export(args: argparse.Namespace) -> None:
    from ronchi_fcunet.export import export_onnx
    from ronchi_fcunet.weights import load_weights

    export_onnx(load_weights(args.weights), tuple(args.shape), args.out)
    print(args.out)


def _release(args: argparse.Namespace) -> None:
    from ronchi.api import DataError
    from ronchi_fcunet.release import release

    try:
        notes = json.loads(args.notes.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the notes cannot be read: {error}", where=str(args.notes)) from error
    entry = release(args.weights, args.name, args.version, notes, args.out)
    print(f"{entry.full_name}  {entry.sha256}")


if __name__ == "__main__":
    sys.exit(main())
