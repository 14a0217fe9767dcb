"""The cache: what is read back is what was stored, and damage counts as absence."""

from __future__ import annotations

import errno
import importlib
import os
import platform
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Result
from ronchi.errors import OutputError
from ronchi.pipeline import arrays
from ronchi.pipeline import cache as cache_module
from ronchi.pipeline.arrays import array_digests, is_lazy, load_dataset, save_dataset
from ronchi.pipeline.cache import Cache
from ronchi.pipeline.keys import FileDigests, changes, code_digest, entropy, step_key
from ronchi.processes import name_of_process

KEY = "ab" + "0" * 62


def dataset():
    rng = np.random.default_rng(1)
    return xr.Dataset(
        {
            "x": (
                ("a", "b"),
                rng.random((3, 4)),
                {"units": "1", "flag_masks": np.array([1, 2], "u2"), "n": np.float32(0.1)},
            ),
            "t": (("a",), np.array([np.nan, np.inf, -0.0], "f4")),
            "ok": (("a",), np.array([True, False, True])),
            "u": ((), np.uint16(7)),
            "e": (("z",), np.zeros(0)),
            "f": (("b", "a"), np.asfortranarray(rng.random((4, 3)))),
        },
        {"b": np.array(["y", "xx", "", "ä"])},
        {"text": "ä", "none": None, "pair": (1, 2.5), "list": [1, "a"], "map": {"array": 1}, "yes": True},
    )


def test_datasets_come_back_exactly(tmp_path):
    ds = dataset()
    save_dataset(ds, tmp_path / "x")
    back = load_dataset(tmp_path / "x")
    xr.testing.assert_identical(ds, back)
    assert {name: var.dtype for name, var in ds.variables.items()} == {n: v.dtype for n, v in back.variables.items()}
    assert list(back.data_vars) == list(ds.data_vars)
    assert type(back.attrs["pair"]) is tuple
    assert array_digests(back) == array_digests(ds)


def test_digests_see_every_bit():
    ds = dataset()
    changed = {"t": np.array([np.nan, np.inf, 0.0], "f4"), "u": np.uint8(7), "ok": np.array([True, True, True])}
    for name, change in changed.items():
        other = ds.copy()
        other[name] = (ds[name].dims, change)
        assert {n for n in array_digests(ds) if array_digests(ds)[n] != array_digests(other)[n]} == {name}


def test_large_arrays_are_written_in_pieces_and_read_lazily(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_PIECE_BYTES", 1000)
    monkeypatch.setattr(arrays, "_MEMORY_BYTES", 4000)
    values = np.random.default_rng(2).random((3, 5, 7, 8))
    ds = xr.Dataset({"intensity": (("p", "q", "r", "s"), values), "m": (("k", "l"), values.reshape(-1, 8))})
    digests = array_digests(ds)
    save_dataset(ds, tmp_path / "x")
    back = load_dataset(tmp_path / "x")
    assert is_lazy(back["intensity"])
    assert not is_lazy(ds["intensity"])
    assert max(np.prod(chunk) for chunk in zip(*[[c[0]] for c in back["intensity"].chunks], strict=True)) * 8 <= 1000
    xr.testing.assert_identical(back.compute(), ds)
    assert array_digests(back) == digests


def test_entries_with_sides(tmp_path):
    cache = Cache(tmp_path / "c")
    assert cache.get(KEY) is None
    cache.put(KEY, Result(dataset(), {"side": dataset()[["u"]]}), {"k": 1})
    back = cache.get(KEY)
    assert cache.has(KEY)
    xr.testing.assert_identical(back.data, dataset())
    xr.testing.assert_identical(back.sides["side"], dataset()[["u"]])
    assert not list((tmp_path / "c" / "tmp").iterdir())


def test_an_entry_is_hashed_once_when_it_is_made(tmp_path, monkeypatch):
    read, digest = [], cache_module.file_sha256
    monkeypatch.setattr(cache_module, "file_sha256", lambda path: read.append(path) or digest(path))
    cache = Cache(tmp_path)
    cache.put(KEY, Result(dataset()), {})
    made = len(read)
    xr.testing.assert_identical(cache.get(KEY, check=False).data, dataset())
    assert len(read) == made
    cache.get(KEY)
    assert len(read) == 2 * made


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "format", "key", "garbage"])
def test_damaged_or_foreign_entries_are_absent_and_replaced(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.put(KEY, Result(dataset()), {})
    file, entry = cache.path(KEY) / "result" / "0.npy", cache.path(KEY) / "entry.json"
    content = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(content[:-8])
    elif damage == "flip":
        content[-1] ^= 1
        file.write_bytes(content)
    elif damage == "remove":
        file.unlink()
    elif damage == "format":
        entry.write_text(entry.read_text().replace('"format": 1', '"format": 99'))
    elif damage == "key":
        entry.write_text(entry.read_text().replace(KEY, "cd" + KEY[2:]))
    else:
        entry.write_text("{")
    assert cache.get(KEY) is None
    cache.put(KEY, Result(dataset()), {})
    xr.testing.assert_identical(cache.get(KEY).data, dataset())


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    cache = Cache(tmp_path)

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module, "_sync_tree", stop)
    with pytest.raises(KeyboardInterrupt):
        cache.put(KEY, Result(dataset()), {})
    assert not cache.has(KEY)
    assert not list((tmp_path / "tmp").iterdir())


