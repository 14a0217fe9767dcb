"""Pictures of descriptors: what is drawn, where, and in which words."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from matplotlib.image import AxesImage

from ronchi import plot
from ronchi.errors import DataError
from ronchi.plot.canvas import CATEGORIES, category_colour
from ronchi.schema import crops, decoded, descriptors
from ronchi.schema.common import variable


def on_atoms(n: int = 60, n_fold: int = 3) -> xr.Dataset:
    rng = np.random.default_rng(0)
    coords = {
        name: variable("sample", values, units, name)
        for name, values, units in (
            ("frame", np.arange(n) * 6 // n, "1"),
            ("position_y", rng.uniform(0, 50, n), "angstrom"),
            ("position_x", rng.uniform(0, 50, n), "angstrom"),
        )
    }
    angle = rng.uniform(-9, 9, n)
    angle[3] = np.nan
    label = np.arange(n) % 3
    label[3] = -1
    return descriptors.make(
        rng.normal(size=(n, 2)), dims=("sample",), angle=angle, n_fold=n_fold, label=label, coords=coords,
        loss=variable("epoch", np.array([3.0, 2.0, 1.5]), "1", "loss"),
        bic=variable("n_classes", np.array([9.0, 5.0]), "1", "BIC"),
    )  # fmt: skip


def on_scan() -> xr.Dataset:
    rng = np.random.default_rng(0)
    coords = {d: variable(d, np.arange(k) * 0.5, "angstrom", d) for d, k in (("scan_y", 4), ("scan_x", 6))}
    label = rng.integers(0, 3, (4, 6))
    return descriptors.make(
        rng.normal(size=(4, 6, 2)), dims=("scan_y", "scan_x"), angle=rng.uniform(-3, 3, (4, 6)), n_fold=2, label=label,
        coords=coords,
    )  # fmt: skip


@pytest.mark.parametrize("n_fold", [1, 3])
def test_angles_are_folded_and_the_symmetry_is_said(n_fold: int):
    figure = plot.angle_map(on_atoms(n_fold=n_fold))
    assert f"{360 / n_fold:g}°" in figure.get_suptitle()
    assert (f"{n_fold}-fold" in figure.get_suptitle()) == (n_fold > 1)
    *maps, bar = figure.axes
    assert [ax.get_title(loc="left") for ax in maps] == ["frame 0", "frame 1", "frame 3", "frame 5"]
    drawn = np.concatenate([part.get_array() for ax in maps for part in ax.collections if part.get_array() is not None])
    assert np.abs(drawn).max() <= 180 / n_fold
    assert maps[0].collections[-1].get_cmap().name == "twilight"  # cyclic: both ends look the same
    assert bar.get_yticks().tolist() == np.linspace(-180 / n_fold, 180 / n_fold, 5).tolist()
    assert maps[0].yaxis_inverted()  # y downwards


def test_atoms_without_a_value_are_grey():
    first = plot.angle_map(on_atoms()).axes[0]
    unknown, known = first.collections
    assert (len(unknown.get_offsets()), len(known.get_offsets())) == (1, 9)


def test_angles_are_folded_as_most_samples_are_symmetric():
    data = on_atoms(n_fold=1).assign(class_n_fold=("class", [3, 1, 3]))  # 20 samples each, one of them unknown
    assert plot.angle_map(data).get_suptitle() == "Angle modulo 120° (3-fold symmetry)"
    assert plot.angle_map(data, n_fold=6).get_suptitle() == "Angle modulo 60° (6-fold symmetry)"
    assert plot.angle_map(data, n_fold=1).get_suptitle() == "Angle, defined modulo 360°"
    isotropic = data.assign(class_n_fold=("class", [0, 1, 0]))  # no angles but those of one class
    assert plot.angle_map(isotropic).get_suptitle() == "Angle, defined modulo 360°"


def test_the_white_middle_of_a_scale_is_seen_on_the_ground():
    first = plot.atom_maps(on_atoms(), "z0").axes[0]
    assert first.collections[-1].get_cmap().name == "RdBu_r"
    assert sum(first.get_facecolor()[:3]) < 3 * 0.85  # its middle is 0.97


def test_classes_have_a_colour_each():
    figure = plot.class_map(on_scan())
    shown = next(item for item in figure.axes[0].get_children() if isinstance(item, AxesImage))
    colours = shown.cmap(shown.norm(np.arange(3)))
    assert len({tuple(colour) for colour in colours}) == 3
    np.testing.assert_array_equal(shown.get_array(), on_scan()["label"])
    assert "grey" in plot.class_map(on_atoms()).get_suptitle()


def test_twenty_four_classes_have_colours_of_their_own() -> None:
    assert len({category_colour(k) for k in range(24)}) == 24
    assert [category_colour(k) for k in range(8)] == [name.lower() for name in CATEGORIES]
    assert plot.angle_map(on_scan()).get_suptitle() == "Angle, defined modulo 180° (2-fold symmetry)"


def test_components_on_atoms_and_their_distributions():
    data = on_atoms()
    assert plot.atom_maps(data, "z1").get_suptitle() == "Descriptor z1"
    against_frame = plot.latent_histograms(data)
    assert against_frame.axes[0].get_ylabel() == "frame"
    counts = against_frame.axes[0].collections[0].get_array()
    assert counts.shape == (6, 60)
    assert np.nansum(counts) == 60
    # A frame that is not in the data stays empty, and is not stretched over.
    gap = data.isel(sample=data["frame"].values != 2)
    mesh = plot.latent_histograms(gap).axes[0].collections[0]
    assert mesh.get_array().shape == (6, 60)
    assert np.isnan(np.ma.filled(mesh.get_array(), np.nan)[2]).all()
    (bar,) = (patch for patch in plot.atom_maps(data, "z1").axes[0].patches if patch.get_gid() == "scale-bar")
    assert bar.get_width() > 0
    with pytest.raises(DataError, match="no samples to draw"):
        plot.atom_maps(data.isel(sample=slice(0)), "z1")
    for lost in (0, 2):  # samples without a class are counted too
        scan = on_scan()
        scan["label"].values[:lost, 0] = -1
        over_scan = plot.latent_histograms(scan)
        heights = sum(patch.get_height() for patch in over_scan.axes[0].patches)
        assert heights == 24  # stacked bars
        assert all(tick == round(tick) for tick in over_scan.axes[0].get_yticks())
        assert len(over_scan.axes[0].get_xticks()) <= 6, "their labels would overlap"


@pytest.mark.parametrize("dims", [("class",), ("z1", "z0")])
def test_the_zeros_outside_of_a_window_do_not_stretch_the_colours(dims: tuple[str, ...]):
    images = 100 + np.random.default_rng(0).uniform(0, 1, (*(4,) * len(dims), 9, 9))
    images[..., 0, :] = 0
    image = decoded.make(images, dims=(*dims, "y", "x"))
    figure = plot.decoded_images(image) if len(dims) == 1 else plot.manifold_grid(image)
    (shown, *_) = figure.axes[0].images
    assert shown.get_clim()[0] > 99
    assert np.isnan(np.ma.filled(shown.get_array(), np.nan)[0]).all()
    blank = decoded.make(np.zeros_like(images), dims=(*dims, "y", "x"))
    assert plot.decoded_images(blank) if len(dims) == 1 else plot.manifold_grid(blank)


def test_curves_are_named_and_at_their_places():
    figure = plot.training_curves(on_atoms())
    epoch, classes = figure.axes
    figure.draw_without_rendering()
    for ax in figure.axes:
        legend = ax.get_legend().get_window_extent()
        assert ax.get_window_extent().x1 <= legend.x0, "beside the axes, on no line"
        assert legend.x1 <= figure.bbox.x1
    assert (epoch.get_xlabel(), classes.get_xlabel()) == ("epoch", "number of classes")
    np.testing.assert_array_equal(epoch.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(classes.lines[0].get_ydata(), [9, 5])


def test_what_is_not_there_is_said():
    bare = descriptors.make(np.zeros((4, 1)), dims=("sample",), label=np.zeros(4))
    for draw, words in (
        (plot.angle_map, "no variable 'angle'"),
        (plot.class_map, "nothing says where the samples are"),
        (plot.training_curves, "no training curves"),
    ):
        with pytest.raises(DataError, match=words):
            draw(bare)
    with pytest.raises(DataError, match="as a grid"):
        plot.decoded_images(decoded.make(np.zeros((2, 2, 5, 5)), dims=("a", "b", "y", "x")))
    with pytest.raises(DataError, match="in a row"):
        plot.manifold_grid(decoded.make(np.zeros((2, 5, 5)), dims=("a", "y", "x")))


def test_a_manifold_is_tiled_with_values_growing_upwards():
    image = np.arange(6.0)[:, None, None] * np.ones((5, 7))
    coords = {"z1": variable("z1", np.array([-1.0, 1.0]), "1", "z1"), "z0": variable("z0", np.arange(3.0), "1", "z0")}
    grid = decoded.make(image.reshape(2, 3, 5, 7), dims=("z1", "z0", "y", "x"), coords=coords)
    (ax,) = plot.manifold_grid(grid).axes
    tiled = ax.images[0].get_array()
    assert tiled.shape == (10, 21)
    assert (tiled[-1, 0], tiled[-1, -1], tiled[0, 0]) == (0, 2, 3)  # bottom left, bottom right, top left
    assert [label.get_text() for label in ax.get_yticklabels()] == ["-1", "1"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z0", "z1")


def test_means_of_named_descriptors_are_no_images():
    named = {"x": ["rvae0", "rvae1", "rvae2"]}
    data = decoded.make(np.arange(6.0).reshape(2, 1, 3), dims=("class", "y", "x")).assign_coords(named)
    first, second = plot.decoded_images(data).axes
    assert not first.images
    assert [bar.get_height() for bar in second.patches] == [3, 4, 5]
    assert [label.get_text() for label in first.get_xticklabels()] == ["rvae0", "rvae1", "rvae2"]
    assert first.get_ylim() == second.get_ylim()


def test_images_carry_their_class_and_weight():
    data = decoded.make(
        np.random.default_rng(0).random((3, 5, 5)), dims=("class", "y", "x"),
        weight=variable("class", np.array([0.5, 0.3, 0.2]), "1", "weight"),
    )  # fmt: skip
    axes = plot.decoded_images(data).axes
    assert [ax.get_title() for ax in axes] == ["class 0, 50 %", "class 1, 30 %", "class 2, 20 %"]
    assert len({ax.images[0].get_clim() for ax in axes}) == 1
    signed = decoded.make(np.random.default_rng(0).normal(size=(2, 5, 5)), dims=("component", "y", "x"))
    assert plot.decoded_images(signed).axes[0].images[0].get_clim() == (-1, 1)
    # The sign of a component is arbitrary.
    negative = signed.assign(image=-abs(signed["image"]))
    shown = plot.decoded_images(negative).axes[0].images[0]
    assert shown.get_clim()[0] <= float(np.nanmin(shown.get_array()))


def test_small_images_have_the_size_of_their_pixels():
    coords = {dim: variable(dim, (np.arange(5) - 2) * 0.5, "angstrom", dim) for dim in ("y", "x")}
    data = decoded.make(np.random.default_rng(0).random((2, 5, 5)), dims=("class", "y", "x"), coords=coords)
    first, second = plot.decoded_images(data).axes
    (bar,) = (patch for patch in first.patches if patch.get_gid() == "scale-bar")
    assert (bar.get_width(), first.texts[0].get_text()) == (0.5, "0.5 Å")
    np.testing.assert_allclose(first.images[0].get_extent(), (-1.25, 1.25, 1.25, -1.25))
    assert not second.texts


def test_only_the_crops_that_are_shown_are_made():
    made: list[int] = []

    def block(values, block_info=None):
        if block_info:
            made.append(block_info[0]["chunk-location"][0])
        return values

    lazy = da.zeros((100, 5, 5), chunks=(1, 5, 5), dtype="f4").map_blocks(block, dtype="f4", meta=np.empty(0, "f4"))
    outside = np.zeros((5, 5), bool)
    outside[0, 0] = True
    numbers = np.arange(100)
    data = crops.make(lazy, frame=numbers, atom=numbers, position_y=numbers, position_x=numbers, bad_pixel=outside)
    axes = plot.crop_gallery(data, n=5).axes
    assert len(axes) == len(made) == 5
    assert np.isnan(np.ma.filled(axes[0].images[0].get_array().astype(float), np.nan)[0, 0])
