"""Fake programs, each behind an interpreter of its own that has it: they find what they are told to find.

Disks lie where `FOUND` says. Of an image the autoencoders find the first row, angle and two moves; and the start of the
second row, times what it was trained with, as latents.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FOUND = [[(20.25, 30.5, 7.0), (41.75, 33.125, 5.0)], [], [(10.5, 60.25, 3.0)]]
"""(row, column, intensity) of the disks of each frame."""

PY4DSTEM = f"""
from types import SimpleNamespace
import numpy as np
print("a greeting on stdout")
FOUND = {FOUND}
class Probe:
    def __init__(self, data):
        self.data = data
    def get_kernel(self, origin, mode, radii=None):
        assert abs(self.data[int(origin[0]), int(origin[1])] - self.data.max()) < 0.1
        self.kernel = self.data
class DataCube:
    def __init__(self, data):
        assert data.ndim == 4 and data.dtype == np.float32
        self.n = data.shape[1]
        self.data = data
    def find_Bragg_disks(self, template, maxNumPeaks, minPeakSpacing, **other):
        print("progress")
        if self.data.max() > 1e6:
            raise ValueError("too bright")
        if self.data.min() < -1e6:
            import os
            os._exit(3)
        dtype = [("qx", float), ("qy", float), ("intensity", float)]
        raw = {{(0, n): SimpleNamespace(data=np.array(FOUND[n], dtype)) for n in range(self.n)}}
        return SimpleNamespace(raw=raw)
"""

PATTERNS = """
from types import SimpleNamespace
BackgroundSubtraction = RadialGradient = RadialGradientBackgroundSubtraction = SimpleNamespace
"""
CORRELATION = f"""
import numpy as np
FOUND = {FOUND}
def get_peaks(mean, pattern, num_peaks):
    assert mean.ndim == 2 and pattern.search > pattern.radius
    return np.zeros((2, 2), int)
def process_frames_fast(pattern, frames, peaks, upsample=False):
    refined = np.full((len(frames), 2, 2), np.nan, np.float32)
    heights, elevations = np.zeros((len(frames), 2), np.float32), np.zeros((len(frames), 2), np.float32)
    for n in range(len(frames)):
        for k, (y, x, height) in enumerate(FOUND[n]):
            refined[n, k], heights[n, k], elevations[n, k] = (y, x), height, 1.0
    return None, refined, heights, elevations
"""

SIGNALS = f"""
from types import SimpleNamespace
import numpy as np
FOUND = {FOUND}
class Diffraction2D:
    def __init__(self, data):
        assert data.ndim == 4
        self.n = len(data)
    def template_match_disk(self, disk_r, lazy_output):
        assert isinstance(disk_r, int)
        return self
    def get_diffraction_vectors(self, method, min_distance, threshold_abs, exclude_border):
        data = np.empty((self.n, 1), object)
        for n in range(self.n):
            data[n, 0] = np.array(np.round(FOUND[n]) if FOUND[n] else [[np.nan] * 3])
        return SimpleNamespace(data=data, subpixel_refine=self.refine)
    def refine(self, signal, method, square_size, **other):
        data = np.empty((self.n, 1), object)
        for n in range(self.n):
            data[n, 0] = np.array(FOUND[n]).reshape(-1, 3)
        return SimpleNamespace(data=data)
"""
HYPERSPY = """
from types import SimpleNamespace
preferences = SimpleNamespace(General=SimpleNamespace(show_progressbar=True))
def set_log_level(level): pass
"""
DASK = """
from types import SimpleNamespace
config = SimpleNamespace(set=lambda **options: None)
"""

TORCH = """
from types import SimpleNamespace
import numpy as np
class Tensor(np.ndarray):
    def numpy(self):
        return np.asarray(self)
def from_numpy(array):
    return np.asarray(array).view(Tensor)
optim = SimpleNamespace(Adam=lambda weights, lr: lr)
"""
ATOMAI = """
from types import SimpleNamespace
import numpy as np
import torch
class Net:
    def __init__(self):
        self.w = torch.from_numpy(np.ones(1))
    def state_dict(self):
        return {"w": self.w}
    def load_state_dict(self, state):
        self.w = state["w"]
