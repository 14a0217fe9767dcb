"""pyroVED 0.3, in its environment: `iVAE`, invariant to rotation and translation, fitted an epoch at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from wire import Arrays, Verbs, serve

os.environ["MPLBACKEND"] = "Agg"


def start(told: Mapping[str, Any], arrays: Arrays) -> Verbs:
    """Make the model; with arrays, the weights of one that has been fitted."""
    import pyroved
    import torch

    model = pyroved.models.iVAE(
        tuple(told["shape"]),
        latent_dim=told["n_components"],
        invariances=["r", "t"],
        sampler_d="gaussian",
        sigmoid_d=False,
        seed=told["seed"],
        device="cpu",
        dx_prior=told["translation_prior"],
        decoder_sig=told["decoder_sigma"],
    )
    if arrays:
        model.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
    trainer = pyroved.trainers.SVItrainer(model, lr=told["learning_rate"], device="cpu", seed=told["seed"])

    def train(arrays: Arrays) -> Arrays:
        began = time.process_time()
        images = torch.from_numpy(arrays["images"])
        trainer.step(pyroved.utils.init_dataloader(images, batch_size=told["batch"]))
        loss = float(trainer.loss_history["training_loss"][-1])
        return {"loss": np.array(loss), "seconds": np.array(time.process_time() - began)}

    def encode(arrays: Arrays) -> Arrays:
        return {"latent": model.encode(torch.from_numpy(arrays["images"]))[0].numpy()}

    def weights(_: Arrays) -> Arrays:
        return {key: value.numpy() for key, value in model.state_dict().items()}

    return {"train": train, "encode": encode, "weights": weights}


if __name__ == "__main__":
    serve("pyroved", start)
