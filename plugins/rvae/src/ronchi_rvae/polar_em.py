"""The learner ``polar-em``: classes of images, each seen at any angle and a small shift."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.schema.common import variable
from ronchi_rvae.certainty import over_shifts
from ronchi_rvae.em import expectation, turned_back
from ronchi_rvae.learner import DiscLearner, blocks, principal_axes
from ronchi_rvae.mixture import Mixture, Responses
from ronchi_rvae.params import PolarEmParams
from ronchi_rvae.poses import SCAN_ALL, angle_table
from ronchi_rvae.posterior import Pose, best_poses, common_fold, mirror_chance
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
            **self._symmetries(),
        )
        return {"means": means}

    def reconstruct(self, x: xr.DataArray) -> xr.DataArray:
        """What the samples are taken to be, at their angle and shift, and in the mirror where they are seen there.

        Returns
        -------
        (*samples, ny, nx) DataArray
            In the units of the data, but for the probe and for what ``normalise`` took out; NaN outside of the disc,
            and for samples that cannot be used.
        """
        values, good = self._seen(x)
        images = np.concatenate([self._reconstructed(part) for part in blocks(values, self.basis)])
        images[~good] = np.nan
        return x.copy(data=images.reshape(x.shape))

    def _reconstructed(self, values: Floats) -> Floats:
        found = self._encode(values)
        angle = np.zeros(len(values)) if found.angle is None else np.nan_to_num(found.angle)
        canonical = self._decode(found.z.astype(np.float32))
        if found.mirror is not None:
            np.conj(canonical, out=canonical, where=(found.mirror == 1)[:, None])
        turned = canonical * np.exp(-1j * angle[:, None] * self.basis.order)
        shift_px = np.zeros((len(values), 2)) if found.shift_px is None else found.shift_px
        return self._in_disc(self.basis.images(turned.astype(np.complex64), shift_px))

    @property
    def n_fold(self) -> int:
        """Symmetry up to which the angles of all classes are defined."""
        return common_fold(self.mixture)

    def _learn(self, values: Floats, groups: NDArray[Any], ctx: Context) -> None:
        wanted = self.params.n_classes
        if wanted != "auto" and wanted > len(values):
            what = f"{len(values)} usable samples are too few for {wanted} classes"
            raise DataError(what, where=f"{self.name}: n_classes", fix="n_classes: auto, or give more samples")
        described = self.basis.describe(values)
        self.mixture = fit_mixture(self.basis, described, ctx.rng, Search.asked(self.params, ctx))
        if wanted == "auto" and self.mixture.size >= self.params.max_classes > 1:
            ctx.log.warning(
                "%s: %d classes, the most that `max_classes` allows; there may be more, or images vary without them: "
                "`n_classes: 1` and `n_components` describe that. At less than a count an atom classes tell nothing",
                self.name,
                self.mixture.size,
            )
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
        chance = self.mixture.by_class(found.chance)
        made = Encoded(z, nll, pose.angle, pose.resultant, shift_px, pose.label, chance)
        if not self.params.mirror:
            return made
        hand = np.where(self.mixture.has_hand[pose.label], pose.mirrored, -1)
        return replace(made, mirror=hand, mirror_prob=mirror_chance(self.mixture, found))

    def _posed(self, described: Complex) -> tuple[Responses, Pose]:
        found = expectation(self.basis, described, self.mixture, start=SCAN_ALL)
        found = over_shifts(self.basis, described, self.mixture, found)
        return found, best_poses(self.basis, self.mixture, found)

    def _upright(self, described: Complex, pose: Pose) -> Floats:
        """(n, dof) images in the frame of the templates."""
        angle = np.nan_to_num(pose.angle)
        return self.basis.as_real(turned_back(self.basis, described, angle, pose.shift_px, pose.mirrored))

    def _decode(self, z: Floats) -> Complex:
        return self.basis.from_real(self._mean + z @ self._axes)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {**self.mixture.arrays(), "mean": self._mean, "axes": self._axes}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.mixture = Mixture.from_arrays(arrays)
        self._mean, self._axes = arrays["mean"], arrays["axes"]

    def _class_variables(self) -> dict[str, xr.Variable]:
        return {f"class_{name}": held for name, held in self._symmetries().items()}

    def _symmetries(self) -> dict[str, xr.Variable]:
        told = {"n_fold": variable("class", self.mixture.fold, "1", "rotation symmetry of the class; 0 if isotropic")}
        if self.params.mirror:
            handed = self.mixture.has_hand.astype(np.int8)
            told["handed"] = variable("class", handed, "1", "1 where the mirror image of the class differs")
        return told
