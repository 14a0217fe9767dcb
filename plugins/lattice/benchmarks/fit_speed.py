"""Time of the lattice fit, in microseconds a position, beside a loop of ``numpy.linalg.lstsq``.

Both get the same simulated peaks and the same basis, and index them by themselves; the loop fits all indexed
peaks with equal weights, once, without covariance. Runs alternate, and the best of each is printed.

    python plugins/lattice/benchmarks/fit_speed.py [--positions 10000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi_lattice.fit import Settings, fit_scan
from ronchi_lattice.neighbours import retry_from_neighbours
from ronchi_lattice.params import Reference
from ronchi_lattice.peaklist import Peaks
from ronchi_lattice.reference import make_reference
from ronchi_lattice.strain import strain_and_errors

SEED = 20
BASIS_PX = np.array([[1.0, 11.5], [12.0, -0.6]])
RADIUS_PX = 33.0
SIGMA_PX = 0.1


def simulate(n: int) -> Peaks:
    """``n`` positions of about 25 peaks each: 1 % of strain, 0.1 px of noise, unequal disks, 5 % stray peaks."""
    rng = np.random.default_rng(SEED)
    order = np.arange(-3, 4)
    hk = np.stack(np.meshgrid(order, order), axis=-1).reshape(-1, 2)
    nodes = hk @ BASIS_PX.T
    hk = hk[np.hypot(*nodes.T) < RADIUS_PX]
    G = BASIS_PX + 0.01 * 12 * rng.normal(size=(n, 2, 2)) / 2
    q = np.einsum("ki,nji->nkj", hk, G) + rng.normal(0, 0.3, (n, 1, 2))
    sigma = SIGMA_PX * rng.lognormal(0, 0.5, q.shape[:2])
    q += sigma[..., None] * rng.normal(size=q.shape)
    stray = rng.random(q.shape[:2]) < 0.05
    q[stray] = rng.uniform(-RADIUS_PX, RADIUS_PX, (int(stray.sum()), 2))
    variance = np.repeat(sigma.ravel()[:, None] ** 2, 3, axis=1) * [1.0, 0.0, 1.0]
    offsets = np.arange(n + 1) * len(hk)
    return Peaks(q.reshape(-1, 2), variance, np.ones(len(variance)), offsets, np.arange(n), (1, n))


def lstsq_loop(peaks: Peaks, basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2, 2) lattices by one unweighted least squares a position."""
    inverse, G = np.linalg.inv(basis), np.empty((len(peaks.counts), 2, 2))
    for n, (lo, hi) in enumerate(zip(peaks.offsets[:-1], peaks.offsets[1:], strict=True)):
        q = peaks.q[lo:hi]
        hk = np.rint(q @ inverse.T)
        near = np.hypot(*(q - hk @ basis.T).T) < 0.25 * np.linalg.norm(basis, axis=0).min()
        A = np.column_stack([np.ones(near.sum()), hk[near]])
        G[n] = np.linalg.lstsq(A, q[near], rcond=None)[0][1:].T
    return G


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--positions", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    peaks = simulate(args.positions)
    coords = {"scan_y": xr.Variable("scan_y", [0.0]), "scan_x": xr.Variable("scan_x", np.arange(args.positions))}
    fit_scan(simulate(100), BASIS_PX, Settings())  # compiles, or loads what was compiled before

    best = {"fit with covariance": np.inf, "retries": np.inf, "strain with errors": np.inf, "numpy lstsq loop": np.inf}
    for _ in range(args.repeats):
        marks = [time.perf_counter()]
        fits, precision, model_sigma = fit_scan(peaks, BASIS_PX, Settings())
        marks.append(time.perf_counter())
        retry_from_neighbours(fits, peaks, precision, BASIS_PX, Settings())
        marks.append(time.perf_counter())
        reference = make_reference(fits, peaks, BASIS_PX, Reference(), coords)
        ok = fits.fitted
        strain_and_errors(fits.G[ok], fits.G_cov[ok], reference.G, reference.cov, reference.share[ok])
        marks.append(time.perf_counter())
        loop = lstsq_loop(peaks, BASIS_PX)
        marks.append(time.perf_counter())
        for name, seconds in zip(best, np.diff(marks), strict=True):
            best[name] = min(best[name], seconds)

    print(f"{args.positions} positions, {peaks.counts.mean():.1f} peaks each, best of {args.repeats}")
    for name, seconds in best.items():
        print(f"{name:22s} {1e6 * seconds / args.positions:8.2f} us a position")
    print(f"ratio of the loop to the fit: {best['numpy lstsq loop'] / best['fit with covariance']:.0f}")
    print(f"fitted {ok.mean():.4f}, model error {model_sigma:.4f} px (simulated without one)")
    print(f"spread between the two, robust: {1.4826 * np.median(np.abs(fits.G - loop)[ok]):.4f} px")


if __name__ == "__main__":
    main()
