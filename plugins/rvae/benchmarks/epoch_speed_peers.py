"""Seconds an epoch of AtomAI's and pyroVED's autoencoders; run by ``epoch_speed.py`` where those are installed.

Needs numpy, torch and the packages, nothing of ronchi.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch
from peer_autoencoders import atomai, pyroved

SETTINGS = {
    "atomai": {"loss": "mse", "rotation_prior": 1.0, "translation_prior": 0.1},
    "pyroved": {"loss": "bernoulli", "translation_prior": 0.1},
}


def main() -> None:
    """Print a line of JSON: seconds an epoch, by the clock and of the processors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=SETTINGS)
    parser.add_argument("crops", help=".npy, (n, y, x) float32")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    crops = np.load(asked.crops, allow_pickle=False)
    crops = ((crops - crops.min()) / np.ptp(crops)).astype(np.float32)
    settings = {"latent_dim": 2, "batch": asked.batch, "lr": 1e-3, **SETTINGS[asked.tool]}
    step = {"atomai": atomai, "pyroved": pyroved}[asked.tool](crops, settings, 0)[0]
    step()
    times = []
    for _ in range(asked.epochs):
        start = time.perf_counter(), time.process_time()
        step()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    print(json.dumps(np.median(times, axis=0).tolist()))


if __name__ == "__main__":
    main()
