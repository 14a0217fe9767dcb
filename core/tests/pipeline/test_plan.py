"""Everything that can be known to be wrong is said before a byte of data is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ronchi.errors import ConfigError
from ronchi.pipeline.config import load_config
from ronchi.pipeline.plan import make_plan
from ronchi.pipeline.run import check_pipeline


def check(folder, toys, old="", new="", overrides=()):
    path = folder / "toy.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text)
    return check_pipeline(path, overrides=overrides, manager=toys)


def test_plan_of_a_good_pipeline(folder, toys):
    plan = check(folder, toys)
    assert list(plan.steps) == ["load", "half", "disks", "strain", "score"]
    assert plan.steps["load"].files == {"path": folder / "scan.npy"}
    assert plan.steps["disks"].params.sigma_px == 2.0
    assert plan.downstream("disks") == ["strain", "score"]


def test_order_follows_the_edges_not_the_text(folder, toys):
    plan = check(folder, toys, "steps:\n", "steps:\n  early: {metric: rms, result: strain, truth: load.truth}\n")
    assert list(plan.steps) == ["load", "half", "disks", "strain", "early", "score"]


def test_a_section_without_content_is_absent(folder, toys):
    assert check(folder, toys, "run: {block: 4}", "run:\nplugins:", ["run.block=5"]).config.run.block == 5
    text = (folder / "toy.yaml").read_text()
    (folder / "toy.yaml").write_text(text[: text.index("outputs:")] + "outputs:\n#  peaks: later\n")
    assert check_pipeline(folder / "toy.yaml", manager=toys).config.outputs == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 3", "sead: 3", r"toy\.yaml:3:1: sead: unknown key\n  -> did you mean 'seed'\?"),
        ("name: toy", "name: my toy!", r": must be letters, digits, '\.', '_' and '-' alone, .* \(got 'my toy!'\)"),
        ("seed: 3", "seed: -3", r"toy\.yaml:3:7: seed: must be at least 0 \(got -3\)"),
        (
            "schema: ronchi.pipeline/1",
            "schema: ronchi.pipeline/2",
            r"toy\.yaml:1:9: schema: must be 'ronchi.pipeline/1'",
        ),
        ("schema: ronchi.pipeline/1\n", "", r"schema: is missing"),
        ("block: 4", "blok: 4", r"toy\.yaml:4:7: run\.blok: unknown key\n  -> did you mean 'block'\?"),
        (
            "block: 4",
            "executor: proces",
            r"toy\.yaml:4:17: run\.executor: .*\n  -> did you mean 'process'\? allowed: serial",
        ),
        (
            "noise: 0.1",
            "sigma: 1",
            r"toy\.yaml:8:58: disks\.params\.sigma: unknown key\n  -> did you mean 'sigma_px'\?",
        ),
        ("noise: 0.1", "sigma_px: -2", r"toy\.yaml:8:68: disks\.params\.sigma_px: must be greater than 0 \(got -2\)"),
        ("noise: 0.1", "sigma_px: .inf", r"8:68: disks\.params\.sigma_px: must be a finite number \(got inf\)"),
        ("noise: 0.1", "sigma_px: 2 nm", r"sigma_px: must be a number \(got '2 nm'\)\n  -> Blur; in px"),
        ("noise: 0.1", "mode: pase", r"mode: must be 'cross', 'phase' or 'hybrid' .*\n  -> did you mean 'phase'\?"),
        (
            "peaks: disks}",
            "peaks: disks, params: {reference: {scan_y: [0, 1]}}}",
            r"reference\.scan_y: unknown key\n.*'scan_x'",
        ),
        (
            "peaks: disks}",
            "peaks: disks, params: {reference: {scan_x: [0, b]}}}",
            r"toy\.yaml:9:\d+: strain\.params\.reference\.scan_x: must be two whole numbers",
        ),
        (
            "disk_detector: brightest",
            "disk_detector: brightst",
            r"toy\.yaml:8:26: disks\.disk_detector: no disk_detector is called.*\n.*did you mean 'brightest'",
        ),
        ("disk_detector: brightest", "disk_detector: crosscorr", r"`pip install ronchi-crosscorr` brings it"),
        ("disk_detector: brightest", "disk_detector: halve", r"'halve' is a transform"),
        (
            "disk_detector: brightest",
            "disk_detecter: brightest",
            r"toy\.yaml:8:3: disks: has no kind\n  -> did you mean 'disk_detector'",
        ),
        (
            "disk_detector: brightest",
            "disk_detector: brightest, transform: halve",
            r"disks: has 2 kinds: disk_detector, transform",
        ),
        ("data: half", "data: hlf", r"toy\.yaml:8:43: disks\.data: there is no step 'hlf'\n  -> did you mean 'half'"),
        (
            "data: half",
            "dat: half",
            r"toy\.yaml:8:37: disks\.dat: unknown input of 'brightest'\n  -> did you mean 'data'",
        ),
        ("data: half, ", "", r"disks\.data: the input is missing: 'brightest' takes fourd/1"),
        (
            "peaks: disks",
            "peaks: half",
            r"toy\.yaml:9:45: strain\.peaks: 'half' is fourd/1, but 'toystrain' takes peaks/1\n.*peaks/1: disks",
        ),
        ("truth: load.truth", "truth: load.trut", r"'load' has no side output 'trut'\n  -> did you mean 'truth'"),
        (
            "truth: load.truth",
            "truth: disks.truth",
            r"'disks' has no side output 'truth'\n  -> side outputs of 'disks': none",
        ),
        ("data: load}", "data: half}", r"go round in a circle: half -> half"),
        (
            "from: disks",
            "from: disk",
            r"toy\.yaml:12:17: outputs\.peaks\.from: there is no step 'disk'\n  -> did you mean 'disks'",
        ),
        ("path: peaks.nc", "path: ../peaks.nc", r"leaves the output folder"),
        ("path: peaks.nc", "path: /tmp/peaks.nc", r"leaves the output folder"),
        ("path: peaks.nc", "path: strain.nc", r"'strain\.nc' is also the path of 'peaks'"),
        ("path: peaks.nc", "path: Strain.nc", r"'strain\.nc' is also the path of 'peaks'"),
        ("path: peaks.nc", "path: strain.nc/peaks.nc", r"'strain\.nc' is also the path of 'peaks', or in it"),
        ("path: peaks.nc", "path: log.txt/peaks.nc", r"'log\.txt' is written by every run"),
        ("path: peaks.nc", f"path: {'p' * 253}.nc", r"no file can have the name 'ppp"),
        ("path: peaks.nc", 'path: "peaks\\0.nc"', r"no file can have the name 'peaks"),
        ("run: {block: 4}", 'run: {cache: ""}', r"run\.cache: must be the name of a folder"),
        ("run: {block: 4}", 'run: {cache: "a\\0"}', r"run\.cache: must be the name of a folder"),
        ("run: {block: 4}", "run: {cache: ~nobody-of-that-name/c}", r"run\.cache: must begin with the home"),
        ("name: toy", f"name: {'t' * 201}", r"name: string should have at most 200 characters"),
        ("  half:", f"  {'h' * 201}:", r"not a step name"),
        ("path: peaks.nc", "path: peaks.csv", r"outputs\.peaks\.path: unknown extension '\.csv'"),
        ("path: peaks.nc", "path: provenance.json", r"is written by every run"),
        ("from: disks, ", "", r"'from' is missing"),
        ("path: peaks.nc", "path: it.HTML", r"'\.HTML'\n  -> a report is of the whole run: leave out 'from'$"),
        (
            "params: {path: scan.npy}",
            "path: scan.npy",
            r"^toy\.yaml:6:27: load\.path: is a parameter, not an input\n  -> params: {path: scan\.npy}$",
        ),
        (
            "{from: disks, path: peaks.nc}",
            "peaks.nc",
            r"toy\.yaml:12:10: outputs\.peaks: must say from where and to where, such as {from: disks, ",
        ),
        ("scan.npy", "scna.npy", r"toy\.yaml:6:42: load\.params\.path: there is no file .*scna\.npy"),
        ("{path: scan.npy}", "{scale: 2}", r"load\.params\.path: is missing"),
        ("seed: 3", "plugins: {allow: []}", r"ok"),
        ("half: {", "run: {", r"toy\.yaml:7:3: run: not a step name"),
        ("half: {transform: halve, data: load}", "half: 3", r"half: a step is a mapping"),
        ("data: load}", "data: [load]}", r"half\.data: expected a step or step\.side"),
        (
            "steps:\n",
            "steps:\n  idle: {transform: halve, data: load}\n",
            r"toy\.yaml:6:3: idle: nothing uses this step",
        ),
    ],
)  # fmt: skip
def test_faults_are_found_at_their_place(folder, toys, old, new, message):
    if message == "ok":
        check(folder, toys, old, new)
        return
    with pytest.raises(ConfigError, match=message):
        check(folder, toys, old, new)


def test_all_faults_at_once(folder, toys):
    text = (folder / "toy.yaml").read_text().replace("noise", "nose").replace("peaks: disks}", "peaks: load}")
    (folder / "toy.yaml").write_text(text)
    with pytest.raises(ConfigError, match="2 faults") as caught:
        check(folder, toys)
    assert "did you mean 'noise'" in str(caught.value)
    assert "'load' is fourd/1 or images/1" in str(caught.value)


def test_overrides_replace_values_and_are_named_in_messages(folder, toys):
    plan = check(folder, toys, overrides=["disks.params.sigma_px=1e-1", "seed=9", "run.block=2"])
    assert plan.steps["disks"].params.sigma_px == 0.1
    assert (plan.config.seed, plan.config.run.block) == (9, 2)
    with pytest.raises(ConfigError, match=r"--set disks\.params\.sigma_px=-1: .*sigma_px: must be greater"):
        check(folder, toys, overrides=["disks.params.sigma_px=-1"])
    with pytest.raises(ConfigError, match="there is no step 'dsks'\n  -> did you mean 'disks'"):
        check(folder, toys, overrides=["dsks.params.sigma_px=1"])
    with pytest.raises(ConfigError, match="expected step"):
        check(folder, toys, overrides=["disks.params.sigma_px"])


def test_auto_reader_asks_all_and_survives_a_broken_one(folder, toys):
    plan = check(folder, toys, "reader: toyread", "reader: auto")
    assert plan.steps["load"].name == "toyread"
    assert "asked too much" in plan.warnings[0]
    (folder / "scan.txt").write_text("no patterns")
    with pytest.raises(ConfigError, match=r"no reader knows the file 'scan\.txt'[\s\S]*pip install ronchi-ros"):
        check(folder, toys, "scan.npy", "scan.txt")
    (folder / "scan.txt").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"is empty \(0 bytes\)"):
        check(folder, toys)
    (folder / "scan.txt").unlink()
    (folder / "scan.txt").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        check(folder, toys)


def test_paths_among_parameters_start_at_the_file(folder, toys):
    np.savetxt(folder / "mask.txt", [2.0])
    config = load_config(
        {
            "steps": {
                "load": {"reader": "toyread", "params": {"path": "scan.npy"}},
                "mean": {"transform": "meanmap", "data": "load", "params": {"mask": "mask.txt"}},
            },
            "schema": "ronchi.pipeline/1",
        }
    )
    plan = make_plan(config, toys)
    assert plan.steps["mean"].params.mask == folder / "mask.txt"
    assert plan.steps["mean"].files == {"mask": folder / "mask.txt"}


def test_allow_list_is_respected(folder):
    with pytest.raises(ConfigError, match=r"allow-list|no reader is called"):
        check_pipeline(folder / "toy.yaml", overrides=["plugins={allow: [other]}"])


def test_the_cache_may_lie_at_home():
    steps = {"load": {"reader": "npy", "params": {"path": "a.npy"}}}
    config = load_config({"schema": "ronchi.pipeline/1", "run": {"cache": "~/kept here"}, "steps": steps})
    assert config.run.cache == str(Path.home() / "kept here")
