"""Run a benchmark: a pipeline with lists where it would have one name. Finished combinations are not run again."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("benchmark", type=Path, help="YAML file")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="folder of the results (default ./NAME-bench)")
    parser.add_argument("--skip-missing", action="store_true", help="algorithms that are not installed become rows")
    parser.add_argument("--retry", action="store_true", help="run the combinations again that did not finish")
    parser.add_argument("--peers", action="store_true", help="first make the environments of other programs, with pip")
    parser.add_argument("--leaderboard", action="store_true", help="print the ranks of the entries instead of figures")
    parser.add_argument("--check", type=Path, metavar="CSV", help="fail if a figure is worse than in this summary")


def execute(args: argparse.Namespace) -> int:
    """Run, and print the summary; 1 if nothing finished, or a figure became worse than `--check` allows."""
    from ronchi.benchmark.files import write_files
    from ronchi.benchmark.outcome import FINISHED
    from ronchi.benchmark.regression import read_summary, regressions
    from ronchi.benchmark.run import run_bench
    from ronchi.benchmark.summary import print_leaderboard, print_summary

    baseline = None if args.check is None else read_summary(args.check)
    result = run_bench(args.benchmark, out=args.out, skip_missing=args.skip_missing, retry=args.retry, peers=args.peers)
    write_files(result)
    print(print_leaderboard(result) if args.leaderboard else print_summary(result))
    print(f"\n{result.out_dir / 'report.html'}")
    if not any(status in FINISHED for _, _, status, _ in result.table.cells):
        print("nothing finished")
        return 1
    if baseline is None:
        return 0
    worse = regressions(read_summary(result.out_dir / "summary.csv"), baseline)
    for line in worse:
        print(f"worse: {line}")
    return int(bool(worse))
