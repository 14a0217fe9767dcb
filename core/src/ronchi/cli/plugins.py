"""List the installed algorithms, from metadata alone: no plugin is imported.

With a kind, the plugins of that kind are imported, to say in a line what each algorithm does.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ronchi.catalog import Entry, scan
from ronchi.kinds import KINDS

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", nargs="?", choices=[*KINDS, "observer"], help="only this kind")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(args: argparse.Namespace) -> int:
    """Print one line an algorithm; exit 1 if two distributions clash over a name."""
    catalog = scan()
    entries = [entry for entry in catalog.entries if args.kind in (None, entry.kind)]
    clashes = [clash for clash in catalog.clashes() if args.kind in (None, clash[0])]
    if args.json:
        problems = [asdict(problem) for problem in catalog.problems]
        print(json.dumps({"algorithms": [asdict(entry) for entry in entries], "problems": problems}, indent=2))
        return int(bool(clashes))
    for kind in (*KINDS, "observer"):
        rows = [entry for entry in entries if entry.kind == kind]
        if rows:
            print(f"{kind}:")
            for entry in rows:
                summary = _summary(entry) if args.kind in KINDS else ""
                print(f"  {entry.name:<16} {entry.dist} {entry.version}" + (f"\n      {summary}" if summary else ""))
    for kind, name, dists in clashes:
        print(f"clash: {kind} {name!r} comes from {' and '.join(dists)}; write `dist:{name}` or uninstall one")
    for problem in catalog.problems:
        print(f"problem: {problem.dist}: {problem.what}\n  -> {problem.fix}")
    if not entries:
        print("no algorithm is installed")
    return int(bool(clashes))


def _summary(entry: Entry) -> str:
    from ronchi.errors import PluginError
    from ronchi.manager import get_manager

    try:
        return get_manager().spec(entry.kind, f"{entry.dist}:{entry.name}").summary
    except PluginError as error:
        return f"broken: {error.what}"
