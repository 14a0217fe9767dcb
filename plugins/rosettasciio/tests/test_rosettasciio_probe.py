"""The process that examines HDF5 files ends, whatever becomes of the file and of the process that asked."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from ronchi_rosettasciio import probe

# Both keep Python's lock, as a library does in which a call has gone astray.
SPIN = "import re; re.match('(a+)+$', 'a' * 64 + 'b')"
SLEEP = "import ctypes; ctypes.PyDLL(None).sleep(600)"

EXAMINER = """
from ronchi_rosettasciio import probe
def examine(path):
    {hang}
probe.examine, probe.LIMIT_S, probe.CPU_LIMIT_S = examine, {limit_s}, {cpu_limit_s}
probe.main()
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {examiner!r}], stdin=subprocess.PIPE, text=True)
print('"file.h5"', file=child.stdin, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the ways to hang are POSIX")
@pytest.mark.parametrize(
    ("hang", "limit_s", "cpu_limit_s"), [(SPIN, 600, 1), (SPIN, 1, 600), (SLEEP, 1, 600)], ids=["work", "clock", "idle"]
)
def test_no_examiner_outlives_a_parent_that_was_killed(hang, limit_s, cpu_limit_s):
    examiner = EXAMINER.format(hang=hang, limit_s=limit_s, cpu_limit_s=cpu_limit_s)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(examiner=examiner)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n", "what the examiner says goes to the same pipe"
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    # The pipe ends when the last process that holds it has: the examiner.
    rest: list[bytes] = []

    def read_on() -> None:
        with parent.stdout:
            rest.append(parent.stdout.read())

    reading = threading.Thread(target=read_on, daemon=True)
    reading.start()
    reading.join(timeout=20)
    assert rest == [b""], "the examiner goes on after 20 s" if not rest else "it answered"


def test_the_examiner_is_kept_and_replaced_when_it_dies(tmp_path):
    examiner = probe._Examiner()
    path = tmp_path / "no.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    try:
        assert "cannot list" in examiner.ask(str(path)).fault
        first = examiner._process
        assert examiner.ask(str(path)).fault
        assert examiner._process is first
        first.kill()
        first.wait()
        assert "cannot list" in examiner.ask(str(path)).fault
        assert examiner._process is not first
    finally:
        examiner.stop()
