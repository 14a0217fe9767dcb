"""Training: it learns, it goes on bit for bit, and no prototype is in two splits."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from ronchi.api import Context, DataError, SchemaError
from ronchi_fcunet import training
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.complex_layers import ComplexBatchNorm2d
from ronchi_fcunet.decode import peaks_of_maps
from ronchi_fcunet.library_samples import LibrarySamples
from ronchi_fcunet.maps import DiskMaps
from ronchi_fcunet.samples import batches
from ronchi_fcunet.scores import Tally, judge
from ronchi_fcunet.targets import make_targets
from ronchi_fcunet.train_params import NetworkParams, TrainParams
from ronchi_fcunet.training import train
from ronchi_fcunet.weights import load_weights, save_weights
from ronchi_torch.checkpoint import read_checkpoint, write_checkpoint
from ronchi_torch.world import World

COMPACT = NetworkParams(kind="compact", widths=(8, 16, 16), blocks=1, attention=1)


def _params(library: Path, **changes: Any) -> TrainParams:
    options = {"network": COMPACT, "steps": 6, "batch": 4, "validate_every": 3, "validation_batches": 1, "half": False}
    return TrainParams(library=library, **{"warm_up": 2, "workers": 0, "checkpoint_s": 1e6, **options, **changes})


def _context(progress: Any = lambda done, total: None) -> Context:
    return Context(rng=np.random.default_rng(0), progress=progress, log=logging.getLogger("test"))


def test_a_sample_has_its_points_where_its_disks_are(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    assert len(samples) == 8
    sample = samples.sample(0)
    y, x, strength, beam, _ = sample["peaks"].T
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


def test_without_its_crystal_a_sample_is_the_beam_alone(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    (usual,) = batches(samples, plain, size=6, seed=5, numbers=range(1))
    (none,) = batches(samples, plain, size=6, seed=5, numbers=range(1), crystal_free=1 - 1e-9)
    (some,) = batches(samples, plain, size=6, seed=5, numbers=range(1), crystal_free=0.5)
    assert len(none.points) == 6 < len(usual.points)
    assert torch.equal(none.points[:, 3], torch.ones(6))
    assert torch.equal(none.centre_px, usual.centre_px)
    assert torch.equal(none.probe, usual.probe)
    for pattern, probe in zip(none.pattern, none.probe, strict=True):
        rest = pattern / pattern.sum() - probe / probe.sum()
        assert float(rest.abs().sum()) < 0.05
    empty = [torch.equal(a, b) for a, b in zip(some.pattern, none.pattern, strict=True)]
    assert 0 < sum(empty) < 6
    assert all(e or torch.equal(a, b) for e, a, b in zip(empty, some.pattern, usual.pattern, strict=True))


def test_a_window_is_the_middle_of_the_patterns(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    (whole,) = batches(samples, plain, size=2, seed=5, numbers=range(1))
    (cut,) = batches(samples, plain, size=2, seed=5, numbers=range(1), window_px=32)
    first = whole.pattern.shape[-1] // 2 - 16
    assert torch.equal(cut.pattern, whole.pattern[:, first : first + 32, first : first + 32])
    for batch in (cut, whole):
        beam = batch.probe.flatten(1).argmax(1)  # a flat disk: its first pixel, above the middle
        assert (beam // batch.probe.shape[-1] - batch.probe.shape[-2] // 2).abs().max() <= 4
    assert torch.equal(cut.centre_px, whole.centre_px - first)
    assert torch.allclose(cut.points[:, 1:3] + first, whole.points[:, 1:3], atol=1e-5)


class _Broken:
    """Samples that cannot be read."""

    identity, prototypes = "", set[str]()

    def __len__(self) -> int:
        return 3

    def sample(self, number: int) -> Any:
        raise DataError("it is damaged", where="a file", fix="copy it again")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_loading_process_is_told_as_any_other(plain: Any, workers: int) -> None:
    with pytest.raises(DataError) as told:
        list(batches(_Broken(), plain, size=2, seed=5, numbers=range(4), workers=workers))
    assert str(told.value) == "a file: it is damaged\n  -> copy it again"


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
    assert loaded.threshold == 0.5
    # All disks of the library have 3 px, and a soft edge that adds to the second moment.
    assert loaded.card["radii_px"] == pytest.approx([3.3, 3.3], abs=0.2)
    again = train(p, plain, _context(), tmp_path / "out")
    assert again["curve"] == card["curve"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_compiled_network_learns_the_same(small_library: Path, plain: Any, tmp_path: Path) -> None:
    network = NetworkParams(kind="compact", widths=(8, 16), blocks=1, attention=0, completion=(8,))
    eager = train(_params(small_library, network=network), plain, _context(), tmp_path / "eager")
    fused = train(_params(small_library, network=network, compile=True), plain, _context(), tmp_path / "fused")
    for one, other in zip(eager["curve"], fused["curve"], strict=True):
        assert other["learned_loss"] == pytest.approx(one["learned_loss"], rel=1e-3)
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-2)
    # A training may be compiled half-way: the checkpoint is the same one's.
    more = train(_params(small_library, network=network, steps=9), plain, _context(), tmp_path / "fused")
    assert more["curve"][:2] == fused["curve"]


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


def test_a_checkpoint_that_does_not_fit_is_told(small_library: Path, plain: Any, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    train(_params(small_library, steps=1), plain, _context(), tmp_path)
    whole = read_checkpoint(path)
    for group in ("network", "averaged", "adam"):
        held = dict(whole.tensors[group])
        name = next(name for name, value in held.items() if value.ndim)
        held[name] = held[name][..., :1].repeat_interleave(held[name].shape[-1] + 1, -1)
        write_checkpoint(path, {**whole.tensors, group: held}, whole.told)
        with pytest.raises(DataError, match="of another version"):
            train(_params(small_library), plain, _context(), tmp_path)
    write_checkpoint(path, whole.tensors, {"identity": whole.told["identity"]})
    with pytest.raises(DataError, match="of another version"):
        train(_params(small_library), plain, _context(), tmp_path)


def test_processes_that_begin_at_other_steps_are_refused(
    small_library: Path, plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "agrees", lambda self, number: False)
    with pytest.raises(DataError, match="not all processes have read the checkpoint"):
        train(_params(small_library), plain, _context(), tmp_path)


def test_norms_are_not_decayed(small_library: Path, plain: Any, tmp_path: Path) -> None:
    network = NetworkParams(kind="fcunet", filters=2, depth=1, levels=1, dropout=0.0)
    options = {"steps": 1, "warm_up": 0, "average": 0.0, "learning_rate": 1e-3, "weight_decay": 500.0}
    train(_params(small_library, network=network, **options), plain, _context(), tmp_path)
    made = load_weights(tmp_path / "weights.safetensors").network
    gains = [layer.gain.detach()[:2] for layer in made.modules() if isinstance(layer, ComplexBatchNorm2d)]
    # One step of AdamW at most from where they begin; half of what is decayed is gone.
    assert len(gains) == 3
    assert all(torch.allclose(gain, torch.tensor(0.5).sqrt(), atol=2e-3) for gain in gains)


def test_a_look_without_a_loss_is_not_the_best(
    small_library: Path, plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([np.nan, 3.0, 2.0, np.nan, 5.0])

    def judged(network: Any, batch: Any, tally: Tally, *_: Any, **__: Any) -> None:
        tally.loss.append(next(losses))
        tally.errors_px.append(np.full(4, 0.1 * tally.loss[-1]))

    monkeypatch.setattr(training, "judge", judged)
    p = _params(small_library, steps=6, validate_every=1, patience=2)
    card = train(p, plain, _context(), tmp_path)
    assert [row["loss"] for row in card["curve"]] == [None, 3.0, 2.0, None, 5.0]
    assert card["kept_step"] == 3
    assert card["sigma_px"] == pytest.approx(0.2), "that of the weights that are left"


def test_trained_weights_are_where_fine_tuning_begins(small_library: Path, plain: Any, tmp_path: Path) -> None:
    train(_params(small_library), plain, _context(), tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"
    begun = load_weights(weights)
    save_weights(weights, begun.network, {**begun.card, "radii_px": [1.5, 9.0]})
    tuned = _params(small_library, steps=1, learning_rate=1e-9, average=0.0, start_from=weights)
    card = train(tuned, plain, _context(), tmp_path / "tuned")
    assert card["radii_px"] == [1.5, 9.0], "what they learned from before, they have learned from"
    before, after = load_weights(weights).network, load_weights(tmp_path / "tuned" / "weights.safetensors").network
    for (name, a), b in zip(before.named_parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4, msg=name)


def test_a_share_of_what_training_began_with_is_kept(small_library: Path, plain: Any, tmp_path: Path) -> None:
    first = train(_params(small_library), plain, _context(), tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"
    options = {"learning_rate": 1e-2, "average": 0.0, "start_from": weights}
    last = {}
    for share in (0.0, 0.25, 0.999):
        p = _params(small_library, **options, keep_of_start=share)
        last[share] = train(p, plain, _context(), tmp_path / str(share))["curve"][-1]["loss"]
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
        _params(small_library, keep_of_start=0.5)


def test_a_prototype_in_two_splits_is_refused(tmp_path: Path, library_maker: Any) -> None:
    with pytest.raises(SchemaError, match="in two splits: P0"):
        library_maker(tmp_path, runs=4, split=("train", "validation", "train"), prototypes=("P0", "P0", "P1"))


def test_a_library_without_a_split_is_refused(tmp_path: Path, library_maker: Any) -> None:
    path = library_maker(tmp_path, runs=2, split=("train",))
    with pytest.raises(DataError, match="no runs for validation"):
        LibrarySamples(path, "validation")


@pytest.mark.parametrize("name", ["intensity", "probe", "structure_factor", "amplitude"])
@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_library_with_samples_that_are_none_is_refused(small_library: Path, name: str, value: float) -> None:
    data = xr.open_zarr(small_library, chunks=None, consolidated=False).load()
    if name == "amplitude" and not value:
        return  # a crystal that does not diffract
    data[name][...] = value
    for each in data.variables.values():
        each.encoding = {}
    data.to_zarr(small_library.with_name("faulty.zarr"), consolidated=False)
    samples = LibrarySamples(small_library.with_name("faulty.zarr"), "train")
    what = "nothing is above 0" if value == 0 else "values are no numbers"
    with pytest.raises(DataError, match=rf"faulty\.zarr, run 1: .*{what}"):
        samples.sample(2)


def test_patterns_without_disks_have_no_accuracy() -> None:
    assert np.isnan(Tally(loss=[1.0]).figures()["accuracy"])


@pytest.mark.parametrize("wrong", [{"widths": ()}, {"widths": (4, 0)}, {"completion": (4, -1)}])
def test_a_network_of_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NetworkParams(**wrong)


def test_a_network_that_finds_the_direct_beam_alone_scores_nothing(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    (batch,) = batches(samples, plain, size=4, seed=0, numbers=range(1))
    beam = torch.cat([torch.arange(4.0)[:, None], batch.centre_px, torch.ones(4, 2)], 1)
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
            lit_logit=torch.full_like(targets.amplitude, 30.0),
        )


TWO = """
import json, logging, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from conftest import Plain
from ronchi.api import Context
from ronchi_fcunet import training
from ronchi_fcunet.train_params import TrainParams

