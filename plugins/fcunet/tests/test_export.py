"""The networks in ONNX say what they say in torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ronchi.api import PluginError
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.export import export_onnx
from ronchi_fcunet.unet import FourierUNet
from ronchi_fcunet.weights import load_weights, save_weights

SHAPE = (40, 36)
NETWORKS = {
    "compact": lambda: CompactDetector((4, 8), blocks=1, attention=1),
    "unet": lambda: FourierUNet("unet", 2, 1, 0.1, 1),
    "spectral-unet": lambda: FourierUNet("spectral-unet", 2, 1, 0.1, 1),
    "fcunet": lambda: FourierUNet("fcunet", 2, 1, 0.1, 1),
}


def _saved(kind: str, path: Path) -> Path:
    torch.manual_seed(0)
    save_weights(path, NETWORKS[kind](), {"threshold": 0.4, "sigma_px": 1.0})
    return path


EXPORTS = """
import json, runpy, sys
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["ronchi_fcunet", *arguments]
    try:
        runpy.run_module("ronchi_fcunet", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the weights of each network, and what the command has made of them."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: NOTHING checks the ONNX export")
    folder = tmp_path_factory.mktemp("exported")
    commands = []
    for kind in NETWORKS:
        weights = _saved(kind, folder / f"{kind}.safetensors")
        commands.append(["export", str(weights), *map(str, SHAPE), "-o", str(weights.with_suffix(".onnx"))])
    # The exporter warns, and leaves threads behind: a process of its own.
    command = [sys.executable, "-c", EXPORTS, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(NETWORKS))
def test_onnxruntime_says_what_torch_says(kind: str, exported: Path) -> None:
    onnxruntime = pytest.importorskip(
        "onnxruntime", reason="onnxruntime is not installed: NOTHING checks the ONNX export"
    )
    weights, out = exported / f"{kind}.safetensors", exported / f"{kind}.onnx"
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    loaded = load_weights(weights)
    assert json.loads(session.get_modelmeta().custom_metadata_map["ronchi"])["kind"] == loaded.card["kind"]
    rng = np.random.default_rng(0)
    probe = rng.random((1, *SHAPE), np.float32)
    for n in (1, 5):
        pattern = 20 * rng.random((n, *SHAPE), np.float32)
        said = session.run(None, {"pattern": pattern, "probe": probe})
        with torch.no_grad():
            expected = loaded.network.eval()(torch.from_numpy(pattern), torch.from_numpy(probe))
        maps = [expected] if isinstance(expected, torch.Tensor) else list(vars(expected).values())
        assert len(said) == len(maps)
        for one, other in zip(said, maps, strict=True):
            # Sums in another order; seed 0.
            np.testing.assert_allclose(one, other.numpy(), atol=1e-5, rtol=1e-4)


def test_a_missing_exporter_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(PluginError, match=r"ronchi-fcunet\[onnx\]"):
        export_onnx(load_weights(_saved("compact", tmp_path / "w.safetensors")), SHAPE, tmp_path / "net.onnx")
