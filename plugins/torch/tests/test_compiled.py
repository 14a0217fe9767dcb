"""Compiled models: the same figures, and a clear error where there is no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ronchi_torch.compiled import compiled

# Of torch's own modules, which its compiler imports.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

NO_COMPILER = """
import torch
from ronchi.api import DataError
from ronchi_torch.compiled import compiled
try:
    compiled(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.SiLU()))(torch.zeros(2, 3))
except DataError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_compiled_model_does_the_same_and_learns_the_same() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), nn.Linear(4 * 36, 1)).train()
    images = torch.randn(3, 1, 8, 8)
    model(images).sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    fused = compiled(model)
    torch.testing.assert_close(fused(images), model(images))
    model.zero_grad()
    fused(images).sum().backward()
    got = [parameter.grad for parameter in model.parameters()]
    torch.testing.assert_close(got, expected)


def test_a_machine_without_a_compiler_says_so(tmp_path: Path) -> None:
    environment = {**os.environ, "CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", NO_COMPILER], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert "torch cannot compile the network: InvalidCxxCompiler" in done.stdout
    assert "or `compile: false`" in done.stdout


def test_errors_of_the_model_itself_are_left_as_they_are() -> None:
    class Broken(nn.Module):
        @torch.compiler.disable
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        compiled(Broken())(torch.zeros(2))
