"""One process, and two that gloo joins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ronchi.api import DataError
from ronchi_torch.threads import thread_limit
from ronchi_torch.world import World, join_world

TWO = """
import torch
from ronchi_torch.world import join_world
world = join_world("cpu")
assert world.size == 2
kept = [torch.full((2, 2), 1.0 + world.rank), torch.tensor(10.0 * world.rank)]
world.average(kept)
assert kept[0].tolist() == [[1.5, 1.5], [1.5, 1.5]], kept
assert float(kept[1]) == 5.0, kept
assert world.total(torch.tensor(1.0 + world.rank)) == 3.0
layers = torch.nn.ModuleList([torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(2, 1)])
torch.nn.init.ones_(layers[0].weight)
class First(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = layers
    def forward(self, x):
        return self.layers[0](x)
wrapped = world.wrap(First(), all_used=False)
for _ in range(2):
    wrapped(torch.full((1, 2), 1.0 + world.rank)).sum().backward()
assert layers[0].weight.grad.tolist() == [[3.0, 3.0]], layers[0].weight.grad
assert world.agrees(7) and not world.agrees(world.rank)
assert world.anyone(world.rank == 1) and not world.anyone(False)

# One process alone is asked to stop: it ends its step, and so does the other.
import signal
import numpy as np
from ronchi.api import Context
from ronchi_torch.steps import take_steps
class Counting:
    step, seconds, saved = 0, 0.0, None
    def advance(self):
        assert world.total(torch.tensor(1.0)) == 2.0
        self.step += 1
        if self.step == 3 and world.rank == 1:
            signal.raise_signal(signal.SIGTERM)
    def save(self):
        self.saved = self.step
counting = Counting()
try:
    take_steps(counting, 5, 1e9, Context(rng=np.random.default_rng(0)), anyone=world.anyone)
except SystemExit:
    pass
assert counting.saved == 3, counting.saved
"""


def test_shares_are_the_whole() -> None:
    worlds = [World(rank, 3, torch.device("cpu")) for rank in range(3)]
    shared = [number for world in worlds for number in range(10)[world.share(10)]]
    assert sorted(shared) == list(range(10))


def test_one_process_needs_nobody() -> None:
    world = join_world("cpu")
    model, value = torch.nn.Linear(2, 2), torch.tensor([1.0, 2.0])
    assert world.wrap(model) is model
    world.average([value])
    assert value.tolist() == [1.0, 2.0]
    assert world.total(value.sum()) == 3.0


def test_two_processes_share_gradients_and_means(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DataError, match="no GPU"):
        join_world("cuda")


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in (("WORLD_SIZE", "3"), ("LOCAL_RANK", "2")):
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match="--nproc-per-node=2"):
        join_world("cuda")


def _fails_with(threads: int) -> None:
    with thread_limit(threads):
        assert torch.get_num_threads() == threads
        raise KeyError


def test_threads_come_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError):
        _fails_with(before + 1)
    assert torch.get_num_threads() == before
