"""Samples of a library and batches of them: true to the library, and the same whoever makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from ronchi.api import DataError, SchemaError
from ronchi_fcunet.library_samples import LibrarySamples
from ronchi_fcunet.samples import batches


def test_a_sample_has_its_points_where_its_disks_are(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    assert len(samples) == 8
    sample = samples.sample(0)
    y, x, strength, beam, _ = sample["peaks"].T
    assert (y[beam == 1], x[beam == 1]) == pytest.approx((24, 24), abs=1e-3)
    assert strength[beam == 1] == pytest.approx(1.0)
    ring = np.abs(np.hypot(y - 24, x - 24) - 11) < 0.1
    assert ring.sum() == 4
    assert strength[ring] == pytest.approx(1.0, abs=0.15)
    for row, column in zip(y[ring], x[ring], strict=True):
        assert sample["pattern"][round(row), round(column)] > 0.3 * sample["pattern"].max()


def test_a_prototype_in_two_splits_is_refused(tmp_path: Path, library_maker: Any) -> None:
    with pytest.raises(SchemaError, match="in two splits: P0"):
        library_maker(tmp_path, runs=4, split=("train", "validation", "train"), prototypes=("P0", "P0", "P1"))


def test_a_library_without_a_split_is_refused(tmp_path: Path, library_maker: Any) -> None:
    path = library_maker(tmp_path, runs=2, split=("train",))
    with pytest.raises(DataError, match="no runs for validation"):
        LibrarySamples(path, "validation")


def _changed(path: Path, name: str, value: float) -> LibrarySamples:
    """Those to learn from, of a copy with one value for all of a variable."""
    data = xr.open_zarr(path, chunks=None, consolidated=False).load()
    data[name][...] = value
    for each in data.variables.values():
        each.encoding = {}
    data.to_zarr(path.with_name("changed.zarr"), consolidated=False)
    return LibrarySamples(path.with_name("changed.zarr"), "train")


@pytest.mark.parametrize("name", ["intensity", "probe", "structure_factor", "amplitude"])
def test_a_library_with_samples_that_are_no_numbers_is_refused(small_library: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"changed\.zarr, run 1: .*values are no numbers"):
        _changed(small_library, name, np.nan).sample(2)


@pytest.mark.parametrize("name", ["intensity", "probe", "structure_factor"])
def test_a_library_with_samples_without_light_is_refused(small_library: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"changed\.zarr, run 1: .*nothing is above 0"):
        _changed(small_library, name, 0.0).sample(2)


def test_a_crystal_that_does_not_diffract_is_a_sample(small_library: Path) -> None:
    strength, beam = _changed(small_library, "amplitude", 0.0).sample(2)["peaks"][:, 2:4].T
    assert beam.sum() == 1
    np.testing.assert_array_equal(strength, beam)


def test_a_batch_is_the_same_whoever_makes_it(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    here = list(batches(samples, plain, size=2, seed=5, numbers=range(3)))
    late = list(batches(samples, plain, size=2, seed=5, numbers=range(1, 3)))
    assert torch.equal(here[1].pattern, late[0].pattern)
    assert torch.equal(here[2].points, late[1].points)
    assert not torch.equal(here[0].pattern, here[1].pattern)


def test_the_shares_of_a_batch_are_the_batch(small_library: Path, plain: Any) -> None:
    samples, first = LibrarySamples(small_library, "train"), {"size": 4, "seed": 5, "numbers": range(1)}
    (whole,) = batches(samples, plain, **first)
    shares = [next(batches(samples, plain, **first, share=slice(rank, 4, 2))) for rank in (0, 1)]
    for rank, share in enumerate(shares):
        assert torch.equal(share.pattern, whole.pattern[rank::2])


@pytest.mark.slow
def test_loading_processes_change_nothing(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    here = list(batches(samples, plain, size=2, seed=5, numbers=range(4)))
    there = list(batches(samples, plain, size=2, seed=5, numbers=range(4), workers=2))
    assert all(torch.equal(a.pattern, b.pattern) for a, b in zip(here, there, strict=True))


class _Broken:
    """Samples that cannot be read."""

    identity, prototypes = "", set[str]()

    def __len__(self) -> int:
        return 3

    def sample(self, number: int) -> Any:
        raise DataError("it is damaged", where="a file", fix="copy it again")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_loading_process_is_told_as_any_other(plain: Any, workers: int) -> None:
    with pytest.raises(DataError) as told:
        list(batches(_Broken(), plain, size=2, seed=5, numbers=range(4), workers=workers))
    assert str(told.value) == "a file: it is damaged\n  -> copy it again"


def test_without_its_crystal_a_sample_is_the_beam_alone(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    (usual,) = batches(samples, plain, size=6, seed=5, numbers=range(1))
    (none,) = batches(samples, plain, size=6, seed=5, numbers=range(1), crystal_free=1 - 1e-9)
    (some,) = batches(samples, plain, size=6, seed=5, numbers=range(1), crystal_free=0.5)
    assert len(none.points) == 6 < len(usual.points)
    assert torch.equal(none.points[:, 3], torch.ones(6))
    assert torch.equal(none.centre_px, usual.centre_px)
    assert torch.equal(none.probe, usual.probe)
    for pattern, probe in zip(none.pattern, none.probe, strict=True):
        rest = pattern / pattern.sum() - probe / probe.sum()
        assert float(rest.abs().sum()) < 0.05
    empty = [torch.equal(a, b) for a, b in zip(some.pattern, none.pattern, strict=True)]
    assert 0 < sum(empty) < 6
    assert all(e or torch.equal(a, b) for e, a, b in zip(empty, some.pattern, usual.pattern, strict=True))


def test_a_window_is_the_middle_of_the_patterns(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    (whole,) = batches(samples, plain, size=2, seed=5, numbers=range(1))
    (cut,) = batches(samples, plain, size=2, seed=5, numbers=range(1), window_px=32)
    first = whole.pattern.shape[-1] // 2 - 16
    assert torch.equal(cut.pattern, whole.pattern[:, first : first + 32, first : first + 32])
    for batch in (cut, whole):
        beam = batch.probe.flatten(1).argmax(1)  # a flat disk: its first pixel, above the middle
        assert (beam // batch.probe.shape[-1] - batch.probe.shape[-2] // 2).abs().max() <= 4
    assert torch.equal(cut.centre_px, whole.centre_px - first)
    assert torch.allclose(cut.points[:, 1:3] + first, whole.points[:, 1:3], atol=1e-5)
