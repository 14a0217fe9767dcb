"""The movie: what the truth says is in the images, and what changes has its reasons."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError
from scipy.spatial import cKDTree

import ronchi
from ronchi.api import Context, Result
from ronchi.schema import validate
from ronchi_simulate.movie.imaging import spots
from ronchi_simulate.params.graphene_movie import GrapheneMovieParams
from ronchi_simulate.simulators.graphene_movie import GrapheneMovie

SMALL: dict[str, Any] = {"n_frames": 6, "image_shape": (300, 320), "grain_seeds": ((0.5, 0.2), (0.5, 0.8))}
STILL: dict[str, Any] = {"drift_px": (0, 0), "drift_walk_px": 0, "line_jitter_px": 0}


@cache
def _movie(seed: int, changes: tuple[tuple[str, Any], ...]) -> Result:
    params = GrapheneMovieParams.model_validate({**SMALL, **dict(changes)})
    return GrapheneMovie(params).simulate(Context(rng=np.random.default_rng(seed)))


def movie(seed: int = 0, **changes: Any) -> Result:
    return _movie(seed, tuple(sorted(changes.items())))


def frame(truth: xr.Dataset, number: int) -> xr.Dataset:
    """Atoms of one frame; the drift left out."""
    return truth.drop_dims("movie_frame").isel(atom=np.flatnonzero(truth["frame"].values == number))


def places(atoms: xr.Dataset) -> np.ndarray:
    return np.stack([atoms["y"].values, atoms["x"].values], 1)


def by_track(truth: xr.Dataset, number: int) -> dict[int, int]:
    """Track to row of the frame's atoms."""
    tracks = frame(truth, number)["track"].values.tolist()
    assert len(set(tracks)) == len(tracks)
    return {track: i for i, track in enumerate(tracks)}


def test_schemas_and_laziness() -> None:
    made = movie()
    validate(made.data)
    validate(made.sides["truth"])
    assert made.data["intensity"].chunks is not None
    assert made.data["intensity"].dtype == np.uint16
    assert made.data["intensity"].chunks[0] == (1,) * 6
    np.testing.assert_allclose(np.diff(made.data["x"].values), 0.2, atol=1e-12)


def test_the_seed_decides_everything_and_frames_can_be_read_in_any_order() -> None:
    made, other = movie(), movie(1)
    again = GrapheneMovie(GrapheneMovieParams.model_validate(SMALL)).simulate(Context(rng=np.random.default_rng(0)))
    np.testing.assert_array_equal(again.data["intensity"][4].values, made.data["intensity"].values[4])
    assert again.sides["truth"].equals(made.sides["truth"])
    assert not other.sides["truth"].equals(made.sides["truth"])


def test_bonds_are_those_of_graphene_away_from_defects() -> None:
    atoms = frame(movie(**STILL).sides["truth"], 5)
    where = places(atoms) * 0.2
    defects = (atoms["odd_ring"] == 1) | (atoms["near_edge"] == 1) | (atoms["species"] == 1)
    # Strain of a defect reaches further than its flags.
    far = cKDTree(where[defects.values]).query(where)[0] > 7
    far &= ((where > 2) & (where < np.array([58, 62]))).all(1)
    assert far.sum() > 300
    lengths = cKDTree(where).query(where[far], 4)[0][:, 1:]
    # Seen over several seeds: 0.043, and 0.007 as standard deviation, beside dislocations.
    np.testing.assert_allclose(lengths, 1.42, atol=0.06)
    assert abs(lengths.mean() - 1.42) < 0.003


def test_coordination_is_the_number_of_near_neighbours() -> None:
    truth = movie(**STILL).sides["truth"]
    for number in (0, 5):
        atoms = frame(truth, number)
        where = places(atoms) * 0.2
        inner = ((where > 2) & (where < np.array([58, 62]))).all(1)
        count = np.array([len(found) - 1 for found in cKDTree(where).query_ball_point(where, 1.85)])
        perfect = inner & (atoms["odd_ring"].values == 0)
        np.testing.assert_array_equal(count[perfect], atoms["coordination"].values[perfect])
        # In the strained cores of a boundary a bond may be longer, or two atoms closer.
        assert (count == atoms["coordination"].values)[inner].mean() > 0.98
        assert set(np.unique(atoms["coordination"].values[inner])) >= {2, 3}
        bare = inner & (atoms["coordination"].values < 3)
        assert atoms["near_edge"].values[bare].all()


