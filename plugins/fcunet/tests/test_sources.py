"""Several libraries are learned from as one, and none of them lets out what another one is judged by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError

import ronchi
from ronchi.api import DataError, SchemaError
from ronchi.cli.main import main
from ronchi_fcunet.library_samples import LibrarySamples
from ronchi_fcunet.samples import batches
from ronchi_fcunet.sources import MixedSamples, open_samples
from ronchi_fcunet.train_params import TrainParams


@pytest.fixture
def two(tmp_path: Path, library_maker: Any) -> tuple[Path, Path]:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = library_maker(tmp_path / "a")
    return first, library_maker(tmp_path / "b", runs=2, split=("train",), prototypes=("P7",), seed=5)


def test_every_sample_of_every_library_is_there_once(two: tuple[Path, Path]) -> None:
    parts = [LibrarySamples(path, "train") for path in two]
    mixed = open_samples(TrainParams(library=two), "train")
    assert len(mixed) == len(parts[0]) + len(parts[1])
    wanted = [part.sample(number) for part in parts for number in range(len(part))]
    labels = [sample["label"] for sample in wanted]
    # Two thicknesses of a run share their label; the runs of the two libraries have lattices of their own.
    assert len({label.tobytes() for label in labels}) == len(labels) // 2
    for number, sample in enumerate(wanted):
        for name in ("pattern", "label", "peaks"):
            np.testing.assert_array_equal(mixed.sample(number)[name], sample[name])
    assert mixed.prototypes == {"P0", "P1", "P7"}


def test_a_library_that_holds_nothing_of_a_split_leaves_it_to_the_others(two: tuple[Path, Path]) -> None:
    held_out = open_samples(TrainParams(library=two), "validation")
    assert held_out.prototypes == {"P2"}
    with pytest.raises(DataError, match="no runs for test"):
        open_samples(TrainParams(library=two), "test")


def test_a_list_of_one_is_that_library(two: tuple[Path, Path]) -> None:
    alone, listed = (open_samples(TrainParams(library=given), "train") for given in (two[0], (two[0],)))
    assert alone.identity == listed.identity
    with pytest.raises(ValidationError, match="at least 1 item"):
        TrainParams(library=())


def test_loading_processes_make_the_same_batches(two: tuple[Path, Path], plain: Any) -> None:
    mixed = open_samples(TrainParams(library=two), "train")
    made = [list(batches(mixed, plain, size=4, seed=3, numbers=range(3), workers=n)) for n in (0, 1)]
    for own, loaded in zip(*made, strict=True):
        assert torch.equal(own.pattern, loaded.pattern)
        assert torch.equal(own.points, loaded.points)


def test_the_command_takes_a_list_beside_the_file(
    two: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "schema: ronchi.training/1\nname: both\nparams:\n  library: [a/library.zarr, b/library.zarr]\n  batch: 2\n"
    text += "  steps: 2\n  validation_batches: 1\n  workers: 0\n  warm_up: 0\n"
    text += "  augment_params: {effects: [shift]}\n  network: {widths: [4, 8], attention: 0}\n"
    (tmp_path / "both.yaml").write_text(text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["train", "fcunet", str(tmp_path / "both.yaml"), "-o", "out", "--quiet"]) == 0
    card = json.loads(Path("out/training.json").read_text())
    assert card["data"]["samples"] == 12
    assert card["data"]["library"].split(" + ") == [LibrarySamples(path, "train").identity for path in two]


def test_what_one_library_is_judged_by_no_other_may_teach(
    two: tuple[Path, Path], tmp_path: Path, library_maker: Any
) -> None:
    leaking = library_maker(tmp_path, runs=2, split=("train",), prototypes=("P2",))
    with pytest.raises(SchemaError, match=r"P2 is for validation in .* and for train here"):
        open_samples(TrainParams(library=(two[0], leaking)), "train")


def test_strengths_of_two_meanings_are_refused(two: tuple[Path, Path]) -> None:
    import zarr

    zarr.open_group(two[1], mode="r+").attrs["weighed_from"] = "plane"
    for split in ("train", "validation"):  # Only the first one has runs for validation.
        with pytest.raises(DataError, match=r"weighed from the sphere in .*, the plane in .*b"):
            open_samples(TrainParams(library=two), split)


def test_patterns_of_several_sizes_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    small: xr.Dataset = ronchi.read(two[1]).load().isel(qy=slice(8, -8), qx=slice(8, -8))
    ronchi.write(small, tmp_path / "small.zarr")
    with pytest.raises(DataError, match="patterns are of several sizes"):
        open_samples(TrainParams(library=(two[0], tmp_path / "small.zarr")), "train")


def test_other_libraries_and_another_order_are_another_training(two: tuple[Path, Path]) -> None:
    a, b = (LibrarySamples(path, "train") for path in two)
    told = {MixedSamples(parts).identity for parts in ([a], [b], [a, b], [b, a])}
    assert len(told) == 4
