"""Runs: results, resuming, failures that cost nothing, and reasons for everything."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ronchi.catalog import scan
from ronchi.errors import ConfigError, OutputError
from ronchi.manager import Manager
from ronchi.pipeline import outputs as outputs_module
from ronchi.pipeline.run import run_pipeline


@pytest.fixture
def go(folder, toys):
    """Run the toy pipeline with overrides and replacements of its text."""

    def run(*overrides, replace=(), **more):
        text = (folder / "toy.yaml").read_text()
        for old, new in replace:
            assert old in text
            text = text.replace(old, new)
        (folder / "run.yaml").write_text(text)
        return run_pipeline(folder / "run.yaml", overrides=overrides, manager=toys, progress=False, **more)

    return run


def statuses(run):
    return {name: step.status for name, step in run.steps.items()}


ALL_DONE = dict.fromkeys(("load", "half", "disks", "strain", "score"), "done")
REUSED = {"load": "done", "half": "done", "disks": "cached", "strain": "cached", "score": "cached"}


def test_results_are_right_and_written(go, folder):
    run = go()
    assert statuses(run) == ALL_DONE
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


def test_second_run_reuses_and_writes_the_same_bytes(go):
    first = go()
    before = {name: path.read_bytes() for name, path in first.outputs.items()}
    second = go()
    assert statuses(second) == REUSED
    assert {name: path.read_bytes() for name, path in second.outputs.items()} == before


def test_only_downstream_steps_change(go):
    go()
    run = go("strain.params.reference={scan_x: [0, 3]}")
    assert statuses(run) == {**REUSED, "strain": "done", "score": "done"}
    assert run.steps["strain"].reason == "params.reference.scan_x changed [0, 1] -> [0, 3]"
    assert run.steps["score"].reason == "the input 'result' changed"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("seed=4", "the input 'data' changed; seed changed 3 -> 4"),
        ("run.block=5", "block changed 4 -> 5"),
        ("load.params.scale=2", "the input 'data' changed"),
    ],
)
def test_what_a_result_depends_on_changes_the_key(go, override, reason):
    first = go()
    run = go(override)
    assert run.steps["disks"].status == "done"
    assert run.steps["disks"].reason == reason
    assert run.steps["disks"].key != first.steps["disks"].key


def test_content_of_the_input_counts_not_its_name(go, folder):
    go()
    (folder / "scan.npy").rename(folder / "moved.npy")
    assert statuses(go("load.params.path=moved.npy")) == REUSED
    np.save(folder / "moved.npy", np.ones((5, 7, 8, 9), "f4"))
    assert go("load.params.path=moved.npy").steps["disks"].status == "done"


def test_seed_changes_random_numbers_and_nothing_else_does(go):
    first, again = go(), go(force=["disks"])
    assert again.steps["disks"].status == "done"
    assert again.steps["disks"].reason == "forced"
    np.testing.assert_array_equal(first["disks"]["qy"], again["disks"]["qy"])
    assert not np.array_equal(first["disks"]["qy"], go("seed=4")["disks"]["qy"])


def test_dry_run_says_what_would_be_done_and_does_nothing(go, folder):
    run = go(dry_run=True)
    assert set(statuses(run).values()) == {"waiting"}
    assert not run.out_dir.exists()
    go()
    run = go("strain.params.fault=true", dry_run=True)
    assert statuses(run) == {
        "load": "waiting",
        "half": "waiting",
        "disks": "cached",
        "strain": "waiting",
        "score": "waiting",
    }
    assert run.steps["strain"].reason == "params.fault changed false -> true"


def test_unknown_forced_step(go):
    with pytest.raises(ConfigError, match=r"--force disk: there is no step 'disk'\n  -> did you mean 'disks'"):
        go(force=["disk"])


def test_a_failed_step_stops_only_what_needs_it(go):
    run = go("strain.params.fault=true")
    assert statuses(run) == {**ALL_DONE, "strain": "failed", "score": "skipped"}
    assert not run.ok
    assert "ZeroDivisionError: no lattice (in toystrain of toydist 1.0)" in run.steps["strain"].error
    assert "Traceback" in (run.out_dir / "log.txt").read_text()
    assert "Traceback" not in run.steps["strain"].error
    assert run.steps["strain"].error.count("the traceback is in") == 1
    assert list(run.outputs) == ["peaks"]
    assert json.loads((run.out_dir / "provenance.json").read_text())["ok"] is False
    assert statuses(go()) == {**REUSED, "strain": "done", "score": "done"}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "ValueError: detector broke"),
        ("prepare", "cannot prepare"),
        ("contract", "broke its contract.*qy_px has"),
    ],
)
def test_faulty_detectors(go, fault, message):
    run = go(f"disks.params.fault={fault}")
    assert statuses(run) == {**ALL_DONE, "disks": "failed", "strain": "skipped", "score": "skipped"}
    import re

    assert re.search(message, run.steps["disks"].error)


def test_nan_is_named_by_position(go, folder):
    data = np.load("scan.npy")
    data[3, 2, 4, 5] = np.nan
    np.save("scan.npy", data)
    run = go()
    assert "the pattern at scan_y 3, scan_x 2 holds 1 values that are NaN or infinite, first at pixel (4, 5)" in (
        run.steps["disks"].error
    )


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


def test_finished_blocks_are_reused(go, folder, monkeypatch):
    log = folder / "blocks.txt"
    override = f"disks.params.log={log}"
    from ronchi.pipeline import detect

    saved, save = [], detect.save_block

    def stop_after_five(*args):
        save(*args)
        saved.append(1)
        if len(saved) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(detect, "save_block", stop_after_five)
    with pytest.raises(KeyboardInterrupt):
        go(override)
    monkeypatch.setattr(detect, "save_block", save)
    # One finished block is damaged: it is worked on again.
    block = next((folder / ".ronchi" / "cache" / "partial").rglob("*.npz"))
    block.write_bytes(block.read_bytes()[:-30])
    log.unlink()
    run = go(override)
    step = run.steps["disks"]
    assert (step.blocks, step.blocks_reused) == (10, 4)
    assert len(log.read_text().splitlines()) == 6
    assert not list((folder / ".ronchi" / "cache" / "partial").iterdir())
    resumed = {name: path.read_bytes() for name, path in run.outputs.items()}
    whole = go(override, "run.cache=other")
    assert whole.steps["disks"].blocks_reused == 0
    assert {name: path.read_bytes() for name, path in whole.outputs.items()} == resumed


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


def test_content_of_a_file_among_the_parameters_counts(toys, folder):
    np.savetxt("mask.txt", [2.0])
    config = {
        "schema": "ronchi.pipeline/1",
        "steps": {
            "load": {"reader": "toyread", "params": {"path": "scan.npy"}},
            "mean": {"transform": "meanmap", "data": "load", "params": {"mask": "mask.txt"}},
        },
    }
    first = run_pipeline(config, manager=toys, progress=False)
    np.savetxt("mask.txt", [3.0])
    second = run_pipeline(config, manager=toys, progress=False)
    assert second.steps["mean"].reason == "the content of an input file changed"
    np.testing.assert_allclose(second["mean"]["mean"] / first["mean"]["mean"], 1.5, rtol=1e-6)


def test_content_of_a_file_that_is_read_beside_another_counts(toys, folder):
    config = {
        "schema": "ronchi.pipeline/1",
        "steps": {
            "load": {"reader": "toyread", "params": {"path": "scan.npy"}},
            "mean": {"transform": "meanmap", "data": "load"},
        },
        "outputs": {"mean": {"from": "mean", "path": "mean.nc"}},
    }

    def go() -> tuple[str, str]:
        mean = run_pipeline(config, manager=toys, progress=False).steps["mean"]
        return mean.status, mean.reason

    shape = np.load("scan.npy").shape[:2]
    go()
    assert go()[0] == "cached"
    for flags in (np.ones(shape), np.zeros(shape)):
        np.save("valid.npy", flags)
        assert go() == ("done", "the input 'data' changed"), "at first there was no such file"
        assert go()[0] == "cached"
    Path("valid.npy").rename("scan-folder-moved.npy")
    assert go()[0] == "cached", "without it the result of the first run fits again"


def test_schema_found_on_opening_is_checked_again(toys, folder, monkeypatch):
    import toydist

    from ronchi.schema import images

    monkeypatch.setattr(toydist.Reader, "open", lambda self, path: images.make(np.zeros((2, 8, 8))))
    with pytest.raises(ConfigError) as caught:
        run_pipeline("toy.yaml", manager=toys, progress=False)
    assert "toy.yaml:7:34: half.data: 'load' turned out to be images/1, but 'halve' takes fourd/1" in str(caught.value)
    assert "'load' has no side output 'truth' in this file (found: none)" in str(caught.value)
    assert not list((folder / "toy-out").iterdir()), "nothing was computed"


def test_what_the_scan_does_not_suit_is_found_before_the_disks_are_searched(go, folder, monkeypatch):
    import toydist

    from ronchi.errors import DataError

    seen = []

    def check(self, scan_y, scan_x):
        seen.append((scan_y.size, scan_x.size))
        raise DataError("the region is outside", where="reference", fix="come inside")

    monkeypatch.setattr(toydist.Strain, "check", check, raising=False)
    monkeypatch.setattr(toydist.Brightest, "detect", lambda self, frames: pytest.fail("too late"))
    with pytest.raises(ConfigError, match=r"strain.params.reference: the region is outside\n  -> come inside"):
        go("strain.params.reference={scan_x: [0, 3]}")
    assert seen == [(5, 7)]


def test_results_of_an_earlier_run_do_not_pass_for_those_of_a_failed_one(go, folder):
    first = go()
    kept = first.outputs["strain"].read_bytes()
    for number in ("", "-2"):
        failed = go("strain.params.fault=true")
        assert list(failed.outputs) == ["peaks"]
        assert not (folder / "toy-out" / "strain.nc").exists()
        assert (folder / "toy-out" / f"strain.nc.stale{number}").read_bytes() == kept, "nothing is lost"
        (warning,) = [text for text in failed.warnings if "earlier run" in text]
        assert warning.startswith("strain.nc in toy-out is from an earlier run")
        assert warning in (folder / "toy-out" / "log.txt").read_text()
        assert go().ok


def test_a_reused_step_still_says_what_it_took(go):
    first = go()
    again = go()
    made = again.steps["disks"]
    assert first.steps["disks"].made_seconds == 0
    assert 0 < made.made_seconds <= first.steps["disks"].seconds + 1e-3
    assert made.made_peak_rss_mb > 20
    record = json.loads((again.out_dir / "provenance.json").read_text())
    assert record["steps"]["disks"]["made_seconds"] == pytest.approx(made.made_seconds, abs=1e-3)


def test_a_result_is_short_in_print(go):
    assert repr(go()).startswith("<RunResult 'toy': ok; load done, half done, disks done, strain done, score done; in ")
    assert "failed; " in repr(go("strain.params.fault=true"))


@pytest.mark.parametrize("link", [False, True])
def test_an_input_is_never_overwritten(toys, folder, link):
    (folder / "data").mkdir()
    xr.Dataset({"x": ("a", [1.0])}).to_netcdf(folder / "data" / "scan.nc")
    before = (folder / "data" / "scan.nc").read_bytes()
    if link:
        (folder / "link").symlink_to("data")
    text = (folder / "toy.yaml").read_text()
    text = text.replace("path: scan.npy", "path: data/scan.nc").replace("path: strain.nc", "path: scan.nc")
    (folder / "toy.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"toy\.yaml:13:\d+: outputs\.strain\.path: the output would overwrite"):
        run_pipeline("toy.yaml", out="link" if link else "data", manager=toys, progress=False)
    assert (folder / "data" / "scan.nc").read_bytes() == before
    assert not (folder / ".ronchi").exists()


def test_nothing_is_written_into_an_input_folder(go, folder):
    mask = folder / "store.zarr"
    mask.mkdir()
    with pytest.raises(ConfigError, match=r"outputs\.peaks\.path: the output would overwrite"):
        go("load.params.path=store.zarr", out=mask / "run")


def test_a_device_that_is_not_there_is_refused_before_the_work(go, folder, monkeypatch):
    monkeypatch.setattr("ronchi.pipeline.run.has_cuda", lambda: False)
    message = r"run\.device: no CUDA device was found\n  -> device: auto, or cpu"
    with pytest.raises(ConfigError, match=r"run\.yaml:4:\d+: " + message):
        go(replace=[("{block: 4}", "{block: 4, device: cuda}")])
    with pytest.raises(ConfigError, match=r"--set run\.device=cuda: " + message):
        go("run.device=cuda")
    assert not (folder / ".ronchi").exists()
    assert go("run.device=auto").ok
    monkeypatch.setattr("ronchi.pipeline.run.has_cuda", lambda: True)
    assert go("run.device=cuda").ok


def test_output_folder_that_cannot_be_made_stops_before_the_work(go, folder):
    (folder / "file").write_text("")
    with pytest.raises(OutputError, match=r"the folder cannot be written to[\s\S]*-o"):
        go(out=folder / "file")
    with pytest.raises(OutputError, match="cannot be written to"):
        go(out=Path("/proc/ronchi-out"))
    assert not (folder / ".ronchi").exists()


def test_advice_for_the_cache_folder_names_its_option(go, folder):
    (folder / "file").write_text("")
    with pytest.raises(OutputError, match=r"file: the folder cannot[\s\S]*with --set run\.cache=FOLDER, and"):
        go("run.cache=file")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps=3", r"--set steps=3: the steps cannot be replaced as a whole\n  -> STEP\.params"),
        ("load=5", r"--set load=5: a step cannot be replaced as a whole\n  -> load\.params"),
        ("laod.params.scale=5", r"there is no step 'laod'\n  -> did you mean 'load'"),
        ("laod=5", r"there is no step 'laod'\n  -> did you mean 'load'"),
    ],
)
def test_overrides_that_name_no_value(go, override, message):
    with pytest.raises(ConfigError, match=message):
        go(override)


def test_read_only_output_folder(go, folder, monkeypatch):
    # Simulated, because root may write anywhere.
    def read_only(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(outputs_module.tempfile, "NamedTemporaryFile", read_only)
    with pytest.raises(OutputError, match=r"the folder cannot be written to: Read-only file system"):
        go()


def test_full_disk_is_noticed_before_the_work(go, folder, monkeypatch):
    usage = type("Usage", (), {"free": 1e6})
    monkeypatch.setattr(outputs_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="the disk is full: 1 MB are free"):
        go()


def test_disk_that_fills_up_during_the_work_keeps_the_blocks(go, folder, monkeypatch):
    from ronchi.pipeline import detect

    save, saved = detect.save_block, []

    def full(*args):
        saved.append(1)
        if len(saved) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(*args)

    monkeypatch.setattr(detect, "save_block", full)
    with pytest.raises(OutputError, match=r"the disk is full[\s\S]*finished blocks are kept"):
        go()
    monkeypatch.setattr(detect, "save_block", save)
    assert go().steps["disks"].blocks_reused == 3


def test_a_failing_output_does_not_cost_the_others(go, folder, monkeypatch):
    from ronchi.pipeline import outputs

    write = outputs.write_with

    def broken(chosen, ds, path, sides=None):
        if path.name == "peaks.nc":
            raise OutputError("the disk is full", where=str(path))
        return write(chosen, ds, path, sides)

    monkeypatch.setattr(outputs, "write_with", broken)
    with pytest.raises(OutputError, match="the disk is full"):
        go()
    assert (folder / "toy-out" / "strain.nc").exists()
    assert (folder / "toy-out" / "provenance.json").exists()
    monkeypatch.setattr(outputs, "write_with", write)
    assert statuses(go()) == REUSED


def test_memory_ceiling_too_low_is_refused_with_advice(go):
    run = go("run.memory_mb=100", replace=[("{block: 4}", "{}")])
    assert "allow at least 601 MB" in run.steps["disks"].error


def test_progress_in_plain_lines(go, folder, toys, capsys):
    run_pipeline("toy.yaml", manager=toys)
    lines = capsys.readouterr().err.splitlines()
    assert "disks: 10 % (4 of 35)" in lines
    assert sum(line.startswith("disks: ") and " % (" in line for line in lines) == 10
    assert [line for line in lines if line.startswith("score: metric rms: done in")]
    assert lines[-1].startswith("strain: output strain.nc: done in")
    assert "\r" not in "".join(lines)
    assert "\x1b" not in "".join(lines)


def test_observers_are_told(toys, folder, make_dist):
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

    assert watcher.seen == ["toy", *ALL_DONE.items(), True]
