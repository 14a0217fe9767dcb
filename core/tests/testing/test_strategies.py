"""Strategies make what they promise, and data of which the truth is known."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from ronchi.schema import fourd, peaks
from ronchi.testing import data as examples
from ronchi.testing import strategies
from ronchi.testing.matching import match, pair

few = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(strategies.patterns())
def test_patterns_are_valid_and_never_square(data) -> None:
    fourd.validate(data)
    assert data.sizes["qy"] != data.sizes["qx"]
    assert data["intensity"].dtype == np.uint16


@few
@given(strategies.peaks_of_strain())
def test_peaks_move_as_the_strain_says(made) -> None:
    table, strain = made
    peaks.validate(table)
    edges = peaks.offsets(table)
    unstrained = table.isel(peak=slice(edges[0], edges[1]))
    strained = table.isel(peak=slice(edges[6], edges[7]))
    # A strain moves no peak by more than its largest component, and peaks near the edge come and go.
    outer = [np.hypot(part["qy"], part["qx"]).max() for part in (unstrained, strained)]
    assert abs(outer[1] / outer[0] - 1) < 3 * max(abs(value) for value in strain.values()) + 0.3
    assert np.allclose(unstrained["qx"].values.mean(), 0, atol=0.01)


@few
@given(strategies.disk_scans())
def test_truth_of_disks_is_on_the_detector(made) -> None:
    data, truth = made
    y, x = peaks.pixels(truth)
    assert ((y > -0.5) & (y < data.sizes["qy"] - 0.5) & (x > -0.5) & (x < data.sizes["qx"] - 0.5)).all()


def test_every_example_follows_its_schema_and_is_asymmetric() -> None:
    from ronchi import schema

    for name, make in examples.SCHEMAS.items():
        ds = make()
        assert schema.schema_of(ds) == name
        schema.validate(ds)
    counts = examples.disk_patterns().data["intensity"].values[0, 0]
    square = counts[:60, :60]
    for other in (square.T, square[::-1], square[:, ::-1]):
        assert np.corrcoef(square.ravel(), other.ravel())[0, 1] < 0.9


def test_peaks_are_matched_one_to_one_and_by_place() -> None:
    true = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 20.0]])
    found = np.array([[0.1, 0.0], [0.3, 0.0], [9.9, 0.2], [50.0, 50.0]])
    a, b = pair(found, true, 1.0)
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 0), (2, 1)]
    truth = examples.disk_patterns().sides["truth_peaks"]
    ones = ("peak", np.ones(truth.sizes["peak"]))
    perfect = match(truth.assign(var_yy=ones, var_xx=ones), truth, 1.0)
    assert (perfect.recall, perfect.precision, perfect.rms_px) == (1.0, 1.0, 0.0)
