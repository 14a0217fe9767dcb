"""Strain maps and profiles, Bragg vector maps, previews, centre-of-mass maps."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi import plot
from ronchi.errors import DataError
from ronchi.plot.profiles import average_profile
from ronchi.plot.strain import displayed
from ronchi.schema import fourd, lattice, maps, strain
from ronchi.schema import peaks as peaks_schema
from ronchi.schema.common import variable


def scan_coords(shape: tuple[int, int], units: str = "angstrom", step: float = 6.0) -> dict[str, xr.Variable]:
    return {
        dim: variable(dim, np.arange(n) * step, units, dim) for dim, n in zip(("scan_y", "scan_x"), shape, strict=True)
    }


def make_strain(shape: tuple[int, int] = (2, 40), units: str = "angstrom", frame: str = "scan") -> xr.Dataset:
    rng = np.random.default_rng(5)
    valid = np.ones(shape, bool)
    valid[0, 0] = False
    components = {name: np.where(valid, rng.normal(0, 0.01, shape), np.nan) for name in strain.COMPONENTS}
    errors = {name: np.where(valid, 0.001, np.nan) for name in strain.COMPONENTS}
    return strain.make(
        components, errors, residual=np.where(valid, 0.002, np.nan), n_used=valid * 12, valid=valid,
        residual_units="1/angstrom", frame=frame, reference="mean of scan_x 60 to 90 angstrom",
        coords=scan_coords(shape, units, 6.0 if units == "angstrom" else 1.0),
    )  # fmt: skip


def texts(figure) -> list[str]:
    from matplotlib.text import Text

    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def map_axes(figure) -> list:
    return [ax for ax in figure.axes if ax.images]


@pytest.mark.parametrize("shape", [(2, 40), (40, 1), (1, 30), (20, 20), (1, 1)])
def test_strain_maps_share_symmetric_limits(shape: tuple[int, int]) -> None:
    figure = plot.strain_maps(make_strain(shape))
    figure.draw_without_rendering()
    *strains, theta = map_axes(figure)
    limits = [ax.images[0].norm for ax in (*strains, theta)]
    assert len(strains) == 3
    assert all(norm.vmin == -norm.vmax for norm in limits)
    assert len({norm.vmax for norm in limits[:3]}) == 1
    assert [ax.images[0].cmap.name for ax in (*strains, theta)] == ["RdBu_r"] * 3 + ["PuOr_r"]
    assert np.ma.getmaskarray(strains[0].images[0].get_array())[0, 0]  # unfit
    assert np.ptp(strains[0].images[0].cmap.get_bad()[:3]) == 0  # in grey


def test_strain_maps_show_percent_and_degrees() -> None:
    result = make_strain()
    figure = plot.strain_maps(result, strain_limit_percent=2, theta_limit_deg=3)
    axes = map_axes(figure)
    assert [ax.get_title(loc="left").split(" ")[-1] for ax in axes] == ["[%]", "[%]", "[%]", "[°]"]
    np.testing.assert_allclose(axes[0].images[0].get_array()[1], result["e_xx"].values[1] * 100, rtol=1e-6)
    np.testing.assert_allclose(axes[3].images[0].get_array()[1], np.degrees(result["theta"].values[1]), rtol=1e-6)
    assert axes[0].images[0].norm.vmax == 2
    assert axes[3].images[0].norm.vmax == 3


@pytest.mark.parametrize("frame", ["scan", "detector"])
def test_strain_maps_state_frame_signs_and_reference(frame: str) -> None:
    said = " ".join(" ".join(texts(plot.strain_maps(make_strain(frame=frame)))).split())
    assert f"{frame.capitalize()} frame" in said
    assert ("not known" in said) == (frame == "detector")
    assert "mean of scan_x 60 to 90 angstrom" in said
    assert "expansion > 0" in said
    assert "theta > 0 turns x towards y" in said
    assert "5 nm" in said


@pytest.mark.parametrize(("shape", "labelled"), [((2, 40), 3), ((20, 20), 0)])
def test_positions_can_be_read_off_in_the_unit_of_a_reference(shape: tuple[int, int], labelled: int) -> None:
    figure = plot.strain_maps(make_strain(shape))
    figure.draw_without_rendering()
    axes = map_axes(figure)
    assert axes[labelled].get_xlabel().startswith("scan_x [Å]")
    assert axes[0].get_ylabel() == "scan_y [Å]"
    low, high = sorted(axes[labelled].get_xlim())
    ticks = [tick for tick in axes[labelled].get_xticks() if low <= tick <= high]
    assert len(ticks) >= 3
    assert max(ticks) > 60, "angstrom, not nm"


def test_uncalibrated_scan_has_a_bar_in_px() -> None:
    said = texts(plot.strain_maps(make_strain(units="pixel")))
    assert "10 px" in said
    assert not any(text.endswith((" nm", " Å")) for text in said)


def test_reference_is_outlined_along_the_pixels() -> None:
    result = make_strain()
    mask = plot.reference_mask(result, {"scan_x": (60, 90)})
    assert mask.sum() == 2 * 6  # 60, 66, … 90
    figure = plot.strain_maps(result, reference={"scan_x": (60, 90)})
    for ax in map_axes(figure):
        (outline,) = [artist for artist in ax.collections if artist.get_gid() == "reference"]
        points = np.concatenate(outline.get_segments())
        np.testing.assert_allclose(
            [points[:, 0].min(), points[:, 0].max()], [57, 93], atol=1e-9
        )  # the edges of the pixels
        np.testing.assert_allclose([points[:, 1].min(), points[:, 1].max()], [-3, 9], atol=1e-9)
    assert "(outlined)" in " ".join(texts(figure))


def test_histograms_count_the_fitted_positions_only() -> None:
    result = make_strain()
    for ax in plot.strain_histograms(result).axes:
        assert sum(patch.get_height() for patch in ax.patches) == 79  # 80 positions, one unfit
    empty = result.where(result["scan_x"] < -1)
    assert texts(plot.strain_histograms(empty)).count("no position was fitted") == 4


def test_quality_shows_residual_counts_and_error() -> None:
    fitted = make_strain()
    figure = plot.strain_quality(fitted)
    titles = [ax.get_title(loc="left") for ax in map_axes(figure)]
    assert titles == ["Residual [Å⁻¹]", "Peaks used", r"Standard error of $\varepsilon_{xx}$ [%]"]


def test_average_profile_weighs_what_is_there() -> None:
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    errors = np.array([[0.3, np.nan, np.nan], [0.4, 0.2, np.nan]])
    mean, error = average_profile(values, errors)
    np.testing.assert_allclose(mean, [2, 5, np.nan])
    np.testing.assert_allclose(error, [0.25, 0.2, np.nan])  # sqrt(0.3² + 0.4²) / 2


def test_profiles_run_along_the_longer_axis_with_band_and_truth() -> None:
    result = make_strain()
    truth = result[list(strain.COMPONENTS)].fillna(0).assign(e_xx_probe=result["e_xx"].fillna(0))
    figure = plot.strain_profiles(result, truth=truth.assign_attrs(is_truth=1))
    first = figure.axes[0]
    assert figure.axes[-1].get_xlabel() == "scan_x [Å]"
    assert first.get_title(loc="right") == "mean of rows 0 to 1, of 2"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["± 1 standard error", "measured", "truth", "truth averaged over the probe"]
    measured = next(line for line in first.lines if line.get_label() == "measured")
    np.testing.assert_allclose(measured.get_xdata(), np.arange(40) * 6.0)
    np.testing.assert_allclose(measured.get_ydata(), np.nanmean(displayed(result, "e_xx"), 0))
    assert len({ax.get_ylim() for ax in figure.axes}) == 4, "each component has its own scale"


def test_profiles_of_a_large_scan_take_the_middle_lines() -> None:
    figure = plot.strain_profiles(make_strain((50, 20), "pixel"))
    assert figure.axes[-1].get_xlabel() == "scan_y [px]"
    assert figure.axes[0].get_title(loc="right") == "mean of columns 8 to 12, of 20"
    figure = plot.strain_profiles(make_strain((20, 20)), lines=slice(3, 4))
    assert figure.axes[0].get_title(loc="right") == "row 3, of 20"


def make_peaks(units: str = "1/angstrom") -> xr.Dataset:
    return peaks_schema.make(
        counts=[2, 0, 1, 1], qy=[0, 0.2, 0, 0.2], qx=[0, 0.3, 0, 0.3], intensity=[10, 1, 20, 2], scan_shape=(2, 2),
        q_step=(0.1, 0.1), q_origin_px=(8, 8), q_shape=(16, 16), q_units=units,
    )  # fmt: skip


def make_lattice(units: str = "1/angstrom") -> xr.Dataset:
    vector = np.ones((2, 2, 1))
    return lattice.make(
        origin=vector * [0.01, 0.02], g1=vector * [0, 0.3], g2=vector * [0.25, 0], cov=np.zeros((2, 2, 6, 6)),
        chi2=np.ones((2, 2)), n_used=np.full((2, 2), 9), q_units=units, coords=scan_coords((2, 2)),
    )  # fmt: skip


def test_vector_histogram_counts_every_peak_in_its_pixel() -> None:
    histogram = plot.vector_histogram(make_peaks())
    assert histogram.shape == (16, 16)
    assert histogram.sum() == 4
    assert histogram[8, 8] == 2
    assert histogram[10, 11] == 2
    assert plot.vector_histogram(make_peaks(), weight="intensity")[8, 8] == 30
    assert plot.vector_histogram(make_peaks(), bins_per_px=2).shape == (32, 32)
    unknown_size = make_peaks()
    unknown_size.attrs["q_shape"] = np.array([0, 0])
    assert plot.vector_histogram(unknown_size).sum() == 4


def test_vector_map_draws_the_basis_with_labels() -> None:
    ax = plot.vector_map(make_peaks(), lattice=make_lattice())
    assert ax.get_title(loc="left") == "Peaks [per bin], display gamma 0.25"
    labels = {text.get_text(): text for text in ax.texts}
    assert {"$g_1$", "$g_2$"} <= set(labels)
    assert labels["$g_1$"].xy == pytest.approx((0.32, 0.01))  # origin + g1, as (x, y)
    assert labels["$g_2$"].xy == pytest.approx((0.02, 0.26))
    assert any(text.get_text().endswith("Å⁻¹") for text in ax.texts)
    ax = plot.vector_map(make_peaks("pixel"))
    assert any(text.get_text().endswith("px") for text in ax.texts)


def test_vector_map_of_no_peaks_and_of_no_fit() -> None:
    none = peaks_schema.make(counts=[0], qy=[], qx=[], scan_shape=(1, 1), q_shape=(8, 8), q_origin_px=(4, 4))
    unfit = make_lattice()
    unfit["g1"][:] = np.nan
    ax = plot.vector_map(none, lattice=unfit)
    assert "$g_1$" not in [text.get_text() for text in ax.texts]
    assert plot.vector_histogram(none).sum() == 0


def test_preview_counts_every_candidate_once() -> None:
    rng = np.random.default_rng(0)
    frames = rng.poisson(3, (2, 12, 12)).astype(np.uint16)
    candidates = {
        "counts": np.array([3, 2]),
        "qy_px": np.array([1.0, 2, 3, 4, 5]),
        "qx_px": np.array([5.0, 6, 7, 8, 9]),
        "reason": np.array([0, 1, 1, 0, 2]),
    }
    figure = plot.preview(frames, candidates, ("accepted", "edge", "weak", "faint"))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["accepted 2", "edge 2", "weak 1, not drawn"]
    first, second = map_axes(figure)
    assert first.get_title(loc="left") == "frame 0: 1 of 3 kept"
    assert second.get_title(loc="left") == "frame 1: 1 of 2 kept"
    assert [line.get_xdata().tolist() for line in first.lines] == [[5], [6, 7]]
    assert len({line.get_marker() for line in first.lines}) == 2  # told apart without colour
    assert len(second.lines) == 1, "weak candidates are counted only"
    everything = plot.preview(frames, candidates, ("accepted", "edge", "weak", "faint"), hide=())
    assert len(map_axes(everything)[1].lines) == 2


def test_preview_is_drawn_in_the_units_of_the_data() -> None:
    scan = fourd.make(np.ones((1, 1, 8, 8), np.uint16), scan_step=(5, 5), q_step=(0.05, 0.05))
    one = {"counts": np.array([1]), "qy_px": np.array([4.0]), "qx_px": np.array([5.5]), "reason": np.zeros(1, int)}
    figure = plot.preview(np.eye(8)[None], {**one, "reasons": ("accepted",)}, axes=scan)
    (ring,) = map_axes(figure)[0].lines
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == pytest.approx((0.075, 0.0), abs=1e-9)
    assert any(text.endswith("Å⁻¹") for text in texts(figure))


def test_preview_refuses_candidates_of_other_frames() -> None:
    candidates = {"counts": np.array([1]), "qy_px": np.zeros(1), "qx_px": np.zeros(1), "reason": np.zeros(1, int)}
    with pytest.raises(DataError, match="2 frames"):
        plot.preview(np.zeros((2, 4, 4)), candidates, ("accepted",))


def test_preview_takes_the_reasons_from_the_candidates() -> None:
    one = {"counts": np.array([1]), "qy_px": np.ones(1), "qx_px": np.ones(1), "reason": np.ones(1, int)}
    figure = plot.preview(np.eye(4)[None], {**one, "reasons": ("accepted", "faint")}, labels=["y 3, x 7"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["accepted 0", "faint 1"]
    assert figure.axes[0].get_title(loc="left") == "y 3, x 7: 0 of 1 kept"


def make_com(shape: tuple[int, int], **derived: np.ndarray) -> xr.Dataset:
    rng = np.random.default_rng(2)
    data = {name: rng.normal(0.5, 0.01, shape) for name in ("com_y", "com_x")} | derived
    return maps.make(
        {name: variable(("scan_y", "scan_x"), values, "1/angstrom", name) for name, values in data.items()},
        scan_coords(shape),
    )


@pytest.mark.parametrize("shape", [(2, 40), (12, 12), (1, 1)])
def test_com_components_share_symmetric_limits_about_the_median(shape: tuple[int, int]) -> None:
    figure = plot.com_maps(make_com(shape))
    x, y, magnitude, direction = map_axes(figure)[:4]
    assert x.images[0].norm.vmin == -x.images[0].norm.vmax == y.images[0].norm.vmin
    assert np.ma.median(x.images[0].get_array()) == pytest.approx(0, abs=1e-12)
    assert magnitude.images[0].get_array().min() >= 0
    assert direction.images[0].get_array().shape == (*shape, 3)
    assert any("relative to the median" in text for text in texts(figure))


def test_com_shows_what_is_derived() -> None:
    figure = plot.com_maps(make_com((6, 6), curl=np.ones((6, 6)), phase=np.ones((6, 6))), relative=False)
    titles = [ax.get_title(loc="left") for ax in map_axes(figure)]
    assert "Curl [Å⁻¹]" in titles
    assert "Phase [Å⁻¹]" in titles
    assert not any("Divergence" in title for title in titles)
    with pytest.raises(DataError, match="com_x"):
        plot.com_maps(make_com((3, 3)).drop_vars("com_x"))


def test_a_field_is_drawn_along_the_axes_of_the_scan_and_a_centre_of_mass_along_those_of_the_detector() -> None:
    com = make_com((6, 6))
    field = com.assign(field_y=com["com_x"], field_x=-com["com_y"])
    for data, name, titles in (
        (com, "com", ["Centre of mass, qx", "Centre of mass, qy"]),
        (field, "field", ["Field, scan x", "Field, scan y"]),
    ):
        figure = plot.com_maps(data, relative=False)
        x, y = map_axes(figure)[:2]
        assert [ax.get_title(loc="left").split(" [")[0] for ax in (x, y)] == titles
        np.testing.assert_allclose(x.images[0].get_array(), data[f"{name}_x"])
        np.testing.assert_allclose(y.images[0].get_array(), data[f"{name}_y"])
        assert titles[0].split(", ")[1] in texts(figure)


def test_colour_of_direction_turns_from_x_towards_y() -> None:
    y = xr.DataArray([[0.0, 1.0, np.nan]], scan_coords((1, 3)), ("scan_y", "scan_x"), attrs={"units": "1/angstrom"})
    x = y.copy(data=[[1.0, 0.0, 1.0]])
    colours = plot.vector_field(y, x).images[0].get_array()
    np.testing.assert_allclose(colours[0, 0], [1, 0, 0], atol=0.01)  # along x: red
    np.testing.assert_allclose(colours[0, 1], [0.5, 1, 0], atol=0.02)  # a quarter turn on
    np.testing.assert_allclose(colours[0, 2], 0.6)


def test_truth_is_averaged_over_what_is_fitted() -> None:
    result = make_strain()
    truth = result[list(strain.COMPONENTS)].fillna(0).assign_attrs(is_truth=1)
    unfitted = result["e_xx"].copy()
    unfitted[0, 3] = np.nan
    measured = result.assign(e_xx=unfitted, se_e_xx=result["se_e_xx"].where(np.isfinite(unfitted)))
    lines = plot.strain_profiles(measured, truth=truth).axes[0].lines
    drawn = next(line for line in lines if line.get_label() == "truth").get_ydata()
    assert drawn[3] == pytest.approx(100 * float(truth["e_xx"][1, 3]))
