"""What the beam does: atoms are knocked out, holes grow, silicon migrates, grains turn; every atom keeps its track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ronchi_simulate.movie.network import RING_ANGSTROM, Network, triangulate
from ronchi_simulate.movie.relax import relax
from ronchi_simulate.movie.sheet import Sheet
from ronchi_simulate.params.graphene_movie import GrapheneMovieParams

__all__ = ["State", "evolve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_STAYS_AT_EDGE = 0.05
"""Odds of a hop from an edge back into the sheet over those of other hops: silicon gathers at edges."""
_FLAKE = 20
"""Fewer atoms than this on their own fly away."""
_SAME_ATOM = RING_ANGSTROM
"""An atom whose rings changed is still the same if it moved less than this."""


@dataclass(frozen=True)
class State:
    """The sheet in one frame; arrays over all places for atoms, some of which are empty.

    Parameters
    ----------
    network : Network
    track : (n,) int64
        Number of the atom, the same in every frame.
    alive : (n,) bool
        False where the atom was knocked out.
    silicon : (n,) bool
    positions : (n, 2) float64
        (y, x) in angstrom, at rest.
    turned_deg : (grains,) float64
        Rotation of each grain since the beginning.
    n_tracks : int
        Atoms that there have been, those included that a boundary has swallowed: no number is given twice.
    """

    network: Network
    track: Ints
    alive: Bools
    silicon: Bools
    positions: Floats
    turned_deg: Floats
    n_tracks: int

    @property
    def bonds(self) -> Ints:
        """(n, 3) bonded atoms that are there, -1 for none."""
        return _living(self.network.neighbours, self.alive)

    @property
    def coordination(self) -> Ints:
        """(n,) bonds of each atom."""
        count: Ints = (self.bonds >= 0).sum(1)
        return count


def evolve(
    sheet: Sheet, p: GrapheneMovieParams, low: Floats, high: Floats, rng: np.random.Generator
) -> Iterator[State]:
    """Yield the sheet frame by frame.

    Parameters
    ----------
    sheet : Sheet
    p : GrapheneMovieParams
    low, high : (2,) float64
        Corners (y, x), in angstrom, of what the frames may show; nothing happens beyond, where the sheet ends.
    rng : numpy.random.Generator
    """
    rates = p.grain_rotation_deg * rng.uniform(-1, 1, len(sheet.angle_deg)) * (len(sheet.angle_deg) > 1)
    still = not rates.any()
    state = _begin(sheet, p, low, high, rng)
    for frame in range(p.n_frames):
        if frame:
            turned = rates * frame / (p.n_frames - 1)
            if not still:
                state = _on_network(state, triangulate(sheet.turned(turned)), turned)
            state = _irradiate(state, p, low, high, rng)
        yield _at_rest(state, low, high)


def _begin(sheet: Sheet, p: GrapheneMovieParams, low: Floats, high: Floats, rng: np.random.Generator) -> State:
    network = triangulate(sheet.turned(np.zeros(len(sheet.angle_deg))))
    places, n = network.centroids, len(network.keys)
    alive = np.ones(n, bool)
    for centre in rng.uniform(low + 0.15 * (high - low), high - 0.15 * (high - low), (p.n_holes, 2)):
        alive &= np.hypot(*(places - centre).T) > p.hole_radius_angstrom
    silicon = np.zeros(n, bool)
    alive = _cleaned(network.neighbours, alive, silicon, _within(places, low, high))
    sites = np.flatnonzero(alive & _within(places, low, high))
    silicon[rng.choice(sites, min(p.n_silicon, len(sites)), replace=False)] = True
    return State(network, np.arange(n), alive, silicon, places, np.zeros(len(sheet.angle_deg)), n)


def _on_network(state: State, network: Network, turned_deg: Floats) -> State:
    """Hand tracks on to a new network: by the rings around an atom, else to the nearest new atom."""
    n = len(network.keys)
    track, alive, silicon = np.full(n, -1), np.ones(n, bool), np.zeros(n, bool)
    _, old, new = np.intersect1d(state.network.keys, network.keys, assume_unique=True, return_indices=True)
    lost = np.setdiff1d(np.arange(len(state.track)), old, assume_unique=True)
    fresh = np.setdiff1d(np.arange(n), new, assume_unique=True)
    if len(lost) and len(fresh):
        # Each pair at most once, the closest first.
        near = cKDTree(state.network.centroids[lost]).sparse_distance_matrix(
            cKDTree(network.centroids[fresh]), _SAME_ATOM, output_type="ndarray"
        )
        near.sort(order="v")
        given, taken = set[int](), set[int]()
        for i, j, _ in near.tolist():
            if i not in given and j not in taken:
                given.add(i)
                taken.add(j)
                old, new = np.append(old, lost[i]), np.append(new, fresh[j])
    track[new], alive[new], silicon[new] = state.track[old], state.alive[old], state.silicon[old]
    unknown = track < 0
    n_tracks = state.n_tracks + int(unknown.sum())
    track[unknown] = np.arange(state.n_tracks, n_tracks)
    return State(network, track, alive, silicon, network.centroids, turned_deg, n_tracks)


def _irradiate(state: State, p: GrapheneMovieParams, low: Floats, high: Floats, rng: np.random.Generator) -> State:
    inside = _within(state.network.centroids, low, high)
    bound = state.coordination
    edge = state.alive & ~state.silicon & inside & (bound < 3)
    bulk = state.alive & ~state.silicon & inside & (bound == 3)
    odds = np.where(edge, p.edge_loss, np.where(bulk, p.vacancies_per_1000 / 1000, 0.0))
    alive = state.alive & (rng.random(len(odds)) >= odds)
    alive = _cleaned(state.network.neighbours, alive, state.silicon, inside)
    state = replace(state, alive=alive)
    for atom in np.flatnonzero(state.silicon & alive).tolist():
        if rng.random() < p.silicon_hop:
            state = _hop(state, atom, inside, rng)
    return state


def _hop(state: State, atom: int, inside: Bools, rng: np.random.Generator) -> State:
    """Silicon changes places with a bonded carbon atom; both keep their tracks."""
    bonds = state.bonds[atom]
    choices = [other for other in bonds[bonds >= 0].tolist() if inside[other] and not state.silicon[other]]
    if not choices:
        return state
    other = choices[int(rng.integers(len(choices)))]
    bound = state.coordination
    leaves_edge = bound[atom] < 3 and bound[other] == 3
    if leaves_edge and rng.random() > _STAYS_AT_EDGE:
        return state
    track, silicon = state.track.copy(), state.silicon.copy()
    track[[atom, other]] = track[[other, atom]]
    silicon[[atom, other]] = False, True
    return replace(state, track=track, silicon=silicon)


def _cleaned(neighbours: Ints, alive: Bools, silicon: Bools, inside: Bools) -> Bools:
    """Without carbon atoms on a single bond, atoms on none, and flakes."""
    while True:
        count = (_living(neighbours, alive) >= 0).sum(1)
        loose = alive & inside & (count < np.where(silicon, 1, 2))
        if not loose.any():
            break
        alive = alive & ~loose
    first = np.repeat(np.arange(len(alive)), 3)
    second = _living(neighbours, alive).ravel()
    kept = (second >= 0) & alive[first]
    graph = coo_array((np.ones(kept.sum(), bool), (first[kept], second[kept])), shape=(len(alive),) * 2)
    part = connected_components(graph, directed=False)[1]
    # Empty places are parts of their own, of one atom.
    return alive & ((np.bincount(part)[part] >= _FLAKE) | ~inside)


def _at_rest(state: State, low: Floats, high: Floats) -> State:
    """Relax what is within seven bonds of a defect."""
    network = state.network
    odd = (network.ring_sizes != 6)[network.corners].any(1)
    free = state.alive & (odd | state.silicon | (state.coordination < 3)) & _within(network.centroids, low, high)
    for _ in range(7):
        around = network.neighbours[free]
        free[around[around >= 0]] = True
    free &= state.alive & _within(network.centroids, low - RING_ANGSTROM, high + RING_ANGSTROM)
    return replace(state, positions=relax(network.centroids, state.bonds, state.silicon, free))


def _living(neighbours: Ints, alive: Bools) -> Ints:
    """Neighbours (n, 3) that are there, -1 for none; those of an empty place do not count."""
    return np.where((neighbours >= 0) & alive[neighbours] & alive[:, None], neighbours, -1)


def _within(points: Floats, low: Floats, high: Floats) -> Bools:
    inside: Bools = ((points >= low) & (points <= high)).all(1)
    return inside
