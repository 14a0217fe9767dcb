"""The learners ``vae`` and ``conv-ae``: images as they lie, to compare with those that turn them.

Sources: Kingma & Welling 2014, arXiv:1312.6114; Kalinin et al. 2021, Sci. Adv. 7, eabd5084,
doi:10.1126/sciadv.abd5084, Materials and Methods, "Convolutional AE".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ronchi_rvae.frames import Window
from ronchi_rvae.params_pixels import ConvAeParams, VaeParams
from ronchi_rvae.pixels import PixelLearner
from ronchi_rvae.results import Encoded
from ronchi_rvae.spatial_vae import VariationalLearner

if TYPE_CHECKING:
    from ronchi_rvae.convolutional import ConvAutoencoder
    from ronchi_rvae.variational import Variational

__all__ = ["ConvAe", "Vae"]

Floats = NDArray[np.float32]


class Vae(VariationalLearner):
    """Variational autoencoder of images as they lie.

    Parameters
    ----------
    params : VaeParams
    """

    name = "vae"
    params: VaeParams

    def _new_model(self, window: Window) -> Variational:
        from ronchi_rvae.networks import FlatDecoder
        from ronchi_rvae.variational import Variational

        p, n = self.params, int(self._used(window).sum())
        return Variational(
            FlatDecoder(self._content_size(), p.hidden, n),
            n_pixels=n,
            n_latent=p.n_components,
            n_classes=self.n_classes,
            n_conditions=len(self._known),
            hidden=p.hidden,
            pose=None,
            family=p.likelihood,
            learn_noise=p.noise == "learned",
        )


class ConvAe(PixelLearner):
    """Convolutional autoencoder.

    Parameters
    ----------
    params : ConvAeParams
    """

    name = "conv-ae"
    params: ConvAeParams
    model: ConvAutoencoder

    def _new_model(self, window: Window) -> ConvAutoencoder:
        import torch

        from ronchi_rvae.convolutional import ConvAutoencoder

        return ConvAutoencoder(torch.from_numpy(self._used(window)), self.params.n_components)

    def _encode(self, values: Floats, given: Floats) -> Encoded:
        import torch

        from ronchi_rvae.trainable import Phase
        from ronchi_torch.threads import thread_limit

        with thread_limit(1), torch.no_grad():
            seen = torch.from_numpy(np.ascontiguousarray(values))
            nothing = torch.empty(len(seen), 0)
            return Encoded(self.model.encode(seen).numpy(), -self.model(seen, nothing, nothing, Phase()).numpy())

    def _reconstruct(self, values: Floats, given: Floats) -> Floats:
        found = self._encode(values, given)
        return self._images(found.z, np.zeros(len(values)), given, np.zeros((len(values), 3), np.float32))

    def _images(self, z: Floats, label: NDArray[Any], given: Floats, pose: Floats) -> Floats:
        import torch

        from ronchi_torch.threads import thread_limit

        with thread_limit(1), torch.no_grad():
            return self._placed(self.model.decode(torch.from_numpy(z)).numpy())

    def _latent_grid(self) -> Floats:
        # Nothing holds these latents to any size: their own spread over the fitted images is the unit.
        return super()._latent_grid() * float(self.model.spread)
