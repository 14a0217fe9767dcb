"""The learners ``spatial-vae`` and ``jrvae``: an encoded angle and shift, and a decoder of turned coordinates.

The published rotationally invariant autoencoder, repaired; the angle comes from an encoder and is one number, so that
it holds for small rotations. `ronchi_rvae.rvae` integrates over the angle instead.

Sources: Bepler et al. 2019, arXiv:1909.11663; Kalinin et al. 2021, Sci. Adv. 7, eabd5084, doi:10.1126/sciadv.abd5084.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.schema.common import variable
from ronchi_rvae.frames import Window
from ronchi_rvae.params_pixels import JrvaeParams, SpatialVaeParams, VaeParams
from ronchi_rvae.pixel_window import circle_radius_px
from ronchi_rvae.pixels import PixelLearner
from ronchi_rvae.results import Encoded

if TYPE_CHECKING:
    from ronchi_rvae.variational import Posterior, Variational

__all__ = ["Jrvae", "SpatialVae", "VariationalLearner"]

Floats = NDArray[np.float32]

_SHIFT_SHARE = 0.05
"""Standard deviation of the published prior of shifts, as a share of the window."""


class VariationalLearner(PixelLearner):
    """Base of the learners with a `Variational` model.

    Parameters
    ----------
    params : VaeParams, SpatialVaeParams or JrvaeParams
    """

    params: VaeParams | SpatialVaeParams | JrvaeParams
    model: Variational

    @property
    def n_classes(self) -> int:
        """Classes of the model; 1 if it has none."""
        return int(getattr(self.params, "n_classes", 1))

    def sides(self) -> dict[str, xr.Dataset]:
        """Give the manifold, and for every class the image at the mean latents of its samples."""
        made = super().sides()
        if self.n_classes > 1:
            middle = self.model.class_content.numpy()
            images = np.concatenate([self.decode(middle[k : k + 1], label=k).values for k in range(self.n_classes)])
            classes = {"class": variable("class", np.arange(self.n_classes), "1", "class")}
            made["means"] = self._image_side(images, ("class",), classes)
        return made

    def _unit_px(self, window: Window) -> float:
        """Unit of the shifts of the model."""
        return circle_radius_px(window, self.params, self.name)

    def _posterior(self, values: Floats, given: Floats) -> Posterior:
        import torch

        from ronchi_torch.threads import thread_limit

        with thread_limit(1), torch.no_grad():
            return self.model.posterior(torch.from_numpy(np.ascontiguousarray(values)), torch.from_numpy(given))

    def _encode(self, values: Floats, given: Floats) -> Encoded:
        found = self._posterior(values, given)
        posed: dict[str, NDArray[Any]] = {}
        if self.model.pose:
            # The posterior is normal: its mean of exp(i angle) has this length.
            certainty = np.exp(-0.5 * found.angle_sigma.numpy() ** 2)
            posed = {"angle": found.pose[:, 0].numpy(), "angle_R": certainty}
            if self.model.pose.shift_sigma:
                posed["shift_px"] = found.pose[:, 1:].numpy() * np.float32(self._unit_px(self._fitted()))
        if self.n_classes > 1:
            posed |= {"label_prob": found.label_prob.numpy(), "label": found.label_prob.argmax(1).numpy()}
        return Encoded(found.z.numpy(), found.nll.numpy(), **posed)

    def _reconstruct(self, values: Floats, given: Floats) -> Floats:
        found = self._posterior(values, given)
        return self._images(found.z.numpy(), found.label_prob.argmax(1).numpy(), given, found.pose.numpy())

    def _images(self, z: Floats, label: NDArray[Any], given: Floats, pose: Floats) -> Floats:
        import torch

        from ronchi_torch.threads import thread_limit

        with thread_limit(1), torch.no_grad():
            told = (torch.from_numpy(np.ascontiguousarray(part)) for part in (z, label.astype(np.int64), given, pose))
            return self._placed(self.model.draw(*told).numpy())

    def _content_size(self) -> int:
        return self.params.n_components + len(self._known) + (self.n_classes if self.n_classes > 1 else 0)


class SpatialVae(VariationalLearner):
    """Autoencoder with an encoded angle and shift, and a decoder of coordinates.

    Parameters
    ----------
    params : SpatialVaeParams
    """

    name = "spatial-vae"
    params: SpatialVaeParams

    def _new_model(self, window: Window) -> Variational:
        import torch

        from ronchi_rvae.networks import CoordinateDecoder
        from ronchi_rvae.variational import PosePrior, Variational

        p, used, unit = self.params, self._used(window), self._unit_px(window)
        y, x = np.nonzero(used)
        # One unit along both axes: else a turn of a window that is not square would shear it.
        places = np.stack([x - window.centre_px[1], y - window.centre_px[0]], 1) / unit
        shift_px = _SHIFT_SHARE * min(window.shape) if p.shift_prior_px is None else p.shift_prior_px
        decoder = CoordinateDecoder(torch.from_numpy(places.astype(np.float32)), self._content_size(), p.hidden)
        return Variational(
            decoder,
            n_pixels=len(places),
            n_latent=p.n_components,
            n_classes=self.n_classes,
            n_conditions=len(self._known),
            hidden=p.hidden,
            pose=PosePrior(p.angle_prior_rad, shift_px / unit, p.prior == "proper"),
            family=p.likelihood,
            learn_noise=p.noise == "learned",
        )


class Jrvae(SpatialVae):
    """The same with classes, which are summed over.

    Parameters
    ----------
    params : JrvaeParams
    """

    name = "jrvae"
