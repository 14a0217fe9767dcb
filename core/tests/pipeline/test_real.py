"""The main job with the algorithms of the project: simulated disks to strain, against truth."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.manager import get_manager
from ronchi.pipeline.run import run_pipeline

PIPELINE = {
    "schema": "ronchi.pipeline/1",
    "name": "soft",
    "seed": 1,
    "steps": {
        "sim": {"simulator": "disks", "params": {"scan_shape": [3, 8]}},
        "disks": {"disk_detector": "crosscorr", "data": "sim"},
        "strain": {
            "strain_solver": "lattice",
            "peaks": "disks",
            "params": {"reference": {"scan_x": [55, 75]}},
        },
        "score": {"metric": "strain-rmse", "result": "strain", "truth": "sim.truth"},
    },
    "outputs": {
        "data": {"from": "sim", "path": "sim.nc"},
        "peaks": {"from": "disks", "path": "peaks.nc"},
        "strain": {"from": "strain", "path": "strain.nc"},
        "report": {"path": "report.html"},
    },
}


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """Run in an empty folder, with the plugins that this needs."""
    for kind, name in (("disk_detector", "crosscorr"), ("strain_solver", "lattice")):
        if name not in get_manager().names(kind):
            pytest.skip(f"the plugin ronchi-{name} is not installed: `pip install -e plugins/{name}` to run this test")
    monkeypatch.chdir(tmp_path)


def run(*overrides, config=PIPELINE):
    made = run_pipeline(config, overrides=overrides, progress=False)
    assert made.ok, [step.error for step in made.steps.values()]
    return made


def files(made):
    return {name: path.read_bytes() for name, path in made.outputs.items() if path.suffix == ".nc"}


def test_main_job_is_the_same_for_any_executor_and_block():
    serial = run("run.block=5")
    expected = files(serial)
    assert set(expected) == {"data", "peaks", "strain"}
    figures = serial.scores()["score"]
    assert figures["coverage"] == 1
    # Errors are those that the solver's standard errors (1.05e-3 at this dose) announce: their ratio is 1, with a
    # scatter of 1 / sqrt(2 * 24) = 0.14 and the noise of the reference, which all positions share; seed 1.
    for name in ("e_xx", "e_yy", "e_xy", "theta"):
        assert 0.6 < figures[f"z_{name}"] < 1.5
        assert figures[f"rms_{name}"] < 2e-3  # the layers differ by 5e-3 and more
    assert serial.outputs["report"].stat().st_size > 10_000
    assert files(run("run.block=24", "run.cache=a")) == expected
    assert files(run("run.block=5", "run.cache=b", "run.executor=process", "run.workers=2")) == expected
    pytest.importorskip("distributed", reason="install ronchi[distributed] to test the dask executor")
    assert files(run("run.block=5", "run.cache=c", "run.executor=dask", "run.workers=2")) == expected


def test_written_data_give_the_same_results_as_the_simulation():
    simulated = run()
    written = {
        **PIPELINE,
        "steps": {
            **PIPELINE["steps"],
            "sim": {"reader": "auto", "params": {"path": str(simulated.outputs["data"])}},
        },
        "outputs": {"strain": {"from": "strain", "path": "strain.nc"}},
    }
    again = run(config=written)
    assert again.steps["sim"].name == "native"
    assert again.steps["disks"].status == "done"
    for name in ("e_xx", "e_yy", "e_xy", "theta"):
        np.testing.assert_array_equal(again["strain"][name], simulated["strain"][name])
