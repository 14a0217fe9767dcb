"""Steerable coefficients of images: harmonics of a disc, in which a rotation multiplies by ``exp(-i m angle)``.

The harmonics J_m(k r) exp(i m theta) with a flat edge are the vibrations of a free circular membrane. They are
orthonormal and band-limited, so that white noise of the pixels stays white, a hundred numbers hold a crop of
25 x 25 pixels, and turning needs no interpolation.

Sources: Zhao & Singer 2013, J. Opt. Soc. Am. A 30, 871, doi:10.1364/JOSAA.30.000871 (Fourier-Bessel bases with a
zero edge; here the edge is flat, since images do not end at 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import jnp_zeros, jv

from ronchi.api import DataError
from ronchi_rvae.shifts import ShiftGrid

__all__ = ["DiscBasis", "disc_harmonics", "turning_energy"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]
Ints = NDArray[np.int64]

_AT_ONCE = 2048
"""Images that are described at a time."""
_DRAWN = 256
"""Images of noise that `DiscBasis.edge_noise` is the mean of, to 5 %."""
_WORST_CONDITION = 30.0
"""Where masked pixels make the least squares worse than this, the noise of some harmonics is five times too large."""


def disc_harmonics(radius_px: float, band_limit: float) -> tuple[Ints, Doubles]:
    """Angular orders and radial wave numbers of the harmonics below a band limit.

    Parameters
    ----------
    radius_px : float
    band_limit : float
        Largest wave number in rad/px; pi is that of a checkerboard.

    Returns
    -------
    order : (D,) int64
        Angular orders m >= 0, not decreasing.
    wave : (D,) float64
        Wave numbers in rad/px.
    """
    orders, waves, m = [0], [0.0], 0
    while True:
        zeros = jnp_zeros(m, int(band_limit * radius_px / math.pi) + 2)
        zeros = zeros[zeros <= band_limit * radius_px]
        if m and not len(zeros):
            break
        orders += [m] * len(zeros)
        waves += [float(zero) / radius_px for zero in zeros]
        m += 1
    return np.array(orders, np.int64), np.array(waves)


def turning_energy(described: Complex) -> Floats:
    """(n, nodes) squared lengths of descriptions (n, nodes, D) but for levels."""
    turning = np.ascontiguousarray(described).view(np.float32)[..., 2:]
    energy: Floats = np.einsum("njd,njd->nj", turning, turning)
    return energy


@dataclass(frozen=True)
class DiscBasis:
    """Disc harmonics sampled on the pixels of a window, about its centre and about shifted ones.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)`` of the window.
    centre_px : tuple of float
        ``(y, x)`` in it about which images turn.
    radius_px : float
        Pixels count by the part of them that lies inside.
    band_limit : float
        In rad/px.
    shifts : ShiftGrid
        Centres about which images are described.
    bad_pixel : (ny, nx) bool, optional
        Pixels that count for nothing.
    """

    shape: tuple[int, int]
    centre_px: tuple[float, float]
    radius_px: float
    band_limit: float
    shifts: ShiftGrid
    bad_pixel: NDArray[np.bool_] | None = None

    @cached_property
    def _harmonics(self) -> tuple[Ints, Doubles]:
        return disc_harmonics(self.radius_px, self.band_limit)

    @property
    def order(self) -> Ints:
        """(D,) angular order m of every coefficient."""
        return self._harmonics[0]

    @cached_property
    def first(self) -> Ints:
        """(M + 1,) index of the first coefficient of every order, and D."""
        return np.searchsorted(self.order, np.arange(self.n_orders + 1)).astype(np.int64)

    @property
    def n_orders(self) -> int:
        """M: angular orders are 0 to M - 1."""
        return int(self.order[-1]) + 1

    @property
    def dof(self) -> int:
        """Real numbers that a description has: orders above 0 have a real and an imaginary part."""
        return int(2 * len(self.order) - (self.order == 0).sum())

    @cached_property
    def _projector(self) -> Floats:
        """(pixels, nodes * D * 2) least-squares projectors, real and imaginary parts interleaved."""
        nodes = self.shifts.nodes_px
        made = np.empty((self.shape[0] * self.shape[1], len(nodes), 2 * len(self.order)), np.float32)
        for i, centre in enumerate(nodes):
            made[:, i] = self._project_about(centre).view(np.float64)
        return made.reshape(len(made), -1)

    @property
    def described_mb(self) -> float:
        """Memory of one image's description."""
        return 8e-6 * len(self.shifts.nodes_px) * len(self.order)

    @property
    def memory_mb(self) -> float:
        """Memory of the projectors, and of how they and the noise of a class are made."""
        harmonics_mb = 16e-6 * self.shape[0] * self.shape[1] * len(self.order)
        projectors_mb = 0.5 * harmonics_mb * len(self.shifts.nodes_px)
        return projectors_mb + 5 * harmonics_mb + 3 * 8e-6 * self.dof**2

    def describe(self, frames: NDArray[np.generic]) -> Complex:
        """Coefficients of images about every node of the shift grid.

        Parameters
        ----------
        frames : (n, ny, nx) real array

        Returns
        -------
        (n, nodes, D) complex64
            White noise of standard deviation s in the pixels is noise of s in every real and imaginary part.
        """
        flat = frames.reshape(len(frames), -1)
        described = np.empty((len(frames), self._projector.shape[1]), np.float32)
        level = np.empty(len(frames))
        for at in range(0, len(frames), _AT_ONCE):
            part = flat[at : at + _AT_ONCE].astype(np.float32)
            # A constant is the first harmonic alone. Beside a large one the others would be lost in rounding.
            level[at : at + len(part)] = part.mean(axis=1, dtype=np.float64)
            part -= level[at : at + len(part), None].astype(np.float32)
            np.matmul(part, self._projector, out=described[at : at + len(part)])
        made: Complex = described.view(np.complex64).reshape(len(frames), len(self.shifts.nodes_px), -1)
        made[..., 0] += (level.astype(np.float32) * np.float32(math.sqrt(math.pi) * self.radius_px))[:, None]
        return made

    @cached_property
    def _noise_seen(self) -> tuple[Doubles, Doubles]:
        """Of the good pixels of the disc, the projector (dof, p), and what is drawn of a description (p, dof)."""
        sampled, weight = self._about_centre
        good = weight > 0 if self.bad_pixel is None else (weight > 0) & ~self.bad_pixel.ravel()
        projector = self._project_about((0.0, 0.0))[good]
        turns = self.order > 0
        projector = np.concatenate([projector.real, projector.imag[:, turns]], axis=1).T
        drawn = np.concatenate([sampled[good].real, -sampled[good].imag[:, turns]], axis=1)
        return projector, drawn

    @cached_property
    def noise_dof(self) -> float:
        """Power that noise of variance 1 in the pixels has in a description, but for the level: about `dof` - 1.

        Less, since of a pixel on the edge of the disc only a part counts; more beside bad ones: others stand for them.
        """
        return float((self._noise_seen[0][1:] ** 2).sum())

    @cached_property
    def edge_noise(self) -> float:
        """Squared differences, summed over the nodes, of the energy of noise of variance 1 from that about the centre.

        Of drawn noise.
        """
        noise = np.random.default_rng(0).normal(size=(_DRAWN, *self.shape)).astype(np.float32)
        energy = turning_energy(self.describe(noise)).astype(float)
        return float(((energy - energy[:, energy.shape[1] // 2, None]) ** 2).sum(axis=1).mean())

    def noise_model(self, template: Complex) -> Callable[[Doubles], Doubles]:
        """Covariance (dof, dof) of noise of independent pixels that scatters as much as one that is seen.

        The variance of a pixel is a parabola in what is expected there, as that of counts, of a camera's noise, and of
        counts whose variance was stabilised is or nearly is. It is read off the diagonal, over the pixels, of what is
        seen: what scatters together in many pixels is beyond it.

        Parameters
        ----------
        template : (D,) complex64
            What is expected.

        Returns
        -------
        callable
            From a covariance (dof, dof) of descriptions, as `as_real` has them, to that of such noise.
        """
        projector, drawn = self._noise_seen
        expected = drawn @ self.as_real(template[None])[0]
        expected = (expected - expected.mean()) / max(float(expected.std()), 1e-30)
        powers = expected[:, None] ** np.arange(3)
        parts = np.stack([(projector * power) @ projector.T for power in powers.T])
        # What noise of each power looks like where it is seen: blurred by the band limit.
        blurred = np.stack([np.einsum("pi,pi->p", drawn @ part, drawn) for part in parts], axis=1)

        def noise(covariance: Doubles) -> Doubles:
            seen = np.einsum("pi,pi->p", drawn @ covariance, drawn)
            parabola = np.linalg.lstsq(blurred, seen, rcond=None)[0]
            variance = powers @ parabola
            least = 0.05 * max(float(seen.mean() / blurred[:, 0].mean()), 0.0)
            if variance.min() >= least:
                made = np.tensordot(parabola, parts, 1)
            else:
                made = (projector * np.maximum(variance, least)) @ projector.T
            return np.asarray(made * (np.trace(covariance) / max(np.trace(made), 1e-300)))

        return noise

    def as_real(self, coefficients: Complex) -> Floats:
        """Coefficients (n, D) as (n, dof) real numbers."""
        turns = self.order > 0
        return np.concatenate([coefficients.real, coefficients.imag[:, turns]], axis=1, dtype=np.float32)

    def from_real(self, numbers: NDArray[np.floating]) -> Complex:
        """Undo `as_real`."""
        made = numbers[:, : len(self.order)].astype(np.complex64)
        made.imag[:, self.order > 0] = numbers[:, len(self.order) :]
        return made

    def images(self, coefficients: NDArray[np.complexfloating], shift_px: NDArray[np.floating] | None = None) -> Floats:
        """Images (n, ny, nx) of coefficients (n, D), about the centre or shifted by (n, 2); 0 outside the disc."""
        if shift_px is None:
            drawn = (coefficients @ self._about_centre[0].T).real
        else:
            weights = self.shifts.weights(shift_px).astype(np.float32)
            drawn = np.zeros((len(coefficients), self.shape[0] * self.shape[1]), np.float32)
            for weight, node in zip(weights.T, self.shifts.nodes_px, strict=True):
                sampled = self._sample(node)[0].astype(np.complex64)
                drawn += weight[:, None] * (coefficients @ sampled.T).real
        made = np.ascontiguousarray(drawn.reshape(-1, *self.shape), dtype=np.float32)
        made[:, ~self.covered] = 0
        return made

    def shift_slopes(self, coefficients: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
        """Derivatives (2, n, D) of coefficients (n, D) by a shift of their image along y and x, per px."""
        parts = np.concatenate([coefficients.real, coefficients.imag], axis=1)
        slopes: NDArray[np.complex128] = parts @ self._slopes
        return slopes

    @cached_property
    def _slopes(self) -> NDArray[np.complex128]:
        """(2, 2 D, D) derivatives by a shift of real, then of imaginary parts."""
        projector, step = self._project_about((0.0, 0.0)), 0.05  # px
        made = []
        for y, x in ((step, 0.0), (0.0, step)):
            drawn = (self._sample((y, x))[0] - self._sample((-y, -x))[0]) / (2 * step)
            made.append(np.concatenate([drawn.real, -drawn.imag], axis=1).T @ projector)
        return np.stack(made)

    @cached_property
    def covered(self) -> NDArray[np.bool_]:
        """(ny, nx) pixels of which at least a part lies in the disc."""
        return (self._about_centre[1] > 0).reshape(self.shape)

    def sampled_real(self) -> tuple[Floats, Floats]:
        """Pixel values (dof, p) of every real number of a description, and the share (p,) of each pixel in the disc."""
        sampled, weight = self._about_centre
        if self.bad_pixel is not None:
            weight = weight * ~self.bad_pixel.ravel()
        used = weight > 0
        real = np.concatenate([sampled.real, -sampled.imag[:, self.order > 0]], axis=1)
        return np.ascontiguousarray(real[used].T, np.float32), weight[used].astype(np.float32)

    @cached_property
    def _about_centre(self) -> tuple[NDArray[np.complex128], Doubles]:
        return self._sample((0.0, 0.0))

    def _sample(self, centre: tuple[float, float]) -> tuple[NDArray[np.complex128], Doubles]:
        """(pixels, D) harmonics about a centre, and (pixels,) share of each pixel in the disc."""
        order, wave = self._harmonics
        y = np.arange(self.shape[0])[:, None] - self.centre_px[0] - centre[0]
        x = np.arange(self.shape[1])[None, :] - self.centre_px[1] - centre[1]
        r, theta = np.hypot(y, x).ravel(), np.arctan2(y, x + 0 * y).ravel()
        weight = np.clip(self.radius_px + 0.5 - r, 0.0, 1.0)
        edge = wave * self.radius_px
        shape = np.ones_like(edge)
        shape[edge > 0] -= (order[edge > 0] / edge[edge > 0]) ** 2
        norm = np.sqrt(np.where(order > 0, 2.0, 1.0) / (math.pi * self.radius_px**2 * shape)) / np.abs(jv(order, edge))
        # Beyond the edge, where part of a pixel still counts, a flat edge goes on as it ends.
        inside = np.minimum(r, self.radius_px)
        radial = jv(order, wave * inside[:, None]) * norm
        return radial * np.exp(1j * theta[:, None] * order), weight

    def _project_about(self, centre: tuple[float, float]) -> NDArray[np.complex128]:
        """(pixels, D) weights of the pixels in every coefficient: weighted least squares."""
        sampled, weight = self._sample(centre)
        if self.bad_pixel is not None:
            weight = weight * ~self.bad_pixel.ravel()
        turns = self.order > 0
        real = np.concatenate([sampled.real, sampled.imag[:, turns]], axis=1)
        gram = (real * weight[:, None]).T @ real
        values = np.linalg.eigvalsh(gram)
        if values[0] <= values[-1] / _WORST_CONDITION:
            raise DataError(
                f"the good pixels inside {self.radius_px:g} px do not determine the {self.dof} harmonics",
                where="steerable description",
                fix="lower `band_limit`, make `radius_px` smaller, or fill bad pixels first",
            )
        solved = np.linalg.solve(gram, (real * weight[:, None]).T).T
        made = np.zeros(sampled.shape, np.complex128)
        made.real = solved[:, : len(self.order)]
        made.imag[:, turns] = -solved[:, len(self.order) :]
        return made
