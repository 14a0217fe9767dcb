"""Pictures of movies: dynamics, atoms on frames, tracks, and films to step through."""

from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from ronchi import plot
from ronchi.errors import DataError
from ronchi.schema import atoms, descriptors, dynamics, images
from ronchi.schema.common import variable


def counted(n_frames: int = 6, gap: bool = False) -> xr.Dataset:
    """Every part of ``dynamics/1``, of two classes."""
    rng = np.random.default_rng(0)
    frames = np.arange(n_frames) + (np.arange(n_frames) >= 3 if gap else 0)
    counts = rng.integers(0, 30, (n_frames, 2, 5))

    def three(name: str, dims: tuple[str, ...], value: np.ndarray) -> dict[str, xr.Variable]:
        ends = {"": value, "_low": np.maximum(value - 0.1, 0), "_high": np.minimum(value + 0.1, 1)}
        return {f"{name}{end}": variable(dims, array, "1", name) for end, array in ends.items()}

    share = np.linspace(0.2, 0.7, n_frames)
    return dynamics.make(
        frames,
        {
            "latent_counts": variable(("frame", "component", "latent_bin"), counts, "1", "counts"),
            "latent_edges": variable(("component", "latent_edge"), np.tile(np.arange(6.0), (2, 1)), "1", "edges"),
            "angle_counts": variable(("frame", "angle_bin"), counts[:, 0, :4], "1", "counts", n_fold=3),
            "angle_edges": variable("angle_edge", np.linspace(-np.pi / 3, np.pi / 3, 5), "rad", "edges"),
            **three("fraction", ("frame", "class"), np.stack([share, 1 - share], 1)),
            **three("transition", ("class", "class_to"), np.array([[0.9, 0.1], [np.nan, np.nan]])),
            "transition_counts": variable(("class", "class_to"), np.array([[90, 10], [0, 0]]), "1", "n"),
            **three("survival", ("class", "dwell"), np.array([[1, 0.6, 0.3], [1, 1, np.nan]])),
            "n_ended": variable("class", np.array([5, 0]), "1", "n"),
            "n_censored": variable("class", np.array([2, 0]), "1", "n"),
            "ring_counts": variable(("frame", "ring_size"), rng.integers(1, 9, (n_frames, 3)), "1", "rings"),
            "n_larger": variable("frame", np.ones(n_frames, int), "1", "holes"),
        },
        {
            "component": variable("component", np.array(["z0", "z1"]), "1", "component"),
            "class": variable("class", np.arange(2), "1", "class"),
            "class_to": variable("class_to", np.arange(2), "1", "class"),
            "dwell": variable("dwell", np.arange(3), "frames", "time"),
            "ring_size": variable("ring_size", np.array([5, 6, 7]), "1", "size"),
        },
    )


def described(n_frames: int = 3, n: int = 30, angle: bool = True) -> xr.Dataset:
    rng = np.random.default_rng(1)
    total = n_frames * n
    columns = {
        "frame": (np.repeat(np.arange(n_frames), n), "1"),
        "position_y": (rng.uniform(0, 8, total), "angstrom"),
        "position_x": (rng.uniform(0, 16, total), "angstrom"),
    }
    coords = {name: variable("sample", values, units, name) for name, (values, units) in columns.items()}
    z = rng.normal(size=(total, 2))
    z[0] = np.nan
    turn = rng.uniform(-3, 3, total) if angle else None
    return descriptors.make(z, dims=("sample",), angle=turn, n_fold=3, coords=coords)


def test_every_part_of_dynamics_is_drawn():
    for draw in (
        plot.latents_in_time,
        plot.angles_in_time,
        plot.fractions_in_time,
        plot.transition_matrix,
        plot.dwell_curves,
        plot.rings_in_time,
    ):
        draw(counted()).draw_without_rendering()
        with pytest.raises(DataError, match="to draw"):
            draw(dynamics.make(np.arange(2), {}))


def test_a_frame_that_is_not_there_stays_empty():
    figure = plot.latents_in_time(counted(gap=True))
    mesh = figure.axes[0].collections[0]
    table = np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(5, 7)
    assert np.isnan(table[:, 3]).all()
    assert np.isfinite(np.delete(table, 3, axis=1)).all()


def test_of_every_kth_frame_there_are_no_stripes_and_the_matrix_says_how_much_later():
    data = counted(gap=True)
    data = data.assign_coords(frame=data["frame"].copy(data=10 * data["frame"].values))
    data["class_to"].attrs["long_name"] = "class 10 frames later"
    mesh = plot.latents_in_time(data).axes[0].collections[0]
    table = np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(5, 7)
    assert np.isfinite(np.delete(table, 3, axis=1)).all()
    edges = mesh.get_coordinates()[0, :, 0]
    np.testing.assert_array_equal(edges, 10 * np.arange(8) - 5)
    assert plot.transition_matrix(data).axes[0].get_xlabel() == "class 10 frames later"


