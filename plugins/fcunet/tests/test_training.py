"""Training: it learns, and leaves the weights that it judged the best, or the last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ronchi_fcunet import training
from ronchi_fcunet.complex_layers import ComplexBatchNorm2d
from ronchi_fcunet.decode import peaks_of_maps
from ronchi_fcunet.library_samples import LibrarySamples
from ronchi_fcunet.samples import batches
from ronchi_fcunet.scores import Tally, judge
from ronchi_fcunet.train_params import NetworkParams
from ronchi_fcunet.training import train
from ronchi_fcunet.weights import load_weights


def test_the_loss_falls_and_the_card_says_so(params: Any, context: Any, plain: Any, tmp_path: Path) -> None:
    p = params(steps=60, validate_every=6, learning_rate=5e-3, average=0.8)
    card = train(p, plain, context(), tmp_path / "out")
    first, *_, last = card["curve"]
    assert last["learned_loss"] < 0.6 * first["learned_loss"]
    assert last["loss"] < 0.8 * first["loss"]
    loaded = load_weights(tmp_path / "out" / "weights.safetensors")
    assert loaded.card["step"] == 60
    assert loaded.threshold == 0.5
    # All disks of the library have 3 px, and a soft edge that adds to the second moment.
    assert loaded.card["radii_px"] == pytest.approx([3.3, 3.3], abs=0.2)
    again = train(p, plain, context(), tmp_path / "out")
    assert again["curve"] == card["curve"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_compiled_network_learns_the_same(params: Any, context: Any, plain: Any, tmp_path: Path) -> None:
    # Of one level: each kernel takes the C++ compiler a second.
    network = NetworkParams(kind="compact", widths=(8,), blocks=1, attention=0, completion=(8,))
    eager = train(params(network=network), plain, context(), tmp_path / "eager")
    fused = train(params(network=network, compile=True), plain, context(), tmp_path / "fused")
    for one, other in zip(eager["curve"], fused["curve"], strict=True):
        assert other["learned_loss"] == pytest.approx(one["learned_loss"], rel=1e-3)
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-2)
    # A training may be compiled half-way: the checkpoint is the same one's.
    more = train(params(network=network, steps=9), plain, context(), tmp_path / "fused")
    assert more["curve"][:2] == fused["curve"]


def test_norms_are_not_decayed(params: Any, context: Any, plain: Any, tmp_path: Path) -> None:
    network = NetworkParams(kind="fcunet", filters=2, depth=1, levels=1, dropout=0.0)
    options = {"steps": 1, "warm_up": 0, "average": 0.0, "learning_rate": 1e-3, "weight_decay": 500.0}
    train(params(network=network, **options), plain, context(), tmp_path)
    made = load_weights(tmp_path / "weights.safetensors").network
    gains = [layer.gain.detach()[:2] for layer in made.modules() if isinstance(layer, ComplexBatchNorm2d)]
    # One step of AdamW at most from where they begin; half of what is decayed is gone.
    assert len(gains) == 3
    assert all(torch.allclose(gain, torch.tensor(0.5).sqrt(), atol=2e-3) for gain in gains)


def test_what_was_trained_at_one_size_works_at_another(
    small_library: Path, params: Any, context: Any, plain: Any, tmp_path: Path
) -> None:
    """Trained at 48 x 48, it finds the same disks in frames of 96 x 80, and nothing beside them."""
    p = params(steps=150, validate_every=150, learning_rate=5e-3, average=0.9)
    train(p, plain, context(), tmp_path)
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


def test_a_look_without_a_loss_is_not_the_best(
    params: Any, context: Any, plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([np.nan, 3.0, 2.0, np.nan, 5.0])

    def judged(network: Any, batch: Any, tally: Tally, *_: Any, **__: Any) -> None:
        tally.loss.append(next(losses))
        tally.errors_px.append(np.full(4, 0.1 * tally.loss[-1]))

    monkeypatch.setattr(training, "judge", judged)
    p = params(steps=6, validate_every=1, patience=2)
    card = train(p, plain, context(), tmp_path)
    assert [row["loss"] for row in card["curve"]] == [None, 3.0, 2.0, None, 5.0]
    assert card["kept_step"] == 3
    assert card["sigma_px"] == pytest.approx(0.2), "that of the weights that are left"


def test_patience_ends_a_training_with_the_best_weights(
    small_library: Path, params: Any, context: Any, plain: Any, tmp_path: Path
) -> None:
    told: list[float] = []
    # Steps so large that it gets worse at once.
    p = params(steps=40, validate_every=1, learning_rate=0.1, warm_up=0, average=0.0, patience=2)
    card = train(p, plain, context(), tmp_path, watch=lambda figures: told.append(figures["loss"]))
    losses = [row["loss"] for row in card["curve"]]
    assert told == losses
    assert len(losses) < 40
    assert int(np.argmin(losses)) == len(losses) - 3
    assert card["kept_step"] == len(losses) - 2
    (batch,) = batches(LibrarySamples(small_library, "validation"), plain, size=4, seed=_seeds()[2], numbers=range(1))
    tally = Tally()
    judge(load_weights(tmp_path / "weights.safetensors").network, batch, tally, 0.25, half=False)
    assert tally.figures()["loss"] == pytest.approx(min(losses), rel=1e-5)


def _seeds() -> list[int]:
    """Those that a training draws from the generator of `context`."""
    return [int(seed) for seed in np.random.default_rng(0).integers(2**62, size=3)]


def test_without_patience_any_more_the_last_weights_are_left(
    params: Any, context: Any, plain: Any, tmp_path: Path
) -> None:
    options = {"steps": 3, "validate_every": 1, "learning_rate": 0.1, "warm_up": 0, "average": 0.0}
    patient = train(params(**options, patience=9), plain, context(), tmp_path / "patient")
    assert patient["kept_step"] == 1, "it gets worse"
    card = train(params(**options), plain, context(), tmp_path / "patient")
    last = train(params(**options), plain, context(), tmp_path / "last")
    assert "kept_step" not in card
    assert (card["curve"], card["sigma_px"]) == (last["curve"], last["sigma_px"])
    left, expected = (load_weights(tmp_path / n / "weights.safetensors").network for n in ("patient", "last"))
    assert torch.equal(left.head.weight, expected.head.weight)


@pytest.mark.parametrize("wrong", [{"widths": ()}, {"widths": (4, 0)}, {"completion": (4, -1)}])
def test_a_network_of_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NetworkParams(**wrong)
