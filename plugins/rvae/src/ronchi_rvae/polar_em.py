"""The learner ``polar-em``: classes of images, each seen at any angle and a small shift."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.schema.common import variable
from ronchi_rvae.em import Mixture, Responses, expectation, turned_back
from ronchi_rvae.learner import DiscLearner, principal_axes
from ronchi_rvae.params import PolarEmParams
from ronchi_rvae.poses import SCAN_ALL, angle_table
from ronchi_rvae.posterior import Pose, best_poses, common_fold
from ronchi_rvae.results import Encoded
from ronchi_rvae.search import Search, fit_mixture

__all__ = ["PolarEm"]

Floats = NDArray[np.float32]
Complex = NDArray[np.complex64]


class PolarEm(DiscLearner):
    """A mixture of templates.

    ``z`` are principal components of the images, turned back into the common frame of the templates.

    Parameters
    ----------
    params : PolarEmParams
    """

    name = "polar-em"
    params: PolarEmParams
    mixture: Mixture

    def sides(self) -> dict[str, xr.Dataset]:
        """Give the template of every class, its share of the samples and its symmetry."""
        means = self._image_side(
            self.mixture.templates,
            ("class",),
            coords={"class": variable("class", np.arange(self.mixture.size), "1", "class")},
            weight=variable("class", self.mixture.share, "1", "part of the samples"),
            n_fold=variable("class", self.mixture.fold, "1", "rotation symmetry; 0 if isotropic"),
        )
        return {"means": means}

    @property
    def n_fold(self) -> int:
        """Symmetry up to which the angles of all classes are defined."""
        return common_fold(self.mixture)

    def _learn(self, values: Floats, groups: NDArray[Any], ctx: Context) -> None:
        described = self.basis.describe(values)
        self.mixture = fit_mixture(self.basis, described, ctx.rng, Search.asked(self.params, ctx))
        pose = self._posed(described)[1]
        self._mean, self._axes = principal_axes(self._upright(described, pose), self.params.n_components)

    def _encode(self, values: Floats) -> Encoded:
        described = self.basis.describe(values)
        found, pose = self._posed(described)
        z = (self._upright(described, pose) - self._mean) @ self._axes.T
        nll = np.log(len(angle_table(self.basis.n_orders))) - found.log_likelihood
        return self._encoded(z, nll, found, pose)

    def _encoded(self, z: NDArray[Any], nll: NDArray[Any], found: Responses, pose: Pose) -> Encoded:
        shift_px = pose.shift_px if self.max_shift_px else None
        return Encoded(z, nll, pose.angle, pose.resultant, shift_px, pose.label, found.chance)

    def _posed(self, described: Complex) -> tuple[Responses, Pose]:
        found = expectation(self.basis, described, self.mixture, start=SCAN_ALL)
        return found, best_poses(self.basis, self.mixture, found)

    def _upright(self, described: Complex, pose: Pose) -> Floats:
        """(n, dof) images in the frame of the templates."""
        angle = np.nan_to_num(pose.angle)
        return self.basis.as_real(turned_back(self.basis, described, angle, pose.shift_px))

    def _decode(self, z: Floats) -> Complex:
        return self.basis.from_real(self._mean + z @ self._axes)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {**self.mixture.arrays(), "mean": self._mean, "axes": self._axes}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.mixture = Mixture.from_arrays(arrays)
        self._mean, self._axes = arrays["mean"], arrays["axes"]

    def _class_variables(self) -> dict[str, xr.Variable]:
        return {"class_n_fold": variable("class", self.mixture.fold, "1", "rotation symmetry of the class")}
