"""Which pixels and samples have a say, and windows and data that are refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ronchi.api import DataError

POSED = pytest.mark.parametrize("name", ["spatial-vae", "jrvae"])


@pytest.mark.parametrize("shape", [(13, 13), (12, 12), (9, 13), (12, 7)])
@POSED
def test_images_turn_about_the_middle_pixel_in_one_unit(name: str, shape: tuple[int, int], few, fitted):
    x = few[:, : shape[0], : shape[1]]
    learner = fitted(name, x)
    places = learner.model.decoder.points.numpy() * learner._unit_px(learner._window)
    y, x_px = shape[0] // 2, shape[1] // 2
    # The pixel N // 2 is at (0, 0), pixels are 1 apart along both axes, and the circle lies inside of the window.
    reach = min(y + 0.5, shape[0] - 0.5 - y, x_px + 0.5, shape[1] - 0.5 - x_px)
    grid = [(j - x_px, i - y) for i, j in itertools.product(range(shape[0]), range(shape[1]))]
    expected = [place for place in grid if np.hypot(*place) <= reach]
    np.testing.assert_allclose(places, expected, atol=1e-5)
    assert learner.decode(np.zeros((1, 2))).shape == (1, *shape)


def test_corners_beyond_the_circle_have_no_say(name: str, few, fitted):
    corner = few.copy(data=few.values.copy())
    corner[:, :2, :2] += 5
    options = {} if name in {"spatial-vae", "jrvae"} else {"mask": "circle"}
    learner = fitted(name, few, **options)
    assert learner.transform(corner)["z"].equals(learner.transform(few)["z"])
    assert np.isnan(learner.reconstruct(few).values[:, :2, :2]).all()


def test_samples_that_cannot_be_used(name: str, few, fitted):
    x = few.copy(data=few.values.copy())
    x[3, 5, 5] = np.nan
    x = x.assign_coords(valid=("sample", np.arange(len(x)) != 7))
    found = fitted(name, x).transform(x)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found["z"][:, 0])), [3, 7])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found["nll"])), [3, 7])
    if "label" in found:
        np.testing.assert_array_equal(np.flatnonzero(found["label"] == -1), [3, 7])


def test_one_sample(name: str, few, fitted):
    found = fitted(name, few[:1]).transform(few[:1])
    assert np.isfinite(found["z"]).all()
    assert "bound_held_out" not in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, 0], "expected samples"),
        (lambda x: x[:, :3, :3], "too small|at least"),
        (lambda x: x.assign_coords(y=x["y"] * 2), "square"),
    ],
)
def test_refused(name: str, few, change, message: str, fitted):
    with pytest.raises(DataError, match=message):
        fitted(name, change(few))


def test_not_fitted_and_other_windows(name: str, few, make, fitted):
    with pytest.raises(DataError, match="not fitted"):
        make(name).transform(few)
    with pytest.raises(DataError, match="shape"):
        fitted(name, few).transform(few[:, :11, :11])


def test_a_circle_beyond_the_window_is_refused(few, fitted):
    with pytest.raises(DataError, match=r"at most 6\.5 px"):
        fitted("spatial-vae", few, radius_px=8.0)
