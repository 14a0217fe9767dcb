"""Check a pipeline: names, parameters and edges, with file, line and column. Reads no data."""

from __future__ import annotations

import argparse

from ronchi.cli.run import add_pipeline_arguments

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_pipeline_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the plan; a fault raises."""
    from ronchi.pipeline.run import check_pipeline

    plan = check_pipeline(args.pipeline, overrides=args.overrides)
    for warning in plan.warnings:
        print(f"warning: {warning}")
    for name, step in plan.steps.items():
        print(f"{name}: {step.config.kind} {step.name} of {step.dist} {step.version} -> {step.spec.output}")
    print(f"{args.pipeline}: valid")
    return 0