def test_the_matrix_states_probability_interval_and_count_and_nothing_for_a_class_never_left():
    texts = [text.get_text() for text in plot.transition_matrix(counted()).axes[0].texts]
    assert texts == ["0.900\n0.800–1.000\nn = 90", "0.100\n0.000–0.200\nn = 10"]


@pytest.mark.parametrize("n", [2, 5, 8, 12])
def test_the_labels_of_a_matrix_lie_within_its_figure(n):
    share = np.full((n, n), 1 / n)
    data = xr.Dataset(
        {f"transition{end}": (("class", "class_to"), share) for end in ("", "_low", "_high", "_counts")},
        {"class": np.arange(n), "class_to": np.arange(n)},
    )
    figure = plot.transition_matrix(data)
    figure.draw_without_rendering()
    for ax in figure.axes:
        box = ax.get_tightbbox()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= 0


def test_legends_lie_on_no_line():
    for draw in (plot.fractions_in_time, plot.dwell_curves, plot.rings_in_time):
        figure = draw(counted())
        figure.draw_without_rendering()
        ax = figure.axes[-1]
        legend = ax.get_legend().get_window_extent()
        assert ax.get_window_extent().x1 <= legend.x0
        assert legend.x1 <= figure.bbox.x1


def test_the_angle_says_its_period_and_classes_say_how_many_stays_ended():
    assert "modulo 120° (3-fold symmetry)" in plot.angles_in_time(counted())._suptitle.get_text()
    (legend,) = [t.get_text() for t in plot.dwell_curves(counted()).axes[0].get_legend().get_texts()]
    assert legend == "class 0: 5 of 7 ended"


def test_classes_that_nothing_left_are_said_to_be_so():
    still = counted()
    still["n_ended"] = still["n_ended"] * 0
    (ax,) = plot.dwell_curves(still).axes
    assert [text.get_text() for text in ax.texts] == ["no stay ended within the movie"]
    assert not plot.dwell_curves(counted()).axes[0].texts


