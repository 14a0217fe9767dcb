"""Input files that change while a run reads them: nothing of the mixture is kept, and the file is named."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest

from ronchi.errors import RunError
from ronchi.pipeline import detect
from ronchi.pipeline import outputs as outputs_module
from ronchi.pipeline.cache import Cache
from ronchi.pipeline.config import load_config
from ronchi.pipeline.identity import Identities
from ronchi.pipeline.keys import FileDigests
from ronchi.pipeline.plan import make_plan

SHAPE = (5, 7, 8, 9)


def rewrite(path, seed):
    """Other content of the same size and date, as a second export of the same scan has."""
    stat = path.stat()
    np.save(path, np.random.default_rng(seed).random(SHAPE, dtype="f4"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def after_blocks(monkeypatch):
    """Do something once so many blocks are finished."""

    def when(number, act):
        save, saved = detect.save_block, []

        def counted(*args):
            save(*args)
            saved.append(1)
            if len(saved) == number:
                act()

        monkeypatch.setattr(detect, "save_block", counted)
        return lambda: monkeypatch.setattr(detect, "save_block", save)

    return when


def test_blocks_of_other_content_are_not_kept_and_those_before_are(go, folder, after_blocks):
    scan = folder / "scan.npy"
    undo = after_blocks(3, lambda: rewrite(scan, 1))
    broken = go()
    assert not broken.ok
    assert str(scan) in broken.steps["disks"].error
    assert "changed while the run read it" in broken.steps["disks"].error
    assert not broken.outputs
    undo()
    rewrite(scan, 0)
    resumed = go()
    assert resumed.ok
    assert resumed.steps["disks"].blocks_reused == 3
    whole = go("run.cache=other")
    np.testing.assert_array_equal(resumed["disks"]["qy"], whole["disks"]["qy"])


def test_a_file_that_is_gone_is_named_too(go, folder, after_blocks):
    after_blocks(3, (folder / "scan.npy").unlink)
    assert "scan.npy" in go().steps["disks"].error


def test_the_same_content_written_again_costs_nothing(go, folder, after_blocks):
    # Backups make links, which change a file's times.
    after_blocks(3, lambda: rewrite(folder / "scan.npy", 0))
    after_blocks(5, lambda: os.link(folder / "scan.npy", folder / "backup.npy"))
    assert go().ok


def test_a_step_without_blocks_is_not_stored(go, folder, monkeypatch):
    import toydist

    apply = toydist.MeanMap.apply

    def overtaken(self, *, data, ctx):
        made = apply(self, data=data, ctx=ctx).load()
        rewrite(folder / "scan.npy", 1)
        return made

    steps = [("outputs:", "  mean: {transform: meanmap, data: half}\noutputs:\n  mean: {from: mean, path: mean.nc}")]
    monkeypatch.setattr(toydist.MeanMap, "apply", overtaken)
    broken = go(replace=steps)
    assert "scan.npy" in broken.steps["mean"].error
    monkeypatch.setattr(toydist.MeanMap, "apply", apply)
    rewrite(folder / "scan.npy", 0)
    assert go(replace=steps).steps["mean"].status == "done"


def test_what_reads_no_input_file_is_made_whatever_becomes_of_it(go, folder, monkeypatch):
    import toydist

    solve = toydist.Strain.solve

    def overtaken(self, peaks, ctx):
        (folder / "scan.npy").unlink()
        return solve(self, peaks, ctx)

    monkeypatch.setattr(toydist.Strain, "solve", overtaken)
    run = go(replace=[("  score: {metric: rms, result: strain, truth: load.truth}\n", "")])
    assert run.ok
    assert set(run.outputs) == {"peaks", "strain"}


def test_lazy_outputs_of_other_content_are_not_left(go, folder, monkeypatch):
    write = outputs_module.write_with

    def overtaken(chosen, data, path, sides):
        written = write(chosen, data, path, sides)
        if path.name == "half.nc":
            rewrite(folder / "scan.npy", 1)
        return written

    monkeypatch.setattr(outputs_module, "write_with", overtaken)
    more = [("outputs:\n", "outputs:\n  half: {from: half, path: half.nc}\n")]
    with pytest.raises(RunError, match=r"scan\.npy: this input file changed"):
        go(replace=more)
    assert not list((folder / "toy-out").glob("half*"))
    assert (folder / "toy-out" / "strain.nc").exists()


def test_a_file_is_compared_once_however_many_lazy_steps_lead_to_it(folder, toys, monkeypatch):
    names = ["load", *(f"half{number}" for number in range(1200))]
    steps = {"load": {"reader": "toyread", "params": {"path": str(folder / "scan.npy")}}}
    steps |= {name: {"transform": "halve", "data": before} for before, name in itertools.pairwise(names)}
    plan = make_plan(load_config({"schema": "ronchi.pipeline/1", "steps": steps}), toys)
    identities = Identities(plan, Cache(folder / "cache"))
    compared, of = [], FileDigests.of
    monkeypatch.setattr(FileDigests, "of", lambda self, path: compared.append(path) or of(self, path))
    identities.check_files(*names)
    assert compared == [folder / "scan.npy"]
    rewrite(folder / "scan.npy", 1)
    with pytest.raises(RunError, match=r"scan\.npy: this input file changed"):
        identities.check_files(names[-1])
