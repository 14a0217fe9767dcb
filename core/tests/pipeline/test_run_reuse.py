"""What an earlier run made is used again, and every step that is done anew says why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ronchi.errors import ConfigError
from ronchi.pipeline.run import run_pipeline


def test_second_run_reuses_and_writes_the_same_bytes(go, statuses, reused):
    first = go()
    before = {name: path.read_bytes() for name, path in first.outputs.items()}
    second = go()
    assert statuses(second) == reused
    assert {name: path.read_bytes() for name, path in second.outputs.items()} == before


def test_only_downstream_steps_change(go, statuses, reused):
    go()
    run = go("strain.params.reference={scan_x: [0, 3]}")
    assert statuses(run) == {**reused, "strain": "done", "score": "done"}
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


def test_results_of_plugins_depend_on_the_numerics_of_the_core(go, statuses, reused, monkeypatch):
    """Such as the gain of the camera, which it tells detectors."""
    go()
    with monkeypatch.context() as other:
        other.setattr("ronchi.pipeline.identity.numerics_digest", lambda kind: "of another release")
        run = go()
    assert run.steps["disks"].status == "done"
    assert "the source code of ronchi changed" in run.steps["disks"].reason
    assert statuses(go()) == reused


def test_content_of_the_input_counts_not_its_name(go, folder, statuses, reused):
    go()
    (folder / "scan.npy").rename(folder / "moved.npy")
    assert statuses(go("load.params.path=moved.npy")) == reused
    np.save(folder / "moved.npy", np.ones((5, 7, 8, 9), "f4"))
    assert go("load.params.path=moved.npy").steps["disks"].status == "done"


def test_seed_changes_random_numbers_and_nothing_else_does(go):
    first, again = go(), go(force=["disks"])
    assert again.steps["disks"].status == "done"
    assert again.steps["disks"].reason == "forced"
    np.testing.assert_array_equal(first["disks"]["qy"], again["disks"]["qy"])
    assert not np.array_equal(first["disks"]["qy"], go("seed=4")["disks"]["qy"])


def test_dry_run_says_what_would_be_done_and_does_nothing(go, folder, statuses):
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


def test_a_reused_step_still_says_what_it_took(go):
    first = go()
    again = go()
    made = again.steps["disks"]
    assert first.steps["disks"].made_seconds == 0
    assert 0 < made.made_seconds <= first.steps["disks"].seconds + 1e-3
    assert made.made_peak_rss_mb > 20
    record = json.loads((again.out_dir / "provenance.json").read_text())
    assert record["steps"]["disks"]["made_seconds"] == pytest.approx(made.made_seconds, abs=1e-3)


def test_warnings_of_blocks_that_a_stopped_run_had_finished_are_told_by_the_next(go, monkeypatch):
    import toydist

    usual, calls = toydist.Brightest.detect, []

    def detect(self, frames):
        calls.append(len(frames))
        if len(calls) == 2:
            self.log.warning("a shadow")
        if len(calls) == 4:
            raise KeyboardInterrupt
        return usual(self, frames)

    monkeypatch.setattr(toydist.Brightest, "detect", detect)
    with pytest.raises(KeyboardInterrupt):
        go()
    resumed = go()
    assert resumed.steps["disks"].blocks_reused == 3
    assert resumed.warnings == ["disks: a shadow"]
    again = go()
    assert again.steps["disks"].cached
    assert again.warnings == resumed.warnings
