"""Provenance says how results came about, and replaying it proves it."""

from __future__ import annotations

import hashlib
import json
import platform

import numpy as np
import pytest

from ronchi.errors import ConfigError
from ronchi.pipeline import outputs as outputs_module
from ronchi.pipeline.keys import FileDigests
from ronchi.pipeline.replay import replay
from ronchi.pipeline.resources import scratch_folder
from ronchi.pipeline.run import run_pipeline


@pytest.fixture
def record(folder, toys):
    run_pipeline("toy.yaml", manager=toys, progress=False, overrides=["disks.params.sigma_px=1.5"])
    return folder / "toy-out" / "provenance.json"


def test_record_is_complete(record, folder):
    data = json.loads(record.read_text())
    scan = (folder / "scan.npy").read_bytes()
    assert data["inputs"]["load.params.path"]["sha256"] == hashlib.sha256(scan).hexdigest()
    assert data["steps"]["disks"]["params"] == {
        "sigma_px": 1.5,
        "mode": "cross",
        "sleep_s": 0.0,
        "noise": 0.1,
        "fault": "",
        "log": "",
    }
    assert data["config"]["steps"]["disks"]["params"]["sigma_px"] == 1.5
    assert data["source"] == (folder / "toy.yaml").read_text()
    assert data["seed"] == 3
    assert data["versions"]["toydist"] == "1.0"
    assert {"python", "numpy", "xarray", "ronchi"} <= data["versions"].keys()
    assert data["citations"] == ["Toy, J. Toys 1, 1 (2020)"]
    assert data["steps"]["disks"]["peak_rss_mb"] > 20
    assert data["steps"]["disks"]["seconds"] > 0
    assert data["steps"]["disks"]["blocks"] == 10
    assert set(data["steps"]["strain"]["arrays"]["strain"]) > {"e_xx", "theta", "scan_x"}
    assert data["outputs"]["peaks"]["sha256"] == hashlib.sha256((record.parent / "peaks.nc").read_bytes()).hexdigest()
    assert data["scores"]["score"].keys() == {"e_xx"}


def test_record_of_a_mapping_with_numpy_values_and_numbers_that_json_lacks(folder, toys, monkeypatch):
    import toydist

    monkeypatch.setattr(toydist.Rms, "score", lambda self, result, truth, ctx: {"e_xx": np.nan, "e_yy": 1.0})
    config = {
        "schema": "ronchi.pipeline/1",
        "seed": np.int64(3),
        "run": {"block": np.uint8(4)},
        "steps": {
            "load": {"reader": "toyread", "params": {"path": "scan.npy", "scale": np.float32(0.5)}},
            "disks": {"disk_detector": "brightest", "data": "load", "params": {"sigma_px": np.float64(2)}},
            "strain": {
                "strain_solver": "toystrain",
                "peaks": "disks",
                "params": {"reference": {"scan_x": np.array([0, 3])}},
            },
            "score": {"metric": "rms", "result": "strain", "truth": "load.truth"},
        },
    }
    run = run_pipeline(config, manager=toys, progress=False, out="out")
    assert run.ok, [step.error for step in run.steps.values()]

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    data = json.loads((folder / "out" / "provenance.json").read_text(), parse_constant=refuse)
    assert data["scores"]["score"] == {"e_xx": None, "e_yy": 1.0}
    assert data["config"]["steps"]["strain"]["params"] == {"reference": {"scan_x": [0, 3]}}
    assert replay(folder / "out" / "provenance.json", manager=toys, progress=False).equal


def test_replay_gives_the_same_arrays(record, toys):
    outcome = replay(record, manager=toys, progress=False)
    assert outcome.equal, outcome.differences
    assert outcome.compared > 20
    assert outcome.run.steps["disks"].status == "done"
    assert outcome.notes == []


def test_replay_sees_a_difference(record, toys):
    data = json.loads(record.read_text())
    data["seed"] = data["config"]["seed"] = 4
    data["versions"]["toydist"] = "0.9"
    record.write_text(json.dumps(data))
    outcome = replay(record, manager=toys, progress=False)
    assert outcome.differences == ["disks.qy: the values differ"]
    assert outcome.notes == ["toydist was 0.9, is 1.0"]


def test_replay_names_a_step_that_fails_now(record, toys):
    outcome = replay(record, manager=toys, progress=False, overrides=("strain.params.fault=true",))
    assert any("strain: was not made: ZeroDivisionError" in text for text in outcome.differences)