class rVAE:
    def __init__(self, shape, latent_dim, translation, seed):
        assert translation and shape == (5, 5)
        self.dim, self.encoder_net, self.decoder_net = latent_dim, Net(), Net()
        self.loss_history = {"train_loss": []}
    def fit(self, images, loss, training_cycles, batch_size, optimizer, filename, rotation_prior, translation_prior):
        print("epoch", filename)
        if images.max() > 1e6:
            raise ValueError("too bright")
        assert optimizer([]) > 0 and training_cycles == 1
        self.encoder_net.w = self.encoder_net.w + 1
        self.loss_history["train_loss"].append(-10.0 / self.encoder_net.w[0])
    def encode(self, images, num_batches):
        w = self.encoder_net.w.numpy()
        return np.concatenate([images[:, 0, :3], w * images[:, 1, : self.dim]], 1), None
models = SimpleNamespace(rVAE=rVAE)
"""
PYROVED = """
from types import SimpleNamespace
import numpy as np
import torch
class iVAE:
    def __init__(self, shape, latent_dim, invariances, sampler_d, seed, **other):
        assert invariances == ["r", "t"] and shape == (5, 5)
        self.dim, self.w = latent_dim, torch.from_numpy(np.ones(1))
    def state_dict(self):
        return {"w": self.w}
    def load_state_dict(self, state):
        self.w = state["w"]
    def encode(self, images):
        latent = np.concatenate([images[:, 0, :3], self.w * images[:, 1, : self.dim]], 1)
        return torch.from_numpy(latent), None
class SVItrainer:
    def __init__(self, model, lr, device, seed):
        self.model, self.loss_history = model, {"training_loss": []}
    def step(self, loader):
        if loader.max() > 1e6:
            raise ValueError("too bright")
        self.model.w = self.model.w + 1
        self.loss_history["training_loss"].append(10.0 / self.model.w[0])
models = SimpleNamespace(iVAE=iVAE)
trainers = SimpleNamespace(SVItrainer=SVItrainer)
utils = SimpleNamespace(init_dataloader=lambda images, batch_size: images)
"""

PROGRAMS = {
    "atomai": ("atomai", "0.8.1", {"atomai/__init__.py": ATOMAI, "torch.py": TORCH}),
    "pyroved": ("pyroved", "0.3.0", {"pyroved/__init__.py": PYROVED, "torch.py": TORCH}),
    "py4dstem": ("py4dstem", "0.14.18", {"py4DSTEM/__init__.py": PY4DSTEM}),
    "libertem": (
        "libertem-blobfinder",
        "0.6.1",
        {
            "libertem_blobfinder/__init__.py": "",
            "libertem_blobfinder/common/__init__.py": "",
            "libertem_blobfinder/common/patterns.py": PATTERNS,
            "libertem_blobfinder/common/correlation.py": CORRELATION,
        },
    ),
    "pyxem": (
        "pyxem",
        "0.21.0",
        {
            "pyxem/__init__.py": "",
            "pyxem/signals.py": SIGNALS,
            "hyperspy/__init__.py": "",
            "hyperspy/api.py": HYPERSPY,
            "dask/__init__.py": DASK,
        },
    ),
}


@pytest.fixture(autouse=True)
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of environments, not the user's."""
    folder = tmp_path / "environments"
    monkeypatch.setenv("RONCHI_PEER_FOLDER", str(folder))
    return folder


@pytest.fixture
def found() -> list[list[tuple[float, float, float]]]:
    return FOUND


@pytest.fixture
def programs() -> dict[str, tuple[str, str, dict[str, str]]]:
    """Distribution, version and files of the fake programs."""
    return PROGRAMS


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``fake(name, version=...)`` makes an interpreter that has the program, and names it in the variable."""

    def make(name: str, version: str | None = None) -> Path:
        dist, pinned, files = PROGRAMS[name]
        site = tmp_path / name
        for path, text in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text)
        info = site / f"{dist.replace('-', '_')}-{version or pinned}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version or pinned}\n")
        python = tmp_path / f"python-{name}"
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{site}" exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        monkeypatch.setenv(f"RONCHI_PEER_PYTHON_{name.upper()}", str(python))
        return python

    if os.name != "posix":
        pytest.skip("an interpreter made of a shell script needs a shell")
    return make
