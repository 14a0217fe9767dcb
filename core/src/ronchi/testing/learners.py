"""Contract of descriptor learners."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from ronchi.api import Context
from ronchi.errors import RonchiError
from ronchi.pipeline.encode import samples_of
from ronchi.schema import descriptors, schema_of
from ronchi.testing import data as examples
from ronchi.testing.compare import difference, result_difference
from ronchi.testing.failure import ContractError, NotApplicable
from ronchi.testing.running import RunningContract

__all__ = ["DescriptorLearnerContract"]

_PICKLED = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
_MASKABLE = ("crops/1", "fourd/1")


class DescriptorLearnerContract(RunningContract):
    """Contract of a descriptor learner.

    Attributes
    ----------
    max_rotation_change : float
        Of a learner that claims ``rotation-invariant``: how far descriptors may move when samples are turned by 90
        degrees, in standard deviations of the descriptors over the samples, as the median.
    """

    kind = "descriptor_learner"
    min_checks = 18
    max_rotation_change: ClassVar[float] = 0.5

    def check_every_announced_input_is_taken(self) -> None:
        """Data of every schema that the spec names are encoded, on the dims of their samples."""
        for schema in self.subject.spec.inputs["data"].split("|"):
            given = examples.example(schema)
            z = self.run(self.params[0], {"data": given}).data["z"]
            x, samples = samples_of(given)
            if [*samples, "component"] != list(z.dims) or z.shape[:-1] != tuple(x.sizes[dim] for dim in samples):
                raise ContractError(
                    f"of {schema} {dict(x.sizes)} it makes 'z' {dict(z.sizes)}",
                    where=self._code(self.params[0]),
                    fix=f"keep the sample dims {samples} and put 'component' last",
                )

    def check_samples_do_not_depend_on_each_other(self, params: Mapping[str, Any]) -> None:
        """Once fitted, samples one by one, in another order, or in other blocks are encoded the same."""
        usual = self.usual(params)
        for block in (1, 5):
            differs = result_difference(self.run(params, block=block), usual, rtol=self.number_tolerance)
            if differs:
                raise ContractError(
                    f"blocks of {block} samples are encoded differently from one block: {differs}",
                    where=self._code(params),
                    fix="learn in fit(); transform() uses each sample and the fitted state alone",
                )
        learner, x = self._fitted(params)
        dim = str(x.dims[0])
        back = {dim: slice(None, None, -1)}
        differs = difference(
            learner.transform(x.isel(back)).isel(back), learner.transform(x), rtol=self.number_tolerance
        )
        if differs:
            raise ContractError(
                f"samples in reverse order are encoded differently: {differs}",
                where=self._code(params),
                fix="transform() must not depend on the order of the samples",
            )

    def check_saved_state_encodes_the_same(self, params: Mapping[str, Any]) -> None:
        """What `save` wrote and `load` read encodes bit for bit the same, and holds no pickle."""
        learner, x = self._fitted(params)
        folder = Path("saved")
        folder.mkdir()
        learner.save(folder)
        for path in sorted(folder.rglob("*")):
            self._check_file(path, params)
        loaded = self.subject.create(params)
        loaded.load(folder)
        differs = difference(loaded.transform(x), learner.transform(x))
        if differs:
            raise ContractError(
                f"after save() and load() samples are encoded differently: {differs}",
                where=self._code(params),
                fix="save all that fit() learned, in the precision that transform() uses",
            )

    def _check_file(self, path: Path, params: Mapping[str, Any]) -> None:
        pickled = path.suffix in _PICKLED or (path.is_file() and path.read_bytes()[:1] == b"\x80")
        if path.is_file() and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                pickled |= any(name.endswith(".pkl") for name in archive.namelist())
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                pickled |= any(stored[name].dtype == object for name in stored.files)
        if pickled:
            raise ContractError(
                f"save() writes a pickle, {path.name}: whoever loads it runs the code in it",
                where=self._code(params),
                fix="write JSON, .npz of plain arrays, or .safetensors",
            )
        if path.is_dir():
            raise ContractError(
                f"save() makes a folder, {path.name}", where=self._code(params), fix="write plain files only"
            )

    def check_equal_samples_are_safe(self, params: Mapping[str, Any]) -> None:
        """Samples that are all the same constant give descriptors, or a RonchiError that says so."""
        given = {name: ds.copy(deep=True) for name, ds in self._example().items()}
        values = given["data"]["z" if "z" in given["data"] else "intensity"].values
        values[...] = 3
        try:
            self.run(params, given)
        except RonchiError as error:
            if not error.what.strip():
                raise ContractError("it refuses constant samples without a word", where=self._code(params)) from error

    def check_bad_pixels_do_not_count(self, params: Mapping[str, Any]) -> None:
        """What stands in a pixel that `bad_pixel` marks changes nothing."""
        results = []
        for value in (0.0, 50_000.0):
            data = self._maskable()
            bulk = data["intensity"]
            mask = np.zeros(bulk.shape[-2:], np.int8)
            at = (bulk.shape[-2] // 2 + 2, bulk.shape[-1] // 2 - 1)
            mask[at] = 1
            bulk.values[..., at[0], at[1]] = value
            data["bad_pixel"] = xr.Variable(bulk.dims[-2:], mask, {"units": "1", "long_name": "1 where bad"})
            results.append(self.run(params, {"data": data}))
        differs = result_difference(results[1], results[0], rtol=self.number_tolerance)
        if differs:
            raise ContractError(
                f"a pixel that is marked as bad changes the result: {differs} (50000 against 0 in the pixel)",
                where=self._code(params),
                fix="leave out pixels where x.coords['bad_pixel'] is not 0",
            )

    def check_samples_that_are_not_valid_do_not_count(self, params: Mapping[str, Any]) -> None:
        """What stands in a sample that `valid` excludes changes nothing, NaN included."""
        results = []
        for value in (0.0, np.nan):
            data = self._maskable()
            bulk = data["intensity"]
            samples = bulk.dims[:-2]
            mask = np.ones([bulk.sizes[dim] for dim in samples], np.int8)
            mask.flat[2] = 0
            bulk.values.reshape(-1, *bulk.shape[-2:])[2] = value
            data["valid"] = xr.Variable(samples, mask, {"units": "1", "long_name": "1 where a sample counts"})
            z = self.run(params, {"data": data}).data["z"].values.reshape(mask.size, -1)
            results.append(np.delete(z, 2, axis=0))
        if not np.isfinite(results[1]).all() or not np.allclose(
            results[0], results[1], rtol=self.number_tolerance, atol=1e-6
        ):
            raise ContractError(
                "NaN in a sample that `valid` excludes changes the descriptors of others",
                where=self._code(params),
                fix="leave out samples where x.coords['valid'] is 0, in fit() too",
            )

    def check_not_finite_samples_harm_no_others(self, params: Mapping[str, Any]) -> None:
        """NaN in a sample raises a RonchiError, or leaves the descriptors of all others finite."""
        data = self._maskable()
        data["intensity"].values.reshape(-1, *data["intensity"].shape[-2:])[2, 3, 4] = np.nan
        try:
            z = self.run(params, {"data": data}).data["z"].values
        except RonchiError:
            return
        others = np.delete(z.reshape(-1, z.shape[-1]), 2, axis=0)
        if not np.isfinite(others).all():
            raise ContractError(
                f"NaN in one sample makes {int((~np.isfinite(others)).any(-1).sum())} others NaN, in silence",
                where=self._code(params),
                fix="raise a DataError, or leave such samples out of the fit and give NaN for them alone",
            )

    def check_rotated_samples_have_the_same_descriptors(self, params: Mapping[str, Any]) -> None:
        """Where `rotation-invariant` is claimed, samples turned by 90 degrees have nearly the same descriptors."""
        if "rotation-invariant" not in self.subject.spec.capabilities:
            raise NotApplicable("the spec does not claim `rotation-invariant`")
        learner, x = self._fitted(params)
        turned = x.copy(data=np.rot90(x.values, -1, axes=(-2, -1)).copy())
        before, after = learner.transform(x)["z"].values, learner.transform(turned)["z"].values
        spread = np.std(before, axis=0) + 1e-12
        moved = float(np.nanmedian(np.abs(after - before) / spread))
        if not moved <= self.max_rotation_change:
            raise ContractError(
                f"descriptors move by {moved:.2g} standard deviations when samples are turned by 90 degrees, "
                f"allowed: {self.max_rotation_change:g}",
                where=self._code(params),
                fix="take `rotation-invariant` off the capabilities if this is how the learner is",
            )

    def _maskable(self) -> xr.Dataset:
        for name in _MASKABLE:
            if name in self.subject.spec.inputs["data"].split("|"):
                usual = self._example()["data"]
                return usual.copy(deep=True) if schema_of(usual) == name else examples.example(name)
        raise NotApplicable("it takes neither patterns nor crops")

    def _fitted(self, params: Mapping[str, Any]) -> tuple[Any, xr.DataArray]:
        data = self._example()["data"].copy(deep=True)
        x, _ = samples_of(data)
        learner = self.subject.create(params)
        scratch = Path("scratch").absolute()
        scratch.mkdir()
        learner.fit(x, Context(rng=np.random.default_rng(0), scratch=scratch))
        descriptors.validate(learner.transform(x), self.where(params))
        return learner, x
