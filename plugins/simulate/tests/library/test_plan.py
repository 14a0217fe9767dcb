"""Which runs a library has: many prototypes soon, the same for a number whatever else is asked for, no leakage."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from ronchi.api import Context
from ronchi.optics import wavelength_angstrom
from ronchi.pipeline.keys import entropy, params_json
from ronchi_simulate.library.plan import RANDOM, Run, plan_runs
from ronchi_simulate.library.run import simulate_run
from ronchi_simulate.params.library import LibraryParams
from ronchi_simulate.simulators.library import Library


def same(one: Run, other: Run) -> bool:
    arrays = ("rotation", "origin")
    plain = ("index", "split", "zone_axis", "tilt_mrad", "beam_energy_eV", "semiangles_mrad", "u_angstrom", "seed")
    return (
        one.crystal.formula == other.crystal.formula
        and all(getattr(one, name) == getattr(other, name) for name in plain)
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    )


@pytest.fixture(scope="module")
def full() -> list[Run]:
    return list(plan_runs(LibraryParams(runs=1334), seed=0))


def test_the_default_is_a_hundred_thousand_samples_of_250_prototypes(full: list[Run]) -> None:
    params = LibraryParams()
    assert params.runs * len(params.semiangles_mrad) * len(params.thicknesses_angstrom) >= 100_000
    assert params.runs == len(full)
    assert len({run.crystal.prototype for run in full}) >= 250
    assert params.thicknesses_angstrom[0] == 20
    assert params.thicknesses_angstrom[-1] == 500


def test_no_prototype_is_in_two_splits(full: list[Run]) -> None:
    splits: dict[str, set[str]] = {}
    for run in full:
        splits.setdefault(run.crystal.prototype, set()).add(run.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {next(iter(found)) for found in splits.values()} == {"train", "validation", "test"}


def test_zone_axes_and_random_orientations_are_as_many_in_any_part(full: list[Run]) -> None:
    part = full[:300]
    # Half of them, binomial: 150 +- 8.7.
    assert 115 < sum(run.zone_axis == RANDOM for run in part) < 185


def test_a_crystal_comes_again_in_another_orientation() -> None:
    params = LibraryParams(runs=2800, variants=1)
    zones: dict[int, list[tuple[int, int, int]]] = {}
    runs = list(plan_runs(params, seed=1))
    first = next(i for i in range(1, len(runs)) if runs[i].crystal is runs[0].crystal)
    for run in runs[: 10 * first]:
        zones.setdefault(run.index % first, []).append(run.zone_axis)
    for axes in zones.values():
        counts = Counter(axes)
        assert counts[RANDOM] == 5
        assert all(number == 1 for axis, number in counts.items() if axis != RANDOM)


def test_a_run_depends_on_its_number_and_the_seed_alone() -> None:
    few, more = (list(plan_runs(LibraryParams(runs=n, variants=1), seed=7)) for n in (5, 9))
    assert all(same(one, other) for one, other in zip(few, more, strict=False))
    other = next(iter(plan_runs(LibraryParams(runs=1, variants=1), seed=8)))
    assert not same(few[0], other)


def test_a_library_may_have_no_zone_axes() -> None:
    params = LibraryParams(runs=30, variants=1, splits=("test",), zone_axes=0, random_orientations=1)
    assert {run.zone_axis for run in plan_runs(params, seed=0)} == {RANDOM}


def test_draws_stay_in_their_ranges() -> None:
    params = LibraryParams(
        runs=200, variants=1, semiangle_range_mrad=(0.5, 12.0), beam_energies_eV=(80e3, 200e3), tilt_max_mrad=5.0
    )
    runs = list(plan_runs(params, seed=2))
    angles = np.array([run.semiangles_mrad for run in runs])
    assert angles.min() >= 0.5
    assert angles.max() <= 12
    assert (np.diff(angles, axis=1) > 0).all()
    assert {run.beam_energy_eV for run in runs} == {80e3, 200e3}
    tilts = np.array([np.hypot(*run.tilt_mrad) for run in runs if run.zone_axis != RANDOM])
    assert tilts.max() <= 5
    # Even over the disk: the mean distance from the centre is 2/3 of the radius, here +- 0.12.
    assert np.mean(tilts) == pytest.approx(10 / 3, abs=0.5)
    assert all(0.05 <= run.u_angstrom <= 0.1 for run in runs)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"beam_energy_range_eV": (3e5, 6e4)}, "rising"),
        ({"beam_energies_eV": (200,)}, "200 looks like keV"),
        ({"beam_energy_range_eV": (1e-3, 3e5)}, "must be 1000 to"),
        ({"semiangles_mrad": (0.0,)}, "semiangles must be above 0"),
        ({"zone_axes": 0, "random_orientations": 0}, "both 0"),
        ({"thickness_step_angstrom": 21.0}, "no multiple of slice_angstrom"),
        ({"semiangle_range_mrad": (1.0, 60.0)}, r"60 mrad has a radius of up to 3\.05 1/angstrom"),
        ({"thickness_step_angstrom": 900.0}, "above thickness_max_angstrom"),
    ],
)
def test_what_cannot_be_is_refused(params: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        LibraryParams(**params)


@pytest.mark.parametrize("binning", [1, 2, 3])
@pytest.mark.parametrize("pattern_px", [16, 17, 31, 64])
def test_the_widest_aperture_that_is_allowed_can_be_simulated(pattern_px: int, binning: int) -> None:
    """In a run drawn late too: what would stop a library after hours is refused before it begins."""
    small = {"runs": 1, "variants": 1, "pattern_px": pattern_px, "q_step_inv_angstrom": 0.06, "binning": binning}
    thin = {"thickness_max_angstrom": 2.0, "thickness_step_angstrom": 2.0, "beam_energies_eV": (200e3,)}
    widest = 0.8 * (pattern_px // 2) * 0.06 * wavelength_angstrom(200e3) * 1e3
    with pytest.raises(ValidationError, match="has room for"):
        LibraryParams(**small, **thin, semiangles_mrad=(1.001 * widest,))
    params = LibraryParams(**small, **thin, semiangles_mrad=(0.999 * widest,))
    data = simulate_run(next(plan_runs(params, seed=0)), params)
    assert data.intensity.sum() > 0.9


def test_a_library_whose_waves_are_too_coarse_is_told(caplog: pytest.LogCaptureFixture) -> None:
    thin = {"runs": 1, "variants": 1, "binning": 1, "thickness_max_angstrom": 2.0, "thickness_step_angstrom": 2.0}
    for step, told in ((0.06, True), (0.2, False)):
        caplog.clear()
        params = LibraryParams(**thin, pattern_px=32, q_step_inv_angstrom=step)
        Library(params).simulate(Context(rng=np.random.default_rng(0)))
        assert ("waves have a step of 0.347 angstrom" in caplog.text) == told


def test_a_parameter_that_came_later_draws_no_other_library() -> None:
    # Numbers that `ronchi simulate library --seed 0` began with before there were `splits`.
    drawn = entropy(0, "simulator", "library", params_json(LibraryParams()))
    assert drawn == [0, 1300120798, 751657232, 3481137130, 2036720903]
    chosen = LibraryParams(splits=("test",))
    assert LibraryParams.model_validate(params_json(chosen)) == chosen
