"""Executors: equal bits from all, no orphans, quick to stop, bounded in memory."""

from __future__ import annotations

import importlib.util
import json
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ronchi.api import Context
from ronchi.errors import ConfigError
from ronchi.pipeline.cache import Cache
from ronchi.pipeline.config import RunOptions
from ronchi.pipeline.executors import make_executor
from ronchi.pipeline.outputs import sole_writer
from ronchi.pipeline.run import run_pipeline

DRIVER = Path(__file__).parent / "driver.py"


def run(toys, *overrides):
    return run_pipeline("toy.yaml", overrides=overrides, manager=toys, progress=False)


def outputs(run):
    return {name: path.read_bytes() for name, path in run.outputs.items()}


@pytest.fixture
def start(folder, toys):
    """Start the toy pipeline in a process (and process group) of its own."""
    site = str(Path(toys_site(toys)))
    started = []

    def launch(*overrides):
        command = [sys.executable, str(DRIVER), site, "toy.yaml", *overrides]
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def toys_site(toys):
    import toydist

    toys.load_all()
    return Path(toydist.__file__).parent


def _until(stream, text):
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} was not said: {lines}")


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def workers_of(log):
    return {int(line.split()[0]) for line in log.read_text().splitlines()} if log.exists() else set()


def test_process_equals_serial(folder, toys):
    # Other tests of this process may have workers that wait for more.
    before = multiprocessing.active_children()
    serial = run(toys, "run.executor=serial")
    process = run(toys, "run.executor=process", "run.workers=2", "run.cache=other", "disks.params.log=b.txt")
    assert process.ok, process.steps["disks"].error
    assert outputs(process) == outputs(serial)
    assert os.getpid() not in workers_of(folder / "b.txt")
    assert process.steps["disks"].key != serial.steps["disks"].key  # only because of `log`
    assert {*multiprocessing.active_children()} <= {*before}


def test_dask_equals_serial(folder, toys):
    pytest.importorskip("distributed", reason="install ronchi[distributed] to test the dask executor")
    serial = run(toys, "run.executor=serial")
    dask = run(toys, "run.executor=dask", "run.workers=2", "run.cache=other")
    assert dask.ok, dask.steps["disks"].error
    assert dask.steps["disks"].status == "done"
    assert outputs(dask) == outputs(serial)


def test_a_dask_cluster_that_is_slow_to_stop_costs_no_results(folder, toys, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="install ronchi[distributed] to test the dask executor")
    close = distributed.LocalCluster.close

    def slow(self, timeout=None):
        close(self, timeout=20)
        raise TimeoutError("timed out after 2 s.")

    monkeypatch.setattr(distributed.LocalCluster, "close", slow)
    made = run(toys, "run.executor=dask", "run.workers=1")
    assert made.ok
    assert set(made.outputs) == {"peaks", "strain"}


def test_running_dask_scheduler(folder, toys):
    distributed = pytest.importorskip("distributed", reason="install ronchi[distributed] to test the dask executor")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        dashboard_address="127.0.0.1:0",
        protocol="tcp",
        silence_logs=50,
    ) as cluster:
        remote = run(toys, "run.executor=dask", f"run.address={cluster.scheduler_address}")
        assert remote.ok, remote.steps["disks"].error
        assert cluster.workers  # a foreign cluster goes on
    assert outputs(run(toys, "run.cache=other")) == outputs(remote)


def test_dask_needs_distributed_and_an_answer(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"needs the package distributed\n  -> pip install"):
        make_executor(RunOptions(executor="dask"))


def test_data_in_memory_reach_the_workers(folder, toys):
    config = {
        "schema": "ronchi.pipeline/1",
        "run": {"block": 3, "workers": 2},
        "steps": {
            "sim": {"simulator": "toysim", "params": {"n": 4}},
            "disks": {"disk_detector": "brightest", "data": "sim"},
        },
        "outputs": {"peaks": {"from": "disks", "path": "peaks.nc"}},
    }
    serial = run_pipeline(config, manager=toys, progress=False)
    process = run_pipeline(config, manager=toys, progress=False, executor="process", overrides=["run.cache=other"])
    assert process.ok, process.steps["disks"].error
    assert outputs(process) == outputs(serial)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "ValueError: detector broke"),
        ("odd", "OddError: code 7"),
        ("die", "a worker process died"),
    ],
)
def test_faults_in_workers(folder, toys, fault, message):
    failed = run(toys, "run.executor=process", "run.workers=1", f"disks.params.fault={fault}")
    assert message in failed.steps["disks"].error
    assert failed.steps["strain"].status == "skipped"


def test_compilation_in_workers_is_told_while_they_compile(folder, toys, capsys):
    # All blocks together take several times as long as workers are left alone.
    more = ["run.executor=process", "run.workers=2", "disks.params.fault=compile", "disks.params.sleep_s=0.3"]
    made = run_pipeline("toy.yaml", overrides=more, manager=toys)
    told = capsys.readouterr().err
    assert told.count("compiling for this machine") == 1
    assert told.index("compiling") < told.index("disks: 100 %")
    assert not (made.out_dir / "log.txt").exists()