def test_an_entry_that_another_process_has_just_finished_is_kept(tmp_path, monkeypatch):
    cache, sync = Cache(tmp_path), cache_module._sync_tree

    def overtaken(folder):
        monkeypatch.setattr(cache_module, "_sync_tree", sync)
        cache.put(KEY, Result(dataset()), {})
        # The first one saw no entry before.
        monkeypatch.setattr(cache_module.Path, "exists", lambda path: False)

    monkeypatch.setattr(cache_module, "_sync_tree", overtaken)
    cache.put(KEY, Result(dataset()), {})
    monkeypatch.undo()
    xr.testing.assert_identical(cache.get(KEY).data, dataset())
    assert not list((tmp_path / "tmp").iterdir())


def test_what_killed_runs_left_is_removed(tmp_path):
    cache = Cache(tmp_path)
    dead = tmp_path / "tmp" / f"put+{platform.node()}+999999999+x"
    foreign = tmp_path / "tmp" / f"put+{platform.node()}-2+999999999+x"
    alive = tmp_path / "tmp" / f"{name_of_process('put')}x"
    old, new = cache.partial("a" * 64), cache.partial("b" * 64)
    for folder in (dead, foreign, alive):
        folder.mkdir(parents=True)
    (old / "block.npz").write_bytes(b"1")
    month_ago = time.time() - 31 * 86400
    os.utime(old, (month_ago, month_ago))
    cache.tidy()
    assert [folder.exists() for folder in (dead, foreign, alive, old, new)] == [False, True, True, False, True]


def test_what_others_keep_in_the_folder_is_never_removed(tmp_path):
    # Somebody gives a folder of theirs as the cache, and has one called tmp or partial in it.
    month_ago = time.time() - 31 * 86400
    theirs = [tmp_path / "tmp" / "thesis", tmp_path / "partial" / "figures", tmp_path / "tmp" / "put+notes"]
    for folder in theirs:
        folder.mkdir(parents=True)
        os.utime(folder, (month_ago, month_ago))
    ours = tmp_path / "tmp" / f"put+elsewhere+12+{KEY[:16]}-{'0' * 32}"
    ours.mkdir()
    os.utime(ours, (month_ago, month_ago))
    Cache(tmp_path).tidy()
    assert all(folder.exists() for folder in theirs)
    assert not ours.exists()


