"""Training: it learns, it goes on bit for bit, and no prototype is in two splits."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ronchi.api import Context, DataError, SchemaError
from ronchi_fcunet.compact import CompactDetector, DiskMaps
from ronchi_fcunet.samples import LibrarySamples, batches
from ronchi_fcunet.scores import Tally, judge
from ronchi_fcunet.targets import make_targets
from ronchi_fcunet.train_params import NetworkParams, TrainParams
from ronchi_fcunet.training import train
from ronchi_fcunet.weights import load_weights

COMPACT = NetworkParams(kind="compact", widths=(8, 16, 16), blocks=1, attention=1)


def _params(library: Path, **changes: Any) -> TrainParams:
    options = {"network": COMPACT, "steps": 6, "batch": 4, "validate_every": 3, "validation_batches": 1, "half": False}
    return TrainParams(library=library, warm_up=2, workers=0, checkpoint_s=1e6, **{**options, **changes})


def _context(progress: Any = lambda done, total: None) -> Context:
    return Context(rng=np.random.default_rng(0), progress=progress, log=logging.getLogger("test"))


def test_a_sample_has_its_points_where_its_disks_are(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    assert len(samples) == 8
    sample = samples.sample(0)
    y, x, strength, beam = sample["peaks"].T
    assert (y[beam == 1], x[beam == 1]) == pytest.approx((24, 24), abs=1e-3)
    assert strength[beam == 1] == pytest.approx(1.0)
    ring = np.abs(np.hypot(y - 24, x - 24) - 11) < 0.1
    assert ring.sum() == 4
    assert strength[ring] == pytest.approx(1.0, abs=0.15)
    for row, column in zip(y[ring], x[ring], strict=True):
        assert sample["pattern"][round(row), round(column)] > 0.3 * sample["pattern"].max()


def test_a_batch_is_the_same_whoever_makes_it(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    here = list(batches(samples, plain, size=2, seed=5, numbers=range(3)))
    late = list(batches(samples, plain, size=2, seed=5, numbers=range(1, 3)))
    assert torch.equal(here[1].pattern, late[0].pattern)
    assert torch.equal(here[2].points, late[1].points)
    assert not torch.equal(here[0].pattern, here[1].pattern)


@pytest.mark.slow
def test_loading_processes_change_nothing(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    here = list(batches(samples, plain, size=2, seed=5, numbers=range(4)))
    there = list(batches(samples, plain, size=2, seed=5, numbers=range(4), workers=2))
    assert all(torch.equal(a.pattern, b.pattern) for a, b in zip(here, there, strict=True))


def test_the_loss_falls_and_the_card_says_so(small_library: Path, plain: Any, tmp_path: Path) -> None:
    p = _params(small_library, steps=60, validate_every=6, learning_rate=5e-3, average=0.8)
    card = train(p, plain, _context(), tmp_path / "out")
    first, *_, last = card["curve"]
    assert last["learned_loss"] < 0.6 * first["learned_loss"]
    assert last["loss"] < 0.8 * first["loss"]
    loaded = load_weights(tmp_path / "out" / "weights.safetensors")
    assert loaded.card["step"] == 60
    assert loaded.threshold == 0.4
    again = train(p, plain, _context(), tmp_path / "out")
    assert again["curve"] == card["curve"]


@pytest.mark.parametrize("kind", ["compact", "fcunet"])
def test_a_training_that_was_stopped_goes_on_bit_for_bit(
    small_library: Path, plain: Any, tmp_path: Path, kind: Any
) -> None:
    network = COMPACT if kind == "compact" else NetworkParams(kind=kind, filters=2, depth=1, levels=2, dropout=0.3)
    p = _params(small_library, network=network)
    train(p, plain, _context(), tmp_path / "whole")

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(p, plain, _context(stop), tmp_path / "parts")
    train(p, plain, _context(), tmp_path / "parts")
    whole, parts = (load_weights(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    for name, value in whole.network.state_dict().items():
        assert torch.equal(parts.network.state_dict()[name], value), name
    assert [row["loss"] for row in whole.card["curve"]] == [row["loss"] for row in parts.card["curve"]]


def test_a_checkpoint_of_another_training_is_not_taken_up(small_library: Path, plain: Any, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(_params(small_library), plain, _context(stop), tmp_path)
    with pytest.raises(DataError, match="other parameters"):
        train(_params(small_library, learning_rate=1e-4), plain, _context(), tmp_path)


def test_trained_weights_are_where_fine_tuning_begins(small_library: Path, plain: Any, tmp_path: Path) -> None:
    train(_params(small_library), plain, _context(), tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"
    tuned = _params(small_library, steps=1, learning_rate=1e-9, average=0.0, start_from=weights)
    train(tuned, plain, _context(), tmp_path / "tuned")
    before, after = load_weights(weights).network, load_weights(tmp_path / "tuned" / "weights.safetensors").network
    for (name, a), b in zip(before.named_parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4, msg=name)


def test_a_prototype_in_two_splits_is_refused(tmp_path: Path, library_maker: Any) -> None:
    with pytest.raises(SchemaError, match="in two splits: P0"):
        library_maker(tmp_path, runs=4, split=("train", "validation", "train"), prototypes=("P0", "P0", "P1"))


def test_a_library_without_a_split_is_refused(tmp_path: Path, library_maker: Any) -> None:
    path = library_maker(tmp_path, runs=2, split=("train",))
    with pytest.raises(DataError, match="no runs for validation"):
        LibrarySamples(path, "validation")


def test_a_network_that_finds_the_direct_beam_alone_scores_nothing(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    (batch,) = batches(samples, plain, size=4, seed=0, numbers=range(1))
    beam = torch.cat([torch.arange(4.0)[:, None], batch.centre_px, torch.ones(4, 1)], 1)
    for points, least, most in ((beam, 0.0, 0.0), (batch.points, 0.95, 1.0)):
        tally = Tally()
        judge(Perfect(points), batch, tally, 0.5, half=False)
        assert least <= tally.figures()["accuracy"] <= most


class Perfect(CompactDetector):
    """Says what it was told."""

    def __init__(self, points: torch.Tensor) -> None:
        super().__init__((4, 8), attention=0)
        self.points = points

    def forward(self, pattern: torch.Tensor, probe: torch.Tensor) -> DiskMaps:
        targets = make_targets(self.points, torch.ones(pattern.shape, dtype=torch.bool))
        return DiskMaps(
            logit=torch.where(targets.present, 9.0, -9.0),
            offset_px=targets.offset_px,
            log_sigma=torch.full_like(targets.offset_px, -2.0),
            correlation=torch.zeros_like(targets.amplitude),
            amplitude=targets.amplitude,
        )


def test_several_processes_are_refused(
    small_library: Path, plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DataError, match="one process"):
        train(_params(small_library), plain, _context(), tmp_path)