def test_tracks_follow_atoms() -> None:
    truth = movie(**STILL).sides["truth"]
    for number in range(5):
        before, after = by_track(truth, number), by_track(truth, number + 1)
        common = sorted(before.keys() & after.keys())
        assert len(common) > 0.97 * len(before)
        a, b = frame(truth, number), frame(truth, number + 1)
        i, j = [before[track] for track in common], [after[track] for track in common]
        step = np.hypot(*(places(b)[j] - places(a)[i]).T) * 0.2
        # Silicon and its partner hop by a bond; a flipped bond takes its atoms along; the others hardly move.
        assert np.quantile(step, 0.95) < 0.15
        assert step.max() < 3.5
        np.testing.assert_array_equal(a["species"].values[i], b["species"].values[j])


def test_what_is_knocked_out_does_not_come_back_and_holes_grow() -> None:
    truth = movie(**STILL, grain_rotation_deg=0.0, edge_loss=0.1).sides["truth"]
    tracks = [set(by_track(truth, number)) for number in range(6)]
    for number, (earlier, later) in enumerate(itertools.pairwise(tracks), 1):
        atoms = frame(truth, number)
        new = np.isin(atoms["track"].values, list(later - earlier))
        # What comes in comes over the border, as its surroundings relax.
        assert (np.minimum(places(atoms), np.array([299, 319]) - places(atoms)).min(1)[new] < 2).all()
        assert len(later) < len(earlier)
    lost = len(tracks[0]) - len(tracks[-1])
    # Some 60 edge atoms lose a tenth a frame, and more as the holes grow.
    assert 15 < lost < 150
    assert (frame(truth, 5)["near_edge"] == 1).sum() > (frame(truth, 0)["near_edge"] == 1).sum()
    calm = movie(**STILL, grain_rotation_deg=0.0, edge_loss=0.0, vacancies_per_1000=0.0, silicon_hop=0.0).sides["truth"]
    assert set(by_track(calm, 0)) == set(by_track(calm, 5))


def test_silicon_hops_by_a_bond_and_stays_at_edges() -> None:
    truth = movie(**STILL, grain_rotation_deg=0.0, silicon_hop=1.0, n_silicon=30, n_frames=8).sides["truth"]
    atoms = [frame(truth, number) for number in range(8)]
    silicon = [one.isel(atom=np.flatnonzero(one["species"].values == 1)) for one in atoms]
    at_edge = [float(one["near_edge"].mean()) for one in silicon]
    steps = []
    for old, new in itertools.pairwise(silicon):
        before = dict(zip(old["track"].values.tolist(), places(old), strict=True))
        after = dict(zip(new["track"].values.tolist(), places(new), strict=True))
        steps += [np.hypot(*(after[track] - before[track])) * 0.2 for track in before.keys() & after.keys()]
    # A silicon atom may be hit by the hop of another one as well.
    assert np.median(steps) == pytest.approx(1.45, abs=0.15)
    assert max(steps) < 4.6
    assert at_edge[-1] >= at_edge[0]


