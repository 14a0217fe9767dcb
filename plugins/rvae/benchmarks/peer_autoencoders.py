"""Fit AtomAI's rVAE or pyroVED's iVAE to a set of crops and encode another; runs where those packages are installed.

Started by ``rotation_peers.py``; needs numpy, torch and the package, nothing of ronchi. Both are trained as their
documentation says, an epoch at a time, until the training loss stops to improve or the time is over; a fit goes on
from where the last one to the same file was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

LEAST_GAIN = 1e-3
"""Share of the loss that counts as an improvement."""

Step = Callable[[], float]
"""Trains an epoch and returns its mean loss."""
Encode = Callable[[NDArray[np.float32]], NDArray[np.float32]]
State = dict[str, Any]
Restore = Callable[[State], object]
Peer = tuple[Step, Encode, Callable[[], State], Restore]


def scaled(crops: NDArray[np.float32], how: str, fit: NDArray[np.float32]) -> NDArray[np.float32]:
    """Crops in the unit that a likelihood expects: in noise levels, or from 0 to 1 between extremes or percentiles."""
    if how.startswith("noise:"):
        return crops / np.float32(how.removeprefix("noise:"))
    low, high = np.percentile(fit, {"minmax": (0, 100), "clip": (1, 99)}[how])
    return np.clip((crops - low) / (high - low), 0, 1).astype(np.float32)


def atomai(fit: NDArray[np.float32], s: dict[str, Any], seed: int) -> Peer:
    """AtomAI's rVAE with translations."""
    np.__dict__.setdefault("product", np.prod)  # loss="ce" of AtomAI 0.8.1 calls a name that numpy 2 removed
    import atomai as aoi

    model = aoi.models.rVAE(fit.shape[1:], latent_dim=s["latent_dim"], translation=True, seed=seed)
    folder = tempfile.mkdtemp()  # AtomAI writes a checkpoint every epoch

    def step() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            model.fit(
                fit,
                loss=s["loss"],
                training_cycles=1,
                batch_size=s["batch"],
                rotation_prior=s["rotation_prior"],
                translation_prior=s["translation_prior"],
                optimizer=lambda weights: torch.optim.Adam(weights, lr=s["lr"]),
                filename=f"{folder}/model",
            )
        return -float(model.loss_history["train_loss"][-1])

    def state() -> State:
        parts = {"encoder": model.encoder_net, "decoder": model.decoder_net, "optimizer": model.optim}
        return {name: part.state_dict() for name, part in parts.items()}

    def restore(saved: State) -> None:
        model.encoder_net.load_state_dict(saved["encoder"])
        model.decoder_net.load_state_dict(saved["decoder"])
        # The order in which AtomAI hands the weights to an optimizer.
        weights = [*model.decoder_net.parameters(), *model.encoder_net.parameters()]
        model.optim = torch.optim.Adam(weights, lr=s["lr"])
        model.optim.load_state_dict(saved["optimizer"])

    return step, lambda crops: np.asarray(model.encode(crops)[0]), state, restore


def pyroved(fit: NDArray[np.float32], s: dict[str, Any], seed: int) -> Peer:
    """The iVAE of pyroVED, invariant to rotation and translation."""
    import pyroved as pv

    model = pv.models.iVAE(
        fit.shape[1:],
        latent_dim=s["latent_dim"],
        invariances=["r", "t"],
        sampler_d=s["loss"],
        sigmoid_d=s["loss"] == "bernoulli",
        seed=seed,
        device="cpu",
        dx_prior=s["translation_prior"],
        decoder_sig=s.get("decoder_sig", 0.5),
    )
    loader = pv.utils.init_dataloader(torch.from_numpy(fit), batch_size=s["batch"])
    trainer = pv.trainers.SVItrainer(model, lr=s["lr"], device="cpu", seed=seed)

    def step() -> float:
        trainer.step(loader)
        return float(trainer.loss_history["training_loss"][-1])

    def state() -> State:
        return {"model": model.state_dict(), "optimizer": trainer.svi.optim.get_state()}

    def restore(saved: State) -> None:
        model.load_state_dict(saved["model"])
        trainer.svi.optim.set_state(saved["optimizer"])

    return step, lambda crops: model.encode(torch.from_numpy(crops))[0].numpy(), state, restore


def converged(losses: list[float], patience: int, least_epochs: int) -> bool:
    """Whether the best loss of the last ``patience`` epochs is no real improvement on the best before them."""
    if len(losses) <= max(patience, least_epochs - 1):
        return False
    before = min(losses[:-patience])
    return before - min(losses[-patience:]) < LEAST_GAIN * abs(before)


def main() -> None:
    """Fit, encode, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=("atomai", "pyroved"))
    parser.add_argument("data", type=Path, help=".npz with `fit` and `held_out`, (n, y, x) float32")
    parser.add_argument("made", type=Path, help=".npz to write: `latent` of the held-out crops, `losses`, `seconds`, …")
    parser.add_argument("settings", type=json.loads, help="JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=int, default=5, help="epochs over which the loss must improve by 0.1 %%")
    parser.add_argument("--least-epochs", type=int, default=8, help="so that a first plateau is not taken for the end")
    parser.add_argument("--max-epochs", type=int, default=200)
    parser.add_argument("--max-seconds", type=float, default=np.inf, help="of the processor, for training")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with np.load(asked.data, allow_pickle=False) as data:
        fit, held_out = (scaled(data[name], asked.settings["scale"], data["fit"]) for name in ("fit", "held_out"))
    step, encode, state, restore = {"atomai": atomai, "pyroved": pyroved}[asked.tool](fit, asked.settings, asked.seed)
    losses: list[float] = []
    before, done = 0.0, False
    stopped = asked.made.with_suffix(".pt")
    if stopped.exists():
        with np.load(asked.made, allow_pickle=False) as earlier:
            losses, before = earlier["losses"].tolist(), float(earlier["seconds"])
        done = converged(losses, asked.patience, asked.least_epochs)
        restore(torch.load(stopped, weights_only=True))
        # The shuffles and draws after a stop are others than before it.
        torch.manual_seed(asked.seed + 1000 * len(losses))
    seconds, start = before, time.process_time()
    while not done and len(losses) < asked.max_epochs and seconds < asked.max_seconds:
        losses.append(step())
        seconds = before + time.process_time() - start
        done = converged(losses, asked.patience, asked.least_epochs)
        print(f"epoch {len(losses)}  loss {losses[-1]:.4f}  {seconds:.0f} s", flush=True)
        # After every epoch, so that a fit that is stopped can be scored, as one that has not converged.
        np.savez(asked.made, latent=encode(held_out), losses=losses, seconds=seconds, converged=done)
        torch.save(state(), stopped)


if __name__ == "__main__":
    main()
