"""Runs: the right results, whatever the blocks, and what is told on the way."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi.catalog import scan
from ronchi.manager import Manager
from ronchi.pipeline.run import run_pipeline


def test_results_are_right_and_written(go, folder, statuses, all_done):
    run = go()
    assert statuses(run) == all_done
    patterns = np.load("scan.npy") / 2
    peaks = run["disks"]
    mean = patterns.reshape(-1, 8, 9).astype("f8").mean(0).astype("f4")
    counts = 1 + (patterns * np.float32(2) - mean).reshape(35, -1).argmin(1) % 3
    np.testing.assert_array_equal(peaks["n_peaks"], counts)
    assert run.out_dir == folder / "toy-out"
    assert sorted(path.name for path in run.out_dir.iterdir()) == ["peaks.nc", "provenance.json", "strain.nc"]
    with xr.open_dataset(run.outputs["strain"]) as stored:
        np.testing.assert_array_equal(stored["e_xx"], run["strain"]["e_xx"])
    expected = float((run["strain"]["e_xx"] ** 2).mean()) ** 0.5
    assert run.scores()["score"]["e_xx"] == pytest.approx(expected, rel=1e-12)
    assert run.ok


def test_a_result_that_is_not_there_is_told_with_those_that_are(go):
    run = go()
    with pytest.raises(KeyError, match="no step is called 'disk'; there are load, half, disks"):
        run["disk"]
    with pytest.raises(KeyError, match="the step 'disks' has no 'truth'"):
        run["disks.truth"]


def test_positions_without_pattern_have_no_peaks(go):
    data = np.load("scan.npy")
    data[3, 2] = np.nan
    data[0] = np.nan
    valid = np.ones((5, 7), bool)
    valid[3, 2] = valid[0] = False
    np.save("scan.npy", data)
    np.save("valid.npy", valid)
    run = go()
    assert run.ok
    np.testing.assert_array_equal(run["disks"]["n_peaks"].values.reshape(5, 7) > 0, valid)


def test_blocks_do_not_change_the_numbers(go):
    whole = go("run.block=35", "disks.params.noise=0")["disks"]
    for block in (1, 3, 7, 20):
        xr.testing.assert_identical(go(f"run.block={block}", "disks.params.noise=0")["disks"], whole)


def test_one_pattern(go):
    np.save("scan.npy", np.random.default_rng(0).random((1, 1, 8, 9), dtype="f4"))
    assert go().ok


def test_a_simulator_and_a_learner(toys, folder):
    run = run_pipeline(
        {
            "schema": "ronchi.pipeline/1",
            "seed": 5,
            "steps": {
                "sim": {"simulator": "toysim", "params": {"n": 4}},
                "z": {"descriptor_learner": "moments", "data": "sim"},
                "zz": {"descriptor_learner": "moments", "data": "z"},
                "mean": {"transform": "meanmap", "data": "sim"},
            },
        },
        manager=toys,
        progress=False,
        overrides=["run.block=3"],
    )
    assert run.ok, [step.error for step in run.steps.values()]
    x = run["sim"]["intensity"].values
    np.testing.assert_allclose(run["z"]["z"][..., 0], (x / x.max()).mean((2, 3)), rtol=1e-6)  # float32 sums
    assert run["zz"].sizes == {"scan_y": 4, "scan_x": 4, "component": 2}
    np.testing.assert_allclose(run["mean"]["mean"], x.mean((2, 3)), rtol=1e-6)


def test_a_result_is_short_in_print(go):
    assert repr(go()).startswith("<RunResult 'toy': ok; load done, half done, disks done, strain done, score done; in ")
    assert "failed; " in repr(go("strain.params.fault=true"))


def test_progress_in_plain_lines(go, folder, toys, capsys):
    run_pipeline("toy.yaml", manager=toys)
    lines = capsys.readouterr().err.splitlines()
    assert "disks: 10 % (4 of 35)" in lines
    assert sum(line.startswith("disks: ") and " % (" in line for line in lines) == 10
    assert [line for line in lines if line.startswith("score: metric rms: done in")]
    assert lines[-1].startswith("strain: output strain.nc: done in")
    assert "\r" not in "".join(lines)
    assert "\x1b" not in "".join(lines)


def test_observers_are_told(toys, folder, make_dist, all_done):
    code = """
        from ronchi.api import hookimpl
        seen = []
        @hookimpl
        def ronchi_run_started(run):
            seen.append(run.name)
        @hookimpl
        def ronchi_step_finished(run, step):
            seen.append((step.step, step.status))
        @hookimpl
        def ronchi_run_finished(run):
            seen.append(run.ok)
    """
    site = make_dist("watcher", "[ronchi.observers]\nwatcher = watcher\n", code)
    run_pipeline("toy.yaml", manager=Manager(scan([site])), progress=False)
    import watcher

    assert watcher.seen == ["toy", *all_done.items(), True]


def test_what_a_detector_calls_its_columns_is_written_with_them(go):
    peaks = go()["disks"]
    assert peaks["score"].attrs["long_name"] == "height of the pixel"
    assert peaks["intensity"].attrs["units"] == "counts"
