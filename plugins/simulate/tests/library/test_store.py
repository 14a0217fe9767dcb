"""The store: whole or resumed the same, from one process or two, and equal to the library in memory."""

from __future__ import annotations

import copy
import hashlib
import resource
import shutil
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.api import Context
from ronchi.schema import library as schema
from ronchi_simulate.library import store
from ronchi_simulate.library.plan import plan_runs
from ronchi_simulate.library.reflections import Reflections
from ronchi_simulate.library.run import RunData
from ronchi_simulate.params.library import LibraryParams
from ronchi_simulate.simulators.library import Library


def context(map_: Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]] = map) -> Context:
    return Context(rng=np.random.default_rng(5), map=map_)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: LibraryParams) -> Path:
    """A library that was made without interruption."""
    folder = tmp_path_factory.mktemp("library") / "whole.zarr"
    Library(tiny).simulate_into(folder, context())
    return folder


def test_reader_and_plain_xarray_open_it(whole: Path, tiny: LibraryParams) -> None:
    data = ronchi.read(whole)
    assert data.attrs["ronchi_schema"] == schema.NAME
    assert dict(data.sizes) | {"run": 3, "semiangle": 2, "thickness": 2, "qy": 64, "qx": 64} == dict(data.sizes)
    assert data["intensity"].dtype == np.float32
    np.testing.assert_allclose(data["qy"][[0, 32]], [-32 * 0.06, 0])
    plain = xr.open_zarr(whole, consolidated=False)
    assert plain["intensity"].chunks is not None
    np.testing.assert_array_equal(plain["intensity"].values, data["intensity"].values)
    assert set(plain["split"].values) <= set(schema.SPLITS)


def test_reflections_of_a_run_are_found_by_its_number(whole: Path) -> None:
    data = ronchi.read(whole)
    counts = data["n_reflections"].values
    for run in range(3):
        points = schema.reflections(data, run)
        assert points.sizes["reflection"] == counts[run]
        first = points.isel(reflection=0)
        assert all(int(first[name]) == 0 for name in "hkl")
        assert float(np.hypot(first["reflection_qy"], first["reflection_qx"])) == 0
    g = schema.reflections(data, 1)
    rotation, lattice = data["orientation"][1].values, data["lattice"][1].values
    lab = np.stack([g[name].values for name in "hkl"], axis=1) @ np.linalg.inv(lattice).T @ rotation.T
    # Single precision of positions up to 2.
    np.testing.assert_allclose(lab[:, 1], g["reflection_qy"], atol=3e-7)
    np.testing.assert_allclose(lab[:, 0], g["reflection_qx"], atol=3e-7)


def test_a_library_in_memory_is_the_same(whole: Path, tiny: LibraryParams) -> None:
    made = Library(tiny).simulate(context()).data
    stored = ronchi.read(whole).load()
    assert set(made.variables) == set(stored.variables)
    for name in made.variables:
        np.testing.assert_array_equal(made[name].values, stored[name].values, err_msg=str(name))
        assert made[name].dims == stored[name].dims
        assert made[name].attrs["units"] == stored[name].attrs["units"]
        assert (name in made.coords) == (name in stored.coords)


def test_a_library_in_memory_is_there_once(tiny: LibraryParams, monkeypatch: pytest.MonkeyPatch) -> None:
    large = tiny.model_copy(update={"runs": 40, "pattern_px": 256})
    images = [np.ones((*of, 256, 256), np.float32) for of in ((2, 2), (2,), ())]
    none = [
        np.zeros((0, *of), dtype) for of, dtype in (((3,), "i2"), ((2,), "f8"), ((), "f8"), ((), "f8"), ((), "c16"))
    ]
    filled = RunData(*images, Reflections(*none))
    monkeypatch.setattr(
        "ronchi_simulate.simulators.library._simulate", lambda job: (job[0].index, copy.deepcopy(filled))
    )
    tracemalloc.start()
    made = Library(large).simulate(context()).data
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made["intensity"].shape == (40, 2, 2, 256, 256)
    assert made.nbytes < peak < 1.7 * made.nbytes  # twice without the crystals to draw from, which take 35 MB


def test_an_interrupted_library_goes_on_and_equals_a_whole_one(
    whole: Path, tiny: LibraryParams, tmp_path: Path
) -> None:
    folder = tmp_path / "store"

    def stop_after_two(function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        for number, job in enumerate(jobs):
            if number == 2:
                raise KeyboardInterrupt
            yield function(job)

    with pytest.raises(KeyboardInterrupt):
        Library(tiny).simulate_into(folder, context(stop_after_two))
    made: list[int] = []

    def note(function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        for job in jobs:
            made.append(job[0].index)
            yield function(job)

    Library(tiny).simulate_into(folder, context(note))
    assert made == [2]
    assert digests(folder) == digests(whole)


def test_a_library_that_is_whole_is_left_as_it_is(whole: Path, tiny: LibraryParams, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(whole, folder)
    # What is left by one who was stopped while the parts were removed.
    (folder / ".parts").mkdir()

    def none(function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        raise AssertionError("a run is made again")

    Library(tiny).simulate_into(folder, context(none))
    assert digests(folder) == digests(whole)


def test_more_runs_than_a_process_may_open_files_are_put_together(tiny: LibraryParams, tmp_path: Path) -> None:
    runs = list(plan_runs(tiny, 5))
    store.create(tmp_path, runs, tiny)
    for index in range(300):
        np.savez(tmp_path / ".parts" / f"run-{index:06d}.npz", **dict.fromkeys(schema.PER_REFLECTION, np.ones(2)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        store.finish(tmp_path, 300)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert store.is_complete(tmp_path)


def test_a_run_that_was_half_written_is_made_again(whole: Path, tiny: LibraryParams, tmp_path: Path) -> None:
    folder = tmp_path / "store"

    def stop_at_once(function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        yield from ()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Library(tiny).simulate_into(folder, context(stop_at_once))
    torn = folder / "intensity" / "c" / "1" / "0" / "0" / "0" / "0"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"torn")
    Library(tiny).simulate_into(folder, context())
    assert digests(folder) == digests(whole)


@pytest.mark.slow
def test_two_processes_make_the_same_as_one(whole: Path, tiny: LibraryParams, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        Library(tiny).simulate_into(folder, context(pool.map))
    assert digests(folder) == digests(whole)


def test_progress_counts_runs_from_those_that_are_there(tiny: LibraryParams, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    ctx = context()
    ctx.progress = lambda done, total: told.append((done, total))
    Library(tiny).simulate_into(tmp_path / "store", ctx)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