def test_replay_refuses_other_inputs(record, toys, folder):
    moved = folder / "moved.npy"
    (folder / "scan.npy").rename(moved)
    with pytest.raises(ConfigError, match=r"input file is gone\n  -> --set load\.params\.path=PATH"):
        replay(record, manager=toys, progress=False)
    assert replay(record, manager=toys, progress=False, overrides=(f"load.params.path={moved}",)).equal
    np.save(folder / "scan.npy", np.zeros((5, 7, 8, 9), "f4"))
    with pytest.raises(ConfigError, match="has changed since the run"):
        replay(record, manager=toys, progress=False)


def test_replay_refuses_other_files(folder):
    (folder / "x.json").write_text("{}")
    with pytest.raises(ConfigError, match="no provenance record"):
        replay(folder / "x.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        replay(folder / "absent.json")


def test_scratch_of_killed_runs_is_removed(tmp_path):
    with scratch_folder(tmp_path) as ours:
        dead = ours.with_name(ours.name.replace(ours.name.split("+")[2], "999999999"))
        dead.mkdir()
        # A host whose name begins like ours may share the cache.
        other = tmp_path / f"scratch+{platform.node()}-2+999999999+x"
        other.mkdir()
        with scratch_folder(tmp_path) as second:
            assert ours.exists()
            assert second.exists()
            assert not dead.exists()
        assert other.exists()
        other.rmdir()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_read_is_checked_like_a_file(record, tmp_path, toys):
    store = tmp_path / "in.zarr"
    store.mkdir()
    (store / "c").write_bytes(b"1")
    data = json.loads(record.read_text())
    known = FileDigests(tmp_path / "files.json").of(store)
    data["inputs"]["other.params.path"] = {"path": str(store), **known}
    record.write_text(json.dumps(data))
    assert replay(record, manager=toys, progress=False).equal
    (store / "c").write_bytes(b"2")
    with pytest.raises(ConfigError, match="has changed since the run"):
        replay(record, manager=toys, progress=False)


def test_versions_are_those_that_made_a_result_not_those_that_reuse_it(record, toys, folder):
    first = json.loads(record.read_text())
    assert {"toydist": "1.0", "numpy": np.__version__}.items() <= first["steps"]["disks"]["made_with"].items()
    assert first["steps"]["half"]["made_with"] == {}
    assert first["warnings"] == []
    for entry in (folder / ".ronchi" / "cache").glob("*/*/entry.json"):
        meta = json.loads(entry.read_text())
        meta["made_with"] |= {"numpy": "0.9", "python": "3.1"}
        entry.write_text(json.dumps(meta))
    again = run_pipeline("toy.yaml", manager=toys, progress=False, overrides=["disks.params.sigma_px=1.5"])
    told = f"disks, strain, score: reused, made with numpy 0.9 (now {np.__version__}); --force STEP makes a step again"
    assert again.warnings == [told]
    second = json.loads(record.read_text())
    assert second["steps"]["disks"]["made_with"]["numpy"] == "0.9"
    assert f"numpy was 0.9, is {np.__version__}" in replay(record, manager=toys, progress=False).notes
    # Entries of before know nothing, and nothing is told of them.
    for entry in (folder / ".ronchi" / "cache").glob("*/*/entry.json"):
        meta = json.loads(entry.read_text())
        entry.write_text(json.dumps({name: value for name, value in meta.items() if name != "made_with"}))
    assert (
        run_pipeline("toy.yaml", manager=toys, progress=False, overrides=["disks.params.sigma_px=1.5"]).warnings == []
    )


def test_a_record_never_stands_beside_outputs_of_another_run(record, toys, monkeypatch):
    write = outputs_module.write_with

    def stopped(chosen, data, path, sides):
        if path.name == "strain.nc":
            raise KeyboardInterrupt
        return write(chosen, data, path, sides)

    monkeypatch.setattr(outputs_module, "write_with", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline("toy.yaml", manager=toys, progress=False, overrides=["disks.params.noise=0.5"])
    with pytest.raises(ConfigError, match=r"stopped while it wrote its outputs\n  -> run it again"):
        replay(record, manager=toys, progress=False)
    monkeypatch.setattr(outputs_module, "write_with", write)
    run_pipeline("toy.yaml", manager=toys, progress=False, overrides=["disks.params.noise=0.5"])
    assert replay(record, manager=toys, progress=False).equal


def test_replay_of_files_that_moved_together(folder, toys):
    np.save("valid.npy", np.ones((5, 7)))
    run_pipeline("toy.yaml", manager=toys, progress=False)
    (folder / "moved").mkdir()
    for name in ("scan.npy", "valid.npy"):
        (folder / name).rename(folder / "moved" / name)
    moved = (f"load.params.path={folder / 'moved' / 'scan.npy'}",)
    assert replay(folder / "toy-out" / "provenance.json", manager=toys, progress=False, overrides=moved).equal
