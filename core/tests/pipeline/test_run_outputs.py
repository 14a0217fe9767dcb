"""Inputs are never overwritten, and what cannot be written costs no results."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import xarray as xr

from ronchi.errors import ConfigError, OutputError
from ronchi.pipeline import outputs as outputs_module
from ronchi.pipeline.run import run_pipeline


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


def test_outputs_of_another_pipeline_are_not_replaced(go, folder):
    first = go(out="both")
    before = {path.name: path.read_bytes() for path in (folder / "both").iterdir() if path.is_file()}
    for more in ({}, {"dry_run": True}):
        with pytest.raises(OutputError, match=r"outputs of another pipeline, 'toy', which 'other' would(?s:.*)with -o"):
            go("name=other", out="both", **more)
    assert before == {path.name: path.read_bytes() for path in (folder / "both").iterdir() if path.is_file()}
    # The same one again, with another parameter, may.
    assert go("disks.params.noise=0.2", out="both").outputs == first.outputs
    (folder / "both" / "provenance.json").unlink()
    assert go("name=other", out="both").ok


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


def test_a_failing_output_does_not_cost_the_others(go, folder, monkeypatch, statuses, reused):
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
    assert statuses(go()) == reused


def test_reasons_that_cannot_be_kept_for_the_next_run_cost_no_results(go, folder, monkeypatch):
    """The folder of the cache may be full, and that of the outputs have room."""
    from ronchi.pipeline.cache import Cache

    def full(self, *given):
        raise OutputError("the disk is full", where=str(self.folder))

    monkeypatch.setattr(Cache, "set_last", full)
    run = go()
    assert run.ok
    assert sorted(run.outputs) == ["peaks", "strain"]
    assert (run.out_dir / "provenance.json").exists()