folder, stop_at = Path(sys.argv[2]), int(sys.argv[3])

def progress(done, total):
    if done == stop_at:
        raise KeyboardInterrupt

class Kept(training._Training):
    def _finish(self):
        card = super()._finish()
        path = folder.with_name(f"{folder.name}-rank{self.world.rank}.safetensors")
        training.save_weights(path, self.averaged, card)
        return card

training._Training = Kept
params = TrainParams.model_validate_json(Path(sys.argv[4]).read_text())
try:
    training.train(params, Plain(), Context(rng=np.random.default_rng(0), progress=progress), folder)
except KeyboardInterrupt:
    pass
"""


@pytest.mark.slow
def test_two_processes_agree_and_go_on_where_they_were(small_library: Path, tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(TWO)
    (tmp_path / "params.json").write_text(_params(small_library, steps=4, validate_every=2).model_dump_json())

    def run(folder: str, stop_at: int) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", tmp_path / "two.py",
             Path(__file__).parent, tmp_path / folder, str(stop_at), tmp_path / "params.json"],
            capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]

    run("whole", -1)
    run("parts", 3)
    assert not (tmp_path / "parts" / "weights.safetensors").exists()
    run("parts", -1)
    states = [
        load_weights(tmp_path / f"{folder}-rank{rank}.safetensors").network.state_dict()
        for folder in ("whole", "parts")
        for rank in (0, 1)
    ]
    for name, value in states[0].items():
        assert all(torch.equal(other[name], value) for other in states[1:]), name
    assert load_weights(tmp_path / "whole" / "weights.safetensors").card["processes"] == 2


def test_a_batch_that_cannot_be_shared_evenly_is_refused(
    small_library: Path, plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "join_world", lambda device: World(0, 3, torch.device(device)))
    with pytest.raises(DataError, match="a multiple of 3"):
        train(_params(small_library), plain, _context(), tmp_path)


def test_the_shares_of_a_batch_are_the_batch(small_library: Path, plain: Any) -> None:
    samples, first = LibrarySamples(small_library, "train"), {"size": 4, "seed": 5, "numbers": range(1)}
    (whole,) = batches(samples, plain, **first)
    shares = [next(batches(samples, plain, **first, share=slice(rank, 4, 2))) for rank in (0, 1)]
    for rank, share in enumerate(shares):
        assert torch.equal(share.pattern, whole.pattern[rank::2])


def test_patience_ends_a_training_with_the_best_weights(small_library: Path, plain: Any, tmp_path: Path) -> None:
    told: list[float] = []
    # Steps so large that it gets worse at once.
    p = _params(small_library, steps=40, validate_every=1, learning_rate=0.1, warm_up=0, average=0.0, patience=2)
    card = train(p, plain, _context(), tmp_path, watch=lambda figures: told.append(figures["loss"]))
    losses = [row["loss"] for row in card["curve"]]
    assert told == losses
    assert len(losses) < 40
    assert int(np.argmin(losses)) == len(losses) - 3
    assert card["kept_step"] == len(losses) - 2
    (batch,) = batches(LibrarySamples(small_library, "validation"), plain, size=4, seed=_seeds()[2], numbers=range(1))
    tally = Tally()
    judge(load_weights(tmp_path / "weights.safetensors").network, batch, tally, 0.25, half=False)
    assert tally.figures()["loss"] == pytest.approx(min(losses), rel=1e-5)


def test_without_patience_any_more_the_last_weights_are_left(small_library: Path, plain: Any, tmp_path: Path) -> None:
    options = {"steps": 3, "validate_every": 1, "learning_rate": 0.1, "warm_up": 0, "average": 0.0}
    patient = train(_params(small_library, **options, patience=9), plain, _context(), tmp_path / "patient")
    assert patient["kept_step"] == 1, "it gets worse"
    card = train(_params(small_library, **options), plain, _context(), tmp_path / "patient")
    last = train(_params(small_library, **options), plain, _context(), tmp_path / "last")
    assert "kept_step" not in card
    assert (card["curve"], card["sigma_px"]) == (last["curve"], last["sigma_px"])
    left, expected = (load_weights(tmp_path / n / "weights.safetensors").network for n in ("patient", "last"))
    assert torch.equal(left.head.weight, expected.head.weight)


def _seeds() -> list[int]:
    """Those that a training draws from the generator of `_context`."""
    return [int(seed) for seed in np.random.default_rng(0).integers(2**62, size=3)]


def test_what_was_trained_at_one_size_works_at_another(small_library: Path, plain: Any, tmp_path: Path) -> None:
    """Trained at 48 x 48, it finds the same disks in frames of 96 x 80, and nothing beside them."""
    p = _params(small_library, steps=150, validate_every=150, learning_rate=5e-3, average=0.9)
    train(p, plain, _context(), tmp_path)
    network = load_weights(tmp_path / "weights.safetensors").network.eval()
    sample = LibrarySamples(small_library, "validation").sample(0)
    found = []
    for shape in ((48, 48), (96, 80)):
        frame, probe = (_framed(torch.from_numpy(sample[name] * 1.0).float(), shape) for name in ("pattern", "probe"))
        with torch.no_grad():
            maps = network(1e5 * frame[None], probe[None])
        peaks = peaks_of_maps(maps, shape, 0.25, 100)
        found.append(np.stack([peaks.qy_px - shape[0] // 2, peaks.qx_px - shape[1] // 2], 1))
    true = sample["peaks"][sample["peaks"][:, 2] > 0.5, :2] - 24
    for places in found:
        near = np.hypot(*(places[:, None] - true[None]).T)
        assert (near.min(1) < 1.5).mean() > 0.8  # seed 0
    apart = np.hypot(*(found[0][:, None] - found[1][None]).T).min(0)
    assert (apart < 1.0).mean() > 0.8


def _framed(image: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Image in the middle of a larger frame, N // 2 on N // 2."""
    made = torch.zeros(shape)
    y, x = shape[0] // 2 - image.shape[0] // 2, shape[1] // 2 - image.shape[1] // 2
    made[y : y + image.shape[0], x : x + image.shape[1]] = image
    return made
