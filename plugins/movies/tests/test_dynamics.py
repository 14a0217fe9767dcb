"""Dynamics: Markov chains with known rates, gaps, censored stays, histograms, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import CensoredData, binomtest, ecdf

from ronchi.apply import apply
from ronchi.errors import DataError, SchemaError
from ronchi.schema import atoms, descriptors
from ronchi.schema import dynamics as schema
from ronchi.schema.common import variable
from ronchi_movies.chains import (
    proportion_interval,
    runs_of,
    survival_of,
    transition_counts,
    transition_interval,
)

TRUE = np.array([[0.9, 0.08, 0.02], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])


def chains(n_tracks: int = 300, n_frames: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Track, frame and class of atoms whose classes follow a Markov chain."""
    rng = np.random.default_rng(seed)
    label = np.empty((n_tracks, n_frames), int)
    label[:, 0] = rng.integers(0, 3, n_tracks)
    for k in range(1, n_frames):
        steps = TRUE[label[:, k - 1]].cumsum(1)
        label[:, k] = (rng.random(n_tracks)[:, None] > steps).sum(1).clip(max=2)
    track, frame = np.indices(label.shape).reshape(2, -1)
    return track, frame, label.ravel()


def described(track, frame, label=None, angle=None, z=None, **more) -> xr.Dataset:
    coords = {
        name: variable("sample", np.asarray(values), "1", name) for name, values in (("frame", frame), ("track", track))
    }
    z = np.zeros((len(frame), 1)) if z is None else z
    return descriptors.make(z, dims=("sample",), label=label, angle=angle, coords=coords, **more)


def dynamics(data: xr.Dataset, more: xr.Dataset | None = None, **params) -> xr.Dataset:
    inputs = {"data": data} if more is None else {"data": data, "atoms": more}
    return apply("transform", "dynamics", params, inputs).data


def test_transitions_are_those_of_the_chain():
    found = dynamics(described(*chains()))
    share = found["transition"].values
    np.testing.assert_allclose(share.sum(1), 1, atol=1e-12)
    # Rows of about 3500, 1500 and 700 transitions: 4 standard errors.
    error = 4 * np.sqrt(TRUE * (1 - TRUE) / found["transition_counts"].values.sum(1, keepdims=True))
    assert (abs(share - TRUE) <= error + 1e-12).all()
    assert found["transition"].values[2, 0] == found["transition_low"].values[2, 0] == 0
    assert 0 < found["transition_high"].values[2, 0] < 0.01


def test_intervals_hold_as_often_as_they_say():
    held = []
    for seed in range(60):
        counts = transition_counts(*chains(60, 10, seed), 3)
        _, low, high = transition_interval(counts, 0.9, 0.5)
        held.append(((low <= TRUE) & (high >= TRUE))[TRUE > 0])
    # 480 intervals that share rows: 0.90 within three standard errors; zero rates are always held.
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


def test_over_a_missed_frame_there_is_no_transition():
    frame, label = np.array([0, 1, 3, 4, 7]), np.array([0, 0, 1, 1, 0])
    counts = transition_counts(np.zeros(5, int), frame, label, 2)
    assert counts.tolist() == [[1, 0], [0, 1]]
    track, frames, labels = chains()
    seen = np.random.default_rng(1).random(len(track)) > 0.3
    share, _, _ = transition_interval(transition_counts(track[seen], frames[seen], labels[seen], 3), 0.95, 0.5)
    # To count gaps as single steps would take 0.04 off the first entry.
    np.testing.assert_allclose(share, TRUE, atol=0.035)


def test_tracks_count_together_not_each_as_much():
    track = np.array([0, 0] + [1] * 101)
    frame = np.concatenate([[0, 1], np.arange(101)])
    label = np.concatenate([[0, 1], np.zeros(101, int)])
    assert transition_counts(track, frame, label, 2).tolist() == [[100, 1], [0, 0]]
    share, low, high = transition_interval(np.array([[100, 1], [0, 0]]), 0.95, 0.5)
    assert share[0, 1] == pytest.approx(1 / 101)
    assert np.isnan([share[1], low[1], high[1]]).all()


def test_stays_are_cut_where_they_are_seen_to_begin_and_end():
    label = np.array([0, 0, 1, 1, 1, 0, 2, 2])
    runs = runs_of(np.zeros(8, int), np.array([0, 1, 2, 3, 4, 5, 6, 7]), label)
    assert runs.label.tolist() == [0, 1, 0, 2]
    assert runs.length.tolist() == [2, 3, 1, 2]
    assert runs.begun.tolist() == [False, True, True, True]
    assert runs.ended.tolist() == [True, True, True, False]
    gap = runs_of(np.zeros(4, int), np.array([0, 1, 3, 4]), np.array([1, 1, 1, 0]))
    assert (gap.length.tolist(), gap.begun.tolist(), gap.ended.tolist()) == (
        [2, 1, 1],
        [False] * 2 + [True],
        [False, True, False],
    )
    none = runs_of(np.array([-1, 0]), np.array([0, 0]), np.array([0, -1]))
    assert len(none.label) == 0


