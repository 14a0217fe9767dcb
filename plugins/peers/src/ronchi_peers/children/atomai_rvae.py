"""AtomAI 0.8, in its environment: `rVAE` with translations, fitted an epoch at a time."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from wire import Arrays, Verbs, serve

os.environ["MPLBACKEND"] = "Agg"


def start(told: Mapping[str, Any], arrays: Arrays) -> Verbs:
    """Make the model; with arrays named ``encoder/…`` and ``decoder/…``, one that has been fitted."""
    import atomai
    import torch

    model = atomai.models.rVAE(
        tuple(told["shape"]), latent_dim=told["n_components"], translation=True, seed=told["seed"]
    )
    nets = {"encoder": model.encoder_net, "decoder": model.decoder_net}
    for name, net in nets.items() if arrays else ():
        own = {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")}
        net.load_state_dict({key: torch.from_numpy(value) for key, value in own.items()})
    # It writes a checkpoint every epoch.
    scratch = tempfile.TemporaryDirectory()

    def train(arrays: Arrays) -> Arrays:
        began = time.process_time()
        model.fit(
            arrays["images"],
            loss="mse",
            training_cycles=1,
            batch_size=told["batch"],
            rotation_prior=told["rotation_prior"],
            translation_prior=told["translation_prior"],
            optimizer=lambda weights: torch.optim.Adam(weights, lr=told["learning_rate"]),
            filename=f"{scratch.name}/model",
        )
        # It counts a bound of the likelihood, which is to be large.
        loss = -float(model.loss_history["train_loss"][-1])
        return {"loss": np.array(loss), "seconds": np.array(time.process_time() - began)}

    def encode(arrays: Arrays) -> Arrays:
        # By default it makes ten batches, which fewer samples cannot fill.
        return {"latent": np.asarray(model.encode(arrays["images"], num_batches=1)[0])}

    def weights(_: Arrays) -> Arrays:
        held = {name: net.state_dict() for name, net in nets.items()}
        return {f"{name}/{key}": value.numpy() for name, each in held.items() for key, value in each.items()}

    return {"train": train, "encode": encode, "weights": weights}


if __name__ == "__main__":
    serve("atomai", start)