def test_a_worker_that_dies_costs_its_own_step_alone(folder, toys):
    config = {
        "schema": "ronchi.pipeline/1",
        "run": {"executor": "process", "workers": 2},
        "steps": {
            "sim": {"simulator": "toysim", "params": {"n": 4}},
            "dies": {"disk_detector": "brightest", "data": "sim", "params": {"fault": "die"}},
            "lives": {"disk_detector": "brightest", "data": "sim"},
        },
    }
    made = run_pipeline(config, manager=toys, progress=False)
    assert "a worker process died" in made.steps["dies"].error
    assert made.steps["lives"].status == "done", made.steps["lives"].error


@pytest.mark.parametrize("executor", ["serial", "process", "dask"])
def test_warnings_of_algorithms_reach_the_user(folder, toys, executor):
    before = logging.getLogger("ronchi").level
    made = run(toys, f"run.executor={executor}", "run.workers=2", "disks.params.fault=warn")
    assert made.warnings == ["disks: blurred by 2 px"]  # once, though every block says it
    log = (made.out_dir / "log.txt").read_text()
    assert log.count("INFO ronchi.step.disks: a block of") == 10
    assert json.loads((made.out_dir / "provenance.json").read_text())["warnings"] == made.warnings
    assert logging.getLogger("ronchi").level == before


def test_warnings_of_a_result_are_told_wherever_it_is_taken(folder, toys, monkeypatch):
    """By the next run, and by one where the step has another name; those of libraries, which know no step, too."""
    import toydist

    usual = toydist.Strain.solve

    def doubtful(self, peaks, ctx):
        logging.getLogger("ronchi.virtual").warning("a halo")
        return usual(self, peaks, ctx)

    monkeypatch.setattr(toydist.Strain, "solve", doubtful)
    first = run(toys, "disks.params.fault=warn")
    assert first.warnings == ["disks: blurred by 2 px", "strain: a halo"]
    again = run(toys, "disks.params.fault=warn")
    assert again.steps["disks"].cached
    assert again.warnings == first.warnings
    (folder / "toy.yaml").write_text((folder / "toy.yaml").read_text().replace("disks", "spots"))
    other = run(toys, "spots.params.fault=warn")
    assert other.steps["spots"].cached
    assert other.warnings == [text.replace("disks:", "spots:") for text in first.warnings]


def test_warnings_of_readers_reach_the_user_too(folder, toys, monkeypatch):
    """They have loggers of their own, and do not know their step: a file that is cut off, counts in no unit."""
    import toydist

    usual = toydist.Reader.open

    def doubtful(self, path):
        logging.getLogger("ronchi.toyread").warning("%s: 3 bytes are left over", path.name)
        return usual(self, path)

    monkeypatch.setattr(toydist.Reader, "open", doubtful)
    made = run(toys, "disks.params.fault=raise")
    assert made.warnings == ["load: scan.npy: 3 bytes are left over"], "once, and no failed step among them"
    assert json.loads((made.out_dir / "provenance.json").read_text())["warnings"] == made.warnings


def test_a_job_travels_once_to_a_worker(folder, toys, monkeypatch):
    from ronchi.pipeline.executors import worker
    from ronchi.pipeline.tiles import Tile

    class Job:
        def start(self):
            started.append(1)
            return self

        def run(self, tile):
            return tile.size

    started = []
    file = folder / "job"
    packed = worker.PackedJob("digest", file)
    monkeypatch.setattr(worker, "_local", threading.local())
    monkeypatch.setattr("pickle.loads", lambda content: Job())
    file.write_bytes(b"1")
    assert worker.run_block(packed, Tile(0, 1, 0, 2)).batch == 2
    file.unlink()
    assert worker.run_block(packed, Tile(0, 1, 0, 3)).batch == 3
    assert started == [1]


def test_what_is_sent_with_a_block_does_not_grow_with_the_job(folder, toys, monkeypatch):
    from ronchi.pipeline.executors import process

    sizes = []

    class Pool(process.ProcessPoolExecutor):
        def submit(self, call, *args):
            sizes.append(len(pickle.dumps(args)))
            return super().submit(call, *args)

    monkeypatch.setattr(process, "ProcessPoolExecutor", Pool)
    np.save("scan.npy", np.random.default_rng(0).random((2, 4, 256, 256), dtype="f4"))
    made = run(toys, "run.executor=process", "run.workers=1")
    assert made.ok, made.steps["disks"].error
    assert len(sizes) == 2
    assert max(sizes) < 2000  # bytes; the mean pattern alone has 262144
    assert not list((folder / ".ronchi" / "cache").glob("scratch*"))


