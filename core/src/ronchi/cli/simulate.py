"""Make data with truth; without KIND, list the simulators.

``ronchi info simulator/KIND`` lists the parameters of one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help="simulator by name")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="values", help="parameter of the simulator"
    )
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help=".nc or .zarr; truth goes into its groups")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same data (default 0)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes, for simulators that work in pieces")
    parser.add_argument("--executor", choices=["serial", "process", "dask"], help="who works (default: --workers says)")
    parser.add_argument("--address", metavar="URL", help="running dask scheduler, with --executor dask")
    parser.add_argument("--device", choices=["cpu", "cuda", "auto"], default="cpu")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def execute(args: argparse.Namespace) -> int:
    """Simulate and print what was written, or list the simulators."""
    from ronchi.manager import get_manager

    manager = get_manager()
    if args.kind is None:
        for name in manager.names("simulator"):
            print(f"{name}\n    {manager.spec('simulator', name).summary}")
        return 0
    from ronchi.cli.named_values import parse_named
    from ronchi.errors import ConfigError, OutputError
    from ronchi.pipeline.config import RunOptions
    from ronchi.pipeline.simulation import simulate_to_file
    from ronchi.writing import choose_writer

    manager.spec("simulator", args.kind)  # a misspelt name is told before what else is missing
    if args.out is None:
        raise ConfigError("there is no file to write", where="-o", fix=f"ronchi simulate {args.kind} -o {args.kind}.nc")
    if args.seed < 0:
        raise ConfigError(f"{args.seed} is below 0", where="--seed")
    if args.workers is not None and args.workers < 1:
        raise ConfigError(f"{args.workers} is below 1", where="--workers")
    target = args.out.expanduser().absolute()
    choose_writer(target, manager)
    if target.exists() and not args.overwrite:
        raise OutputError(f"{str(args.out)!r} exists", fix="--overwrite replaces it")
    options = RunOptions.model_validate(
        {
            "executor": args.executor or ("process" if (args.workers or 1) > 1 else "serial"),
            "workers": args.workers,
            "address": args.address,
            "device": args.device,
        }
    )
    params = parse_named(args.values, "--set")
    for path in simulate_to_file(
        args.kind, params, target, manager=manager, seed=args.seed, options=options, progress=not args.quiet
    ):
        print(path)
    return 0
