"""Images show what the truth says, through the microscope that was asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ronchi_simulate.movie.imaging import spots

STILL: dict[str, Any] = {"drift_px": (0, 0), "drift_walk_px": 0, "line_jitter_px": 0}


def test_drift_is_that_of_tracks_and_of_images(film: SimpleNamespace) -> None:
    made = film.movie(drift_px=(1.5, -2.5), drift_walk_px=0.4, line_jitter_px=0.0, grain_rotation_deg=0.0)
    truth, images = made.sides["truth"], made.data["intensity"].values.astype(float)
    first, last = film.by_track(truth, 0), film.by_track(truth, 5)
    common = sorted(first.keys() & last.keys())
    moved = (
        film.places(film.frame(truth, 5))[[last[t] for t in common]]
        - film.places(film.frame(truth, 0))[[first[t] for t in common]]
    )
    drift = np.array([truth["drift_y"].values[5], truth["drift_x"].values[5]])
    np.testing.assert_allclose(np.median(moved, 0), drift, atol=1e-6)
    assert np.abs(drift - [7.5, -12.5]).max() < 4  # five steps of 0.4: 0.9
    # Holes and silicon make the correlation's maximum unique.
    a, b = (np.fft.rfft2(image - image.mean()) for image in (images[0], images[5]))
    correlation = np.fft.irfft2(b * a.conj(), images[0].shape)
    peak = np.array(np.unravel_index(correlation.argmax(), correlation.shape))
    shift = (peak + np.array(images[0].shape) // 2) % images[0].shape - np.array(images[0].shape) // 2
    np.testing.assert_allclose(shift, drift, atol=1.0)


def test_atoms_are_bright_where_the_truth_says_and_silicon_is_brighter(film: SimpleNamespace) -> None:
    clean = {
        "noise": False,
        "contamination": 0.0,
        "tail_fraction": 0.0,
        "background_counts": 0.0,
        "probe_sigma_angstrom": 0.3,
    }
    made = film.movie(**STILL, **clean)
    image, atoms = made.data["intensity"].values[0].astype(float), film.frame(made.sides["truth"], 0)
    y, x = (np.rint(atoms[name].values).astype(int) for name in ("y", "x"))
    inner = (y > 8) & (y < 291) & (x > 8) & (x < 311)
    silicon = atoms["species"].values == 1
    # Next to a bright atom another maximum is drawn towards it.
    distant = cKDTree(film.places(atoms)[silicon]).query(film.places(atoms))[0] > 20
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


def test_counts_are_poisson(film: SimpleNamespace) -> None:
    noisy, expected = (film.movie(noise=noise).data["intensity"].values.astype(float) for noise in (True, False))
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


def test_contamination_covers_its_part_and_drifts_with_the_sheet(film: SimpleNamespace) -> None:
    covered = {"contamination": 2.0, "contamination_fraction": 0.4, "noise": False}
    made = film.movie(**covered, drift_px=(4.0, 3.0), drift_walk_px=0.0, line_jitter_px=0.0, grain_rotation_deg=0.0)
    truth = made.sides["truth"]
    assert (film.frame(truth, 0)["contamination"] > 0).mean() == pytest.approx(0.4, abs=0.2)
    first, last = film.by_track(truth, 0), film.by_track(truth, 5)
    common = sorted(first.keys() & last.keys())
    a, b = film.frame(truth, 0)["contamination"].values, film.frame(truth, 5)["contamination"].values
    moved = np.abs(a[[first[t] for t in common]] - b[[last[t] for t in common]])
    # But for silicon and its partners, which have other places now, and atoms at a new edge, which relax.
    assert (moved < 0.02).mean() > 0.97
    assert not film.frame(film.movie(contamination=0.0).sides["truth"], 0)["contamination"].any()
