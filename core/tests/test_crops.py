"""Crops around atoms: sub-pixel centres, edges, units, laziness, and the way back to the atoms."""

from __future__ import annotations

import weakref

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import ronchi
from ronchi.api import Context
from ronchi.apply import apply
from ronchi.builtin.crops import circular_mask, cut_frame
from ronchi.builtin.decoding import back_project
from ronchi.builtin.motifs import draw_atoms
from ronchi.errors import CalibrationError, DataError, SchemaError
from ronchi.pipeline.encode import _encode_all
from ronchi.schema import atoms, crops, descriptors, images
from ronchi.schema.common import variable


def movie(
    n_frames: int = 3, shape=(60, 70), seed: int = 0, lazy: bool = False, **more
) -> tuple[xr.Dataset, xr.Dataset]:
    """Frames of Gaussian atoms at random places, and the atoms."""
    rng = np.random.default_rng(seed)
    frame, y, x, values = [], [], [], []
    for i in range(n_frames):
        where = rng.uniform(2, np.array(shape) - 3, (5 + i, 2))
        centre = np.array(shape) // 2
        values.append(draw_atoms((where - centre)[None], np.ones(len(where)), 2.0, shape)[0])
        frame += [i] * len(where)
        y, x = [*y, *where[:, 0]], [*x, *where[:, 1]]
    stack = np.stack(values).astype("f4")
    data = images.make(da.from_array(stack, chunks=(1, 32, -1)) if lazy else stack, **more)
    return data, atoms.make(frame=frame, y=y, x=x, species=np.arange(len(y)) % 2, track=np.arange(len(y)))


def cut(data: xr.Dataset, where: xr.Dataset, **params) -> xr.Dataset:
    return apply("transform", "crops", params, {"data": data, "atoms": where}).data


def offset(crop: np.ndarray) -> np.ndarray:
    """Centre of mass of a lone blob from the pixel N // 2."""
    y, x = np.indices(crop.shape)
    return np.array([(crop * y).sum(), (crop * x).sum()]) / crop.sum() - np.array(crop.shape) // 2


@settings(max_examples=30, deadline=None)
@given(st.floats(25, 35), st.floats(25, 35), st.sampled_from([20, 21]))
def test_atoms_come_to_lie_on_the_middle_pixel(y: float, x: float, size: int):
    image = draw_atoms(np.array([[[y - 30, x - 30]]]), np.ones(1), 2.0, (60, 60))
    data, where = images.make(image), atoms.make(frame=[0], y=[y], x=[x])
    found = cut(data, where, size_px=size)
    crops.validate(found)
    np.testing.assert_allclose(offset(found["intensity"].values[0]), 0, atol=2e-3)
    rounded = cut(data, where, size_px=size, interpolation="nearest")["intensity"].values[0]
    np.testing.assert_allclose(offset(rounded), np.array([y, x]) - np.rint([y, x]), atol=2e-3)


def test_interpolation_is_close_to_the_image_itself():
    data, where = movie()
    for kind, error in (("cubic", 0.002), ("linear", 0.12)):
        found = cut(data, where, size_px=11, interpolation=kind)
        for crop, atom in zip(found["intensity"].values, found["atom"].values, strict=True):
            y, x = where["y"].values[atom], where["x"].values[atom]
            same = where["frame"].values == where["frame"].values[atom]
            others = np.stack([where["y"].values[same] - y, where["x"].values[same] - x], 1)
            np.testing.assert_allclose(
                crop, draw_atoms(others[None], np.ones(len(others)), 2.0, (11, 11))[0], atol=error
            )


def test_whole_pixels_are_cut_exactly():
    values = np.random.default_rng(0).random((1, 30, 30)).astype("f4")
    where = atoms.make(frame=[0], y=[12.0], x=[17.0])
    found = cut(images.make(values), where, size_px=7, mask="none", interpolation="linear")
    np.testing.assert_array_equal(found["intensity"][0], values[0, 9:16, 14:21])


def test_where_crops_come_from_is_kept():
    data, where = movie()
    found = cut(data, where, size_px=9, species=[1])
    index = found["atom"].values
    for name in ("frame", "species", "track"):
        np.testing.assert_array_equal(found[name], where[name].values[index])
    np.testing.assert_allclose(found["position_y"], where["y"].values[index])
    assert set(found["species"].values) == {1}
    assert (np.diff(found["frame"].values) >= 0).all()
    assert found.attrs["n_left_out"] == where.sizes["atom"] - len(index)


