"""The picture shows the patterns that it was asked for, with their reflections where they are."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.api import Context
from ronchi_simulate.library.picture import draw_samples
from ronchi_simulate.params.library import LibraryParams
from ronchi_simulate.simulators.library import Library


def test_patterns_and_points_are_drawn_on_the_same_axes(tiny: LibraryParams) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install matplotlib to run this test")
    data = Library(tiny).simulate(Context(rng=np.random.default_rng(1))).data
    figure = draw_samples(data, [(0, 0, 1), (2, 1, 0), (1, 0, 0)], columns=2)
    first, second, _, spare = figure.axes
    assert data["formula"].values[2] in second.get_title()
    assert "8 mrad, 2 nm" in second.get_title()
    assert not spare.images
    shown = first.images[0].get_array()
    np.testing.assert_allclose(shown, np.log10(data["intensity"][0, 0, 1].values + 1e-7))
    centre = np.asarray(first.collections[0].get_offsets())[0]
    np.testing.assert_allclose(centre, 0, atol=1e-7)