def test_survival_is_that_of_scipy():
    rng = np.random.default_rng(0)
    length, ended = rng.geometric(0.2, 200), rng.random(200) > 0.3
    found = survival_of(length, ended, int(length.max()), 0.95)
    # Of a run whose end was not seen the last frame may have been the last of all: it lasted beyond the one before.
    known = ecdf(CensoredData(uncensored=length[ended], right=length[~ended] - 1)).sf
    at = known.quantiles.astype(int)
    np.testing.assert_allclose(found.probability[at], known.probabilities, atol=1e-12)
    assert (found.n_ended, found.n_censored) == (int(ended.sum()), int((~ended).sum()))


def test_intervals_of_stays_that_all_ended_are_clopper_and_pearsons():
    length = np.array([1, 1, 2, 3, 5, 5])
    found = survival_of(length, np.ones(6, bool), 5, 0.95)
    for time in range(1, 6):
        exact = binomtest(int((length > time).sum()), 6).proportion_ci(0.95)
        assert (found.low[time], found.high[time]) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("n", [1, 3, 10, 60])
def test_intervals_of_survival_hold_at_least_as_often_as_they_say(n):
    rng, held, told = np.random.default_rng(n), np.zeros(6), np.zeros(6)
    for _ in range(400):
        stay, seen = rng.geometric(0.3, n), rng.geometric(0.1, n)
        found = survival_of(np.minimum(stay, seen), stay <= seen, 5, 0.95)
        held += (found.low <= 0.7 ** np.arange(6)) & (found.high >= 0.7 ** np.arange(6))
        told += np.isfinite(found.low)
    # 95 % of 400 or fewer, less three standard errors.
    assert (held / told > 0.95 - 3 * np.sqrt(0.05 * 0.95 / told)).all()


@pytest.mark.parametrize("stride", [2, 7])
def test_of_every_kth_frame_transitions_and_stays_are_counted_and_said_to_be(stride):
    plain = dynamics(described(*chains(300, 12)))
    track, frame, label = chains(300, 12)
    found = dynamics(described(track, stride * frame, label))
    np.testing.assert_array_equal(found["transition_counts"], plain["transition_counts"])
    np.testing.assert_array_equal(found["dwell"], stride * plain["dwell"])
    assert f"{stride} frames later" in found["transition"].attrs["long_name"]


def test_two_atoms_of_one_track_in_a_frame_are_refused():
    with pytest.raises(DataError, match="track 0 has more than one atom in frame 1"):
        dynamics(described(np.array([0, 0, 0]), np.array([0, 1, 1]), np.array([0, 1, 0])))


def test_times_in_a_class_are_geometric_in_spite_of_the_end_of_the_movie():
    found = dynamics(described(*chains(4000, 6)))
    for k in range(3):
        stay = found["survival"].values[k, :4]
        # Of 6 frames a stay of class 0, of 10 on average, seldom sees its end. 900 to 2200 stays: 4 standard errors.
        np.testing.assert_allclose(stay, TRUE[k, k] ** np.arange(4), atol=0.06)
    assert (found["survival_low"].values[:, 1:4] < found["survival_high"].values[:, 1:4]).all()
    both = dynamics(described(*chains(4000, 6)), dwell_from="first-seen")
    assert (both["n_ended"].values > found["n_ended"].values).all()


def test_stays_that_are_lost_from_sight_are_taken_for_no_longer():
    track, frame, label = chains(6000, 10)
    seen = np.random.default_rng(1).random(len(track)) > 0.2
    found = dynamics(described(track[seen], frame[seen], label[seen]))
    for k in range(3):
        true = TRUE[k, k] ** np.arange(1, 4)
        # A fifth of the atoms of each frame is missed. The 95 % interval is 4 standard errors wide: 4 to either side.
        errors = (found["survival_high"] - found["survival_low"]).values[k, 1:4]
        assert (abs(found["survival"].values[k, 1:4] - true) < errors).all()
        assert (errors < 0.08).all()


