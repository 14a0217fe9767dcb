"""Classes that are read with errors: chains that are known, found behind them, with limits that hold."""

from __future__ import annotations

import logging
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from ronchi.apply import apply
from ronchi.schema import descriptors
from ronchi.schema.common import variable
from ronchi_movies.chains import returns, transition_counts
from ronchi_movies.counting import Counted, as_read, behind_errors
from ronchi_movies.hidden import Chain, better, expect, fit, sights_of
from ronchi_movies.hidden_counts import numbers_of
from ronchi_movies.params import DynamicsParams

LOG = logging.getLogger("ronchi")
TRUE = np.array([[0.95, 0.04, 0.01], [0.1, 0.9, 0.0], [0.02, 0.05, 0.93]])
READ = np.array([[0.96, 0.03, 0.01], [0.02, 0.97, 0.01], [0.0, 0.06, 0.94]])


def drawn(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(shares.shape[:-1])[..., None] > shares.cumsum(-1)[..., :-1]).sum(-1)


def movie(true: np.ndarray, read: np.ndarray, n: int, n_frames: int, seed: int = 0, missed: float = 0.03):
    """Tracks, frames and labels as read of atoms of a chain, some of them missed."""
    rng = np.random.default_rng(seed)
    label = np.empty((n, n_frames), int)
    label[:, 0] = rng.integers(0, len(true), n)
    for k in range(1, n_frames):
        label[:, k] = drawn(true[label[:, k - 1]], rng)
    kept = rng.random(label.shape) >= missed
    track, frame = np.nonzero(kept)
    return track, frame, drawn(read[label], rng)[kept]


def two(rate: float) -> np.ndarray:
    return np.array([[1 - rate, rate], [rate, 1 - rate]])


def hidden(track, frame, label, n: int = 2, **params) -> Counted:
    return behind_errors(track, frame, label, n, DynamicsParams(errors="hidden", **params), LOG)


def by_hand(chain: Chain, labels: list[int]) -> float:
    """Log-likelihood of the labels of one track, -1 where it was missed, over all paths."""
    total = 0.0
    for path in np.ndindex(*[len(chain.first)] * len(labels)):
        steps = np.prod([chain.transition[pair] for pair in pairwise(path)])
        reads = np.prod([chain.confusion[k, seen] for k, seen in zip(path, labels, strict=True) if seen >= 0])
        total += chain.first[path[0]] * steps * reads
    return float(np.log(total))


