"""Entry point of ``ronchi``: finds the command, imports its module alone, turns errors into exit codes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

__all__ = ["COMMANDS", "build_parser", "main"]

COMMANDS = {
    "run": "run a pipeline",
    "bench": "compare algorithms: a pipeline with lists of names",
    "validate": "check a pipeline without reading data",
    "preview": "draw what a detector accepts and rejects on a few patterns",
    "read": "say what is in a file, what is calibrated and what is not",
    "convert": "write a data set in another format",
    "report": "make the report of a finished run again",
    "replay": "run a provenance file again and compare the results",
    "simulate": "make data with truth",
    "train": "train an algorithm that learns",
    "tune": "search for the parameters of a training",
    "plugins": "list the installed algorithms",
    "info": "describe an algorithm and its parameters",
    "schema": "print a data schema, or the JSON Schema of a pipeline",
    "test-plugin": "run the conformance kit over an installed algorithm",
    "new-plugin": "write a plugin to start from",
    "doctor": "explain broken, clashing and outdated plugins",
    "demo": "run the main job on a small data set that comes with ronchi",
}
"""Command to its one-line help; module ``ronchi.cli.<command>``, its hyphens as underscores, implements it."""

_MEANT = {"list": "plugins", "ls": "plugins", "show": "info"}
"""What other programs call a command, where the names are too far apart to be seen as misspelt."""

USAGE_ERROR, FAILURE, INTERRUPTED = 2, 1, 130


def build_parser(command: str) -> argparse.ArgumentParser:
    """Parser of one command; imports the command's module."""
    module = importlib.import_module(f"ronchi.cli.{command.replace('-', '_')}")
    parser = argparse.ArgumentParser(
        prog=f"ronchi {command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    parser.set_defaults(execute=module.execute)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
    """
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            # What is left would otherwise be written at the very end, where nobody sees that the reader has gone.
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help") or arguments == ["help"]:
        print(_help())
        return 0 if arguments else USAGE_ERROR
    if arguments[0] in ("-V", "--version"):
        from ronchi import __version__

        print(f"ronchi {__version__}")
        return 0
    command, *rest = arguments
    if command == "help":
        command, rest = rest[0], ["--help"]
    if command not in COMMANDS:
        return _unknown(command)
    parser = build_parser(command)
    args, unknown = parser.parse_known_args(rest)
    if unknown:
        files = getattr(args, "inputs", None) and not any(word.startswith("-") for word in unknown)
        hint = "; quote the pattern of --inputs, e.g. --inputs 'scans/*.nc'" if files else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return _execute(args)


def _execute(args: argparse.Namespace) -> int:
    from ronchi.errors import ConfigError, RonchiError
    from ronchi.pipeline.interrupts import remembered

    try:
        with remembered():
            return int(args.execute(args) or 0)
    except RonchiError as error:
        print(f"ronchi: {error}", file=sys.stderr)
        if _wants_traceback():
            raise
        return USAGE_ERROR if isinstance(error, ConfigError) else FAILURE
    except KeyboardInterrupt:
        print("ronchi: stopped; what is finished is kept, run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if _wants_traceback():
            raise
        told = ", ".join([f"unexpected {type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
        what = " ".join(told.split())
        print(f"ronchi: {what} -> please report it; RONCHI_TRACE=1 shows the traceback", file=sys.stderr)
        return FAILURE


def _wants_traceback() -> bool:
    return os.environ.get("RONCHI_TRACE", "") not in ("", "0")


def _unknown(command: str) -> int:
    import difflib

    close = [_MEANT[command]] if command in _MEANT else difflib.get_close_matches(command, COMMANDS, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(COMMANDS)}"
    print(f"ronchi: unknown command {command!r}\n  -> {hint}", file=sys.stderr)
    return USAGE_ERROR


def _help() -> str:
    rows = "\n".join(f"  {name:<12} {text}" for name, text in COMMANDS.items())
    return (
        "usage: ronchi COMMAND [options]\n\n"
        "From a 4D-STEM file to strain and order-parameter maps.\n\n"
        f"commands:\n{rows}\n\n"
        "`ronchi COMMAND --help` explains one of them; `ronchi demo` shows all that matters in a minute."
    )


if __name__ == "__main__":
    sys.exit(main())
