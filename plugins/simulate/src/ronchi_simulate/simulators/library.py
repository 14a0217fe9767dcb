"""The simulator ``library``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi.schema import library as schema
from ronchi.schema.common import variable
from ronchi_simulate.library import store
from ronchi_simulate.library.plan import Run, plan_runs
from ronchi_simulate.library.run import RunData, simulate_run, wave_px
from ronchi_simulate.multislice.grid import told_if_coarse
from ronchi_simulate.params.library import LibraryParams

__all__ = ["Library"]

_IMAGES = ("intensity", "probe", "structure_factor")
_MAKERS = ("prototype", "formula", "split", "beam_energy_eV", "qy", "qx", "thickness", "semiangle_mrad")


class Library:
    """Simulator ``library``: in memory for a few runs, into a store for any number."""

    def __init__(self, params: LibraryParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Return the whole library (``library/1``), in memory."""
        runs = self._planned(ctx)
        images: dict[str, NDArray[np.float32]] = {}
        reflections: list[dict[str, NDArray[Any]]] = [{} for _ in runs]
        made = ctx.map(_simulate, [(run, self.params, ctx.device) for run in runs])
        for done, (index, data) in enumerate(made, 1):
            for name in _IMAGES:
                # Into its place at once: a library fills much of the memory, and is there once.
                one = getattr(data, name)
                if name not in images:
                    images[name] = np.empty((len(runs), *one.shape), one.dtype)
                images[name][index] = one
            reflections[index] = store.reflection_columns(data)
            ctx.progress(done, len(runs))
        return Result(_assemble(runs, images, reflections, self.params))

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


def _assemble(
    runs: list[Run],
    images: dict[str, NDArray[np.float32]],
    reflections: list[dict[str, NDArray[Any]]],
    params: LibraryParams,
) -> xr.Dataset:
    planned = store.run_variables(runs, params)
    more = {name: variable(*row) for name, row in planned.items() if name not in _MAKERS}
    return schema.make(
        **images,
        n_reflections=[len(columns["h"]) for columns in reflections],
        reflections={name: np.concatenate([part[name] for part in reflections]) for name in schema.PER_REFLECTION},
        runs={name: planned[name][1] for name in schema.PER_RUN},
        semiangle_mrad=planned["semiangle_mrad"][1],
        thickness=planned["thickness"][1],
        q_step=params.q_step_inv_angstrom,
        more=more,
        **store.attributes(params),
    )
