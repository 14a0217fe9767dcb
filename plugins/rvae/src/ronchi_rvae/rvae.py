"""The learners ``rvae`` and ``rrvae``: a few latents that decode to an image seen at any angle.

A mixture of templates finds the angles and shifts first: it has no way to trade them for content, and starts nowhere
near a local minimum of an angle. The autoencoder then learns what varies inside and between the classes.

Sources: Bepler et al. 2019, arXiv:1909.11663; Kalinin et al. 2021, Sci. Adv. 7, eabd5084, doi:10.1126/sciadv.abd5084;
Oxley et al. 2021, npj Comput. Mater. 7, 65, doi:10.1038/s41524-021-00527-3. There an encoder gives the angle; here it
is integrated over.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit, gammaln

from ronchi.api import Context
from ronchi.schema.common import variable
from ronchi_rvae.edges import signal_at_edge
from ronchi_rvae.em import turned_back
from ronchi_rvae.holdout import hold_out
from ronchi_rvae.params import RrvaeParams, RvaeParams
from ronchi_rvae.polar_em import PolarEm
from ronchi_rvae.poses import STAY, fit_poses
from ronchi_rvae.posterior import Pose, best_poses, wrapped
from ronchi_rvae.results import Encoded

if TYPE_CHECKING:
    import torch

    from ronchi_rvae.autoencoder import Autoencoder

__all__ = ["Rrvae", "Rvae"]

Floats = NDArray[np.float32]
Complex = NDArray[np.complex64]

_GRID = np.linspace(-2, 2, 9, dtype=np.float32)
"""Latents at which the manifold is drawn, in standard deviations of the prior."""
_LEAST_BATCH, _STEPS = 16, 40
"""Of few samples smaller batches are made, so that an epoch has so many steps."""
_AT_ONCE = 2048
"""Images whose factorials are taken at a time."""
_RENEW = 10
"""Epochs after which angles and shifts are found anew, against what each image is decoded to by then."""
_LEAST_RATE, _MOST_RATE = 1e-3, 1 - 1e-3


class _Seen(NamedTuple):
    """Latents (n, n_latent), log-likelihoods (n,) less the divergence of the latents, in nats, and poses of images.

    The likelihood is that at the most likely latents, not its mean over them: this is no bound.
    """

    z: Floats
    fit: Floats
    pose: Pose


class Rvae(PolarEm):
    """Autoencoder of images at any angle and a small shift.

    Parameters
    ----------
    params : RvaeParams or RrvaeParams
    """

    name = "rvae"
    params: RvaeParams | RrvaeParams  # type: ignore[assignment]
    model: Autoencoder

    def sides(self) -> dict[str, xr.Dataset]:
        """Give the templates that it started from, and images over the first two latents, the others being 0."""
        n = min(2, self.params.n_components)
        axes = np.meshgrid(*[_GRID] * n, indexing="ij")
        z = np.zeros((*axes[0].shape, self.params.n_components), np.float32)
        for i in range(n):
            z[..., i] = axes[n - 1 - i]
        names = tuple(f"z{i}" for i in reversed(range(n)))
        coords = {name: variable(name, _GRID, "1", f"latent {name}") for name in names}
        flat = self._decode(z.reshape(-1, z.shape[-1]))
        manifold = self._image_side(flat.reshape(*z.shape[:-1], -1), names, coords=coords)
        return {**super().sides(), "manifold": manifold}

    def _learn(self, values: Floats, groups: NDArray[Any], ctx: Context) -> None:
        import torch

        from ronchi_rvae.fitting import fitted_curves
        from ronchi_rvae.training import Schedule
        from ronchi_torch.threads import thread_limit

        super()._learn(values, groups, ctx)
        p = self.params
        held = hold_out(groups, p.held_out, ctx.rng)
        seed = int(ctx.rng.integers(2**62))
        described = self.basis.describe(values)
        pose = self._posed(described)[1]
        upright = self._upright(described, pose)

        def renew(seen: torch.Tensor) -> torch.Tensor:
            # While it is trained, the model is where the training is.
            device = next(self.model.parameters()).device
            with thread_limit(1), torch.no_grad():
                canonical = self.model.decode(self.model.encode(seen.to(device))[0]).cpu()
            return torch.from_numpy(self._upright(described, self._refined(described, canonical.numpy(), pose)))

        self.model = self._new_model(seed)
        self.model.standardise(torch.from_numpy(upright[~held]), *self._canonical_units(upright[~held]))
        batch = min(p.batch, max(_LEAST_BATCH, int((~held).sum()) // _STEPS))
        curves = fitted_curves(
            self.model,
            torch.from_numpy(upright),
            torch.empty(len(upright), 0),
            held,
            Schedule(p.epochs, batch, p.learning_rate, p.patience, cosine=True, renew=_RENEW),
            ctx,
            seed=seed,
            identity=json.dumps([self.name, p.model_dump(mode="json")]),
            renew=renew,
        )
        alone = self._of_pixels_alone(values, described)
        of = {"bound": alone[~held], "bound_held_out": alone[held]}
        self._curves = {name: [bound + float(of[name].mean()) for bound in curve] for name, curve in curves.items()}

    def _encode(self, values: Floats) -> Encoded:
        described = self.basis.describe(values)
        found, pose = self._posed(described)
        own = self._seen_as(described, pose)
        alone = self._of_pixels_alone(values, described)
        if not self.params.mirror:
            return self._encoded(own.z, -own.fit - alone, found, own.pose)
        other = self._seen_as(described, best_poses(self.basis, self.mixture, found, other_hand=True))
        swaps = other.fit > own.fit
        z = np.where(swaps[:, None], other.z, own.z)
        chosen = Pose(
            *(np.where(swaps.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(own.pose, other.pose, strict=True))
        )
        both = np.logaddexp(own.fit, other.fit)
        made = self._encoded(z, math.log(2) - both - alone, found, chosen)
        # A class without a hand has one pose, and leaves the mirror open.
        chance = np.where(own.pose.mirrored == other.pose.mirrored, 0.5, np.exp(own.fit - both))
        return replace(made, mirror_prob=np.where(own.pose.mirrored, chance, 1 - chance))

    def _seen_as(self, described: Complex, pose: Pose) -> _Seen:
        """Latents of images, given their poses, which are made better."""
        import torch

        from ronchi_rvae.autoencoder import divergence
        from ronchi_torch.threads import thread_limit

        with thread_limit(1), torch.no_grad():
            mean, log_variance = self.model.encode(torch.from_numpy(self._upright(described, pose)))
            canonical = self.model.decode(mean)
            pose = self._refined(described, canonical.numpy(), pose)
            evidence = self.model.likelihood.of_one_hand(canonical, torch.from_numpy(self._upright(described, pose)))
            fit = evidence - divergence(mean, log_variance)
        return _Seen(mean.numpy(), fit.numpy(), pose)

    def _of_pixels_alone(self, values: Floats, described: Complex) -> NDArray[np.float64]:
        """(n,) log-likelihood of images (n, ny, nx) that no canonical image changes, in nats: that of the factorials.

        That of gaussian noise is part of `Likelihood`, and odds have none.
        """
        if self.params.likelihood != "poisson":
            return np.zeros(len(values))
        weight = self.model.likelihood.weight.numpy()
        made = np.empty(len(values))
        for rows in np.array_split(np.arange(len(values)), len(values) // _AT_ONCE + 1):
            counts = self._filled(values[rows], described[rows])[:, self.basis.covered] * self._intensity.scale
            made[rows] = -gammaln(np.maximum(counts, 0) + 1.0) @ weight.astype(np.float64)
        return made

    def _filled(self, values: Floats, described: Complex) -> Floats:
        """Images with what their description has at bad pixels, which `Likelihood` is given."""
        if self.basis.bad_pixel is None:
            return values
        still = np.zeros((len(values), 2))
        here = turned_back(self.basis, described, still[:, 0], still, np.zeros(len(values), bool))
        return np.where(self.basis.bad_pixel, self.basis.images(here), values)

    def _refined(self, described: Complex, canonical: Floats, pose: Pose) -> Pose:
        """Angles and shifts against each image's own canonical one, from those against the templates."""
        own = self.basis.from_real(canonical)
        np.conj(own, out=own, where=pose.mirrored[:, None])
        every = np.arange(len(own))
        angle = np.nan_to_num(pose.angle)
        if self.params.likelihood != "gaussian":
            # Rates and odds are no means: the pose is kept, and only the integral over angles corrects it.
            return pose
        fitted = fit_poses(
            self.basis,
            described,
            own,
            every,
            every,
            angle,
            pose.shift_px,
            variance=self.mixture.variance,
            shift_sigma_px=self.mixture.shift_sigma_px,
            edge_signal=signal_at_edge(self.basis, self.mixture),
            start=STAY,
        )
        better = np.where(np.isnan(pose.angle), np.nan, wrapped(fitted.angle, self.mixture))
        return pose._replace(angle=better, shift_px=fitted.shift_px)

    def _new_model(self, seed: int) -> Autoencoder:
        import torch

        from ronchi_rvae.autoencoder import Autoencoder
        from ronchi_rvae.marginal import Likelihood

        p = self.params
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            likelihood = Likelihood(
                self.basis, p.likelihood, self.mixture.variance, unit=self._intensity.scale, mirror=p.mirror
            )
            return Autoencoder(self.basis.dof, p.n_components, p.hidden, likelihood)

    def _canonical_units(self, upright: Floats) -> tuple[torch.Tensor, float]:
        """Where the decoder starts, and the size of its steps."""
        import torch

        mean = upright.mean(axis=0)
        if self.params.likelihood == "gaussian":
            spread = float(upright.var(axis=0).mean()) - self.mixture.variance
            return torch.from_numpy(mean), float(np.sqrt(max(spread, 0.01 * self.mixture.variance)))
        drawn, _ = self.basis.sampled_real()
        rate = np.maximum(self._intensity.scale * (mean @ drawn), _LEAST_RATE)
        if self.params.likelihood == "bernoulli":
            rate = np.minimum(rate, _MOST_RATE) / (1 - np.minimum(rate, _MOST_RATE))
        natural = np.linalg.lstsq(drawn.T, np.log(rate), rcond=None)[0]
        return torch.from_numpy(natural.astype(np.float32)), 0.1

    def _decode(self, z: Floats) -> Complex:
        import torch

        from ronchi_torch.threads import thread_limit

        with thread_limit(1), torch.no_grad():
            canonical = self.model.decode(torch.from_numpy(np.ascontiguousarray(z))).numpy()
        if self.params.likelihood == "gaussian":
            return self.basis.from_real(canonical)
        drawn, _ = self.basis.sampled_real()
        natural = canonical @ drawn
        rate = np.exp(natural) if self.params.likelihood == "poisson" else expit(natural)
        rate /= np.float32(self._intensity.scale)
        return self.basis.from_real(np.linalg.lstsq(drawn.T, rate.T, rcond=None)[0].T)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        weights = {f"model.{name}": value.numpy() for name, value in self.model.state_dict().items()}
        return {**super()._arrays(), **weights}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        import torch

        super()._restore(arrays)
        self.model = self._new_model(0).eval()
        held = {name[6:]: torch.from_numpy(a.copy()) for name, a in arrays.items() if name.startswith("model.")}
        self.model.load_state_dict(held)


class Rrvae(Rvae):
    """The same without shifts.

    Parameters
    ----------
    params : RrvaeParams
    """

    name = "rrvae"
