"""A site that varies continuously: does the autoencoder beat a mixture of templates?

Stone-Wales atoms whose bond length varies by up to 8 % either way and which are tilted by up to 25 degrees, at all
angles, with noise of half an atom's peak. Scored on held-out crops: the negative log-likelihood with the angle
integrated out (the autoencoder's is a bound of it, and stands the worse for that), how well a quadratic in the
descriptors gives the true bond length and tilt, and the angle.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 taskset -c 1 python plugins/rvae/benchmarks/continuous_variation.py
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.builtin.motifs import simulate_motifs
from ronchi_rvae.params import PolarEmParams, RvaeParams
from ronchi_rvae.polar_em import PolarEm
from ronchi_rvae.rvae import Rvae

VARIATION: dict[str, Any] = {"motifs": ("stone-wales",), "bond_spread": 0.08, "tilt_max_deg": 25.0}


def predicted(z: NDArray[Any], true: NDArray[Any]) -> float:
    """Share of the variance that a quadratic in ``z``, fitted to one half, explains on the other."""
    design = np.concatenate([np.ones((len(z), 1)), z, *[z[:, i:] * z[:, i : i + 1] for i in range(z.shape[1])]], 1)
    half = len(z) // 2
    weights = np.linalg.lstsq(design[:half], true[:half], rcond=None)[0]
    return float(1 - ((true[half:] - design[half:] @ weights) ** 2).mean() / true[half:].var())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=10000)
    asked = parser.parse_args()
    makers = {
        "polar-em, 1 class": lambda: PolarEm(PolarEmParams(n_classes=1)),
        "polar-em, auto": lambda: PolarEm(PolarEmParams()),
        "rvae": lambda: Rvae(RvaeParams(n_classes=1)),
        "rvae, auto": lambda: Rvae(RvaeParams()),
    }
    for seed in range(asked.seeds):
        fit, held_out = (
            simulate_motifs(np.random.default_rng([seed, part]), n_samples=n, **VARIATION)
            for part, n in ((0, asked.samples), (1, asked.samples // 2))
        )
        truth = held_out.sides["truth"]
        for name, make in makers.items():
            learner, start = make(), time.process_time()
            learner.fit(fit.data["intensity"], Context(rng=np.random.default_rng(seed)))
            seconds = time.process_time() - start
            made = learner.transform(held_out.data["intensity"])
            z = made["z"].values.astype(float)
            phase = np.exp(1j * (made["angle"].values - truth["angle"].values))
            error = np.abs(np.rad2deg(np.angle(phase * np.conj(phase.mean()))))
            bond, tilt = (predicted(z, truth["z"].values[:, i]) for i in range(2))
            print(
                f"{name:<18} seed {seed}  nll {float(made['nll'].mean()):8.3f}  R2 bond {bond:.3f} tilt {tilt:.3f}  "
                f"MAE {error.mean():.3f} deg  classes {learner.mixture.size}  {seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
