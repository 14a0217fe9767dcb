"""AtomAI's rVAE and pyroVED's iVAE on the sets of ``rotation_ladder.py``, scored by the same function.

The packages live in an environment of their own, whose python is the first argument; crops and encodings travel in
``.npz`` files. ``--tune`` prints the trials on a smaller set that the settings were chosen from; without it the chosen
setting is fitted to every range and seed, and its rows are kept in a file that ``rotation_figure.py`` draws. A fit that
ran out of its time goes on when it is asked for with more.

    python plugins/rvae/benchmarks/rotation_peers.py PEER_PYTHON atomai --tune
    python plugins/rvae/benchmarks/rotation_peers.py PEER_PYTHON atomai --ranges 180 10 --rows rotation-ladder.jsonl
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rotation_ladder import Row, keep, line, score, simulated

FIT = Path(__file__).with_name("peer_autoencoders.py")
NOISE = 0.5
_SLOW = {"batch": 10, "lr": 1e-3, "translation_prior": 0.03, "latent_dim": 2}
_FAST = {"batch": 25, "lr": 3e-3, "translation_prior": 0.1, "latent_dim": 2}
_GUIDE = {"batch": 25, "lr": 1e-3, "translation_prior": 0.1, "latent_dim": 2}
TRIALS: dict[str, list[dict[str, Any]]] = {
    "atomai": [
        {"scale": "noise:0.5", "loss": "mse", "rotation_prior": 0.1, **_SLOW},
        {"scale": "noise:0.5", "loss": "mse", "rotation_prior": 0.1, **_FAST},
        {"scale": "noise:0.5", "loss": "mse", "rotation_prior": 0.1, **_GUIDE},
        {"scale": "noise:0.25", "loss": "mse", "rotation_prior": 0.1, **_SLOW},
    ],
    "pyroved": [
        {"scale": "noise:0.5", "loss": "gaussian", "decoder_sig": 1.0, **_SLOW},
        {"scale": "noise:0.5", "loss": "gaussian", "decoder_sig": 1.0, **_FAST},
        {"scale": "clip", "loss": "bernoulli", **_GUIDE},
        {"scale": "noise:0.5", "loss": "gaussian", "decoder_sig": 0.5, **_SLOW},
    ],
}
"""What was tried. In units of the noise, which both packages are told, a squared error is the true likelihood; the last
ones weigh it four times as much."""
CHOSEN = {"atomai": 0, "pyroved": 3}


def image_shift(latent: NDArray[Any], translation_prior: float, size_px: int) -> NDArray[Any]:
    """Shift (y, x) in px in the image: both packages move the coordinates after turning them, on a grid from -1 to 1
    along the rows and from 1 to -1 along the columns. The content's own centre is free and taken out.
    """
    moved = latent[:, 1:3] * translation_prior
    moved = moved - moved.mean(axis=0)
    c, s = np.cos(latent[:, 0]), np.sin(latent[:, 0])
    row = -(c * moved[:, 0] + s * moved[:, 1])
    column = -(c * moved[:, 1] - s * moved[:, 0])
    shift: NDArray[Any] = np.stack([row, -column], 1) * (size_px - 1) / 2
    return shift


def described(latent: NDArray[Any], sign: int, translation_prior: float, size_px: int) -> xr.Dataset:
    """Latents (angle, two shifts, content) as descriptors."""
    shift = image_shift(latent, translation_prior, size_px)
    return xr.Dataset(
        {
            "angle": ("sample", sign * latent[:, 0]),
            "shift": (("sample", "axis"), shift),
            "z": (("sample", "component"), latent[:, 3:]),
        }
    )


def better_sign(latent: NDArray[Any], settings: dict[str, Any], truth: xr.Dataset, size_px: int) -> Row:
    """Score with the sense of rotation that agrees better with the truth."""
    rows = [score(described(latent, sign, settings["translation_prior"], size_px), truth) for sign in (1, -1)]
    return max(rows, key=lambda row: float(np.mean(row["resultant"])))


def fitted(asked: argparse.Namespace, settings: dict[str, Any], range_deg: float, seed: int) -> Row:
    """Write the set, fit and encode it in the peer's environment, score what comes back."""
    fit, held_out, truth = simulated(range_deg, seed, asked.samples, NOISE)
    setting = TRIALS[asked.tool].index(settings) + 1
    name = f"{asked.tool}-{asked.samples}-{range_deg:g}-{seed}-setting{setting}"
    asked.work.mkdir(exist_ok=True)
    crops, made = asked.work / f"{name}-crops.npz", asked.work / f"{name}.npz"
    np.savez(crops, fit=fit.values, held_out=held_out.values)
    limits = {
        "--seed": seed,
        "--patience": asked.patience,
        "--least-epochs": asked.least_epochs,
        "--max-epochs": asked.max_epochs,
        "--max-seconds": asked.max_seconds,
    }
    command = [asked.python, FIT, asked.tool, crops, made, json.dumps(settings)]
    subprocess.run([*command, *(str(v) for pair in limits.items() for v in pair)], check=True)
    crops.unlink()
    with np.load(made, allow_pickle=False) as file:
        row = {"learner": asked.tool, "range_deg": range_deg, "seed": seed}
        row |= better_sign(file["latent"].astype(float), settings, truth, fit.shape[-1])
        row |= {"fit_s": float(file["seconds"]), "encode_s": np.nan, "classes": 0}
        row |= {"epochs": len(file["losses"]), "loss": float(file["losses"][-1]), "converged": bool(file["converged"])}
    return row


def main() -> None:
    """Tune, or run and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="interpreter of the environment that has the package")
    parser.add_argument("tool", choices=tuple(TRIALS))
    parser.add_argument("--tune", action="store_true", help="the trials, on 2500 crops at ±45 degrees, 120 s each")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--samples", type=int, default=10000)
    parser.add_argument("--ranges", type=float, nargs="+", default=[180.0, 10.0, 45.0, 90.0])
    parser.add_argument("--patience", type=int, default=5, help="epochs over which the loss must improve by 0.1 %%")
    parser.add_argument("--least-epochs", type=int, default=8, help="so that a first plateau is not taken for the end")
    parser.add_argument("--max-epochs", type=int, default=200)
    parser.add_argument("--max-seconds", type=float, default=np.inf, help="of the processor, for the training of a set")
    parser.add_argument("--rows", type=Path, default=Path("rotation-ladder.jsonl"))
    parser.add_argument("--work", type=Path, default=Path("rotation-peers"), help="folder of the encodings")
    asked = parser.parse_args()
    if asked.tune:
        asked.samples, asked.patience, asked.max_seconds = 2500, 10**6, 120.0
        for settings in TRIALS[asked.tool]:
            row = fitted(asked, settings, 45.0, 0)
            print(settings, f"mean resultant {np.mean(row['resultant']):.3f}", line(row), sep="\n", flush=True)
        return
    for seed in range(asked.seeds):
        for range_deg in asked.ranges:
            row = fitted(asked, TRIALS[asked.tool][CHOSEN[asked.tool]], range_deg, seed)
            keep(asked.rows, row)
            print(line(row), f"  {row['epochs']} epochs, converged: {row['converged']}", flush=True)


if __name__ == "__main__":
    main()