def test_drift_is_that_of_tracks_and_of_images() -> None:
    made = movie(drift_px=(1.5, -2.5), drift_walk_px=0.4, line_jitter_px=0.0, grain_rotation_deg=0.0)
    truth, images = made.sides["truth"], made.data["intensity"].values.astype(float)
    first, last = by_track(truth, 0), by_track(truth, 5)
    common = sorted(first.keys() & last.keys())
    moved = places(frame(truth, 5))[[last[t] for t in common]] - places(frame(truth, 0))[[first[t] for t in common]]
    drift = np.array([truth["drift_y"].values[5], truth["drift_x"].values[5]])
    np.testing.assert_allclose(np.median(moved, 0), drift, atol=1e-6)
    assert np.abs(drift - [7.5, -12.5]).max() < 4  # five steps of 0.4: 0.9
    # Holes and silicon make the correlation's maximum unique.
    a, b = (np.fft.rfft2(image - image.mean()) for image in (images[0], images[5]))
    correlation = np.fft.irfft2(b * a.conj(), images[0].shape)
    peak = np.array(np.unravel_index(correlation.argmax(), correlation.shape))
    shift = (peak + np.array(images[0].shape) // 2) % images[0].shape - np.array(images[0].shape) // 2
    np.testing.assert_allclose(shift, drift, atol=1.0)


def test_atoms_are_bright_where_the_truth_says_and_silicon_is_brighter() -> None:
    clean = {
        "noise": False,
        "contamination": 0.0,
        "tail_fraction": 0.0,
        "background_counts": 0.0,
        "probe_sigma_angstrom": 0.3,
    }
    made = movie(**STILL, **clean)
    image, atoms = made.data["intensity"].values[0].astype(float), frame(made.sides["truth"], 0)
    y, x = (np.rint(atoms[name].values).astype(int) for name in ("y", "x"))
    inner = (y > 8) & (y < 291) & (x > 8) & (x < 311)
    silicon = atoms["species"].values == 1
    # Next to a bright atom another maximum is drawn towards it.
    distant = cKDTree(places(atoms)[silicon]).query(places(atoms))[0] > 20
    perfect = inner & (atoms["odd_ring"].values == 0) & (atoms["near_edge"].values == 0) & distant
    assert perfect.sum() > 300
    rows, columns = y[perfect], x[perfect]
    for name, (dy, dx) in {"y": (1, 0), "x": (0, 1)}.items():
        low, mid, high = (np.log(image[rows + k * dy, columns + k * dx]) for k in (-1, 0, 1))
        found = rows * dy + columns * dx + 0.5 * (low - high) / (low - 2 * mid + high)
        # What the neighbours add is not quite even.
        assert np.abs(found - atoms[name].values[perfect]).max() < 0.05
    assert image[y[perfect], x[perfect]].mean() == pytest.approx(30, rel=0.06)
    ratio = image[y[silicon & inner], x[silicon & inner]].mean() / image[y[perfect], x[perfect]].mean()
    assert ratio == pytest.approx((14 / 6) ** 1.64, rel=0.06)


def test_counts_are_poisson() -> None:
    noisy, expected = (movie(noise=noise).data["intensity"].values.astype(float) for noise in (True, False))
    reduced = (noisy - expected) ** 2 / expected
    # 576000 pixels: 0.3 % for Poisson counts of some 10.
    assert reduced.mean() == pytest.approx(1, abs=0.01)
    assert noisy.mean() == pytest.approx(expected.mean(), rel=2e-3)


def test_scan_lines_are_displaced_as_told() -> None:
    args = {"weight": np.ones(1), "sigma_px": 3.0, "shape": (40, 50)}
    plain = spots(np.array([20.3]), np.array([24.6]), **args, jitter_px=np.zeros((40, 2)))
    assert plain.max() == pytest.approx(1, abs=0.02)
    jitter = np.zeros((40, 2))
    jitter[17] = [0.5, -1.25]
    moved = spots(np.array([20.3]), np.array([24.6]), **args, jitter_px=jitter)
    # The jitter makes the window larger, by 2e-4 of the maximum.
    np.testing.assert_allclose(np.delete(moved, 17, 0), np.delete(plain, 17, 0), atol=5e-4)
    # The line is a scan at row 17.5, from column -1.25 on.
    x = np.arange(50) - 1.25
    line = np.exp(-((17.5 - 20.3) ** 2 + (x - 24.6) ** 2) / 18)
    np.testing.assert_allclose(moved[17], np.where(np.abs(np.arange(50) - 25) <= 12, line, 0), atol=5e-4)


def test_grains_have_the_angles_of_the_truth_in_every_frame() -> None:
    truth = movie(**STILL, grain_rotation_deg=2.0).sides["truth"]
    angles = []
    for number in (0, 5):
        atoms = frame(truth, number)
        for grain in (0, 1):
            mine = (atoms["grain"] == grain) & (atoms["odd_ring"] == 0) & (atoms["near_edge"] == 0)
            mine &= (atoms["coordination"] == 3) & (atoms["species"] == 0)
            angle = np.unique(atoms["angle"].values[mine.values])
            assert len(angle) == 1
            # Bonds lie 30 degrees beside zigzag rows.
            bond = np.exp(6j * np.deg2rad(atoms["bond_angle"].values[mine.values] - 30))
            measured = np.rad2deg(np.angle(bond.mean())) / 6
            assert (measured - angle[0] + 30) % 60 - 30 == pytest.approx(0, abs=0.3)
            angles.append(float(angle[0]))
    np.testing.assert_allclose(angles[:2], [4.0, 21.0], atol=1e-4)
    turned = np.abs(np.array(angles[2:]) - angles[:2])
    assert (turned < 2).all()
    assert turned.max() > 0.2  # drawn from -2 to 2; seed 0


def test_contamination_covers_its_part_and_drifts_with_the_sheet() -> None:
    covered = {"contamination": 2.0, "contamination_fraction": 0.4, "noise": False}
    made = movie(**covered, drift_px=(4.0, 3.0), drift_walk_px=0.0, line_jitter_px=0.0, grain_rotation_deg=0.0)
    truth = made.sides["truth"]
    assert (frame(truth, 0)["contamination"] > 0).mean() == pytest.approx(0.4, abs=0.2)
    first, last = by_track(truth, 0), by_track(truth, 5)
    common = sorted(first.keys() & last.keys())
    a, b = frame(truth, 0)["contamination"].values, frame(truth, 5)["contamination"].values
    moved = np.abs(a[[first[t] for t in common]] - b[[last[t] for t in common]])
    # But for silicon and its partners, which have other places now, and atoms at a new edge, which relax.
    assert (moved < 0.02).mean() > 0.97
    assert not frame(movie(contamination=0.0).sides["truth"], 0)["contamination"].any()


def test_a_perfect_still_sheet_can_be_had() -> None:
    made = movie(
        **STILL,
        n_frames=1,
        grain_angles_deg=(10.0,),
        grain_seeds=None,
        n_holes=0,
        n_silicon=0,
        noise=False,
        contamination=0.0,
    )
    atoms = frame(made.sides["truth"], 0)
    assert (atoms["coordination"] == 3).all()
    assert not atoms["odd_ring"].any()
    assert not atoms["near_edge"].any()
    area = 300 * 320 * 0.04
    assert atoms.sizes["atom"] == pytest.approx(area * 4 / (3 * np.sqrt(3) * 1.42**2), rel=0.01)


def test_a_store_goes_on_where_it_stopped(tmp_path: Path) -> None:
    made = movie()

    class Killed(BaseException):
        pass

    def stops(function: Any, items: Any) -> Any:
        for n, item in enumerate(items):
            if n == 2:
                raise Killed
            yield function(item)

    calls: list[int] = []

    def counted(function: Any, items: Any) -> Any:
        for item in items:
            calls.append(item[0])
            yield function(item)

    folder = tmp_path / "movie.zarr"
    folder.mkdir()
    simulator = GrapheneMovie(GrapheneMovieParams.model_validate(SMALL))
    with pytest.raises(Killed):
        simulator.simulate_into(folder, Context(rng=np.random.default_rng(0), map=stops))
    simulator.simulate_into(folder, Context(rng=np.random.default_rng(0), map=counted))
    assert calls == [2, 3, 4, 5]
    assert not list(folder.glob("frames*"))
    read = ronchi.read(folder)
    np.testing.assert_array_equal(read["intensity"].values, made.data["intensity"].values)
    truth = ronchi.read(folder, side="truth")
    for name in made.sides["truth"].data_vars:
        np.testing.assert_array_equal(truth[name].values, made.sides["truth"][name].values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"grain_seeds": ((0.5, 0.5),)},
        {"tail_sigma_angstrom": 0.2},
        {"grain_angles_deg": ()},
        {"n_frames": 0},
        {"edge_loss": 1.5},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GrapheneMovieParams.model_validate(wrong)


def test_it_is_in_the_catalog() -> None:
    assert "graphene-movie" in ronchi.algorithms("simulator")
