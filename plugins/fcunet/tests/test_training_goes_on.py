"""Training that goes on: where it was stopped, bit for bit, on several processes, or from weights of another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ronchi.api import DataError
from ronchi_fcunet import training
from ronchi_fcunet.train_params import NetworkParams
from ronchi_fcunet.training import train
from ronchi_fcunet.weights import load_weights, save_weights
from ronchi_torch.checkpoint import read_checkpoint, write_checkpoint
from ronchi_torch.world import World


@pytest.mark.parametrize("kind", ["compact", "fcunet"])
def test_a_training_that_was_stopped_goes_on_bit_for_bit(
    params: Any, context: Any, plain: Any, tmp_path: Path, kind: str
) -> None:
    dropping = {"network": NetworkParams(kind="fcunet", filters=2, depth=1, levels=2, dropout=0.3)}
    p = params(**(dropping if kind == "fcunet" else {}))
    train(p, plain, context(), tmp_path / "whole")

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(p, plain, context(stop), tmp_path / "parts")
    train(p, plain, context(), tmp_path / "parts")
    whole, parts = (load_weights(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    for name, value in whole.network.state_dict().items():
        assert torch.equal(parts.network.state_dict()[name], value), name
    assert [row["loss"] for row in whole.card["curve"]] == [row["loss"] for row in parts.card["curve"]]


def test_a_checkpoint_of_another_training_is_not_taken_up(
    params: Any, context: Any, plain: Any, tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(params(), plain, context(stop), tmp_path)
    with pytest.raises(DataError, match="other parameters"):
        train(params(learning_rate=1e-4), plain, context(), tmp_path)


def test_a_checkpoint_that_does_not_fit_is_told(params: Any, context: Any, plain: Any, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    train(params(steps=1), plain, context(), tmp_path)
    whole = read_checkpoint(path)
    for group in ("network", "averaged", "adam"):
        held = dict(whole.tensors[group])
        name = next(name for name, value in held.items() if value.ndim)
        held[name] = held[name][..., :1].repeat_interleave(held[name].shape[-1] + 1, -1)
        write_checkpoint(path, {**whole.tensors, group: held}, whole.told)
        with pytest.raises(DataError, match="of another version"):
            train(params(), plain, context(), tmp_path)
    write_checkpoint(path, whole.tensors, {"identity": whole.told["identity"]})
    with pytest.raises(DataError, match="of another version"):
        train(params(), plain, context(), tmp_path)


def test_processes_that_begin_at_other_steps_are_refused(
    params: Any, context: Any, plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "agrees", lambda self, number: False)
    with pytest.raises(DataError, match="not all processes have read the checkpoint"):
        train(params(), plain, context(), tmp_path)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(
    params: Any, context: Any, plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "join_world", lambda device: World(0, 3, torch.device(device)))
    with pytest.raises(DataError, match="a multiple of 3"):
        train(params(), plain, context(), tmp_path)


TWO = """
import json, logging, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from conftest import Plain
from ronchi.api import Context
from ronchi_fcunet import training
from ronchi_fcunet.train_params import TrainParams

params = TrainParams.model_validate_json(Path(sys.argv[2]).read_text())

def stop(done, total):
    if done == 3:
        raise KeyboardInterrupt

class Kept(training._Training):
    def _finish(self):
        card = super()._finish()
        path = self.folder.with_name(f"{self.folder.name}-rank{self.world.rank}.safetensors")
        training.save_weights(path, self.averaged, card)
        return card

training._Training = Kept
for folder in sys.argv[3:]:
    progress = {"progress": stop} if folder.endswith("stopped") else {}
    try:
        training.train(params, Plain(), Context(rng=np.random.default_rng(0), **progress), Path(folder))
    except KeyboardInterrupt:
        pass
"""


@pytest.mark.slow
def test_two_processes_agree_and_go_on_where_they_were(params: Any, tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(TWO)
    (tmp_path / "params.json").write_text(params(steps=4, validate_every=2).model_dump_json())

    def run(*folders: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", tmp_path / "two.py",
             Path(__file__).parent, tmp_path / "params.json", *(tmp_path / folder for folder in folders)],
            capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]

    run("whole", "stopped")
    assert not (tmp_path / "stopped" / "weights.safetensors").exists()
    (tmp_path / "stopped").rename(tmp_path / "parts")
    run("parts")
    states = [
        load_weights(tmp_path / f"{folder}-rank{rank}.safetensors").network.state_dict()
        for folder in ("whole", "parts")
        for rank in (0, 1)
    ]
    for name, value in states[0].items():
        assert all(torch.equal(other[name], value) for other in states[1:]), name
    assert load_weights(tmp_path / "whole" / "weights.safetensors").card["processes"] == 2


def test_trained_weights_are_where_fine_tuning_begins(params: Any, context: Any, plain: Any, tmp_path: Path) -> None:
    train(params(), plain, context(), tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"
    begun = load_weights(weights)
    save_weights(weights, begun.network, {**begun.card, "radii_px": [1.5, 9.0]})
    tuned = params(steps=1, learning_rate=1e-9, average=0.0, start_from=weights)
    card = train(tuned, plain, context(), tmp_path / "tuned")
    assert card["radii_px"] == [1.5, 9.0], "what they learned from before, they have learned from"
    before, after = load_weights(weights).network, load_weights(tmp_path / "tuned" / "weights.safetensors").network
    for (name, a), b in zip(before.named_parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4, msg=name)


def test_a_share_of_what_training_began_with_is_kept(params: Any, context: Any, plain: Any, tmp_path: Path) -> None:
    first = train(params(), plain, context(), tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"
    options = {"learning_rate": 1e-2, "average": 0.0, "start_from": weights}
    last = {}
    for share in (0.0, 0.25, 0.999):
        p = params(**options, keep_of_start=share)
        last[share] = train(p, plain, context(), tmp_path / str(share))["curve"][-1]["loss"]
    begun, moved, kept = (
        load_weights(path).network.state_dict()
        for path in (weights, tmp_path / "0.0/weights.safetensors", tmp_path / "0.25/weights.safetensors")
    )
    for name, value in kept.items():
        if value.dtype.is_floating_point:
            torch.testing.assert_close(value, 0.25 * begun[name] + 0.75 * moved[name], msg=name)
    assert not torch.allclose(moved["head.weight"], begun["head.weight"], atol=1e-4)
    # What is judged is what is left.
    begun_with = first["curve"][-1]["loss"]
    assert last[0.999] == pytest.approx(begun_with, rel=1e-3)
    assert abs(last[0.0] / begun_with - 1) > 0.01
    with pytest.raises(ValueError, match="`keep_of_start` needs `start_from`"):
        params(keep_of_start=0.5)