def test_crops_that_leave_the_frame():
    data, _ = movie(1)
    where = atoms.make(frame=[0] * 4, y=[5.0, 30.0, 4.9, 54.0], x=[30.0, 30.0, 30.0, 66.0])
    assert cut(data, where, size_px=11)["atom"].values.tolist() == [0, 1]  # 5 px to the border are just enough
    outside = cut(data, where, size_px=11, edge="nan")["intensity"].values
    assert [int(np.isnan(crop).any()) for crop in outside] == [0, 0, 1, 1]
    assert np.isnan(outside[2]).sum() == 11  # one row
    mirrored = cut(data, where, size_px=11, edge="reflect")["intensity"].values
    assert np.isfinite(mirrored).all()
    with pytest.raises(DataError, match="none of 4 atoms has a crop of 61 px"):
        cut(data, where, size_px=61)


@pytest.mark.parametrize("size", [6, 7, 25])
def test_the_circle_is_whole_and_symmetric(size: int):
    inside = circular_mask((size, size))
    first = 1 - size % 2
    square = inside[first:, first:]
    for turned in (square[::-1], square[:, ::-1], square.T):
        np.testing.assert_array_equal(square, turned)
    assert not inside[:first].any()  # the first row of an even window has no partner
    data, where = movie()
    found = cut(data, where, size_px=size)
    np.testing.assert_array_equal(found["bad_pixel"].values == 0, inside)
    assert "bad_pixel" not in cut(data, where, size_px=size, mask="none")


def test_lazy_images_give_lazy_crops_of_the_same_bits():
    (eager, where), (lazy, _) = movie(), movie(lazy=True)
    one, two = cut(eager, where, size_px=9), cut(lazy, where, size_px=9)
    assert two["intensity"].chunks is not None
    assert len(two["intensity"].chunks[0]) == 3  # a frame each
    np.testing.assert_array_equal(one["intensity"], two["intensity"])


def test_angstrom_and_pixels():
    data, where = movie(step=(0.2, 0.2))
    scaled = atoms.make(frame=where["frame"], y=where["y"] * 0.2, x=where["x"] * 0.2, units="angstrom")
    a, b = cut(data, where, size_px=9), cut(data, scaled, size_px=9)
    np.testing.assert_allclose(a["intensity"], b["intensity"], atol=1e-5)
    assert a["y"].attrs["units"] == a["position_y"].attrs["units"] == "angstrom"
    np.testing.assert_allclose(a["position_x"], where["x"].values[a["atom"].values] * 0.2)
    np.testing.assert_allclose(np.diff(a["y"]), 0.2)
    with pytest.raises(CalibrationError, match="atoms are in angstrom"):
        cut(movie()[0], scaled, size_px=9)
    with pytest.raises(CalibrationError, match="'y' in 'nm'"):
        cut(data, atoms.make(frame=where["frame"], y=where["y"], x=where["x"], units="nm"), size_px=9)


def test_unequal_pixels_become_square_so_that_nothing_is_sheared():
    """Pixels of 0.4 x 0.2: a round atom of 1 angstrom must be round in the crop."""
    y, x = np.indices((40, 80), dtype=float)
    values = np.exp(-(((y - 20) * 0.4) ** 2 + ((x - 40) * 0.2) ** 2) / 2)
    data = images.make(values, step=(0.4, 0.2))
    found = cut(data, atoms.make(frame=[0], y=[20.0], x=[40.0]), size_px=41)["intensity"].values[0]
    np.testing.assert_allclose(found, found.T, atol=2e-3)
    assert found[20, 20] == pytest.approx(1, abs=1e-3)


def test_a_part_of_an_uncalibrated_movie_is_cut_where_its_atoms_are():
    data, where = movie(1)
    whole = cut(data, where, size_px=9)
    part = data.isel(y=slice(7, None), x=slice(11, None))
    found = cut(part, where, size_px=9)
    same = np.isin(whole["atom"].values, found["atom"].values)
    assert same.sum() == found.sizes["sample"] > 0
    np.testing.assert_allclose(found["intensity"], whole["intensity"][same], atol=2e-3)  # mirrored elsewhere
    np.testing.assert_array_equal(found["position_x"], where["x"].values[found["atom"]])
    binned = data.assign_coords(
        {dim: (dim, 0.5 + 2 * np.arange(data.sizes[dim]), data[dim].attrs) for dim in ("y", "x")}
    )
    twice = where.assign(y=0.5 + 2 * where["y"], x=0.5 + 2 * where["x"])
    np.testing.assert_allclose(cut(binned, twice, size_px=9)["intensity"], whole["intensity"], atol=1e-5)


