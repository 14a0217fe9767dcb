"""The hooks that a plugin may implement.

Contribution hooks yield `AlgorithmSpec` objects; they are cheap and pure, and import nothing heavy.
Lifecycle hooks observe a run; they cannot change its results. An implementation may take any subset
of a hook's arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ronchi.api import AlgorithmSpec
    from ronchi.result import RunResult, StepResult

__all__ = ["RonchiSpecs"]

hookspec = pluggy.HookspecMarker("ronchi")


class RonchiSpecs:
    """All hooks, one method each."""

    @hookspec
    def ronchi_readers(self) -> Iterable[AlgorithmSpec]:
        """Yield file readers: ``open(path)`` gives a lazy ``fourd/1`` or ``images/1`` data set."""

    @hookspec
    def ronchi_simulators(self) -> Iterable[AlgorithmSpec]:
        """Yield simulators: ``simulate(ctx)`` gives data with the side output ``truth``."""

    @hookspec
    def ronchi_transforms(self) -> Iterable[AlgorithmSpec]:
        """Yield transforms: ``apply(data=…, ctx=…)`` makes one data set out of another."""

    @hookspec
    def ronchi_disk_detectors(self) -> Iterable[AlgorithmSpec]:
        """Yield disk detectors: ``detect(frames)`` finds the Bragg disks of a block of patterns."""

    @hookspec
    def ronchi_descriptor_learners(self) -> Iterable[AlgorithmSpec]:
        """Yield descriptor learners: ``fit`` and ``transform`` in scikit-learn's manner."""

    @hookspec
    def ronchi_strain_solvers(self) -> Iterable[AlgorithmSpec]:
        """Yield strain solvers: ``solve(peaks, ctx)`` gives strain, with the lattice as side output."""

    @hookspec
    def ronchi_atom_finders(self) -> Iterable[AlgorithmSpec]:
        """Yield atom finders: ``find(images, ctx)`` gives a table of atoms."""

    @hookspec
    def ronchi_metrics(self) -> Iterable[AlgorithmSpec]:
        """Yield metrics: ``score(result, truth, ctx)`` gives named figures."""

    @hookspec
    def ronchi_writers(self) -> Iterable[AlgorithmSpec]:
        """Yield file writers: ``write(data, sides, path, progress=…)`` fills a file of one format."""

    @hookspec
    def ronchi_run_started(self, run: RunResult) -> None:
        """A pipeline was checked and starts."""

    @hookspec
    def ronchi_step_finished(self, run: RunResult, step: StepResult) -> None:
        """A step ended: done, reused, failed or skipped."""

    @hookspec
    def ronchi_run_finished(self, run: RunResult) -> None:
        """A pipeline ended, outputs written."""
