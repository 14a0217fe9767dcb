"""Writing that cannot succeed: whole or not at all, and clear about the reason."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ronchi.atomic import all_or_nothing
from ronchi.builtin.native import open_native
from ronchi.errors import OutputError
from ronchi.writing import write


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A limit on the file size stands for the full disk: the write fails in the middle."""
    code = """
        import resource, signal, sys
        import numpy as np
        from ronchi.writing import write
        from ronchi.errors import OutputError
        from ronchi.schema import fourd
        path = sys.argv[1]
        write(fourd.make(np.zeros((2, 2, 8, 8), "u2")), path)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        noise = np.random.default_rng(0).integers(0, 60000, (16, 16, 64, 64)).astype("u2")
        for compress in (True, False):
            try:
                write(fourd.make(noise), path, params={"compress": compress})
            except OutputError as error:
                print(error)
    """
    for name in ("scan.nc", "scan.zarr"):
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code), str(tmp_path / name)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("the disk is full, or a quota or size limit is reached") == 2, run.stdout
        assert run.stderr == ""
        assert open_native(tmp_path / name).data.sizes["scan_y"] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scan.nc", "scan.zarr"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, scan) -> None:
    path = write(scan(), tmp_path / "scan.nc")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(scan().isel(scan_y=[0]), path, progress=interrupt)
    assert open_native(path).data.sizes["scan_y"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["scan.nc"]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_read_only_folder(suffix: str, scan) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:  # permissions do not bind root: become somebody else for the write
            os.seteuid(65534)
        try:
            with pytest.raises(OutputError, match="cannot be written") as caught:
                write(scan(), folder / f"scan{suffix}")
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)
        assert "may write to" in str(caught.value)
        assert not list(folder.iterdir())


