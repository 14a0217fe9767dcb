"""Writing that cannot succeed: whole or not at all, and clear about the reason."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

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
