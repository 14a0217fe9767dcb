"""Table I of Munshi et al. (2022) on prototypes that were not learned from: SSIM of structure-factor images.

On and off zone apart, with 95 % bootstrap intervals over runs, since the patterns of one crystal are alike::

    python structure_factor_images.py library.zarr unet.safetensors spectral-unet.safetensors fcunet.safetensors

SSIM has Gaussian windows of 1.5 px, 11 px wide, and the range of the true image (Wang et al., IEEE Trans. Image
Process. 13, 600 (2004), doi:10.1109/TIP.2003.819861). Most of a true image is empty, which alone makes a high SSIM: an
image of zeros is scored, too, and a second mean is that over windows at whose middle the true image is not empty.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ronchi.manager import get_manager
from ronchi_fcunet.library_samples import LibrarySamples
from ronchi_fcunet.weights import load_weights

_SIGMA_PX, _TRUNCATE = 1.5, 3.5
_WINDOW_PX = 11


_EMPTY = 0.01
"""Part of the highest value below which a pixel of a true image is empty."""


def ssim(image: NDArray[np.float64], true: NDArray[np.float64]) -> tuple[float, float]:
    """Mean structural similarity, everywhere and where the true image is not empty."""
    span = true.max() - true.min()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return gaussian_filter(values, _SIGMA_PX, truncate=_TRUNCATE, mode="reflect")

    a, b = mean(image), mean(true)
    aa, bb, ab = mean(image * image) - a * a, mean(true * true) - b * b, mean(image * true) - a * b
    local = (2 * a * b + c1) * (2 * ab + c2) / ((a * a + b * b + c1) * (aa + bb + c2))
    rim = _WINDOW_PX // 2
    inside = (slice(rim, -rim), slice(rim, -rim))
    filled = (true > _EMPTY * true.max())[inside]
    return float(local[inside].mean()), float(local[inside][filled].mean())


def interval(scores: NDArray[np.float64], runs: NDArray[np.int64]) -> str:
    """Mean and its 95 % interval, by drawing runs with replacement."""
    rng = np.random.default_rng(0)
    each = [scores[runs == run] for run in np.unique(runs)]
    means = [np.concatenate([each[i] for i in rng.integers(len(each), size=len(each))]).mean() for _ in range(2000)]
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{scores.mean():.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Print a row for each file of weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--batches", type=int, default=25, help="of 16 patterns")
    parser.add_argument("--window-px", type=int, help="score the middle of the patterns alone, as was learned from")
    parser.add_argument("--clean", action="store_true", help="patterns as simulated, without any instrument")
    given = parser.parse_args()
    samples = LibrarySamples(given.library, "test")
    effects = {"effects": []} if given.clean else {}
    augment = get_manager().create("transform", "augment", effects)
    networks = {path.stem: load_weights(path).network.eval() for path in given.weights}
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in ("zeros", *networks)}
    numbers = np.random.default_rng(1).integers(len(samples), size=(given.batches, 16))
    on_zone: list[bool] = []
    for chosen in numbers:
        made = [samples.sample(int(number)) for number in chosen]
        images = {name: np.stack([one[name] for one in made]) for name in ("pattern", "probe", "label")}
        seen = augment.augment_batch(images, [int(number) for number in chosen])
        seen = {name: _middle(seen[name], given.window_px) for name in images}
        truth = seen["label"].numpy().astype(float)
        said: dict[str, Tensor] = {"zeros": torch.zeros_like(seen["label"])}
        with torch.inference_mode():
            said |= {name: network(seen["pattern"], seen["probe"]).float() for name, network in networks.items()}
        for name, each in said.items():
            scores[name] += [ssim(image.astype(float), true) for image, true in zip(each.numpy(), truth, strict=True)]
        on_zone += [bool(one["on_zone"]) for one in made]
    zone, run = np.array(on_zone), numbers.ravel() // (samples.shape[0] * samples.shape[1])
    print(f"{len(zone)} patterns, {zone.sum()} on zone, {len(samples.prototypes)} prototypes")
    print("| network | on zone | off zone | on zone, not empty | off zone, not empty |\n|---|---|---|---|---|")
    for name, values in scores.items():
        cells = [interval(column[kind], run[kind]) for column in np.array(values).T for kind in (zone, ~zone)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _middle(images: Tensor, side: int | None) -> Tensor:
    """The middle of images (n, qy, qx), whose centre is at N // 2."""
    if side is None:
        return images
    window = [slice(n // 2 - side // 2, n // 2 - side // 2 + side) for n in images.shape[1:]]
    return images[:, window[0], window[1]].contiguous()


if __name__ == "__main__":
    main()
