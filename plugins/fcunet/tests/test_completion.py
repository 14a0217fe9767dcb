"""The second look: votes of three disks for a fourth, and what is made of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.completion import Completion, lattice_votes
from ronchi_fcunet.maps import N_MAPS, DiskMaps, disk_maps

SIDE = 64
SPREAD_PX = 0.8


def _maps(places: list[tuple[float, float]], side: int = SIDE) -> DiskMaps:
    """Maps that are sure of disks at these places."""
    made = torch.zeros(1, N_MAPS, side // 2, side // 2)
    made[:, 0], made[:, 6] = -30.0, 0.54132485  # softplus of it is 1
    for y, x in places:
        row, column = int((y + 0.5) // 2), int((x + 0.5) // 2)
        made[0, 0, row, column] = 30.0
        made[0, 1, row, column], made[0, 2, row, column] = y - 2 * row - 0.5, x - 2 * column - 0.5
    return disk_maps(made)


node, shift = st.tuples(st.integers(0, 4), st.integers(0, 4)), st.floats(-1.0, 1.0)


@settings(max_examples=25, deadline=None)
@given(disks=st.lists(st.tuples(node, shift, shift), min_size=1, max_size=5, unique_by=lambda disk: disk[0]))
def test_every_three_disks_vote_for_a_fourth(disks: list[tuple[tuple[int, int], float, float]]) -> None:
    """All triples one by one; a place between pixels is shared among them, which blurs."""
    places = [(20 + 5 * row + dy, 20 + 5 * column + dx) for (row, column), dy, dx in disks]
    votes, voters = lattice_votes(_maps(places))
    assert float(voters) == pytest.approx(len(places), rel=1e-3)
    pixel = np.mgrid[:SIDE, :SIDE].astype(float)
    expected = np.zeros((SIDE, SIDE))
    for triple in itertools.product(np.array(places), repeat=3):
        at = triple[0] + triple[1] - triple[2]
        squared = SPREAD_PX**2 + sum((p % 1) * (1 - p % 1) for p in triple)
        spots = np.exp(-((pixel - at[:, None, None]) ** 2) / (2 * squared[:, None, None]))
        expected += spots.prod(0) / (2 * np.pi * np.sqrt(squared.prod()))
    assert float((votes[0] - torch.from_numpy(expected)).abs().max()) < 0.05 * expected.max()
    assert float(votes.sum()) == pytest.approx(expected.sum(), rel=0.05)


@pytest.mark.parametrize("strain", [0.0, 0.02])
def test_dark_nodes_of_a_lattice_get_more_votes_than_any_place_between(strain: float) -> None:
    a, b = np.array([1.5, 9.0 * (1 + strain)]), np.array([8.5, -2.0])
    lit = [(0, 0), (1, 0), (0, 1), (-1, 1), (-1, 0), (1, -1), (2, -1), (0, -2)]
    dark = [(-2, 1), (2, 0), (1, 1), (0, 2), (-2, 0)]
    middle = np.array([31.3, 32.8])
    votes = lattice_votes(_maps([tuple(middle + h * a + k * b) for h, k in lit]))[0][0].numpy()
    y, x = np.mgrid[:SIDE, :SIDE]
    cell = np.linalg.solve(np.stack([a, b], 1), np.stack([y - middle[0], x - middle[1]]).reshape(2, -1))
    off = (np.abs(cell - np.rint(cell)) * [[9.0], [8.7]]).max(0).reshape(SIDE, SIDE)
    for h, k in dark:
        row, column = np.rint(middle + h * a + k * b).astype(int)
        assert votes[row, column] > 3 * votes[off > 3].max(), (h, k)


def test_votes_do_not_come_back_in_from_the_other_side() -> None:
    # The fourth one would lie at -18 and at 82.
    votes = lattice_votes(_maps([(2.0, 32.0), (22.0, 32.0)]))[0][0]
    assert float(votes[50:].max()) < 0.01 * float(votes.max())
    assert float(votes[42, 32]) > 0.1


def test_disks_that_are_not_likely_do_not_vote() -> None:
    made = torch.zeros(1, N_MAPS, 16, 16)
    made[:, 0], made[:, 6] = -6.0, 0.54
    votes, voters = lattice_votes(disk_maps(made))
    assert float(votes.max()) == 0
    assert float(voters) == 0


@pytest.mark.parametrize("shape", [(16, 16), (15, 22)])
def test_a_second_look_begins_with_what_the_first_has_said(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    made, features = torch.randn(2, N_MAPS, *shape), torch.randn(2, 6, *shape)
    again = Completion(6, (4, 8)).eval()(features, made, torch.randn(2, 8))
    assert torch.equal(again, made)


def test_a_first_look_learns_nothing_by_what_the_second_says_of_it() -> None:
    torch.manual_seed(0)
    network = CompactDetector((4, 8), attention=0, completion=(4, 8)).train()
    first, second = network(torch.rand(2, 32, 32), torch.rand(1, 32, 32))
    second.logit.sum().backward(retain_graph=True)
    assert network.head.weight.grad is None
    assert network.completion[0].head.weight.grad is not None
    first.logit.sum().backward()
    assert network.head.weight.grad is not None


def test_without_a_completion_there_is_one_look() -> None:
    torch.manual_seed(0)
    network = CompactDetector((4, 8), attention=0, completion=()).train()
    assert len(network(torch.rand(2, 32, 32), torch.rand(1, 32, 32))) == 1