@pytest.mark.parametrize("dim", ["y", "x"])
def test_an_axis_that_descends_mirrors_nothing(dim):
    data, where = movie(1, step=(0.2, 0.2))
    scaled = atoms.make(frame=where["frame"], y=where["y"] * 0.2, x=where["x"] * 0.2, units="angstrom")
    upside_down = data.isel({dim: slice(None, None, -1)})
    a, b = cut(data, scaled, size_px=9), cut(upside_down, scaled, size_px=9)
    np.testing.assert_allclose(b["intensity"], a["intensity"], atol=1e-5)
    np.testing.assert_allclose(b[dim], a[dim])
    np.testing.assert_allclose(b[f"position_{dim}"], a[f"position_{dim}"], atol=1e-9)


def test_a_dead_pixel_does_not_ring():
    y, x = np.indices((41, 41))
    image = 100 + 1000 * np.exp(-((y - 20) ** 2 + (x - 20) ** 2) / 18)
    dead = image.copy()
    dead[20, 22] = np.nan
    places, window = np.array([[20.0, 20.0]]), np.mgrid[-6:7, -6:7].astype(float)
    whole, holed = (cut_frame(one, places, window, 3, "drop")[0] for one in (image, dead))
    known = np.isfinite(holed)
    assert (~known).sum() == 1
    # The nearest value in its place is 10 % of the peak off; the mean of the frame, in its place before, was 80 %.
    assert np.abs(holed - whole)[known].max() < 5


@pytest.mark.parametrize("frame", [[0.0, 0.5, 1.0], [0, 1, 1]])
def test_numbers_of_frames_are_whole_and_come_once(frame):
    data, where = movie(3)
    with pytest.raises(SchemaError, match="no numbers of frames"):
        cut(data.assign_coords(frame=("frame", frame, {"units": "1", "long_name": "frame"})), where, size_px=9)


def test_atoms_in_another_order_are_noticed():
    data, where = movie(1)
    found = cut(data, where, size_px=9)
    told = descriptors.make(
        np.zeros((found.sizes["sample"], 1)), dims=("sample",),
        coords={name: found[name].variable for name in crops.SAMPLE_COORDS},
    )  # fmt: skip
    back_project(told, where)
    with pytest.raises(DataError, match="other atoms than these"):
        back_project(told, where.sortby("x"))


def test_values_that_are_not_finite_stay_where_they_are():
    data, _ = movie(1)
    values = data["intensity"].values.copy()
    values[0, 30, 35] = np.nan
    made = cut_frame(values[0], np.array([[30.0, 35.5], [10.0, 10.0]]), np.mgrid[-3:4, -3:4].astype(float), 3, "drop")
    assert np.isnan(made[0]).sum() == 2  # the two pixels that touch it
    assert np.isfinite(made[1]).all()


def test_frames_can_be_brought_to_one_scale():
    data, where = movie()
    brighter = data.copy(deep=True)
    brighter["intensity"][1] = brighter["intensity"][1] * 7 + 100
    a, b = (cut(each, where, size_px=9, normalise="frame") for each in (data, brighter))
    np.testing.assert_allclose(a["intensity"], b["intensity"], atol=1e-4)
    constant = images.make(np.ones((1, 30, 30)))
    flat = cut(constant, atoms.make(frame=[0], y=[15.0], x=[15.0]), size_px=5, normalise="frame")
    np.testing.assert_array_equal(flat["intensity"], 0)


def test_atoms_of_frames_that_are_not_there_are_refused():
    data, where = movie()
    with pytest.raises(DataError, match="atoms of frame 2"):
        cut(data.isel(frame=slice(2)), where, size_px=9)


def test_back_on_the_atoms():
    data, where = movie()
    found = cut(data, where, size_px=9)
    n = found.sizes["sample"]
    z = np.random.default_rng(0).random((n, 2))
    told = descriptors.make(
        z,
        dims=("sample",),
        component=("a", "b"),
        angle=z[:, 0],
        n_fold=3,
        label=np.arange(n),
        coords={name: found[name].variable for name in crops.SAMPLE_COORDS},
    )
    table = back_project(told, where)
    np.testing.assert_array_equal(table["a"].values[found["atom"]], z[:, 0])
    lost = np.setdiff1d(np.arange(where.sizes["atom"]), found["atom"])
    assert len(lost)
    assert np.isnan(table["b"].values[lost]).all()
    assert (table["label"].values[lost] == -1).all()
    assert table["angle"].attrs["n_fold"] == 3
    flags = told.assign(
        sure=variable("sample", np.ones(n, bool), "1", "sure"),
        code=variable("sample", np.ones(n, np.uint8), "1", "code"),
    )
    for name in ("sure", "code"):
        values = back_project(flags, where)[name].values
        assert (values[found["atom"]] == 1).all()
        assert (values[lost] == -1).all()
    with pytest.raises(DataError, match="other atoms than these"):
        back_project(told, where.isel(atom=slice(None, None, -1)))
    with pytest.raises(DataError, match="which atoms"):
        back_project(told.drop_vars("atom"), where)
    with pytest.raises(DataError, match="but there are 2"):
        back_project(told, where.isel(atom=slice(2)))


