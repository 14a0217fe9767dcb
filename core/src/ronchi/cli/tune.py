"""Search for the parameters with which an algorithm learns best.

Optuna chooses them and stops what is worse; `engine: ray` in the tuning file trains in processes of Ray's. The same
command in the same folder goes on with a search that was stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("algorithm", metavar="NAME", help="what is trained; `ronchi train` lists what can be")
    parser.add_argument("config", type=Path, metavar="CONFIG.yaml", help="tuning file")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="folder of the result (default ./NAME-tuning)")
    parser.add_argument("-q", "--quiet", action="store_true", help="no line for each training")


def execute(args: argparse.Namespace) -> int:
    """Search, and print where the best training file is."""
    from ronchi.manager import get_manager
    from ronchi.tuning.config import load_tuning
    from ronchi.tuning.record import Trial
    from ronchi.tuning.search import run_tuning

    config = load_tuning(args.algorithm, args.config, manager=get_manager())
    out = (args.out or Path(f"{config.name}-tuning")).expanduser().absolute()

    def told(trial: Trial) -> None:
        if not args.quiet:
            values = "  ".join(f"{name} {value}" for name, value in trial.params.items())
            ended = f"failed: {trial.error.splitlines()[0]}" if trial.error else f"loss {trial.loss:.4g}"
            print(f"{ended} in {trial.looks} looks  {values}", flush=True)

    run_tuning(config, out, told=told)
    print(out / "best.yaml")
    return 0
