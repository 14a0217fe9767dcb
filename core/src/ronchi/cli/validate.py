"""Check a pipeline or a benchmark: names, parameters and edges, with file, line and column. Reads no data.

The code of the algorithms is imported too, which takes some seconds where they need PyTorch.
"""

from __future__ import annotations

import argparse

from ronchi.cli.run import add_pipeline_arguments, unkept

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_pipeline_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the plan; a fault raises."""
    from ronchi.config.source import read_source

    schema = str(read_source(args.pipeline).data.get("schema", ""))
    return _check_bench(args) if schema.startswith("ronchi.benchmark") else _check_pipeline(args)


def _check_pipeline(args: argparse.Namespace) -> int:
    from ronchi.pipeline.run import check_pipeline

    plan = check_pipeline(args.pipeline, overrides=args.overrides)
    kinds = {name: step.config.kind for name, step in plan.steps.items()}
    for warning in filter(None, (*plan.warnings, unkept(kinds, plan.config.outputs))):
        print(f"warning: {warning}")
    for name, step in plan.steps.items():
        print(f"{name}: {step.config.kind} {step.name} of {step.dist} {step.version} -> {step.spec.output}")
    print(f"{args.pipeline}: valid")
    return 0


def _check_bench(args: argparse.Namespace) -> int:
    from ronchi.benchmark.cells import make_cells
    from ronchi.benchmark.config import load_bench
    from ronchi.benchmark.plans import manager_for, plan_cells
    from ronchi.benchmark.run import doubts
    from ronchi.errors import ConfigError
    from ronchi.pipeline.plan import check_code

    if args.overrides:
        raise ConfigError("a benchmark has nothing to set", where="--set", fix="change the file")
    config = load_bench(args.pipeline)
    cells = make_cells(config)
    plans, _ = plan_cells(config, cells, manager_for(config))
    for plan in plans.values():
        check_code(plan)
    for doubt in doubts(config, plans):
        print(f"warning: {doubt}")
    for name, slot in config.slots.items():
        print(f"{name}: {slot.kind} {', '.join(entry.label for entry in slot.entries)}")
    print(f"{args.pipeline}: valid, {len(cells)} combinations")
    return 0