@pytest.mark.parametrize("executor", ["serial", "process"])
def test_killed_run_resumes_to_the_same_bytes(folder, start, toys, executor):
    log = folder / "blocks.txt"
    overrides = (f"run.executor={executor}", "run.workers=2", "disks.params.sleep_s=0.2", f"disks.params.log={log}")
    process = start(*overrides)
    finished = folder / ".ronchi" / "cache" / "partial"
    wait_for(lambda: len(list(finished.rglob("*.npz"))) >= 3)
    process.kill()
    process.wait()
    wait_for(lambda: not any(alive(pid) for pid in workers_of(log)), 10)
    kept = len(list(finished.rglob("*.npz")))
    resumed = run(toys, *overrides)
    assert (resumed.steps["disks"].blocks, resumed.steps["disks"].blocks_reused) == (10, kept)
    assert outputs(run(toys, *overrides, "run.cache=other")) == outputs(resumed)


def test_two_runs_on_one_cache_share_the_work(folder, start, toys):
    log = folder / "blocks.txt"
    lock = Cache(folder / ".ronchi" / "cache")
    overrides = ("disks.params.sleep_s=0.1", f"disks.params.log={log}")
    # The name of the step's lock, and a hold on it until both wait, whatever else the machine does.
    key = run_pipeline("toy.yaml", overrides=overrides, manager=toys, dry_run=True).steps["disks"].key
    with lock.making(key, lambda: None):
        processes = [start(*overrides, f"name={name}") for name in ("one", "two")]
        said = [_until(process.stderr, "disks: waiting for another run") for process in processes]
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], (said, ends)
    assert len(log.read_text().splitlines()) == 10  # each of the blocks once
    assert sum("disks: disk_detector brightest: reused" in end[1] for end in ends) == 1
    assert outputs(run(toys, *overrides, "run.cache=other")) == outputs(run(toys, *overrides))


def test_two_runs_do_not_write_to_one_folder_at_a_time(folder, start):
    (folder / "toy-out").mkdir()
    with sole_writer(folder / "toy-out", pytest.fail):
        second = start()
        _until(second.stderr, "waiting for another run, which writes to toy-out")
        assert not (folder / ".ronchi" / "cache" / "partial").exists()
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert not (folder / "toy-out" / ".lock").exists()


@pytest.mark.alone
@pytest.mark.parametrize("executor", ["serial", "process", "dask"])
def test_ctrl_c_stops_within_5_s_and_keeps_blocks(folder, start, toys, executor):
    log = folder / "blocks.txt"
    overrides = (f"run.executor={executor}", "run.workers=2", f"disks.params.log={log}")
    process = start(*overrides, "disks.params.sleep_s=0.5")
    finished = folder / ".ronchi" / "cache" / "partial"
    wait_for(lambda: len(list(finished.rglob("*.npz"))) >= 2)
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    assert said.count("\nKeyboardInterrupt") == 1, "that of this process, and none of the workers"
    assert process.returncode != 0
    wait_for(lambda: not any(alive(pid) for pid in workers_of(log)), 5)
    assert len(list(finished.rglob("*.npz"))) >= 2
    assert not list(folder.glob("toy-out/*.nc"))


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "ceiling_mb"), [("serial", 700), ("process", 1300)])
def test_file_larger_than_the_ceiling_stays_inside(folder, start, executor, ceiling_mb):
    shape = (64, 1340, 128, 128)  # 2.8 GB
    # What is read fills memory as any values would, and the disk has nothing to write: all is a hole.
    np.lib.format.open_memmap(folder / "scan.npy", mode="w+", dtype="u2", shape=shape)
    process = start(f"run.executor={executor}", "run.workers=1", f"run.memory_mb={ceiling_mb}", "run.block=null")
    out, err = process.communicate(timeout=500)
    size_mb = (folder / "scan.npy").stat().st_size / 1e6
    (folder / "scan.npy").unlink()
    assert process.returncode == 0, err[-2000:]
    peak = max(json.loads(out).values())
    print(f"{executor}: peak {peak:.0f} MB under a ceiling of {ceiling_mb} MB, file of {size_mb:.0f} MB")
    assert size_mb > 2 * ceiling_mb
    assert peak < ceiling_mb


def test_what_is_lent_can_be_sent_to_workers() -> None:
    lent = pickle.loads(pickle.dumps(Context(rng=np.random.default_rng(3))))
    lent.progress(1, 2)
    assert lent.rng.integers(1000) == np.random.default_rng(3).integers(1000)


def test_workers_take_no_module_from_the_current_folder_and_nothing_else_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somebodys_data.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    first, second = (make_executor(RunOptions(executor="process", workers=1)) for _ in range(2))
    try:
        for executor in (first, second):
            for found in executor.map_tasks(importlib.util.find_spec, ["somebodys_data"]):
                assert found is None
                # While the workers live: what else starts here has its own way with the current folder.
                assert "PYTHONSAFEPATH" not in os.environ
    finally:
        for executor in (first, second):
            executor.close()
    assert "PYTHONSAFEPATH" not in os.environ