def test_a_pipeline_from_movie_to_atoms_and_manifold(tmp_path, monkeypatch, shared_data):
    pytest.importorskip("sklearn", reason="the learner gmm needs scikit-learn")
    monkeypatch.chdir(tmp_path)
    whole = ronchi.read(shared_data / "sim" / "graphene_movie.nc")
    truth = ronchi.read(shared_data / "sim" / "graphene_movie.nc", side="truth")
    first = truth.isel(atom=np.flatnonzero(truth["frame"].values == 0))
    ronchi.write(whole.isel(frame=slice(1)), "movie.nc", sides={"truth": first})
    steps = {
        "load": {"reader": "native", "params": {"path": "movie.nc"}},
        "crops": {"transform": "crops", "data": "load", "atoms": "load.truth", "params": {"size_px": 17}},
        "learn": {"descriptor_learner": "gmm", "data": "crops", "params": {"n_classes": 2, "n_scores": 3, "n_init": 1}},
        "atoms": {"transform": "back-project", "data": "learn", "atoms": "load.truth"},
        "grid": {"transform": "manifold", "model": "learn.model", "data": "learn", "params": {"n": 3}},
        "made": {"transform": "reconstruct", "data": "crops", "model": "learn.model"},
        "nll": {"metric": "pose-nll", "result": "made", "truth": "crops"},
    }
    run = ronchi.run({"schema": "ronchi.pipeline/1", "steps": steps}, progress=False)
    assert run.ok, [step.error for step in run.steps.values()]
    assert run["crops"]["intensity"].chunks is not None
    assert run["grid"]["image"].shape == (3, 3, 17, 17)
    inner = run["crops"]["bad_pixel"].values == 0
    assert np.isfinite(run["grid"]["image"].values[:, :, inner]).all()
    assert run["made"]["intensity"].shape == run["crops"]["intensity"].shape
    figures = {name: float(value) for name, value in run["nll"].data_vars.items()}
    assert figures["coverage"] == 1
    assert figures["rmse"] < float(run["crops"]["intensity"].std())
    label, species = run["atoms"]["label"].values, run["load.truth"]["species"].values
    assert ((label >= 0).sum(), len(label)) == (run["crops"].sizes["sample"], len(species))


def test_every_image_is_read_once_and_alone_however_few_crops_are_encoded_at_a_time():
    """30 images of 512 x 512 whose pixels are made when they are read: 1 MB each, of which few may live at a time."""
    n_frames, n_atoms, read, alive, most = 30, 60, [], set(), []

    class Image(np.ndarray):
        pass

    def make(block_id):
        read.append(block_id[0])
        image = np.random.default_rng(block_id[0]).random((1, 512, 512), np.float32).view(Image)
        alive.add(id(image))
        weakref.finalize(image, alive.discard, id(image))
        most.append(len(alive))
        return image

    movie = da.map_blocks(
        make, chunks=((1,) * n_frames, (512,), (512,)), dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)
    )
    rng = np.random.default_rng(0)
    where = rng.uniform(20, 490, (2, n_frames * n_atoms))
    table = atoms.make(frame=np.repeat(np.arange(n_frames), n_atoms), y=where[0], x=where[1])
    found = cut(images.make(movie), table, size_px=11, interpolation="linear")
    assert read == []

    class Counting:
        def transform(self, x):
            return descriptors.make(x.values[:, :1, 0], dims=("sample",))

    context = Context(rng=rng)
    encoded = _encode_all(Counting(), found["intensity"], ["sample"], 25, context)
    assert encoded.sizes["sample"] == n_frames * n_atoms
    assert sorted(read) == list(range(n_frames))
    assert max(most) <= 3
    np.testing.assert_array_equal(encoded["z"][:, 0], found["intensity"].values[:, 0, 0])
