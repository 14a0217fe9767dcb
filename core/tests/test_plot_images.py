"""Patterns, images over the scan, mosaics: limits, labels, shapes."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import LogNorm, PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from ronchi import plot
from ronchi.plot.canvas import MAX_RATIO, add_colorbar, box_ratio, colormap
from ronchi.plot.limits import intensity_norm, intensity_ticks, robust_limits, symmetric_limit
from ronchi.schema import fourd
from ronchi.schema import peaks as peaks_schema
from ronchi.schema.common import variable


def scan_map(
    shape: tuple[int, int], units: str = "pixel", step: tuple[float, float] = (1, 1), values=None
) -> xr.DataArray:
    coords = {
        dim: variable(dim, np.arange(n) * s, units, dim)
        for dim, n, s in zip(("scan_y", "scan_x"), shape, step, strict=True)
    }
    data = np.arange(np.prod(shape), dtype=float).reshape(shape) if values is None else values
    return xr.DataArray(data, coords, ("scan_y", "scan_x"), attrs={"units": "counts", "long_name": "bright field"})


def scan_of_patterns(calibrated: bool = True) -> xr.Dataset:
    counts = np.random.default_rng(3).poisson(5, (4, 6, 16, 18)).astype(np.uint16)
    return fourd.make(counts, scan_step=(2, 2) if calibrated else None, q_step=(0.1, 0.1) if calibrated else None)


def drawn_values(ax) -> np.ma.MaskedArray:
    return ax.images[0].get_array()


def texts(figure) -> list[str]:
    from matplotlib.text import Text

    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def test_robust_limits_ignore_bad_pixels_and_the_tails() -> None:
    values = np.random.default_rng(0).normal(100, 1, (100, 100))
    values[0, 0], values[0, 1] = 1e9, 0
    bad = np.zeros_like(values, bool)
    bad[0, :2] = True
    low, high = robust_limits(values, bad)
    assert 95 < low < high < 105
    assert robust_limits(values)[1] < 1e6  # one hot pixel in 10 000 is beyond the 0.1 % tail
    assert robust_limits(np.full((3, 3), np.nan)) == (0, 1)
    low, high = robust_limits(np.zeros((3, 3)))
    assert high > low
    sparse = np.zeros(10_000)
    sparse[7] = 5
    assert robust_limits(sparse) == (0, 5)


@pytest.mark.parametrize("n", [12, 100, 999])
def test_one_wild_value_among_few_is_not_the_range_and_a_fair_one_is_in_it(n: int) -> None:
    values = np.random.default_rng(0).normal(100, 1, n)
    fair = robust_limits(values)
    for at, wild in ((0, 1e6), (-1, -1e6)):
        with_it = np.copy(values)
        with_it[at] = wild
        low, high = robust_limits(with_it)
        assert 95 < low < 100 < high < 105
    assert fair == pytest.approx((values.min(), values.max()), abs=0.5)
    assert robust_limits(np.arange(n, dtype=np.uint16)) == pytest.approx((0, n - 1), abs=1)
    assert symmetric_limit(np.append(values - 100, 1e6)) < 5
    assert symmetric_limit(np.append(values - 100, 1e6), tail_percent=0) == 1e6


def test_the_one_value_among_equal_ones_is_all_there_is_to_see() -> None:
    flat = np.full(64, 2.0)
    flat[3], flat[40] = 2.0000001, 50.0
    assert robust_limits(flat)[1] > 3
    noise = 1e-12 * np.random.default_rng(0).normal(size=64)
    noise[10] = 0.02
    assert symmetric_limit(noise) > 1e-4


def test_symmetric_limit_covers_all_arrays_and_survives_nothing() -> None:
    assert symmetric_limit(np.array([-0.5, 0.2, np.nan]), np.array([1.234]), tail_percent=0) == pytest.approx(1.3)
    assert symmetric_limit(np.full(4, np.nan)) == 1
    assert symmetric_limit(np.zeros(4)) == 1
    wild = np.append(np.linspace(-1, 1, 1000), 1e6)
    assert symmetric_limit(wild) <= 1


@pytest.mark.parametrize("scaling", [1, 0.25, "log"])
def test_norm_takes_counts_with_zeros_and_negative_values(scaling) -> None:
    values = np.array([[-3.0, 0, 1], [10, 100, 1000]])
    norm, name = intensity_norm(values, scaling)
    scaled = np.asarray(norm(values))
    assert np.isfinite(scaled).all()
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    assert (np.diff(scaled.ravel()) >= 0).all()
    assert name == {1: "", 0.25: "display gamma 0.25", "log": "log scale"}[scaling]
    norm, _ = intensity_norm(np.zeros((2, 2)), scaling)
    assert np.isfinite(np.asarray(norm(np.zeros((2, 2))))).all()


def test_ticks_of_a_power_law_are_decades_that_occur() -> None:
    counts = np.array([0.0, 1, 30, 1000])
    assert intensity_ticks(PowerNorm(0.25, 0, 1000), counts) == [1000, 100, 10, 1, 0]
    assert intensity_ticks(PowerNorm(0.25, 0, 1000), counts * 10) == [1000, 100, 10, 0]
    assert intensity_ticks(PowerNorm(0.25, 0, 873), np.array([860.0, 870])) == [870, 0]
    assert intensity_ticks(PowerNorm(0.25, 0, 1), np.zeros(3)) is None
    assert intensity_ticks(LogNorm(1, 10), counts) is None


def test_pattern_names_quantity_unit_and_scaling() -> None:
    image = scan_of_patterns()["intensity"].mean(("scan_y", "scan_x"), keep_attrs=True)
    ax = plot.pattern(image, title="Mean pattern")
    assert ax.get_title(loc="left") == "Mean pattern [counts], display gamma 0.25"
    assert isinstance(ax.images[0].norm, PowerNorm)
    assert isinstance(plot.pattern(image, scaling="log").images[0].norm, LogNorm)
    assert any(text.endswith("Å⁻¹") for text in texts(ax.figure))
    assert ax.images[0].get_interpolation() == "none"


def test_pattern_draws_row_0_at_the_top_and_q_on_its_axes() -> None:
    image = scan_of_patterns()["intensity"].isel(scan_y=0, scan_x=0)
    ax = plot.pattern(image)
    left, right, bottom, top = ax.images[0].get_extent()
    assert top < 0 < bottom
    assert (left, right) == pytest.approx((-0.95, 0.85))  # 18 px of 0.1 about pixel 9, with half a pixel around
    (x,), (y,) = ax.lines[0].get_data()
    assert (x, y) == (0, 0)


def test_a_value_is_drawn_at_its_coordinates() -> None:
    values = np.zeros((4, 6))
    values[0, 4] = 1  # near the upper right corner
    ax = plot.scan_image(scan_map((4, 6), "angstrom", (2, 2), values), cmap="gray", colorbar=False)
    ax.figure.set_dpi(100)
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, dpi=100, format="png")
    buffer.seek(0)
    picture = matplotlib.image.imread(buffer)[..., 0]
    for row, column, expected in ((0, 4, 1), (3, 4, 0), (0, 1, 0)):
        x, y = ax.transData.transform((2 * column, 2 * row))
        assert picture[len(picture) - 1 - round(y), round(x)] == expected


def test_a_part_of_a_pattern_fills_its_picture() -> None:
    part = scan_of_patterns()["intensity"].mean(("scan_y", "scan_x")).isel(qx=slice(12, 18))
    ax = plot.pattern(part)
    left, right, *_ = ax.images[0].get_extent()
    assert left > 0
    np.testing.assert_allclose(ax.get_xlim(), (left, right))


def test_bad_pixels_are_grey_and_have_no_say() -> None:
    data = scan_of_patterns(calibrated=False)
    image = data["intensity"].isel(scan_y=0, scan_x=0).astype(float)
    image[2, 3] = 1e9
    bad = np.zeros(image.shape, np.int8)
    bad[2, 3] = 1
    ax = plot.pattern(image, bad_pixel=bad, scaling=1)
    assert np.ma.getmaskarray(drawn_values(ax))[2, 3]
    assert ax.images[0].norm.vmax < 100


def test_a_dollar_in_a_name_is_a_dollar() -> None:
    """It begins a formula otherwise, which may not end, and then the figure cannot be drawn."""
    image = scan_map((4, 5)).assign_attrs(long_name=r"cost in $ \or in $")
    figure = plot.scan_image(image).figure
    figure.savefig(io.BytesIO())
    assert r"Cost in \$ \or in \$ [counts]" in texts(figure)


def test_a_logarithm_of_less_than_a_decade_has_small_labels_too() -> None:
    image = scan_of_patterns()["intensity"].isel(scan_y=0, scan_x=0)
    figure = plot.pattern(image.copy(data=np.linspace(3, 8, 16 * 18).reshape(16, 18)), scaling="log").figure
    figure.draw_without_rendering()
    (bar,) = [child for child in figure.axes[0].child_axes if child.images or child.collections]
    sizes = {label.get_fontsize() for label in bar.get_yticklabels(which="both") if label.get_text()}
    assert sizes == {FontProperties(size="x-small").get_size_in_points()}


def test_uncalibrated_images_are_labelled_in_px() -> None:
    data = scan_of_patterns(calibrated=False)
    for ax in (plot.pattern(data["intensity"].isel(scan_y=0, scan_x=0)), plot.scan_image(scan_map((10, 12)))):
        bars = [text for text in texts(ax.figure) if text.split(" ")[-1] in ("px", "nm", "Å", "Å⁻¹", "µm")]
        assert bars
        assert all(text.endswith(" px") for text in bars)


def test_nan_is_drawn_in_the_colour_of_the_missing() -> None:
    values = np.array([[1.0, np.nan], [-2, 3]])
    ax = plot.scan_image(scan_map((2, 2), values=values), kind="diverging")
    assert np.ma.getmaskarray(drawn_values(ax)).tolist() == [[False, True], [False, False]]
    assert np.ptp(ax.images[0].cmap.get_bad()[:3]) == 0  # grey
    assert np.ptp(colormap("gray").get_bad()[:3]) > 0  # in a grey map, grey would be a value


def test_diverging_limits_are_symmetric_and_cyclic_ones_one_turn() -> None:
    image = scan_map((4, 5), values=np.random.default_rng(1).normal(3, 1, (4, 5)))
    norm = plot.scan_image(image, kind="diverging").images[0].norm
    assert norm.vmin == -norm.vmax
    norm = plot.scan_image(image, kind="cyclic").images[0].norm
    assert (norm.vmin, norm.vmax) == pytest.approx((-np.pi, np.pi))


def test_angles_are_drawn_within_one_turn_of_their_symmetry() -> None:
    angle = scan_map((2, 2), values=np.array([[0.1, np.pi / 3 + 0.1], [-np.pi, 3.0]]))
    angle.attrs.update(units="rad", long_name="orientation", n_fold=6)
    (ax, *_) = plot.scan_images(angle.to_dataset(name="angle")).axes
    assert ax.get_title(loc="left") == "Orientation, 6-fold [rad]"
    assert ax.images[0].cmap.name == "twilight"
    shown = np.asarray(drawn_values(ax))
    np.testing.assert_allclose(shown, [[0.1, 0.1], [0, 3 - np.pi]], atol=1e-12)  # equal up to a sixth of a turn
    assert ax.images[0].norm.vmax == pytest.approx(np.pi / 6)


@pytest.mark.parametrize("shape", [(2, 40), (1, 256), (40, 1), (1, 1), (256, 256), (3, 2)])
def test_any_shape_of_scan_is_drawn(shape: tuple[int, int]) -> None:
    ax = plot.scan_image(scan_map(shape))
    ax.figure.draw_without_rendering()
    box = ax.get_window_extent()
    assert 1 / MAX_RATIO * 0.98 <= box.width / box.height <= MAX_RATIO * 1.02
    assert min(box.width, box.height) / ax.figure.dpi > 0.3  # inch: readable
    stretched = not 1 / MAX_RATIO <= shape[1] / shape[0] <= MAX_RATIO
    assert bool(ax.get_xlabel()) == stretched  # a stretched image says so
    assert bool(ax.patches) == (shape != (1, 1))  # one position has no scale


def test_aspect_follows_the_coordinates() -> None:
    image = scan_map((10, 10), "angstrom", step=(1, 3))
    assert box_ratio(image["scan_y"], image["scan_x"]) == pytest.approx(3)
    ax = plot.scan_image(image)
    ax.figure.draw_without_rendering()
    box = ax.get_window_extent()
    assert box.width / box.height == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize(("shape", "n"), [((2, 40), 8), ((256, 256), 9), ((1, 1), 9), ((1, 5), 9), ((100, 3), 6)])
def test_spread_positions_are_few_distinct_and_inside(shape: tuple[int, int], n: int) -> None:
    chosen = plot.spread_positions(shape, n)
    assert 1 <= len(chosen) <= n
    assert len(set(chosen)) == len(chosen)
    assert all(0 <= y < shape[0] and 0 <= x < shape[1] for y, x in chosen)
    assert chosen == plot.spread_positions(shape, n)


def test_mosaic_rings_the_peaks_where_they_are() -> None:
    data = scan_of_patterns()
    counts = np.zeros(24, int)
    counts[1 * 6 + 2] = 2
    peaks = peaks_schema.make(
        counts=counts, qy=[0.2, -0.3], qx=[0.5, 0.1], scan_shape=(4, 6), q_step=(0.1, 0.1), q_origin_px=(8, 9),
        q_shape=(16, 18), q_units="1/angstrom",
    )  # fmt: skip
    figure = plot.mosaic(data, [(1, 2), (0, 0)], peaks=peaks)
    first, second = figure.axes
    assert first.get_title() == "1: row 1, column 2, 2 peaks"
    assert second.get_title() == "2: row 0, column 0, 0 peaks"
    np.testing.assert_allclose(first.lines[0].get_xdata(), [0.5, 0.1], atol=1e-9)
    np.testing.assert_allclose(first.lines[0].get_ydata(), [0.2, -0.3], atol=1e-9)
    assert first.images[0].norm is second.images[0].norm  # compared, so on one scale


def test_mosaic_says_where_nothing_was_searched() -> None:
    data = scan_of_patterns()
    peaks = peaks_schema.make(counts=[0], qy=[], qx=[], scan_shape=(4, 6), positions=[3])
    figure = plot.mosaic(data, [(1, 2)], peaks=peaks)
    assert figure.axes[0].get_title().endswith("not searched")


def test_marks_lie_on_the_positions() -> None:
    data = scan_of_patterns()
    ax = plot.mark_positions(plot.scan_image(scan_map((4, 6), "angstrom", (2, 2))), data, [(1, 2), (3, 5)])
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines] == [(4, 2), (10, 6)]


def test_axes_and_figures_of_the_caller_are_used() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    assert plot.scan_image(scan_map((4, 6)), ax=ax) is ax
    part = Figure().subfigures(1, 2)[0]
    assert plot.mosaic(scan_of_patterns(), [(0, 0)], figure=part) is part


def test_pyplot_is_never_imported() -> None:
    code = "import sys, ronchi.plot, ronchi.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_are_sorted_and_there() -> None:
    assert sorted(plot.__all__) == plot.__all__
    assert all(callable(getattr(plot, name)) for name in plot.__all__)


def test_signed_maps_diverge_and_strains_are_in_percent() -> None:
    coords = {dim: ((dim,), np.arange(4.0), {"units": "angstrom"}) for dim in ("scan_y", "scan_x")}
    ramp = np.linspace(-0.002, 0.01, 16).reshape(4, 4)
    over = ("scan_y", "scan_x")
    maps = xr.Dataset({"e_xx": (over, ramp, {"units": "1"}), "sum": (over, ramp + 1, {"units": "counts"})}, coords)
    strained, sums = (ax for ax in plot.scan_images(maps).axes if ax.images)
    assert strained.get_title(loc="left") == "E_xx [%]"
    assert strained.images[0].cmap.name == "RdBu_r"
    assert strained.images[0].norm.vmax == -strained.images[0].norm.vmin == pytest.approx(1.0, rel=0.02)
    assert sums.images[0].cmap.name == "viridis"


def test_positions_of_a_long_scan_are_spread_over_its_rows_too() -> None:
    assert {row for row, _ in plot.spread_positions((2, 40), 8)} == {0, 1}
    assert {column for _, column in plot.spread_positions((60, 3), 8)} == {0, 1, 2}


@pytest.mark.parametrize(("low", "high", "ends"), [(0, 0, "neither"), (9, 0, "min"), (0, 9, "max"), (9, 9, "both")])
def test_a_colour_bar_has_arrows_where_values_lie_beyond_it(low: float, high: float, ends: str) -> None:
    ax = Figure().subplots()
    values = np.linspace(-1, 1, 16).reshape(4, 4)
    values[0, 0] -= low
    values[-1, -1] += high
    values[1, 1] = np.nan
    assert add_colorbar(ax.imshow(values, vmin=-1, vmax=1), ax).extend == ends
