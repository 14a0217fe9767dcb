"""The simulator ``graphene-movie``: graphene that the beam changes, frame by frame, with every atom known."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ronchi.api import Context, Result
from ronchi.schema import images
from ronchi_simulate.movie.film import Film, develop, shoot, truth_of
from ronchi_simulate.movie.imaging import Contamination, brightest_counts
from ronchi_simulate.params.graphene_movie import GrapheneMovieParams
from ronchi_simulate.scan.unfinished import whole_lines

__all__ = ["GrapheneMovie"]

_DONE = "frames_done"
"""File beside the arrays of an unfinished store: the numbers of the frames that are in it."""


class GrapheneMovie:
    """Simulator ``graphene-movie``."""

    def __init__(self, params: GrapheneMovieParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Let the sheet change now, and expose its frames when they are read; with the side ``truth``."""
        film = shoot(self.params, ctx.rng, ctx.progress)
        _tell_if_saturated(film, self.params, ctx)
        return Result(self._images(film), {"truth": truth_of(film, self.params)})

    def simulate_into(self, folder: Path, ctx: Context) -> None:
        """Write a zarr store frame by frame; frames that an earlier call finished are kept."""
        import zarr

        n = self.params.n_frames
        # The sheet changes first, which takes about as long as its frames.
        film = shoot(self.params, ctx.rng, lambda done, total: ctx.progress(done, 2 * n))
        _tell_if_saturated(film, self.params, ctx)
        lazy = self._images(film)
        done = folder / _DONE
        if not done.exists():
            lazy.drop_vars("intensity").to_zarr(folder, mode="w", zarr_format=3, consolidated=False)
            truth_of(film, self.params).to_zarr(folder, group="truth", mode="w", zarr_format=3, consolidated=False)
            intensity = lazy["intensity"].variable
            zarr.open_group(folder, mode="r+").create_array(
                "intensity",
                shape=intensity.shape,
                dtype=intensity.dtype,
                chunks=(1, *intensity.shape[1:]),
                dimension_names=[str(dim) for dim in intensity.dims],
                attributes=dict(intensity.attrs),
                overwrite=True,
            )
            done.touch()
        finished = {int(line) for line in whole_lines(done)}
        write = partial(_write_frame, str(folder), self.params, film.contamination)
        left = [(number, shot) for number, shot in enumerate(film.shots) if number not in finished]
        with done.open("a") as log:
            for number in ctx.map(write, left):
                log.write(f"{number}\n")
                log.flush()
                finished.add(number)
                ctx.progress(n + len(finished), 2 * n)
        done.unlink()

    def _images(self, film: Film) -> xr.Dataset:
        import dask
        import dask.array as da

        p = self.params
        dtype = np.dtype(np.uint16 if p.noise else np.float32)
        expose = dask.delayed(develop, pure=False)
        frames = [
            da.from_delayed(expose(shot, p, film.contamination), p.image_shape, dtype)[None] for shot in film.shots
        ]
        return images.make(
            da.concatenate(frames),
            step=(p.step_angstrom, p.step_angstrom),
            units="counts",
            title="graphene under the beam, simulated",
        )


def _tell_if_saturated(film: Film, p: GrapheneMovieParams, ctx: Context) -> None:
    """Warn where single atoms are brighter than 16 bits can count."""
    silicon = any((shot.columns["species"] == 1).any() for shot in film.shots)
    most, ceiling = brightest_counts(p, silicon=silicon), np.iinfo(np.uint16).max
    if p.noise and most > ceiling:
        ctx.log.warning(
            "the brightest pixels expect %.3g counts and are cut off at %d, where 16 bits end: lower carbon_counts, "
            "background_counts or contamination, or set noise: false",
            most,
            ceiling,
        )


def _write_frame(
    folder: str, p: GrapheneMovieParams, contamination: Contamination | None, numbered: tuple[int, Any]
) -> int:
    import zarr

    number, shot = numbered
    zarr.open_array(folder, path="intensity", mode="r+")[number] = develop(shot, p, contamination)
    return number
