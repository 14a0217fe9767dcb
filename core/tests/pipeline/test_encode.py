"""Learners in pipelines: sample dims, lazy blocks, fitted models kept, loaded and refused."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.blocks import iter_samples
from ronchi.errors import SchemaError
from ronchi.manager import Manager
from ronchi.pipeline.run import run_pipeline
from ronchi.schema import crops, descriptors, fourd, images, model

CODE = '''
import json
import numpy as np
from ronchi.api import AlgorithmSpec, Field, Params, hookimpl
from ronchi.blocks import SAMPLE_DIMS, iter_samples

class CentredParams(Params):
    factor: float = Field(1.0, description="Factor.")

class Centred:
    """Mean of a sample minus the mean of all, a made-up learner with a fitted state."""
    def __init__(self, params):
        self.params = params
    def fit(self, x, ctx):
        total = n = 0
        for _, features in iter_samples(x):
            total, n = total + float(features.sum(dtype=float)), n + features.size
        self.mean = total / n
    def transform(self, x):
        from ronchi.schema import descriptors
        dims = tuple(str(d) for d in x.dims if d in SAMPLE_DIMS)
        z = (x.values.reshape(*x.shape[:len(dims)], -1).mean(-1) - self.mean) * self.params.factor
        return descriptors.make(z[..., None], dims=dims, coords={d: x[d].variable for d in dims if d in x.coords})
    def sides(self):
        from ronchi.schema import decoded
        return {"means": decoded.make(np.full((1, 2, 2), self.mean), dims=("class", "y", "x"))}
    def save(self, folder):
        (folder / "state.json").write_text(json.dumps(self.mean))
    def load(self, folder):
        self.mean = json.loads((folder / "state.json").read_text())

@hookimpl
def ronchi_descriptor_learners():
    return [AlgorithmSpec(name="centred", summary="Centred.", params=CentredParams, factory=f"{__name__}:Centred",
        inputs={"data": "fourd/1|images/1|crops/1|descriptors/1", "model?": "model/1"}, output="descriptors/1",
        sides={"model": "model/1", "means": "decoded/1"})]
'''
ENTRY_POINTS = """
[ronchi.descriptor_learners]
centred = centreddist
"""


@pytest.fixture
def centred(make_dist) -> Manager:
    make_dist("centreddist", ENTRY_POINTS, CODE)
    return Manager()


def some_crops(n: int = 40, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    return crops.make(
        rng.random((n, 5, 5), dtype="f4"),
        frame=np.arange(n) // 7,
        atom=np.arange(n),
        position_y=rng.uniform(0, 99, n),
        position_x=rng.uniform(0, 99, n),
        track=np.arange(n),
    )


def inputs(kind: str) -> xr.Dataset:
    values = np.random.default_rng(1).random((12, 6, 8), dtype="f4")
    if kind == "fourd":
        return fourd.make(values.reshape(3, 4, 6, 8), scan_step=(0.5, 0.5))
    if kind == "images":
        return images.make(values)
    if kind == "descriptors":
        return descriptors.make(values[:, 0], dims=("sample",))
    return some_crops()


def pipeline(path: str, **learner) -> dict:
    return {
        "schema": "ronchi.pipeline/1",
        "steps": {
            "load": {"reader": "native", "params": {"path": path}},
            "learn": {"descriptor_learner": "centred", "data": "load", **learner},
        },
        "outputs": {"z": {"from": "learn", "path": "z.nc"}},
    }


@pytest.mark.parametrize("kind", ["fourd", "images", "crops", "descriptors"])
@pytest.mark.parametrize("block", ["auto", 1, 5])
def test_samples_keep_their_dims_and_places_at_any_block(centred, tmp_path, monkeypatch, kind, block):
    monkeypatch.chdir(tmp_path)
    data = inputs(kind)
    ronchi.write(data, "data.nc")
    options = [] if block == "auto" else [f"run.block={block}"]
    run = run_pipeline(pipeline("data.nc"), manager=centred, progress=False, overrides=options)
    assert run.ok, run.steps["learn"].error
    z, x = run["learn"]["z"], data["z"] if kind == "descriptors" else data["intensity"]
    samples = {"fourd": ("scan_y", "scan_x"), "images": ("frame",)}.get(kind, ("sample",))
    assert z.dims == (*samples, "component")
    means = x.values.reshape(*z.shape[:-1], -1).mean(-1)
    np.testing.assert_allclose(z[..., 0], means - x.values.mean(), atol=1e-6)  # float32 sums
    for name in (*crops.SAMPLE_COORDS, "track") if kind == "crops" else ():
        np.testing.assert_array_equal(run["learn"].coords[name], data[name])


@pytest.mark.parametrize("executor", ["serial", "process"])
def test_executors_and_reruns_give_the_same_bits(centred, tmp_path, monkeypatch, executor):
    monkeypatch.chdir(tmp_path)
    ronchi.write(inputs("fourd"), "data.nc")
    config = pipeline("data.nc")
    reference = run_pipeline(config, manager=centred, progress=False, out="a", overrides=["run.cache=one"])
    options = [f"run.executor={executor}", "run.cache=two"]
    run = run_pipeline(config, manager=centred, progress=False, out="b", overrides=options)
    again = run_pipeline(config, manager=centred, progress=False, out="c", overrides=options)
    assert again.steps["learn"].cached
    for other in (run, again):
        assert other["learn"].identical(reference["learn"])
        assert other["learn.model"].identical(reference["learn.model"])
        assert other.outputs["z"].read_bytes() == reference.outputs["z"].read_bytes()


def test_a_model_from_a_file_is_applied_and_not_fitted(centred, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ronchi.write(some_crops(seed=0), "old.nc")
    ronchi.write(some_crops(seed=5), "new.nc")
    fitted = run_pipeline(pipeline("old.nc", params={"factor": 2.0}), manager=centred, progress=False, out="fit")
    config = pipeline("new.nc", model="saved.model")
    config["steps"]["saved"] = {"reader": "native", "params": {"path": str(fitted.outputs["z"])}}
    applied = run_pipeline(config, manager=centred, progress=False)
    assert applied.ok, applied.steps["learn"].error
    old, new = some_crops(seed=0)["intensity"].values, some_crops(seed=5)["intensity"].values
    expected = 2 * (new.mean((1, 2)) - old.mean())  # the factor of the fit, the mean of the old data
    np.testing.assert_allclose(applied["learn"]["z"][:, 0], expected, atol=1e-6)
    assert applied["learn.means"].identical(fitted["learn.means"])
    assert applied["learn.model"].identical(fitted["learn.model"])
    # Another model is another result, although the step's text is the same.
    refitted = run_pipeline(pipeline("new.nc", params={"factor": 2.0}), manager=centred, progress=False, out="fit")
    assert refitted.ok
    changed = run_pipeline(config, manager=centred, progress=False)
    assert not changed.steps["learn"].cached
    assert abs(float(changed["learn"]["z"].mean())) < 1e-6


def test_a_model_is_refused_where_it_does_not_fit(centred, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ronchi.write(some_crops(), "old.nc")
    ronchi.write(model.make({"state.json": b"0.0"}, learner="centred", params={"factor": 2.0}), "model.nc")
    config = pipeline("old.nc", model="saved", params={"factor": 3.0})
    config["steps"]["saved"] = {"reader": "native", "params": {"path": "model.nc"}}
    run = run_pipeline(config, manager=centred, progress=False)
    assert "fitted with factor = 2.0, but the step gives 3.0" in run.steps["learn"].error
    ronchi.write(model.make({}, learner="other", params={}), "model.nc")
    run = run_pipeline(config, manager=centred, progress=False)
    assert "saved by 'other', not by 'centred'" in run.steps["learn"].error


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_models_survive_files_byte_for_byte(tmp_path, suffix):
    pytest.importorskip("zarr")
    files = {"a.json": b'{"x": 1}', "weights.npz": bytes(range(256)), "empty.txt": b""}
    path = ronchi.write(model.make(files, learner="gmm", params={"k": [1, None]}), tmp_path / f"m{suffix}")
    back = ronchi.read(path)
    assert model.files_of(back) == files
    assert model.params_of(back) == {"k": [1, None]}


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "a\\b", ""])
def test_models_hold_plain_file_names_only(name):
    with pytest.raises(SchemaError, match="plain name"):
        model.make({name: b"x"}, learner="gmm", params={})


@pytest.mark.parametrize("kind", ["fourd", "images", "crops", "descriptors"])
@pytest.mark.parametrize("chunk", [None, 1, 5])
def test_iter_samples_gives_every_sample_once(kind, chunk):
    data = inputs(kind)
    x = data["z"] if kind == "descriptors" else data["intensity"]
    n_dims = 2 if kind == "fourd" else 1
    values = x.values.reshape(-1, *x.shape[n_dims:])
    if chunk:
        x = x.copy(data=da.from_array(x.values, chunks=(chunk, *x.shape[1:])))
    found = np.full(values.shape, np.nan)
    for positions, features in iter_samples(x, block=5):
        assert len(features) <= max(5, (chunk or 1) * 4 if kind == "fourd" else 0)  # a chunk is never cut
        assert np.isnan(found[positions]).all()
        found[positions] = features
    np.testing.assert_array_equal(found, values)
