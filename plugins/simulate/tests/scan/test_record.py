"""A probe over a specimen, with an engine that says where it was asked to look."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from numpy.typing import NDArray
from pydantic import ValidationError

from ronchi.api import Context, DataError
from ronchi.schema import fourd
from ronchi_simulate.params.hbn import HbnParams
from ronchi_simulate.params.scan import ScanParams
from ronchi_simulate.scan import record, unfinished
from ronchi_simulate.scan.positions import scan_positions
from ronchi_simulate.scan.record import record_scan

PARAMS = ScanParams(
    scan_shape=(3, 5), pattern_shape=(8, 6), scan_step_angstrom=(2.0, 3.0), scan_start_angstrom=(1.0, 7.0)
)


class Engine:
    """Patterns whose pixels are the position, the tilt and a number drawn for the phonons."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.dies_after: int | None = None

    def __call__(self, atoms: Atoms, beams: Any, **asked: Any) -> NDArray[np.float32]:
        where = asked["positions_angstrom"]
        if len(self.calls) == self.dies_after:
            raise KeyboardInterrupt
        self.calls.append(len(where))
        if asked["progress"]:
            asked["progress"](1, 2)
            asked["progress"](2, 2)
        patterns = np.zeros((1, len(where), 1, *asked["pattern_shape"]), np.float32)
        if len(atoms):
            patterns[0, :, 0, 0, :2] = where / 100
            patterns[0, :, 0, 1, :2] = -(np.array(beams[0].tilt_mrad) + asked["tilts_mrad"]) / 100
            patterns[0, :, 0, 2, 0] = asked["rng"].random()
            patterns[0, :, 0, 3:, :] = 1e-3
        else:
            patterns[..., asked["pattern_shape"][0] // 2, asked["pattern_shape"][1] // 2] = 1
        return patterns


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(record, "diffract", engine)
    return engine


def atoms() -> Atoms:
    return Atoms("C", [[1, 1, 1]], cell=[30, 30, 10], pbc=True)


def recorded(params: ScanParams, ctx: Context, **more: Any) -> xr.Dataset:
    step = params.scan_step_angstrom
    return record_scan(atoms(), params, ctx, positions_angstrom=scan_positions(params), scan_step_angstrom=step, **more)


def context(seed: int = 3, **more: Any) -> Context:
    return Context(rng=np.random.default_rng(seed), **more)


def test_every_pattern_is_taken_at_its_position_with_its_tilt(engine: Engine) -> None:
    tilts = np.tile(np.arange(10.0).reshape(5, 2), (3, 1, 1))
    data = recorded(PARAMS.model_copy(update={"dose_e": None}), context(), tilts_mrad=tilts, title="t")
    fourd.validate(data)
    patterns = data["intensity"].values
    assert patterns.dtype == np.float32
    np.testing.assert_allclose(patterns[..., 0, :2] * 100, scan_positions(PARAMS), rtol=1e-6)
    np.testing.assert_allclose(patterns[..., 1, :2] * 100, tilts, rtol=1e-6)
    # One configuration of phonons for all positions.
    assert len(np.unique(patterns[..., 2, 0])) == 1
    assert data["probe"].values[4, 3] == 1
    assert (float(data["qy"][4]), float(data["qx"][3])) == (0, 0)
    assert data.attrs["thickness_angstrom"] == 10
    assert "dose" not in data.attrs
    assert data["scan_x"].attrs["units"] == "angstrom"


def test_positions_without_steps_are_numbered(engine: Engine) -> None:
    data = record_scan(atoms(), PARAMS, context(), positions_angstrom=np.random.default_rng(0).uniform(0, 9, (2, 4, 2)))
    assert data["scan_x"].attrs["units"] == "pixel"
    np.testing.assert_array_equal(np.diff(data["scan_x"]), 1)


def test_numbers_of_a_position_do_not_depend_on_the_blocks(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    params = PARAMS.model_copy(update={"dose_e": 2000.0})
    tilts = np.tile(np.arange(10.0).reshape(5, 2), (3, 1, 1))
    whole = recorded(params, context(), tilts_mrad=tilts)
    monkeypatch.setattr(record, "POSITIONS_PER_BLOCK", 2)
    in_pairs = recorded(params, context(), tilts_mrad=tilts)
    # The vacuum, and positions that share a potential however they lean.
    assert engine.calls[:2] == [1, 15]
    assert max(engine.calls[2:]) == 2
    np.testing.assert_array_equal(whole["intensity"], in_pairs["intensity"])
    other_seed = recorded(params, context(4), tilts_mrad=tilts)
    assert (other_seed["intensity"].values != whole["intensity"].values).any()


def test_noise_is_that_of_counting_at_the_dose(engine: Engine) -> None:
    params = PARAMS.model_copy(update={"dose_e": 1e5, "scan_shape": (20, 20)})
    data = recorded(params, context())
    counts = data["intensity"].values[..., 3:, :].astype(float)
    # 12000 draws of mean 100; standard errors are 0.09 of the mean and 1.3 of the variance. Seed 3.
    assert counts.mean() == pytest.approx(100, abs=0.4)
    assert counts.var() == pytest.approx(100, abs=5)
    # Neighbours share nothing.
    assert abs(np.corrcoef(counts[:, :-1].ravel(), counts[:, 1:].ravel())[0, 1]) < 0.03
    assert data["intensity"].dtype == np.uint32, "all electrons may fall on one pixel"
    assert data["probe"].values.sum() == pytest.approx(1e5)
    assert data.attrs["dose"] == 1e5


def test_waves_too_coarse_for_the_heaviest_atoms_are_told(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """The grid of 16 px over 8.3 angstrom, 0.5 a px, of a small pattern is no grid for carbon, and that of 64 is."""
    small = PARAMS.model_copy(update={"q_step_inv_angstrom": 0.12})
    recorded(small, context())
    assert "step of 0.521 angstrom" in caplog.text
    assert "Z = 6" in caplog.text
    caplog.clear()
    recorded(small.model_copy(update={"wave_shape": (64, 64)}), context())
    assert not caplog.text


def test_progress_is_told_and_large_scans_go_to_the_disk(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(unfinished, "IN_MEMORY_BYTES", 10)
    monkeypatch.setattr(record, "POSITIONS_PER_BLOCK", 8)
    told: list[tuple[int, int]] = []
    data = recorded(PARAMS, context(scratch=tmp_path, progress=lambda done, total: told.append((done, total))))
    assert told == [(4, 15), (8, 15), (11, 15), (15, 15)]
    stored = np.load(tmp_path / "patterns.npy", mmap_mode="r")
    np.testing.assert_array_equal(stored.reshape(data["intensity"].shape), data["intensity"].values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scan_shape": (0, 4)},
        {"pattern_shape": (-4, 16)},
        {"scan_step_angstrom": (5.0, -6.0)},
        {"scan_start_angstrom": (0.0, math.nan)},
        {"dose_e": 1e13},
        {"tilt_magnitude_deg": (0.0, 95.0)},
    ],
)
def test_what_no_scan_can_be_is_told_before_it_begins(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        HbnParams(**wrong)


def test_a_scan_needs_a_tilt_for_every_position(engine: Engine) -> None:
    with pytest.raises(DataError, match="tilts have the shape"):
        recorded(PARAMS, context(), tilts_mrad=np.zeros((3, 4, 2)))


@pytest.mark.parametrize("dose", [None, 500.0])
def test_a_scan_that_was_killed_goes_on_and_gives_the_same(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dose: float | None
) -> None:
    params = PARAMS.model_copy(update={"dose_e": dose})
    monkeypatch.setattr(record, "POSITIONS_PER_BLOCK", 4)
    whole = recorded(params, context())
    engine.calls.clear()
    engine.dies_after = 3
    with pytest.raises(KeyboardInterrupt):
        recorded(params, context(scratch=tmp_path))
    engine.calls.clear()
    engine.dies_after = None
    told: list[int] = []
    again = recorded(params, context(scratch=tmp_path, progress=lambda done, total: told.append(done)))
    # The vacuum, and the blocks of 4 and 3 that were not done; 8 of 15 were.
    assert engine.calls == [1, 4, 3]
    assert told[0] == 10
    xr.testing.assert_identical(again, whole)


def test_what_another_scan_has_left_is_not_used(engine: Engine, tmp_path: Path) -> None:
    recorded(PARAMS, context(scratch=tmp_path))
    engine.calls.clear()
    other = recorded(PARAMS, context(4, scratch=tmp_path))
    assert engine.calls == [1, 15]
    xr.testing.assert_identical(other, recorded(PARAMS, context(4)))
    stronger = PARAMS.model_copy(update={"dose_e": 3e6})
    assert recorded(stronger, context(4, scratch=tmp_path)).attrs["dose"] == 3e6
    assert sum(engine.calls) == 16 * 3