def test_unknown_extension_missing_folder_used_path_and_strange_attributes(tmp_path: Path, scan) -> None:
    with pytest.raises(OutputError, match=r"'\.xyz'.*\n.*\.nc, \.zarr"):
        write(scan(), tmp_path / "scan.xyz")
    with pytest.raises(OutputError, match="does not exist"):
        write(scan(), tmp_path / "no" / "scan.nc")
    path = write(scan(), tmp_path / "scan.nc")
    with pytest.raises(OutputError, match="in use"):
        write(scan(), path, overwrite=False)
    with pytest.raises(OutputError, match="'made'"):
        write(scan().assign_attrs(made=object()), tmp_path / "other.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["scan.nc"]


def test_progress_counts_bytes_to_the_end(tmp_path: Path, scan) -> None:
    seen: list[tuple[int, int]] = []
    write(scan().chunk(scan_y=1), tmp_path / "scan.nc", progress=lambda done, total: seen.append((done, total)))
    done, total = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == total[0]


NOT_NETCDF = {
    "variable 'a/b' cannot be found again": {"variable": "a/b"},
    "variable '' cannot be found again": {"variable": ""},
    "variable '-a' has a name that netCDF does not know": {"variable": "-a"},
    "variable 'a ' has a name that netCDF does not know": {"variable": "a "},
    "has a name of 258 bytes, netCDF knows 256": {"variable": "é" * 129},
    "dimension 'a/b' has a name that netCDF does not know": {"dimension": "a/b"},
    "side 'a/b' cannot be found again": {"side": "a/b"},
    "side 'probe' has the name of a variable": {"side": "probe"},
    "attribute 'a/b' of variable 'map' has a name": {"attribute": ("a/b", 1)},
    "attribute 'NAME' of variable 'map' has a name that netCDF keeps": {"attribute": ("NAME", "x")},
    "attribute 'n' of variable 'map' is 18446744073709551616, and": {"attribute": ("n", 2**64)},
    "attribute 'n' of variable 'map' is -9223372036854775809, and": {"attribute": ("n", -(2**63) - 1)},
    r"attribute 'n' of variable 'map' has a character that is no text: '\\udc80'": {"attribute": ("n", "a\udc80")},
    "attribute 'n' is a complex128, which no file format": {"attribute": ("n", np.complex128(1))},
    "attribute '_FillValue' of variable 'map' is refused by netCDF": {"attribute": ("_FillValue", "x")},
}


@pytest.mark.parametrize("says", NOT_NETCDF)
def test_what_netcdf_cannot_hold_is_told_by_its_name(tmp_path: Path, scan, says: str) -> None:
    part = NOT_NETCDF[says]
    name, value = part.get("attribute", ("fine", 1))
    map_ = xr.Variable((part.get("dimension", "other"),), np.zeros(7), {"units": "1", "long_name": "x", name: value})
    data, sides = scan().assign({part.get("variable", "map"): map_}), {part.get("side", "truth"): scan()}
    path = write(scan(), tmp_path / "scan.nc")
    with pytest.raises(OutputError, match=rf"/scan\.nc: .*{says}.*\n.*(rename it|text)"):
        write(data, path, sides)
    assert "map" not in open_native(path).data
    assert [p.name for p in tmp_path.iterdir()] == ["scan.nc"]


@pytest.mark.parametrize("name", ["a/b", "", "..", "zarr.json", "é" * 128, "a\udc80"])
def test_names_that_are_no_folders_are_told(tmp_path: Path, scan, name: str) -> None:
    with pytest.raises(OutputError, match=rf"/scan\.zarr: variable {re.escape(repr(name))} .*\n.*rename it"):
        write(scan().assign({name: scan()["probe"]}), tmp_path / "scan.zarr")
    assert not list(tmp_path.iterdir())


def test_names_and_numbers_at_the_edge_are_kept(tmp_path: Path, scan) -> None:
    attrs = {"µm per step": 1, "2nd": 2**64 - 1, "low": -(2**63), "half": np.float16(0.5), "a.b-c": "", "n" * 256: 1}
    data = scan().assign_attrs(attrs).assign({"µ 1": scan()["probe"].assign_attrs(_FillValue=np.float32(7))})
    again = xr.open_dataset(write(data, tmp_path / "scan.nc"))
    assert {name: again.attrs[name] for name in attrs} == attrs
    assert "µ 1" in again.variables
    again.close()


def test_text_beside_a_variable_called_as_its_characters(tmp_path: Path, scan) -> None:
    text = (("scan_y",), np.array(["ab", "c", "de"]), {"units": "1", "long_name": "x"})
    numbers = (("string2",), np.arange(5.0), {"units": "1", "long_name": "x"})
    again = xr.open_dataset(write(scan().assign(words=text, string2=numbers), tmp_path / "scan.nc"))
    assert list(again["words"].values) == ["ab", "c", "de"]
    np.testing.assert_array_equal(again["string2"], np.arange(5.0))
    again.close()


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_too_many_open_files_are_not_blamed_on_files_or_folders(tmp_path: Path, suffix: str) -> None:
    code = """
        import os, resource, sys
        from pathlib import Path
        import numpy as np
        from ronchi import blocks
        from ronchi.builtin.native import open_native
        from ronchi.errors import OutputError, ReadError
        from ronchi.schema import fourd
        from ronchi.writing import write
        path = Path(sys.argv[1])
        data = fourd.make(np.zeros((4, 4, 64, 64), "u2"))
        write(data, path)
        lazy = open_native(path).data["intensity"]
        blocks.read_block(lazy, 0, 1)
        from xarray.backends.file_manager import FILE_CACHE
        FILE_CACHE.clear()
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        for work in (lambda: blocks.read_block(lazy, 0, 16), lambda: write(data, path)):
            try:
                work()
            except (OutputError, ReadError) as error:
                print(type(error).__name__, error)
    """
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), str(tmp_path / f"scan{suffix}")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert [line.partition(" ")[0] for line in run.stdout.splitlines()[::2]] == ["ReadError", "OutputError"]
    assert run.stdout.count("too many files are open") == 2
    assert run.stdout.count("ulimit -n") == 2


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.EMFILE, "Too many open files"), r"too many files are open \(.*\n.*ulimit -n"),
        (OSError(errno.EIO, "Input/output error"), r"the disk, or the network to it, fails \(.*\n.*another one"),
        (OSError(errno.ENOSPC, "No space left"), r"disk is full.*\n.*free some space"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), r"File name too long\n.*choose another name"),
        (PermissionError(errno.EACCES, "Permission denied"), r"Permission denied\n.*that you may write to"),
        (OSError("Can't write data (file write failed: errno = 28, error message = 'x')"), r"disk is full"),
    ],
)
def test_what_the_system_says_decides_what_to_do(tmp_path: Path, error: OSError, says: str) -> None:
    with pytest.raises(OutputError, match=says), all_or_nothing(tmp_path / "a.nc", ".nc", 1):
        raise error


def test_a_fault_of_something_else_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="does not converge"), all_or_nothing(tmp_path / "a.nc", ".nc", 1):
        raise RuntimeError("does not converge")
    assert not list(tmp_path.iterdir())