def test_fractions_follow_the_classes_with_wilson_intervals():
    frame, label = np.repeat([3, 4, 7], 10), np.array([0] * 10 + [0] * 5 + [1] * 5 + [1] * 8 + [-1] * 2)
    found = dynamics(described(np.tile(np.arange(10), 3), frame, label))
    assert found["frame"].values.tolist() == [3, 4, 7]
    np.testing.assert_allclose(found["fraction"], [[1, 0], [0.5, 0.5], [0, 1]])
    _, low, high = proportion_interval(np.array([5]), np.array([10]), 0.95)
    np.testing.assert_allclose([low[0], high[0]], [0.2366, 0.7634], atol=1e-4)  # Wilson 1927
    assert found["fraction_low"].values[0, 0] < 1
    assert np.isnan(proportion_interval(np.array([0]), np.array([0]), 0.95)[0]).all()


def test_histograms_count_every_sample_once_and_fold_the_angle():
    rng = np.random.default_rng(0)
    n = 3000
    frame = rng.integers(0, 4, n)
    angle = np.deg2rad(rng.normal(20, 2, n) + 120 * rng.integers(-2, 3, n))
    z = rng.normal(size=(n, 2))
    z[5, 1], angle[7] = np.nan, np.nan
    found = dynamics(described(np.arange(n), frame, angle=angle, z=z, n_fold=3), n_latent_bins=20, n_angle_bins=60)
    np.testing.assert_array_equal(found["latent_counts"].sum("latent_bin")[:, 0], np.bincount(frame))
    assert int(found["latent_counts"][:, 1].sum()) == n - 1
    edges = found["latent_edges"].values[0]
    inner = np.histogram(z[frame == 2, 0], edges)[0]
    np.testing.assert_array_equal(found["latent_counts"].values[2, 0, 1:-1], inner[1:-1])
    assert int(found["angle_counts"].sum()) == n - 1
    assert found["angle_counts"].attrs["n_fold"] == 3
    np.testing.assert_allclose(np.rad2deg(found["angle_edges"][[0, -1]]), [-60, 60], atol=1e-9)
    middle = np.rad2deg((found["angle_edges"].values[1:] + found["angle_edges"].values[:-1]) / 2)
    weights = found["angle_counts"].values.sum(0)
    assert np.average(middle, weights=weights) == pytest.approx(20, abs=0.3)
    twofold = dynamics(described(np.arange(n), frame, angle=angle, z=z, n_fold=3), n_fold=6)
    np.testing.assert_allclose(np.rad2deg(twofold["angle_edges"][-1]), 30)


def test_tracks_may_come_from_the_atoms():
    track, frame, label = chains(20, 5)
    data = described(track, frame, label)
    n = len(track)
    table = atoms.make(frame=frame, y=np.zeros(n), x=np.zeros(n), track=track)
    bare = data.drop_vars("track").assign_coords(atom=variable("sample", np.arange(n), "1", "atom"))
    assert "transition" not in dynamics(bare)
    xr.testing.assert_identical(dynamics(bare, table), dynamics(data))
    with pytest.raises(DataError, match="no tracks"):
        dynamics(bare, table.drop_vars("track"))
    with pytest.raises(DataError, match="other atoms"):
        dynamics(bare, table.isel(atom=slice(None, None, -1)))


def test_descriptors_of_a_scan_are_refused():
    scan = descriptors.make(np.zeros((2, 3, 1)), dims=("scan_y", "scan_x"))
    with pytest.raises(DataError, match="which frames"):
        dynamics(scan)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda ds: ds.drop_vars("fraction_low"), "fractions of the classes fraction_low is missing"),
        (lambda ds: ds.drop_vars("n_ended"), "times in a class n_ended is missing"),
        (lambda ds: ds.assign(fraction=ds["fraction"] * 0 + 2), "outside of their interval"),
        (lambda ds: ds.isel(latent_bin=slice(1, None)), "one edge more"),
        (lambda ds: ds.transpose("class", ...), "has dims"),
        (lambda ds: ds.drop_vars("frame"), "'frame' of dynamics/1 is missing"),
        (lambda ds: ds.isel(frame=slice(None, None, -1)), "do not ascend"),
    ],
)
def test_the_schema_names_the_fault(spoil, message):
    good = dynamics(described(*chains(20, 5)))
    schema.validate(good)
    with pytest.raises(SchemaError, match=message):
        schema.validate(spoil(good))


def test_angles_of_the_schema_say_their_symmetry_and_their_unit():
    counts = variable(("frame", "angle_bin"), np.ones((1, 2)), "1", "counts")
    edges = variable("angle_edge", np.array([-1.0, 0, 1]), "rad", "edges")
    with pytest.raises(SchemaError, match="n_fold"):
        schema.make([0], {"angle_counts": counts, "angle_edges": edges})
    degrees = edges.copy()
    degrees.attrs["units"] = "deg"
    named = counts.copy()
    named.attrs["n_fold"] = 1
    with pytest.raises(SchemaError, match="units 'rad'"):
        schema.make([0], {"angle_counts": named, "angle_edges": degrees})
