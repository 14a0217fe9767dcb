"""The simulator ``library``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ronchi.api import Context, Result
from ronchi.schema import library as schema
from ronchi.schema.common import variable
from ronchi_simulate.library import store
from ronchi_simulate.library.plan import Run, plan_runs
from ronchi_simulate.library.run import RunData, simulate_run, wave_px
from ronchi_simulate.multislice.grid import told_if_coarse
from ronchi_simulate.params.library import LibraryParams

__all__ = ["Library"]

_MAKERS = ("prototype", "formula", "split", "beam_energy_eV", "qy", "qx", "thickness", "semiangle_mrad")


class Library:
    """Simulator ``library``: in memory for a few runs, into a store for any number."""

    def __init__(self, params: LibraryParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Return the whole library (``library/1``), in memory."""
        runs = self._planned(ctx)
        made: dict[int, RunData] = {}
        for index, data in ctx.map(_simulate, [(run, self.params, ctx.device) for run in runs]):
            made[index] = data
            ctx.progress(len(made), len(runs))
        return Result(_assemble(runs, [made[run.index] for run in runs], self.params))

    def simulate_into(self, folder: Path, ctx: Context) -> None:
        """Write the library as a Zarr store, run by run; runs that are there already are not made again."""
        if store.is_complete(folder):
            store.tidy(folder)
            return
        runs = self._planned(ctx)
        store.create(folder, runs, self.params)
        left = [run for run in runs if not store.is_done(folder, run.index)]
        done = len(runs) - len(left)
        ctx.progress(done, len(runs))
        for _ in ctx.map(_simulate_and_write, [(run, self.params, ctx.device, folder) for run in left]):
            done += 1
            ctx.progress(done, len(runs))
        store.finish(folder, len(runs))

    def _planned(self, ctx: Context) -> list[Run]:
        runs = list(plan_runs(self.params, int(ctx.rng.integers(2**62))))
        step = self.params.binning / self.params.q_step_inv_angstrom / wave_px(self.params)
        heaviest = max(int(run.crystal.numbers.max()) for run in runs)
        told_if_coarse(step, heaviest, ctx.log, "make pattern_px or q_step_inv_angstrom larger")
        return runs


def _simulate(job: tuple[Run, LibraryParams, str]) -> tuple[int, RunData]:
    run, params, device = job
    return run.index, simulate_run(run, params, device=device)


def _simulate_and_write(job: tuple[Run, LibraryParams, str, Path]) -> int:
    run, params, device, folder = job
    store.write_run(folder, run.index, simulate_run(run, params, device=device))
    return run.index


def _assemble(runs: list[Run], made: list[RunData], params: LibraryParams) -> xr.Dataset:
    planned = store.run_variables(runs, params)
    columns = [store.reflection_columns(data) for data in made]
    more = {name: variable(*row) for name, row in planned.items() if name not in _MAKERS}
    return schema.make(
        intensity=np.stack([data.intensity for data in made]),
        probe=np.stack([data.probe for data in made]),
        structure_factor=np.stack([data.structure_factor for data in made]),
        n_reflections=[len(data.points.hkl) for data in made],
        reflections={name: np.concatenate([part[name] for part in columns]) for name in schema.PER_REFLECTION},
        runs={name: planned[name][1] for name in schema.PER_RUN},
        semiangle_mrad=planned["semiangle_mrad"][1],
        thickness=planned["thickness"][1],
        q_step=params.q_step_inv_angstrom,
        more=more,
        **store.attributes(params),
    )
