"""Weights on disk: what was written comes back, and nothing else is taken for it."""

from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ronchi.api import DataError
from ronchi_torch.weights import read_weights, write_weights


def test_weights_come_back_with_their_card(tmp_path):
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    path = tmp_path / "w.safetensors"
    digest = write_weights(path, network, {"kind": "test", "sizes": [3, 4]})
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not list(tmp_path.glob(".*"))
    read = read_weights(path, digest)
    assert read.card == {"kind": "test", "sizes": [3, 4]}
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    read.into(other, "here")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    with pytest.raises(DataError, match=r"do not fit .* Missing key.* \"weight\""):
        read.into(nn.Linear(3, 4), "here")


def test_files_that_are_none_or_were_changed_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(DataError, match="cannot be read"):
        read_weights(path)
    digest = write_weights(path, nn.Linear(2, 2), {})
    with pytest.raises(DataError, match="sha256"):
        read_weights(path, "0" * 64)
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(DataError, match="sha256"):
        read_weights(path, digest)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="not a file of weights"):
        read_weights(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_weights_of_others_have_no_card(tmp_path, metadata):
    save_file({"weight": torch.zeros(2)}, tmp_path / "w.safetensors", metadata)
    with pytest.raises(DataError, match="not a file of weights: it has no card"):
        read_weights(tmp_path / "w.safetensors")