def test_likelihood_and_its_slopes_are_those_of_all_paths():
    tracks = [[0, 1, 1, -1, 2], [2], [1, -1, 0, 0]]
    rows = [(t, 3 + f, k) for t, labels in enumerate(tracks) for f, k in enumerate(labels) if k >= 0]
    seen = sights_of(*np.array(rows)[::-1].T, 3)
    chain = Chain(TRUE, READ, np.array([0.5, 0.3, 0.2]))
    found = expect(seen, chain)
    assert found.log_likelihood == pytest.approx(sum(by_hand(chain, labels) for labels in tracks), abs=1e-12)
    for name in ("transition", "confusion", "first"):
        value = getattr(chain, name)
        for at in np.ndindex(value.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = value.copy()
                moved[at] += step
                ends.append(expect(seen, Chain(**{**vars(chain), name: moved})).log_likelihood)
            assert getattr(found.slope, name)[at] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


def test_tracks_in_parts_tell_the_same_in_the_memory_of_a_part(monkeypatch):
    seen = movie(TRUE, READ, 1500, 40)
    whole = hidden(*seen, 3)
    monkeypatch.setattr("ronchi_movies.hidden._AT_ONCE", 2**13)
    parts = sights_of(*seen, 3)
    assert len(parts) > 20
    tracemalloc.start()
    try:
        expect(parts, Chain(TRUE, READ, np.full(3, 1 / 3)))
        assert tracemalloc.get_traced_memory()[1] < 25 * 8 * 2**13
    finally:
        tracemalloc.stop()
    again = hidden(*seen, 3)
    for name in ("transition", "confusion"):
        np.testing.assert_allclose(getattr(again, name), getattr(whole, name), atol=1e-6)
    for one, other in zip(again.survival, whole.survival, strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)
    np.testing.assert_allclose(again.counts, whole.counts, atol=1)


def test_the_likelihood_never_falls():
    seen = sights_of(*movie(TRUE, READ, 100, 30), 3)
    chain, before = Chain(np.full((3, 3), 1 / 3), np.full((3, 3), 0.2) + 0.4 * np.eye(3), np.full(3, 1 / 3)), -np.inf
    for _ in range(30):
        found = expect(seen, chain)
        assert found.log_likelihood >= before - 1e-9
        chain, before = better(found), found.log_likelihood
    best, history = fit(seen, np.full((3, 3), 1 / 3))
    assert (np.diff(history) >= 0).all()
    assert best.log_likelihood > before - 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_classes_keep_their_names_where_labels_are_mere_chance(seed):
    track, frame = np.indices((30, 12)).reshape(2, -1)
    seen = sights_of(track, frame, np.random.default_rng(seed).choice(3, len(track), p=[0.6, 0.3, 0.1]), 3)
    chain, before = Chain(np.full((3, 3), 1 / 3), np.full((3, 3), 0.2) + 0.4 * np.eye(3), np.full(3, 1 / 3)), -np.inf
    for _ in range(60):
        found = expect(seen, chain)
        assert found.log_likelihood >= before - 1e-9
        chain, before = better(found), found.log_likelihood
        assert np.diag(chain.confusion).min() >= 0.5
        np.testing.assert_allclose(chain.confusion.sum(1), 1, atol=1e-12)
    best, history = fit(seen, np.full((3, 3), 1 / 3))
    assert np.diag(best.chain.confusion).min() >= 0.5
    assert (np.diff(history) >= 0).all()


def test_the_chain_is_found_behind_the_errors():
    seen = movie(TRUE, READ, 600, 60)
    found = hidden(*seen, 3)
    for (share, low, high), true in ((found.transition, TRUE), (found.confusion, READ)):
        np.testing.assert_allclose(share.sum(1), 1, atol=1e-9)
        # Limits of 95 % are two standard errors away: four.
        assert (abs(share - true) <= np.maximum(high - low, 1e-9)).all()
    # Of 4 % and 3 % of errors the plain count makes nearly twice as many changes, and more.
    plain = as_read(*seen, 3, DynamicsParams(), LOG)
    assert plain.transition[0][0, 1] > 1.6 * TRUE[0, 1]
    for k in range(3):
        at = int(np.log(0.5) / np.log(TRUE[k, k]))
        stay = found.survival[k]
        assert abs(stay.probability[at] - TRUE[k, k] ** at) < stay.high[at] - stay.low[at] < 0.2
        assert plain.survival[k].high[at] < TRUE[k, k] ** at


def test_without_errors_it_is_the_plain_count():
    track, frame, label = movie(TRUE, np.eye(3), 300, 40, missed=0)
    found, plain = hidden(track, frame, label, 3), as_read(track, frame, label, 3, DynamicsParams(), LOG)
    errors = (plain.transition[2] - plain.transition[1]) / 4
    assert (abs(found.transition[0] - plain.transition[0]) <= errors).all()
    assert (
        (found.transition[2] - found.transition[1]) < 1.3 * (plain.transition[2] - plain.transition[1]) + 1e-9
    ).all()
    assert (found.confusion[1][~np.eye(3, dtype=bool)] == 0).all()
    assert found.confusion[0].max(1) == pytest.approx(1, abs=0.01)


def test_errors_that_may_be_noise_are_told_as_none():
    found = [hidden(*movie(two(0.1), np.eye(2), 60, 30, seed)).confusion for seed in range(12)]
    # Some are found a little above none; 24 limits of 95 %.
    assert max(share[0, 1] for share, _, _ in found) > 0.001
    assert sum(int((low[[0, 1], [1, 0]] > 0).sum()) for _, low, _ in found) <= 3


def test_atoms_that_never_change_do_not_in_spite_of_errors():
    label = np.repeat(np.arange(300)[:, None] % 2, 50, 1)
    wrong = np.random.default_rng(0).random(label.shape) < 0.02
    track, frame = np.indices(label.shape).reshape(2, -1)
    seen = (track, frame, np.where(wrong, 1 - label, label).ravel())
    share, low, high = hidden(*seen).transition
    assert share[0, 1] == low[0, 1] == 0
    assert 0 < high[0, 1] < 1e-3
    assert as_read(*seen, 2, DynamicsParams(), LOG).transition[1][0, 1] > 0.03


def test_errors_are_as_large_as_told():
    pulls, held = [], []
    true, read = two(0.05), two(0.03)
    for seed in range(60):
        seen = movie(true, read, 100, 30, seed)
        found = fit(sights_of(*seen, 2), two(0.1))[0]
        share, _, worth = numbers_of(sights_of(*seen, 2), found)[0]
        pulls.append(((share - true) / np.sqrt(share * (1 - share) / worth))[[0, 1], [1, 0]])
        _, low, high = hidden(*seen, confidence=0.9).transition
        held.append((low <= true) & (true <= high))
    # 120 of them: three standard errors of their mean, scatter and part that holds.
    assert abs(np.mean(pulls)) < 0.28
    assert np.std(pulls) == pytest.approx(1, abs=0.2)
    assert np.mean(held) == pytest.approx(0.9, abs=0.085)


def test_it_warns_where_errors_and_changes_are_not_told_apart(caplog):
    fast = hidden(*movie(two(0.5), two(0.05), 100, 30))
    assert "errors of class 0 cannot be told from its transitions" in caplog.text
    assert fast.transition[2][0, 1] - fast.transition[1][0, 1] > 0.2
    caplog.clear()
    _, low, high = hidden(*movie(two(0.1), two(0.05), 100, 2, missed=0)).transition
    assert (low == 0).all()
    assert (high == 1).all()
    assert "tracks are short" in caplog.text
    caplog.clear()
    hidden(*movie(two(0.1), two(0.05), 100, 30))
    assert not caplog.text


def test_a_class_that_is_hardly_read_leaves_the_others_known():
    track, frame, label = movie(two(0.1), two(0.05), 300, 20, missed=0)
    label[[7, 500]] = 3
    share, low, high = hidden(track, frame, label, 4).transition
    assert np.isnan(share[2]).all()
    assert 0.07 < low[0, 1] < share[0, 1] < high[0, 1] < 0.13


def test_of_a_single_class_the_errors_are_told_as_well():
    track, frame = np.indices((50, 10)).reshape(2, -1)
    found = hidden(track, frame, np.ones(500, int), 3)
    share, low, high = found.confusion
    assert share[1].tolist() == [0, 1, 0]
    assert 0.99 < low[1, 1] < high[1, 1] == 1
    assert 0 < high[1, 0] < 0.01
    assert np.isnan(share[[0, 2]]).all()
    assert np.isnan(hidden(track, frame, np.full(500, -1), 2).confusion[0]).all()


def test_changes_that_are_taken_back_are_noticed(caplog):
    frame, label = np.array([0, 1, 2, 3, 5]), np.array([0, 1, 0, 0, 1])
    counts = transition_counts(np.zeros(5, int), frame, label, 2)
    assert returns(np.zeros(5, int), frame, label, counts) == (1, 1.5, 0.5)
    as_read(*movie(TRUE, np.eye(3), 200, 50), 3, DynamicsParams(), LOG)
    assert not caplog.text
    as_read(*movie(TRUE, 0.98 * np.eye(3) + 0.02 / 3, 200, 50), 3, DynamicsParams(), LOG)
    assert "taken back a frame later" in caplog.text


def test_the_transform_tells_the_errors_and_keeps_to_the_numbers_of_frames():
    track, frame, label = movie(two(0.05), two(0.03), 200, 40)
    coords = {name: variable("sample", values, "1", name) for name, values in (("frame", 5 * frame), ("track", track))}
    data = descriptors.make(np.zeros((len(track), 1)), dims=("sample",), label=label, coords=coords)
    made = apply("transform", "dynamics", {"errors": "hidden"}, {"data": data}).data
    width = (made["confusion_high"] - made["confusion_low"]).values
    assert (abs(made["confusion"].values - two(0.03)) < width).all()
    assert (width < 0.03).all()
    np.testing.assert_array_equal(made["dwell"][:3], [0, 5, 10])
    assert made["transition_counts"].dtype.kind == "i"
    total = transition_counts(track, frame, label, 2).sum()
    # Missed frames are bridged: each adds two transitions.
    assert total < made["transition_counts"].sum() < 200 * 39
    begun = apply("transform", "dynamics", {"errors": "hidden", "dwell_from": "first-seen"}, {"data": data}).data
    assert (begun["n_ended"] > made["n_ended"]).all()
