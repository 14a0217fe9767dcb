"""Failures cost nothing but what needs the failed step, and are found before the work where they can be."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from ronchi.errors import ConfigError, OutputError
from ronchi.pipeline.progress import Progress
from ronchi.pipeline.run import check_pipeline, run_pipeline


def test_a_failed_step_stops_only_what_needs_it(go, statuses, all_done, reused):
    run = go("strain.params.fault=true")
    assert statuses(run) == {**all_done, "strain": "failed", "score": "skipped"}
    assert not run.ok
    assert "ZeroDivisionError: no lattice (in toystrain of toydist 1.0)" in run.steps["strain"].error
    assert "Traceback" in (run.out_dir / "log.txt").read_text()
    assert "Traceback" not in run.steps["strain"].error
    assert run.steps["strain"].error.count("the traceback is in") == 1
    assert list(run.outputs) == ["peaks"]
    assert json.loads((run.out_dir / "provenance.json").read_text())["ok"] is False
    assert statuses(go()) == {**reused, "strain": "done", "score": "done"}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "ValueError: detector broke"),
        ("prepare", "cannot prepare"),
        ("contract", "broke its contract.*qy_px is float64 of shape"),
        ("objects", "broke its contract.*qy_px is object"),
    ],
)
def test_faulty_detectors(go, fault, message, statuses, all_done):
    run = go(f"disks.params.fault={fault}")
    assert statuses(run) == {**all_done, "disks": "failed", "strain": "skipped", "score": "skipped"}
    assert re.search(message, run.steps["disks"].error)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("qy_px", np.nan, "qy_px holds NaN or infinity"),
        ("qx_px", np.inf, "qx_px holds NaN or infinity"),
        ("flags", 70_000, "flags holds what 16 bits do not"),
        ("counts", 1.0, r"counts is float64 of shape \(4,\), not 4 whole numbers"),
    ],
)
def test_numbers_that_are_none_do_not_go_on(go, monkeypatch, column, values, message):
    import toydist

    detect = toydist.Brightest.detect

    def spoilt(self, frames):
        batch = detect(self, frames)
        return dataclasses.replace(batch, **{column: np.full(len(getattr(batch, column)), values)})

    monkeypatch.setattr(toydist.Brightest, "detect", spoilt)
    assert re.search(f"broke its contract.*{message}", go().steps["disks"].error)


@pytest.mark.parametrize("made", [None, np.zeros(3), (1, 2)])
def test_what_is_no_data_set_is_told_so(go, monkeypatch, made):
    import toydist

    monkeypatch.setattr(toydist.Strain, "solve", lambda self, peaks, ctx: made)
    told = f"the strain_solver 'toystrain' broke its contract: its result is of type {type(made).__name__}"
    assert told in go().steps["strain"].error


def test_a_step_that_ends_the_process_fails_like_any_other(go, monkeypatch, statuses, all_done):
    import toydist

    def leave(code):
        raise SystemExit(code)

    monkeypatch.setattr(toydist.Strain, "solve", lambda self, peaks, ctx: leave(0))
    run = go()
    assert statuses(run) == {**all_done, "strain": "failed", "score": "skipped"}
    assert "SystemExit: 0 (in toystrain" in run.steps["strain"].error
    # Asked to end by a signal, it does.
    monkeypatch.setattr(toydist.Strain, "solve", lambda self, peaks, ctx: leave(128 + 15))
    with pytest.raises(SystemExit):
        go()


def test_a_log_that_cannot_be_written_costs_no_step(go, monkeypatch, folder):
    import toydist

    solve = toydist.Strain.solve

    def tidy(self, peaks, ctx):
        shutil.rmtree(folder / "toy-out")
        ctx.log.warning("said in vain")
        return solve(self, peaks, ctx)

    monkeypatch.setattr(toydist.Strain, "solve", tidy)
    with pytest.raises(OutputError, match="cannot be written"):
        go()
    monkeypatch.setattr(toydist.Strain, "solve", solve)
    again = go()
    assert again.ok
    assert again.steps["strain"].cached


def test_a_step_cannot_change_what_the_others_are_given(go, monkeypatch):
    import toydist

    solve = toydist.Strain.solve

    def careless(self, peaks, ctx):
        peaks.attrs["mine"] = 1
        peaks["qy"].attrs["units"] = "furlong"
        peaks["mine"] = peaks["qy"]
        # What several data sets may have in common.
        peaks.attrs["q_shape"][0] = 77
        return solve(self, peaks, ctx)

    def reckless(self, peaks, ctx):
        peaks["qy"].values[:] = 0

    monkeypatch.setattr(toydist.Strain, "solve", careless)
    run = go()
    assert run.ok
    assert "mine" not in run["disks"].attrs
    assert "mine" not in run["disks"]
    assert list(run["disks"].attrs["q_shape"]) == [8, 9]
    assert run["disks"]["qy"].attrs["units"] != "furlong"
    monkeypatch.setattr(toydist.Strain, "solve", reckless)
    run = go(force=["strain"])
    assert "read-only" in run.steps["strain"].error
    assert run["disks"]["qy"].values.any()


def test_nan_is_named_by_position(go, folder):
    data = np.load("scan.npy")
    data[3, 2, 4, 5] = np.nan
    np.save("scan.npy", data)
    run = go()
    assert "the pattern at scan_y 3, scan_x 2 holds 1 values that are NaN or infinite, first at pixel (4, 5)" in (
        run.steps["disks"].error
    )


def test_schema_found_on_opening_is_checked_again(toys, folder, monkeypatch):
    import toydist

    from ronchi.schema import images

    monkeypatch.setattr(toydist.Reader, "open", lambda self, path: images.make(np.zeros((2, 8, 8))))
    with pytest.raises(ConfigError) as caught:
        run_pipeline("toy.yaml", manager=toys, progress=False)
    assert "toy.yaml:7:34: half.data: 'load' turned out to be images/1, but 'halve' takes fourd/1" in str(caught.value)
    assert "'load' has no side output 'truth' in this file (found: none)" in str(caught.value)
    assert "content" not in str(caught.value), "which this reader does not have"
    assert not list((folder / "toy-out").iterdir()), "nothing was computed"


@pytest.fixture
def unfit(toys, monkeypatch):
    """A solver that refuses columns 0 to 3; gives the sizes of the scans that it was shown."""
    import toydist

    from ronchi.errors import DataError

    seen = []

    def check(self, scan_y, scan_x):
        seen.append((scan_y.size, scan_x.size))
        if self.params.reference.scan_x == (0, 3):
            raise DataError("the region is outside", where="reference", fix="come inside")

    monkeypatch.setattr(toydist.Strain, "check", check, raising=False)
    return seen


def test_what_the_scan_does_not_suit_is_found_before_the_disks_are_searched(go, statuses, unfit, monkeypatch):
    import toydist

    monkeypatch.setattr(toydist.Brightest, "detect", lambda self, frames: pytest.fail("too late"))
    mean = "mean: {transform: meanmap, data: half}\n  score:"
    outputs = ("peaks: {from: disks, path: peaks.nc}", "mean: {from: mean, path: mean.nc}\n  report: {path: r.html}")
    run = go("strain.params.reference={scan_x: [0, 3]}", replace=[("score:", mean), outputs])
    assert unfit == [(5, 7)]
    assert statuses(run) == {
        "load": "done", "half": "done", "disks": "skipped", "mean": "done", "strain": "failed", "score": "skipped",
    }  # fmt: skip
    said = "strain.params.reference: the region is outside\n  -> come inside"
    assert run.steps["strain"].error.endswith(said)
    assert "--set strain.params.reference" in run.steps["strain"].error, "where it was written"
    assert run.steps["disks"].error == "only 'strain' would need it"
    assert "the region is outside" in (run.out_dir / "log.txt").read_text()
    assert sorted(run.outputs) == ["mean", "report"], "what is finished is kept"
    assert "the region is outside" in run.outputs["report"].read_text()


PEAKS = "  peaks: {from: disks, path: peaks.nc}\n"
STRAIN = "  strain: {from: strain, path: strain.nc}\n"
OTHER = "other: {strain_solver: toystrain, peaks: disks}\n  score:"


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        pytest.param([], {}, id="an output"),
        pytest.param(
            [(PEAKS, ""), ("score:", OTHER), ("{from: strain", "{from: other")], {"other": "done"}, id="a step"
        ),
        pytest.param([(f"outputs:\n{PEAKS}{STRAIN}", "")], {}, id="who asks for no outputs"),
    ],
)
def test_disks_that_something_else_needs_are_searched_all_the_same(go, statuses, unfit, all_done, changes, more):
    run = go("strain.params.reference={scan_x: [0, 3]}", replace=changes)
    assert statuses(run) == {**all_done, **more, "strain": "failed", "score": "skipped"}
    assert len(unfit) == 1 + len(more)


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


def test_what_a_reader_leaves_among_the_attributes_need_have_no_copy(go, folder, statuses, all_done, monkeypatch):
    import toydist

    usual = toydist.Reader.open

    def open_still(self, path):
        made = usual(self, path)
        made.data.attrs.update(file=file, files=[file])
        return made

    monkeypatch.setattr(toydist.Reader, "open", open_still)
    with (folder / "scan.npy").open("rb") as file:
        assert statuses(go()) == all_done


def test_memory_ceiling_too_low_is_refused_with_advice(go):
    run = go("run.memory_mb=100", replace=[("{block: 4}", "{}")])
    assert "allow at least 601 MB" in run.steps["disks"].error


def test_code_that_cannot_be_imported_is_told_before_any_step_runs(go, folder, toys, monkeypatch):
    import toydist

    strain, told = toydist.Strain, []
    monkeypatch.delattr(toydist, "Strain")
    (folder / "run.yaml").write_text((folder / "toy.yaml").read_text())
    with pytest.raises(ConfigError, match=r"run\.yaml:9:27: .*the factory 'toydist:Strain' .* cannot be imported"):
        check_pipeline(folder / "run.yaml", manager=toys)
    opened = toydist.Reader.open
    monkeypatch.setattr(toydist.Reader, "open", lambda self, path: told.append("read") or opened(self, path))
    monkeypatch.setattr(Progress, "finished", lambda self, step: told.append(f"{step.step} {step.status}"))
    go()
    assert told[:2] == ["strain failed", "read"]
    assert told.count("strain failed") == 1
    monkeypatch.setattr(toydist, "Strain", strain, raising=False)
    assert go().ok
    # What is reused needs no code.
    monkeypatch.delattr(toydist, "Strain")
    assert go().ok


@pytest.mark.parametrize("fault", ["gone", "init", "check"])
def test_a_solver_that_cannot_be_asked_costs_its_own_step_alone(go, statuses, all_done, monkeypatch, fault):
    """One whose code cannot be imported, or that fails in any way where it is asked about the scan."""
    import toydist

    def fail(*given):
        raise ValueError("no licence")

    if fault == "gone":
        monkeypatch.delattr(toydist, "Strain")
    else:
        monkeypatch.setattr(toydist.Strain, "__init__" if fault == "init" else "check", fail, raising=False)
    run = go()
    if fault == "check":
        assert statuses(run) == all_done, "what it computes is as good"
        return
    assert statuses(run) == {**all_done, "strain": "failed", "score": "skipped"}
    assert ("cannot be imported" if fault == "gone" else "ValueError: no licence") in run.steps["strain"].error
    assert list(run.outputs) == ["peaks"]
    assert (run.out_dir / "provenance.json").exists()
