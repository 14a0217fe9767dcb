"""Scale bars: their lengths, labels and pixels; and the words on figures."""

from __future__ import annotations

import io
import math

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ronchi.plot.canvas import new_figure
from ronchi.plot.labels import length_text, titled, unit_text
from ronchi.plot.scalebar import add_scale_bar, nice_length


@given(st.floats(1e-6, 1e7), st.floats(0.05, 0.9))
def test_length_is_the_largest_of_1_2_5(span: float, fraction: float) -> None:
    length = nice_length(span, fraction)
    mantissa = length / 10 ** math.floor(math.log10(length * 1.000001))
    assert any(math.isclose(mantissa, digit, rel_tol=1e-9) for digit in (1, 2, 5))
    assert length <= span * fraction * (1 + 1e-8)
    assert length * 2.5 > span * fraction * (1 - 1e-8)  # the next one, 2 or 2.5 times longer, would not fit


@pytest.mark.parametrize("span", [0.0, -1.0, math.nan, math.inf])
def test_length_refuses_a_span_without_extent(span: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        nice_length(span)


def _axes(width: float, height: float):
    figure = new_figure(4, 4)
    ax = figure.add_subplot()
    ax.imshow(np.full((4, 4), 0.5), extent=(0, width, height, 0), cmap="Blues", vmin=0, vmax=1)
    return ax


@pytest.mark.parametrize(
    ("span", "units", "length", "label"),
    [
        (240, "angstrom", 50, "5 nm"),
        (24, "angstrom", 5, "5 Å"),
        (90000, "angstrom", 20000, "2 µm"),
        (3.02, "1/angstrom", 0.5, "0.5 Å⁻¹"),
        (96, "pixel", 20, "20 px"),
        (2, "pixel", 1, "1 px"),
    ],
)
def test_bar_has_the_length_that_its_label_says(span: float, units: str, length: float, label: str) -> None:
    ax = _axes(span, span)
    bar = add_scale_bar(ax, units)
    assert bar.get_width() == pytest.approx(length, rel=1e-12)
    assert [text.get_text() for text in ax.texts] == [label]


@pytest.mark.parametrize("location", ["lower left", "lower right"])
@pytest.mark.parametrize("dpi", [72, 150])
def test_drawn_bar_is_accurate_to_the_pixel(location: str, dpi: int) -> None:
    ax = _axes(240, 240)
    bar = add_scale_bar(ax, "angstrom", location=location)
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, dpi=dpi, format="png")
    buffer.seek(0)
    picture = matplotlib.image.imread(buffer)[..., :3]
    ax.figure.set_dpi(dpi)  # a saved figure falls back to its own resolution
    ax.figure.draw_without_rendering()
    box = bar.get_window_extent()
    row = picture[len(picture) - 1 - int((box.y0 + box.y1) / 2)]
    inside = ax.get_window_extent()
    white = np.flatnonzero((row > 0.97).all(1))
    white = white[(white > inside.x0 + 1) & (white < inside.x1 - 1)]
    expected = inside.width * 50 / 240
    assert np.ptp(white) + 1 == pytest.approx(expected, abs=1.5)  # px: both ends may be blended
    assert len(white) == np.ptp(white) + 1  # in one piece
    left_of, right_of = row[white[0] - 3 : white[0]], row[white[-1] + 1 : white[-1] + 4]
    assert left_of.min() < 0.3
    assert right_of.min() < 0.3  # a dark edge beyond both ends, darker than the image


def test_bar_stands_upright_in_a_tall_image() -> None:
    ax = _axes(10, 100)
    bar = add_scale_bar(ax, "pixel")
    assert bar.get_height() == pytest.approx(20, rel=1e-12)
    assert ax.texts[0].get_text() == "20 px"


def test_bar_refuses_another_location() -> None:
    with pytest.raises(ValueError, match="upper middle"):
        add_scale_bar(_axes(10, 10), "pixel", location="upper middle")


def test_titles_name_the_unit_and_the_scaling() -> None:
    assert titled("Mean pattern", "counts", "log scale") == "Mean pattern [counts], log scale"
    assert titled("Peaks used", "1") == "Peaks used"
    assert unit_text("(1/angstrom)^2") == "Å⁻²"
    assert unit_text("e/angstrom^2") == "e/Å²"
    assert unit_text("furlong") == "furlong"  # an unknown unit is shown, never guessed
    assert length_text(9.0, "angstrom") == "9 Å"
