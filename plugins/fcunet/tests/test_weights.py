"""Files of weights: what comes back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ronchi.api import DataError
from ronchi_fcunet import registry, weights
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.unet import FourierUNet

CARD = {"threshold": 0.4, "sigma_px": 0.3}


@pytest.mark.parametrize("network", [CompactDetector((4, 8), attention=1), FourierUNet("fcunet", 2, 1, 0.1, 2)])
def test_weights_come_back_bit_for_bit_with_their_card(tmp_path: Path, network: torch.nn.Module) -> None:
    path = tmp_path / "w.safetensors"
    weights.save_weights(path, network, {**CARD, "step": 7})
    loaded = weights.load_weights(path)
    assert loaded.card["step"] == 7
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of one file, in place of that of the package."""
    path = tmp_path / "compact.safetensors"
    digest = weights.save_weights(path, CompactDetector((4, 8), attention=0), CARD)
    registry.write_index(tmp_path, [registry.Entry("compact", "1", path.name, digest, "For tests.")])
    monkeypatch.setattr(registry, "shipped_folder", lambda: tmp_path)
    monkeypatch.setenv("RONCHI_WEIGHTS_FOLDER", str(tmp_path / "fetched"))
    return path


def test_shipped_weights_are_found_by_name(shipped: Path) -> None:
    assert isinstance(weights.load_weights("compact").network, CompactDetector)


def test_tampered_weights_are_refused(shipped: Path) -> None:
    content = bytearray(shipped.read_bytes())
    content[-1] ^= 1
    shipped.write_bytes(content)
    with pytest.raises(DataError, match="sha256 differs"):
        weights.load_weights("compact")


def test_absent_weights_are_told_with_those_that_are_there(shipped: Path) -> None:
    with pytest.raises(DataError, match="names: compact@1"):
        weights.load_weights("compakt")
    with pytest.raises(DataError, match="cannot be read"):
        weights.load_weights(shipped.with_name("other.safetensors"))


def test_weights_of_another_format_are_refused(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FORMAT", weights.FORMAT + 1)
    with pytest.raises(DataError, match="this plugin reads"):
        weights.load_weights("compact")


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\xff" * 64])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a file of weights"):
        weights.load_weights(path)


def test_weights_that_do_not_fit_their_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    network = CompactDetector((4, 8), attention=0)
    network.settings["widths"] = [4, 16]
    weights.save_weights(path, network, CARD)
    with pytest.raises(DataError, match="do not fit the network"):
        weights.load_weights(path)


@pytest.mark.parametrize(
    "card", [{}, {"threshold": "high", "sigma_px": 1.0}, {"threshold": 0.5, "sigma_px": float("nan")}]
)
def test_weights_without_validated_numbers_are_refused(tmp_path: Path, card: dict[str, object]) -> None:
    path = tmp_path / "w.safetensors"
    weights.save_weights(path, CompactDetector((4, 8), attention=0), card)
    with pytest.raises(DataError):
        weights.load_weights(path)
