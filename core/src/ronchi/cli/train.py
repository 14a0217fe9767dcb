"""Train an algorithm that learns. Run the same command again to go on with a training that was stopped.

`ronchi info NAME` lists what a training file may hold, with units and defaults; `ronchi schema training` gives the
same to editors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("algorithm", nargs="?", metavar="NAME", help="what is trained; without it, list what can be")
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.yaml", help="training file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="overrides",
        help="parameter, e.g. steps=500 or network.kind=unet",
    )
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="folder of the result (default ./NAME-training)")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def execute(args: argparse.Namespace) -> int:
    """Train and print where the result is, or list what can be trained."""
    from ronchi.manager import get_manager
    from ronchi.training import load_training, run_training, trainable

    manager = get_manager()
    if args.algorithm is None:
        for name, spec in trainable(manager).items():
            print(f"{name}\n    {spec.summary}")
        return 0
    if args.config is None:
        from ronchi.errors import ConfigError

        fix = f"ronchi train {args.algorithm} FILE; `ronchi info {args.algorithm}` lists what may be in it"
        raise ConfigError("there is no training file", where="ronchi train", fix=fix)
    config = load_training(args.algorithm, args.config, overrides=args.overrides, manager=manager)
    out = (args.out or Path(f"{config.name}-training")).expanduser().absolute()
    run_training(config, out, manager=manager, progress=not args.quiet)
    print(out)
    return 0
