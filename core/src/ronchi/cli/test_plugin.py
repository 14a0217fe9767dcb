"""Run the conformance kit over an installed algorithm; exit 1 if it breaks its contract.

The kit runs the algorithm on small data of its own. What suits an algorithm better, such as other parameters or
inputs, is written in a contract: a file of six lines that pytest runs too, given here by --contract.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ronchi.kinds import KINDS

if TYPE_CHECKING:
    from ronchi.testing import Check, Contract, Outcome

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("algorithm", metavar="NAME", help="name of the algorithm, KIND/NAME or DIST:NAME")
    parser.add_argument(
        "--kind", choices=list(KINDS), metavar="KIND", help="where several kinds have an algorithm of that name"
    )
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME=VALUE", help="parameter to run it with"
    )
    parser.add_argument("--contract", type=Path, metavar="FILE", help="test file whose contracts of NAME are run")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every check and how long it took")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(args: argparse.Namespace) -> int:
    """Print what each check found."""
    kind, name = _find(args.algorithm, args.kind)
    tell = _tell if args.verbose and not args.json else None
    # What an algorithm prints must not end in the JSON.
    with contextlib.redirect_stdout(sys.stderr if args.json else sys.stdout):
        reports = [contract.report(tell, _tell_late) for contract in _contracts(args, kind, name)]
    if args.json:
        rows = [
            {
                "algorithm": report.algorithm,
                "check": outcome.check.id,
                "status": outcome.status,
                "message": outcome.message,
                "seconds": round(outcome.seconds, 3),
            }
            for report in reports
            for outcome in report.outcomes
        ]
        print(json.dumps(rows, indent=2))
    else:
        print("\n".join(map(str, reports)))
    return int(not all(report.ok for report in reports))


def _tell(outcome: Outcome) -> None:
    reason = f": {outcome.message}" if outcome.status in ("not applicable", "not run") else ""
    print(f"  {outcome.status:<14} {outcome.seconds:6.2f} s  {outcome.check.id}{reason}", flush=True)


def _tell_late(check: Check, seconds: float, limit_s: float) -> None:
    text = f"  … {check.id} has run for {seconds:g} s, and is stopped after {limit_s:g} s"
    print(text, file=sys.stderr, flush=True)


def _find(algorithm: str, kind: str | None) -> tuple[str, str]:
    from ronchi.config.source import did_you_mean
    from ronchi.errors import ConfigError
    from ronchi.manager import get_manager

    given, _, name = algorithm.rpartition("/")
    if given and given not in KINDS:
        raise ConfigError(f"unknown kind {given!r}", fix=f"one of: {', '.join(KINDS)}")
    catalog = get_manager().catalog
    kinds = [each for each in KINDS if each == (kind or given or each) and catalog.find(each, name)]
    if len(kinds) == 1:
        return kinds[0], name
    if kinds:
        raise ConfigError(f"{name!r} is a {' and a '.join(kinds)}", fix=f"add --kind {kinds[0]}")
    known = [each for kind in KINDS for each in catalog.names(kind)]
    raise ConfigError(
        f"no {kind or given or 'algorithm'} is called {name!r}",
        fix=did_you_mean(name, known, "`pip install -e .` your plugin; `ronchi plugins` lists all names"),
    )


def _contracts(args: argparse.Namespace, kind: str, name: str) -> list[type[Contract]]:
    from ronchi.cli.named_values import parse_named
    from ronchi.errors import ConfigError
    from ronchi.testing import CONTRACTS

    given = parse_named(args.param, "--param")
    if args.contract is None:
        return [type("Installed", (CONTRACTS[kind],), {"algorithm": name, "params": (given,)})]
    if given:
        raise ConfigError("--param and --contract exclude each other", fix="write `params` in the contract")
    found = [each for each in _in_file(args.contract) if (each.kind, each.algorithm) == (kind, name)]
    if not found:
        raise ConfigError(
            f"there is no contract of {kind}/{name}", where=str(args.contract), fix=f'subclass it: algorithm = "{name}"'
        )
    return found


def _in_file(path: Path) -> Iterator[type[Contract]]:
    import importlib.util

    from ronchi.errors import ConfigError
    from ronchi.testing import Contract

    spec = importlib.util.spec_from_file_location(f"contract_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError("there is no such Python file", where=str(path), fix="give the test file of your plugin")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Contract) and value.__module__ == spec.name:
            yield value
