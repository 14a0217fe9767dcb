"""Tracks: any order of atoms, drift, gaps, species, and the true tracks of movies."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import ronchi
from ronchi.apply import apply
from ronchi.errors import CalibrationError, DataError
from ronchi.schema import atoms
from ronchi_movies.assignment import pair_off
from ronchi_movies.drift import Motion, motion_between

BOND = 1.42


def movie(
    points: np.ndarray, n_frames: int = 4, *, noise: float = 0.1, missed: float = 0.0, seed: int = 0, drift=(0.0, 0.0)
) -> tuple[xr.Dataset, np.ndarray]:
    """Atoms that keep their places but for noise, of which some are missed, on a sheet that moves; and who is who."""
    rng = np.random.default_rng(seed)
    frame, where, who = [], [], []
    for number in range(n_frames):
        seen = np.flatnonzero(rng.random(len(points)) >= missed)
        frame.append(np.full(len(seen), number))
        where.append(points[seen] + rng.normal(0, noise, (len(seen), 2)) + number * np.array(drift))
        who.append(seen)
    y, x = np.concatenate(where).T
    return atoms.make(frame=np.concatenate(frame), y=y, x=x, units="angstrom"), np.concatenate(who)


def holey(points: np.ndarray) -> np.ndarray:
    """The sheet with a round hole off its middle, by which one displacement is told from another."""
    return points[np.hypot(*(points - points.mean(0) - [5.0, 3.0]).T) > 5.0]


def track(table: xr.Dataset, **params) -> xr.Dataset:
    return apply("transform", "track-atoms", params, {"atoms": table}).data


def scores(found: xr.Dataset, who: np.ndarray | None = None, truth: xr.Dataset | None = None) -> dict[str, float]:
    if truth is None:
        truth = found.assign(track=found["track"].copy(data=np.asarray(who, np.int32)))
    made = apply("metric", "tracks", {}, {"result": found, "truth": truth.assign_attrs(is_truth=1)}).data
    return {str(name): float(value) for name, value in made.data_vars.items()}


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    return len(np.unique(np.stack([first, second]), axis=1).T) == len(np.unique(first)) == len(np.unique(second))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), drift=st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)))
def test_tracks_do_not_care_for_the_order_of_atoms_nor_for_drift(sheet, seed, drift):
    moved, who = movie(holey(sheet(9)), 3, seed=1, drift=drift)
    order = np.random.default_rng(seed).permutation(len(who))
    found = track(moved.isel(atom=order))
    assert same_partition(found["track"].values, who[order])
    # 0.1 angstrom of noise on 150 atoms: 0.01 on the mean.
    np.testing.assert_allclose(found["drift_y"], np.arange(3) * drift[0], atol=0.06)
    np.testing.assert_allclose(found["drift_x"], np.arange(3) * drift[1], atol=0.06)


def test_a_drift_by_a_whole_lattice_vector_is_told_by_what_is_not_periodic(sheet):
    points = holey(sheet(14))
    vector = np.array([0.0, BOND * np.sqrt(3)])
    table, who = movie(points, 4, noise=0.05, drift=vector)
    found = track(table)
    np.testing.assert_allclose(found["drift_x"], np.arange(4) * vector[1], atol=0.03)
    assert scores(found, who)["link_precision"] == 1


@pytest.mark.parametrize("missed", [0.0, 0.05])
@pytest.mark.parametrize("seed", range(4))
def test_a_long_step_of_a_sheet_that_fills_the_field_is_told_by_two_holes(sheet, seed, missed):
    """Without an edge in view some 60 of 1100 atoms tell it; as many are missed, whose places are empty either way."""
    rng = np.random.default_rng(seed)
    points = sheet(60)
    middle = points.mean(0)
    for at, radius in (([0.0, -4.0], 6.0), ([6.0, 10.0], 4.0)):
        points = points[np.hypot(*(points - middle - at).T) > radius]
    step, frames = np.array([2.5, 1.0]), []
    for number in range(2):
        moved = points + number * step + rng.normal(0, 0.1, points.shape)
        frames.append(moved[(np.abs(moved - middle) < 20).all(1) & (rng.random(len(moved)) >= missed)])
    field = (middle - 20, middle + 20)
    found = motion_between(*frames, field, 1.3, 3.9, np.deg2rad(0.5))
    np.testing.assert_allclose(found.shift, step, atol=0.05)


@pytest.mark.parametrize("told", [{}, {"image_shape": [48, 60], "step_angstrom": [0.5, 0.5]}])
@pytest.mark.parametrize("seed", range(3))
def test_a_particle_in_vacuum_is_followed_by_its_outline(seed, told, caplog):
    """Of sixteen atoms in a square eight tell that it does not step 0.3 spacings the other way."""
    square = 2.0 * np.stack(np.indices((4, 4)), -1).reshape(-1, 2) + [10.0, 5.0]
    table, who = movie(square, 7, noise=0.1, drift=(0.0, 1.4), seed=seed)
    found = track(table.assign_attrs(told))
    assert scores(found, who)["link_recall"] == 1
    # 0.1 angstrom on 16 atoms, six times; by it they seem to turn by more than half a degree.
    np.testing.assert_allclose(found["drift_x"], 1.4 * np.arange(7), atol=0.3)
    assert not caplog.text


def test_a_particle_that_jumps_once_is_told_from_one_at_rest_by_the_images():
    """By the atoms alone the field might end where they do; the images show the vacuum that it came from."""
    square = 2.0 * np.stack(np.indices((4, 5)), -1).reshape(-1, 2) + [10.0, 5.0]
    shifts = np.array([0.0, 0.0, 0.0, 0.0, 2.0])
    y, x = np.concatenate([square + np.array([0.0, shift]) for shift in shifts]).T
    table = atoms.make(frame=np.repeat(range(5), 20), y=y, x=x, image_shape=[40, 40])
    np.testing.assert_allclose(track(table)["drift_x"], shifts, atol=1e-6)


def test_where_nothing_tells_displacements_apart_the_sheet_is_taken_to_rest(sheet):
    points = sheet(20)
    field = (points.min(0) + 8, points.max(0) - 8)
    rng = np.random.default_rng(0)
    frames = []
    for drift in (0.0, BOND * np.sqrt(3)):
        moved = points + np.array([0.0, drift])
        # An eighth is missed at random, which must not be taken for a pattern.
        frames.append(moved[((moved >= field[0]) & (moved <= field[1])).all(1) & (rng.random(len(moved)) > 0.125)])
    assert np.hypot(*motion_between(*frames, field, BOND, 4.0, 0.0).shift) < 0.01


@pytest.mark.parametrize(("turn_deg", "noise"), [(0.0, 0.1), (0.0, 0.15), (17.0, 0.1), (17.0, 0.2)])
def test_a_perfect_sheet_at_rest_that_fills_the_field_stays_at_rest(sheet, turn_deg, noise):
    """Nothing but noise tells lattice vectors apart, by atoms far out and by rows along the border, turned or not."""
    points = sheet(34)
    points = Motion(np.deg2rad(turn_deg), -points.mean(0), points.mean(0)).apply(points)
    rng = np.random.default_rng(0)
    frames = [points + rng.normal(0, noise, points.shape) for _ in range(25)]
    frames = [frame[(np.abs(frame) < 20).all(1)] for frame in frames]
    field = (np.full(2, -20.0), np.full(2, 20.0))
    for before, after in pairwise(frames):
        found = motion_between(before, after, field, 1.25, 3.75, 0.0)
        # Noise of 0.2 in the difference of 600 atoms; the shortest lattice vector is 2.46.
        assert np.hypot(*found.shift) < 0.1


@pytest.mark.parametrize("turn_deg", [-0.4, 0.0, 0.3])
def test_a_sheet_that_turns_is_followed(sheet, turn_deg):
    points = holey(sheet(24))
    field = (points.min(0), points.max(0))
    true = Motion(float(np.deg2rad(turn_deg)), np.array([0.5, -0.9]), (field[0] + field[1]) / 2)
    rng = np.random.default_rng(0)
    after = true.apply(points) + rng.normal(0, 0.08, points.shape)
    # A tenth of the atoms goes, and as many come from nowhere.
    kept = rng.random(len(points)) > 0.1
    after = np.concatenate([after[kept], rng.uniform(*field, (int((~kept).sum()), 2))])
    found = motion_between(points, after, field, BOND, 3 * BOND, np.deg2rad(0.5))
    # Noise of 0.08 on 1000 atoms within 25 angstrom: 0.003 of shift, 0.01 deg of turn.
    np.testing.assert_allclose(found.shift, true.shift, atol=0.02)
    assert np.rad2deg(found.turn) == pytest.approx(turn_deg, abs=0.03)


def test_a_motion_and_back_and_one_after_the_other():
    points = np.random.default_rng(0).uniform(0, 9, (20, 2))
    pivot = np.array([4.0, 5.0])
    one, two = Motion(0.3, np.array([1.0, -2.0]), pivot), Motion(-0.5, np.array([0.2, 0.7]), pivot)
    np.testing.assert_allclose(one.undo(one.apply(points)), points, atol=1e-12)
    np.testing.assert_allclose(one.then(two).apply(points), two.apply(one.apply(points)), atol=1e-12)
    # From x towards y: a point to the right of the pivot goes down.
    assert (Motion(0.1, np.zeros(2), np.zeros(2)).apply(np.array([[0.0, 1.0]]))[0, 0]) > 0


def test_missed_atoms_are_found_again_within_the_gap_and_no_longer(sheet):
    table, who = movie(sheet(10), 8, missed=0.25, seed=2)
    recall = [scores(track(table, max_gap_frames=gap), who)["link_recall"] for gap in (0, 1, 2, 7)]
    assert np.all(np.diff(recall) > 0)
    # A quarter of the links spans a missed frame, a sixteenth two.
    assert recall[0] == pytest.approx(0.75, abs=0.03)
    assert recall[1] == pytest.approx(0.94, abs=0.02)
    assert recall[-1] == 1


def test_a_frame_that_is_not_in_the_table_is_a_gap(sheet):
    table, who = movie(sheet(8), 5)
    without = table.isel(atom=np.isin(table["frame"], (0, 3, 4)))
    kept = who[np.isin(table["frame"], (0, 3, 4))]
    assert scores(track(without, max_gap_frames=2), kept)["link_recall"] == 1
    assert scores(track(without, max_gap_frames=1), kept)["link_recall"] == 0.5


@pytest.mark.parametrize("stride", [2, 5])
def test_of_every_kth_frame_the_next_is_the_next(sheet, stride):
    table, who = movie(sheet(8), 4)
    found = track(table.assign(frame=table["frame"] * stride), max_gap_frames=0)
    assert scores(found, who)["link_recall"] == 1
    assert found["movie_frame"].values.tolist() == [stride * i for i in range(4)]


@pytest.mark.parametrize("n_false", [5, 60, 200])
@pytest.mark.parametrize("drift", [0.0, 0.4])
@pytest.mark.parametrize("bad", [0, 3])
def test_a_frame_of_false_atoms_alone_moves_nothing(sheet, n_false, drift, bad, caplog):
    points = holey(sheet(13))
    table, who = movie(points, 7, drift=(0.0, drift))
    rng = np.random.default_rng(n_false)
    y, x = rng.uniform(points.min(0), points.max(0), (n_false, 2)).T
    false = atoms.make(frame=np.full(n_false, bad), y=y, x=x, units="angstrom")
    good = table["frame"].values != bad
    both = xr.concat([table.isel(atom=good), false], "atom", combine_attrs="override")
    found = track(both)
    assert found["drift_known"].values.tolist() == [int(number != bad) for number in range(7)]
    kept = found.isel(atom=slice(int(good.sum())))
    last = np.isin(kept["frame"].values, (2, 4, 6))
    # Among 200 false atoms some are nearer than the true ones, and take their tracks on.
    assert scores(kept.isel(atom=last), who[good][last])["link_recall"] > (0.95 if n_false > 5 else 0.99)
    whole = found["drift_x"].values[6] - found["drift_x"].values[2]
    assert whole == pytest.approx(4 * drift, abs=0.06)
    assert "fit no motion of the sheet" in caplog.text


def test_a_sheet_is_followed_over_frames_that_are_missing(sheet):
    points = holey(sheet(13))
    table, who = movie(points, 6, drift=(0.0, 1.2 * 1.42))
    kept = ~np.isin(table["frame"].values, (2, 3))
    found = track(table.isel(atom=kept))
    assert scores(found, who[kept])["link_recall"] == 1
    np.testing.assert_allclose(found["drift_x"], 1.2 * 1.42 * np.array([0, 1, 4, 5]), atol=0.06)


def test_a_sheet_that_may_not_turn_does_not(sheet):
    points = holey(sheet(10))
    turned = Motion(np.deg2rad(0.3), np.zeros(2), points.mean(0)).apply(points)
    y, x = np.concatenate([points, turned]).T
    table = atoms.make(frame=np.repeat([0, 1], len(points)), y=y, x=x, units="angstrom")
    assert track(table, max_turn_deg=0)["turn"].values.tolist() == [0, 0]
    assert track(table)["turn"].values[1] == pytest.approx(np.deg2rad(0.3), rel=0.01)


def test_a_sheet_that_turns_faster_than_it_may_is_told_of(sheet, caplog):
    points = holey(sheet(10))
    turned = [Motion(np.deg2rad(number), np.zeros(2), points.mean(0)).apply(points) for number in range(3)]
    y, x = np.concatenate(turned).T
    table = atoms.make(frame=np.repeat(range(3), len(points)), y=y, x=x, units="angstrom")
    track(table, max_turn_deg=0.8)
    assert "as far as `max_turn_deg` lets it in 2 of 3 frames, such as frame 1" in caplog.text
    caplog.clear()
    assert np.rad2deg(track(table, max_turn_deg=1.2)["turn"].values) == pytest.approx([0, 1, 2], abs=0.01)
    assert not caplog.text


def test_a_frame_with_next_to_nothing_on_it_does_not_lose_the_drift(sheet):
    points = holey(sheet(9))
    table, who = movie(points, 4, drift=(0.0, 1.0))
    kept = table["frame"].values != 2
    y, x = sheet(9).mean(0) + np.array([5.0, 3.0])  # in the hole
    false = atoms.make(frame=[2], y=[y], x=[x], units="angstrom")
    found = track(xr.concat([table.isel(atom=kept), false], "atom", combine_attrs="override"))
    # 0.1 angstrom of noise on 140 atoms: 0.01 on the mean. In frame 2 nothing tells.
    np.testing.assert_allclose(found["drift_x"], [0, 1, 1, 3], atol=0.06)
    assert same_partition(found["track"].values[:-1], who[kept])


def test_pairs_are_the_best_of_all():
    rng = np.random.default_rng(3)
    first, second = rng.uniform(0, 6, (40, 2)), rng.uniform(0, 6, (45, 2))
    reach = 1.5
    i, j = pair_off(first, second, reach)
    assert len(set(i.tolist())) == len(i)
    assert len(set(j.tolist())) == len(j)
    squared = ((first[:, None] - second) ** 2).sum(-1)
    from scipy.optimize import linear_sum_assignment

    gain = np.maximum(reach**2 - squared, 0)
    best = gain[linear_sum_assignment(gain, maximize=True)].sum()
    assert gain[i, j].sum() == pytest.approx(best, rel=1e-12)
    assert (squared[i, j] <= reach**2).all()


def test_species_are_voted_on_or_kept(sheet):
    table, who = movie(sheet(8), 5)
    true = (who % 7 == 0).astype(np.int32)
    wrong = np.random.default_rng(0).random(len(who)) < 0.03
    table["species"].values[:] = np.where(wrong, 1 - true, true)
    voted = track(table)
    assert scores(voted, who)["link_recall"] == 1
    assert (voted["species"].values == true).mean() > 0.997
    np.testing.assert_array_equal(voted["species_found"], table["species"])
    assert "species_found" not in track(table, species="ignore")


def test_atoms_of_two_species_that_change_places_keep_their_tracks(sheet):
    points = sheet(8)
    table, who = movie(points, 4, noise=0.05)
    apart = np.hypot(*(points - points[60]).T)
    other = int(np.argsort(apart)[1])
    where = np.where(who == 60, other, np.where(who == other, 60, who))
    swapped = np.where(table["frame"].values >= 2, where, who)
    species = (swapped == 60).astype(np.int32)
    table["species"].values[:] = species
    assert scores(track(table, species="keep"), swapped)["identity_switches"] == 0
    assert scores(track(table, species="ignore"), swapped)["identity_switches"] == 2


def test_short_tracks_are_none(sheet):
    table, _ = movie(sheet(6), 4)
    stray = atoms.make(frame=[2], y=[100.0], x=[100.0], units="angstrom")
    found = track(xr.concat([table, stray], "atom", combine_attrs="override"), min_length=2)
    assert found["track"].values[-1] == -1
    assert (found["track"].values[:-1] >= 0).all()


def test_empty_tables_and_odd_ones(sheet):
    none = atoms.make(frame=[], y=[], x=[])
    assert track(none).sizes["atom"] == 0
    assert track(atoms.make(frame=[4], y=[1.0], x=[2.0]))["track"].values.tolist() == [0]
    with pytest.raises(DataError, match="no frame has two atoms"):
        track(atoms.make(frame=[0, 1, 2], y=[1.0, 1.1, 1.0], x=[2.0, 2.0, 2.1]))
    with pytest.raises(DataError, match="most atoms have another one at the very same place"):
        track(atoms.make(frame=[0, 0, 1, 1], y=[1.0] * 4, x=[2.0] * 4))
    with pytest.raises(DataError, match="not finite"):
        track(atoms.make(frame=[0, 0], y=[1.0, np.nan], x=[2.0, 2.0]))


def test_simulated_movie_with_grains_that_turn_holes_that_grow_and_drift():
    params = {"n_frames": 6, "image_shape": [224, 224], "edge_loss": 0.1, "silicon_hop": 0.0}
    made = apply("simulator", "graphene-movie", params, {}, seed=4)
    truth = made.sides["truth"]
    rng = np.random.default_rng(0)
    seen = rng.random(truth.sizes["atom"]) > 0.03
    where = [truth[name].values[seen] + rng.normal(0, 0.3, int(seen.sum())) for name in ("y", "x")]
    found = track(atoms.make(frame=truth["frame"].values[seen], y=where[0], x=where[1]))
    figures = scores(found, truth=truth)
    # 0.3 px of 7 px bonds; atoms that appear in a boundary that turns, and knocked-out neighbours, are the rest.
    assert figures["link_precision"] > 0.998
    assert figures["link_recall"] > 0.998
    assert figures["purity"] > 0.995


def test_shared_movie_whose_drift_jumps_by_more_than_a_bond(shared_data):
    truth = ronchi.read(shared_data / "sim" / "graphene_movie.nc", side="truth").load()
    truth = truth.isel(atom=truth["frame"].values < 4)
    drift = ronchi.read(shared_data / "sim" / "graphene_movie.nc")["drift"].values[:4]
    given = {"frame": truth["frame"].values, "y": truth["y_px"].values, "x": truth["x_px"].values}
    found = track(atoms.make(**given))
    figures = scores(found, truth["id"].values)
    assert figures["link_precision"] == 1
    assert figures["link_recall"] == 1
    # Steps of up to 6.4 px, where bonds are 4.7 px: x, y in the file.
    np.testing.assert_allclose(found["drift_y"], drift[:, 1], atol=0.02)
    np.testing.assert_allclose(found["drift_x"], drift[:, 0], atol=0.02)


def test_the_metric_compares_angstrom_with_pixels_where_their_size_is_told():
    true = atoms.make(frame=[0, 0, 1, 1], y=[0.0, 5.0, 0.0, 5.0], x=[0.0] * 4, track=[0, 1, 0, 1])
    found = atoms.make(frame=[0, 0, 1, 1], y=[0.0, 1.0, 0.0, 1.0], x=[0.0] * 4, track=[0, 1, 0, 1], units="angstrom")
    with pytest.raises(CalibrationError, match="size of a pixel"):
        scores(found, truth=true)
    figures = scores(found.assign_attrs(step_angstrom=(0.2, 0.3)), truth=true)
    assert (figures["paired"], figures["link_recall"]) == (1, 1)


def test_the_metric_counts_switches_and_mixed_tracks():
    frame, y = np.repeat(np.arange(3), 2), np.tile([0.0, 5.0], 3)
    true = atoms.make(frame=frame, y=y, x=np.zeros(6), track=[0, 1, 0, 1, 0, 1])
    perfect = scores(true, truth=true)
    assert (perfect["identity_switches"], perfect["purity"], perfect["link_precision"]) == (0, 1, 1)
    named = true.assign(track=true["track"].copy(data=np.tile([2**31 - 1, 7], 3).astype(np.int32)))
    assert scores(named, truth=named) == perfect
    crossed = true.assign(track=true["track"].copy(data=np.array([0, 1, 0, 1, 1, 0], np.int32)))
    figures = scores(crossed, truth=true)
    assert figures["identity_switches"] == 2
    assert figures["link_recall"] == figures["link_precision"] == 0.5
    assert figures["purity"] == figures["completeness"] == pytest.approx(2 / 3)
    broken = true.assign(track=true["track"].copy(data=np.array([0, 1, 0, 1, 2, 1], np.int32)))
    figures = scores(broken, truth=true)
    assert (figures["link_precision"], figures["link_recall"], figures["purity"]) == (1, 0.75, 1)
    with pytest.raises(DataError, match="no 'track'"):
        scores(true.drop_vars("track"), truth=true)
    # True atoms of no track: what is found of them is nobody's.
    partly = true.assign(track=true["track"].copy(data=np.array([-1, 1, -1, 1, -1, 1], np.int32)))
    assert set(scores(true, truth=partly).values()) == {0, 1}
    assert scores(crossed, truth=partly)["identity_switches"] == 1
    alone = atoms.make(frame=[0, 1], y=[0.0, 0.0], x=[0.0, 0.0], track=[0, 0])
    with pytest.raises(DataError, match="no frame has two true atoms"):
        scores(alone, truth=alone)
    with pytest.raises(DataError, match="not finite"):
        scores(true, truth=true.assign(y=true["y"] * np.nan))
