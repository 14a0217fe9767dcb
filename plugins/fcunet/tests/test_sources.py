"""Several libraries are learned from as one, and none of them lets out what another one is judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.api import DataError, SchemaError
from ronchi_fcunet.samples import LibrarySamples
from ronchi_fcunet.sources import MixedSamples, open_samples
from ronchi_fcunet.train_params import TrainParams


@pytest.fixture
def two(tmp_path: Path, library_maker: Any) -> tuple[Path, Path]:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = library_maker(tmp_path / "a")
    return first, library_maker(tmp_path / "b", runs=2, split=("train",), prototypes=("P7",))


def test_every_sample_of_every_library_is_there_once(two: tuple[Path, Path]) -> None:
    parts = [LibrarySamples(path, "train") for path in two]
    mixed = open_samples(TrainParams(library=two), "train")
    assert len(mixed) == len(parts[0]) + len(parts[1])
    wanted = [part.sample(number)["label"] for part in parts for number in range(len(part))]
    for number, label in enumerate(wanted):
        np.testing.assert_array_equal(mixed.sample(number)["label"], label)
    assert mixed.prototypes == {"P0", "P1", "P7"}


def test_a_library_that_holds_nothing_of_a_split_leaves_it_to_the_others(two: tuple[Path, Path]) -> None:
    held_out = open_samples(TrainParams(library=two), "validation")
    assert held_out.prototypes == {"P2"}
    with pytest.raises(DataError, match="no runs for test"):
        open_samples(TrainParams(library=two), "test")


def test_what_one_library_is_judged_by_no_other_may_teach(
    two: tuple[Path, Path], tmp_path: Path, library_maker: Any
) -> None:
    leaking = library_maker(tmp_path, runs=2, split=("train",), prototypes=("P2",))
    with pytest.raises(SchemaError, match=r"P2 is for validation in .* and for train here"):
        open_samples(TrainParams(library=(two[0], leaking)), "train")


def test_patterns_of_several_sizes_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    small: xr.Dataset = ronchi.read(two[1]).load().isel(qy=slice(8, -8), qx=slice(8, -8))
    ronchi.write(small, tmp_path / "small.zarr")
    with pytest.raises(DataError, match="patterns are of several sizes"):
        open_samples(TrainParams(library=(two[0], tmp_path / "small.zarr")), "train")


def test_other_libraries_and_another_order_are_another_training(two: tuple[Path, Path]) -> None:
    a, b = (LibrarySamples(path, "train") for path in two)
    told = {MixedSamples(parts).identity for parts in ([a], [b], [a, b], [b, a])}
    assert len(told) == 4