def test_frames_and_rings_are_counted_in_whole_numbers():
    figure = plot.rings_in_time(counted(3))
    for ticks in (axis.get_ticklocs() for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        assert (ticks == np.round(ticks)).all()


def table(units: str = "pixel") -> xr.Dataset:
    y, x = (axis.ravel().astype(float) for axis in np.mgrid[4:30:6, 4:50:6])
    n = len(y)
    return atoms.make(
        frame=np.repeat([0, 1, 5], n), y=np.tile(y, 3), x=np.tile(x, 3), species=np.tile(np.arange(n) % 2, 3),
        track=np.tile(np.arange(n), 3), units=units, species_meanings="carbon silicon",
    )  # fmt: skip


@pytest.mark.parametrize("units", ["pixel", "angstrom"])
def test_atoms_lie_on_their_image_in_either_unit(units):
    movie = images.make(np.random.default_rng(0).random((6, 32, 52)), step=(0.5, 0.5))
    figure = plot.atom_frames(table(units), movie)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [f"frame {k}: 40 atoms" for k in (0, 1, 5)]
    size = 1.0 if units == "pixel" else 0.5
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    np.testing.assert_allclose([right - left, bottom - top], [52 * size, 32 * size])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["carbon", "silicon"]
    bare = plot.atom_frames(table(units))
    bare.draw_without_rendering()
    for each in (figure, bare):
        (bar,) = (patch for patch in each.axes[0].patches if patch.get_gid() == "scale-bar")
        assert [text.get_text() for text in each.axes[0].texts] == ["10 px" if units == "pixel" else "1 nm"]
        assert bar.get_width() == 10
    # Nothing tells where atoms in angstrom lie on an image in pixels.
    unknown = plot.atom_frames(table(units), images.make(np.zeros((6, 32, 52))))
    assert len(unknown.axes[0].images) == (units == "pixel")


def test_marks_let_the_atoms_on_an_image_be_seen():
    movie = images.make(np.random.default_rng(0).random((6, 32, 52)))
    for given, filled in ((movie, False), (None, True)):
        marks = plot.atom_frames(table("pixel"), given).axes[0].collections
        assert [bool(len(mark.get_facecolor())) for mark in marks] == [filled, filled]
        assert len({tuple(mark.get_edgecolor()[0]) for mark in marks}) == 2, "the species have their colours"


def test_atoms_of_a_part_of_an_image_lie_on_that_part():
    movie = images.make(np.random.default_rng(0).random((6, 32, 52))).isel(y=slice(10, 30), x=slice(20, 50))
    left, right, bottom, top = plot.atom_frames(table("pixel"), movie).axes[0].images[0].get_extent()
    np.testing.assert_allclose([left, right, bottom, top], [19.5, 49.5, 29.5, 9.5])


def test_rings_on_atoms_and_tracks():
    rings = np.zeros((120, 3), int)
    rings[:, 1], rings[:5, 0], rings[3:9, 2] = 3, 1, 1
    held = table().assign(rings=variable(("atom", "ring_size"), rings, "1", "rings"))
    held = held.assign_coords(ring_size=variable("ring_size", np.array([5, 6, 7]), "1", "size"))
    names = [text.get_text() for text in plot.atom_rings(held).legends[0].get_texts()]
    assert names == ["hexagons only", "pentagon", "heptagon", "pentagon and heptagon"]
    # An octagon beside two hexagons is not hexagons only; with `max_size: 6` heptagons are not told apart at all.
    apart = np.where(np.arange(120)[:, None] % 3 == 0, [0, 2, 1], [1, 2, 0])
    for last, words in ((8, ["pentagon", "another ring"]), (4, ["pentagon", "another ring"])):
        few = held.assign(rings=variable(("atom", "ring_size"), apart, "1", "rings"))
        few = few.assign_coords(ring_size=variable("ring_size", np.array([5, 6, last]), "1", "size"))
        assert [text.get_text() for text in plot.atom_rings(few).legends[0].get_texts()] == words
    assert len(plot.track_summary(table()).axes) == 2
    drift = {f"drift_{axis}": variable("movie_frame", np.arange(3.0), "pixel", "drift") for axis in "yx"}
    moving = table().assign(drift).assign_coords(movie_frame=variable("movie_frame", np.arange(3), "1", "frame"))
    summary = plot.track_summary(moving)
    assert len(summary.axes) == 3
    summary.draw_without_rendering()
    for ax in summary.axes[:2]:
        legend = ax.get_legend().get_window_extent()
        assert ax.get_window_extent().y1 <= legend.y0, "above the axes, on no line"
        assert legend.y1 <= summary.bbox.y1
    drift, counts = (ax.get_legend().get_window_extent() for ax in summary.axes[:2])
    assert drift.x1 <= counts.x0
    for draw, of in ((plot.atom_rings, table()), (plot.track_summary, table().drop_vars("track"))):
        with pytest.raises(DataError, match="to draw"):
            draw(of)


def test_a_film_has_a_small_picture_a_frame():
    movie = images.make(np.random.default_rng(0).random((3, 80, 160)), step=(0.1, 0.1))
    made = plot.film(described(), movie)
    assert made.frames == (0, 1, 2)
    assert made.panels == ("image", "z0", "angle from x to y, modulo 120° [°]")
    assert made.width == "1.59 nm"  # 160 pixels of 0.1 angstrom, from middle to middle
    sizes = {Image.open(io.BytesIO(picture)).size for picture in made.pictures}
    ((width, height),) = sizes
    assert width == 3 * 340 + 2 * 6
    assert height == pytest.approx(170, abs=2)
    made.draw_legend().draw_without_rendering()


def test_a_film_of_many_frames_is_cut_down_and_reads_only_what_it_shows():
    import dask.array as da

    read = []

    def make(block_id: tuple[int, ...]) -> np.ndarray:
        read.append(block_id[0])
        return np.zeros((1, 20, 40), np.float32)

    movie = images.make(
        da.map_blocks(make, chunks=((1,) * 100, (20,), (40,)), dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)),
        step=(0.4, 0.4),
    )
    made = plot.film(described(100, 4, angle=False), movie)
    assert len(made.pictures) == 40
    assert sorted(set(read)) == list(made.frames)
    assert made.panels == ("image", "z0")


def test_colours_of_a_film_follow_the_values():
    data = described(1, 2, angle=False)
    data["position_y"].values[:], data["position_x"].values[:] = [0, 10], [0, 10]
    data["z"].values[:] = [[0, 0], [1, 0]]
    (picture,) = plot.film(data).pictures
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    low, high = pixels[2:6, 2:6].mean((0, 1)), pixels[-6:-2, -6:-2].mean((0, 1))
    np.testing.assert_allclose(low, [68, 1, 84], atol=12)  # the ends of viridis
    np.testing.assert_allclose(high, [253, 231, 37], atol=12)
    with pytest.raises(DataError, match="where the samples are"):
        plot.film(data.drop_vars("frame"))
