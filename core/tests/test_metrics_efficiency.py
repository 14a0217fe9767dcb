"""Position errors against the least possible ones."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.builtin.metrics_peaks import position_variance
from ronchi.schema import peaks
from ronchi.verbs import score


@pytest.mark.parametrize(("radius", "edge"), [(10.0, 1.0), (8.0, 0.6), (20.0, 0.8)])
def test_the_bound_is_that_of_the_pixels(radius: float, edge: float) -> None:
    """Fisher information summed over the pixels of a disk of 1000 electrons."""
    y, x = np.mgrid[-40:41, -40:41].astype(float)

    def expected(at: float) -> np.ndarray:
        disk = 1 / (1 + np.exp((np.hypot(y - 0.3, x - at) - radius) / edge))
        return 1000 * disk / disk.sum()

    h = 1e-4
    slope = (expected(0.2 + h) - expected(0.2 - h)) / (2 * h)
    information = (slope**2 / expected(0.2)).sum()
    (bound,) = position_variance(np.array([1000.0]), radius, edge)
    # The integral over a plane against a sum over pixels.
    assert bound == pytest.approx(1 / information, rel=0.01)


@pytest.mark.parametrize("worse", [1.0, 2.0, 5.0])
def test_efficiency_is_one_for_errors_at_the_bound(worse: float) -> None:
    rng = np.random.default_rng(4)
    n, radius, edge = 4000, 5.0, 0.5
    counts = rng.uniform(500, 5000, n)
    at = rng.uniform(-1, 1, (2, n)) + np.array([np.arange(n) // 80, np.arange(n) % 80]) * 12
    bounds = position_variance(counts, radius, edge)
    noise = rng.normal(size=(2, n)) * worse * np.sqrt(bounds)
    common = {
        "counts": [n], "scan_shape": (1, 1), "intensity": counts, "q_step": (1.0, 1.0), "q_origin_px": (0.0, 0.0),
        "q_shape": (1000, 1000), "q_units": "pixel",
    }  # fmt: skip
    truth = peaks.make(qy=at[0], qx=at[1], attrs={"is_truth": 1}, **common)
    found = peaks.make(qy=at[0] + noise[0], qx=at[1] + noise[1], **common)
    figures = score(found, truth, "peak-rmse", radius_px=radius, edge_px=edge, tolerance=4.0)
    # 8000 coordinates of different variance: their rms is known to some 2 %.
    assert figures["efficiency"] == pytest.approx(1 / worse, rel=0.06)
    assert figures["bound_px"] == pytest.approx(np.sqrt(bounds.mean()))
    assert "efficiency" not in score(found, truth, "peak-rmse")


def test_nothing_found_has_no_efficiency() -> None:
    nothing = peaks.make(counts=[0], qy=[], qx=[], scan_shape=(1, 1), q_step=(1.0, 1.0), q_origin_px=(0.0, 0.0),
                         q_shape=(9, 9), q_units="pixel")  # fmt: skip
    one = peaks.make(counts=[1], qy=[2.0], qx=[2.0], intensity=[100.0], scan_shape=(1, 1), q_step=(1.0, 1.0),
                     q_origin_px=(0.0, 0.0), q_shape=(9, 9), q_units="pixel")  # fmt: skip
    figures = score(nothing, one, "peak-rmse", radius_px=3.0, edge_px=0.5)
    assert np.isnan(figures["efficiency"])
    assert np.isnan(figures["bound_px"])