def test_one_at_a_time_makes_an_entry_and_a_killed_one_lets_go(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from ronchi.pipeline.cache import Cache\n"
        "with Cache(Path(sys.argv[1])).making('k', lambda: None): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "held\n"
        # Killed while we wait: the system, not the owner, releases the lock.
        with Cache(tmp_path).making("k", owner.kill):
            assert owner.wait(10) == -signal.SIGKILL
    with Cache(tmp_path).making("k", lambda: pytest.fail("nobody holds it")):
        pass
    assert not list((tmp_path / "locks").iterdir())


def test_full_disk_and_bad_folder_are_output_errors(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cache cannot be written to"):
        Cache(tmp_path / "file").put(KEY, Result(dataset()), {})

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module, "save_dataset", full)
    with pytest.raises(OutputError, match=r"disk is full\n.*free some space"):
        Cache(tmp_path / "c").put(KEY, Result(dataset()), {})


def test_keys_depend_on_values_not_on_order():
    assert step_key({"a": 1, "b": [1.0, None]}) == step_key({"b": [1.0, None], "a": 1})
    assert step_key({"a": 1}) != step_key({"a": 2})
    assert step_key({"a": 1}) != step_key({"a": "1"})


def test_entropy_depends_on_seed_and_parameters():
    base = entropy(1, "k", "n", {"x": 1})
    assert base == entropy(1, "k", "n", {"x": 1})
    assert base != entropy(2, "k", "n", {"x": 1})
    assert base != entropy(1, "k", "n", {"x": 2})


def test_changes_in_words():
    old = {
        "params": {"sigma_px": 2, "list": [1, 2]},
        "inputs": {"data": "a"},
        "files": {"path": {"size": 1, "sha256": "x"}},
    }
    new = {
        "params": {"sigma_px": 3, "list": [1, 2]},
        "inputs": {"data": "b"},
        "files": {"path": {"size": 1, "sha256": "y"}},
    }
    assert changes(old, old) == []
    assert changes(old, new) == [
        "the content of an input file changed",
        "the input 'data' changed",
        "params.sigma_px changed 2 -> 3",
    ]
    assert changes(None, new) == ["this step was not run before"]
    assert changes({"version": "1"}, {"version": "2", "code": "x"}) == [
        "the source code of its editable distribution changed",
        "version changed 1 -> 2",
    ]


def test_file_digests_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    file = tmp_path / "data.bin"
    file.write_bytes(b"abc")
    first = FileDigests(tmp_path / "c" / "files.json")
    known = first.of(file)
    first.save()
    monkeypatch.setattr("ronchi.pipeline.keys.file_sha256", lambda path: "read again")
    assert FileDigests(tmp_path / "c" / "files.json").of(file) == known
    file.write_bytes(b"abcd")
    assert FileDigests(tmp_path / "c" / "files.json").of(file) == {"size": 4, "sha256": "read again"}


def test_reading_a_large_file_is_announced_once(tmp_path, monkeypatch):
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(1_200_000_000)
    monkeypatch.setattr("ronchi.pipeline.keys.file_sha256", lambda path: "x")
    told = []
    digests = FileDigests(tmp_path / "files.json", told.append)
    digests.of(large)
    digests.of(large)
    assert told == ["large.bin: reading 1.2 GB once, to know when the content changes"]


def test_folders_are_digested_by_content(tmp_path):
    folder = tmp_path / "store.zarr"
    (folder / "c").mkdir(parents=True)
    (folder / "c" / "0").write_bytes(b"1")
    digests = FileDigests(folder / ".ronchi" / "cache" / "files.json")
    before = digests.of(folder)
    # Whoever starts ronchi in the folder of the data has the cache in it.
    digests.save()
    assert digests.of(folder) == before
    (folder / "c" / "1").write_bytes(b"1")
    assert digests.of(folder) != before
    around = FileDigests(tmp_path / "files.json")
    before = around.of(folder)
    (folder / "c" / "2").write_bytes(b"1")
    assert around.of(folder) != before


def test_code_digest_sees_all_files_but_those_that_are_made_of_them(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    before = code_digest(tmp_path)
    for made in ("a.cpython-312.pyc", "a.f-1.py312.nbi", "a.f-1.py312.1.nbc"):
        (tmp_path / made).write_text("made")
    # Python and numba write under other names first.
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-312.pyc.140267").write_text("half made")
    assert code_digest(tmp_path) == before
    (tmp_path / "table.json").write_text("{}")
    with_table = code_digest(tmp_path)
    (tmp_path / "a.py").write_text("x = 2")
    assert len({before, with_table, code_digest(tmp_path)}) == 3


def test_code_that_changes_after_the_process_began_is_what_is_loaded_and_of_this_process_alone(tmp_path, monkeypatch):
    root = tmp_path / "plugin"
    root.mkdir()
    file = root / "edited_plugin.py"
    file.write_text("def rate():\n    return 1\n")
    monkeypatch.setattr("ronchi.imported.IMPORTED_NS", time.time_ns() + 10**9)
    settled = code_digest(root)
    monkeypatch.setattr("ronchi.imported.IMPORTED_NS", 0)
    monkeypatch.syspath_prepend(str(root))
    importlib.invalidate_caches()
    module = importlib.import_module("edited_plugin")
    began = code_digest(root)
    assert began == code_digest(root) != settled
    file.write_text("def rate():\n    return 22\n")
    edited = code_digest(root)
    importlib.reload(module)
    assert len({settled, began, edited, code_digest(root)}) == 4
    sys.modules.pop("edited_plugin")


def test_a_file_of_the_same_size_and_date_is_read_again(tmp_path):
    file, digests = tmp_path / "scan.npy", FileDigests(tmp_path / "files.json")
    file.write_bytes(b"1111")
    os.utime(file, ns=(10**18, 10**18))
    before = digests.of(file)
    file.write_bytes(b"2222")
    os.utime(file, ns=(10**18, 10**18))
    assert digests.of(file) != before
    digests.save()
    assert FileDigests(tmp_path / "files.json").of(file) == digests.of(file)
