"""A disk that is full while HDF5 is written: an error that says so, and a process that ends as others do."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from ronchi_rosettasciio.hdf5_output import Output


@pytest.mark.skipif(sys.platform == "win32", reason="the limit that stands for a full disk is POSIX")
@pytest.mark.parametrize("suffix", [".hspy", ".h5"])
@pytest.mark.parametrize("compress", [True, False])
def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path, suffix: str, compress: bool) -> None:
    """Limits on the size of files stop the writing of 2 MB at many places; HDF5 alone crashed as the process ended."""
    code = """
        import os, resource, signal, sys
        import numpy as np
        from ronchi.errors import OutputError
        from ronchi.schema import fourd
        from ronchi.writing import write
        path, compress = sys.argv[1], sys.argv[2] == "True"
        noise = fourd.make(np.random.default_rng(0).integers(0, 60000, (16, 16, 64, 64)).astype("u2"))
        write(fourd.make(np.zeros((2, 2, 8, 8), "u2")), path, params={"compress": compress})
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # What closes files is what HDF5 does at the end, so it has to be the end of a process each time.
        for limit in (1_000, 5_000, 100_000, 1_000_000):
            sys.stdout.flush()
            if child := os.fork():
                print("ended with", os.waitpid(child, 0)[1])
                continue
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                write(noise, path, params={"compress": compress})
            except OutputError as error:
                print(error)
            break
    """
    path = tmp_path / f"scan{suffix}"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", textwrap.dedent(code),
         str(path), str(compress)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("the disk is full, or a quota or size limit is reached") == 4, run.stdout
    assert run.stdout.count("ended with 0") == 4, run.stdout
    assert run.stderr == ""
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    with h5py.File(path) as file:
        group = file["Experiments/__unnamed__" if suffix == ".hspy" else "datacube_root/datacube"]
        assert group["data"].shape == (2, 2, 8, 8), "the file that was there before stays"


def test_what_is_written_in_parts_is_whole(tmp_path: Path) -> None:
    """A system may take less than all bytes at once."""
    values = np.arange(10_000)
    with Output(tmp_path / "a.h5") as output:
        write = output._file.write

        class Slow:
            def write(self, data: memoryview) -> int:
                return write(data[:1000])

            def __getattr__(self, name: str) -> object:
                return getattr(kept, name)

        kept, output._file = output._file, Slow()
        with h5py.File(output, "w") as file:
            file["a"] = values
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["a"], values)


def test_a_file_that_an_error_left_open_can_still_be_closed(tmp_path: Path) -> None:
    """As RosettaSciIO leaves it where it cannot name a group; the process died of it in the end."""
    output = Output(tmp_path / "a.h5")
    file = h5py.File(output, "w")
    file["a"] = np.arange(10_000)
    with pytest.raises(KeyError), output:
        raise KeyError
    file.close()


def test_the_first_fault_is_the_one_that_is_raised(tmp_path: Path) -> None:
    """HDF5 is told nothing of it, and what it makes of data that are not there is of no interest."""

    class Broken:
        def __init__(self) -> None:
            self.faults = 0

        def write(self, data: memoryview) -> int:
            self.faults += 1
            raise OSError(5, f"fault {self.faults}")

        def __getattr__(self, name: str) -> object:
            return getattr(kept, name)

    output = Output(tmp_path / "a.h5")
    kept, output._file = output._file, Broken()
    with pytest.raises(OSError, match="fault 1"), output, h5py.File(output, "w") as file:
        raise KeyError(file.create_dataset("a", data=np.arange(10_000)))
