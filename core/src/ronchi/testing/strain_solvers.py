"""Contract of strain solvers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from ronchi.errors import RonchiError
from ronchi.schema import peaks as peaks_schema
from ronchi.schema.strain import COMPONENTS
from ronchi.testing import data as examples
from ronchi.testing.compare import difference
from ronchi.testing.failure import ContractError, NotApplicable
from ronchi.testing.running import RunningContract

__all__ = ["StrainSolverContract"]

_CASES: tuple[Mapping[str, float], ...] = (
    # All at once first: a single component would look the same after several mistakes.
    {"e_xx": 0.02, "e_yy": -0.01, "e_xy": 0.006, "theta": 0.015},
    {"e_xx": 0.02},
    {"e_yy": 0.02},
    {"e_xy": 0.015},
    {"theta": 0.03},
)


class StrainSolverContract(RunningContract):
    """Contract of a strain solver.

    The peaks are those of a scan of 3 rows and 8 columns, of which columns 6 and 7 are strained. A solver whose
    default reference is neither the median over the scan nor a region must be given one by `params`.

    Attributes
    ----------
    max_error : float
        Largest error of a component of strain (rad for theta) on peaks that are known to 0.01 px.
    """

    kind = "strain_solver"
    min_checks = 18
    max_error: ClassVar[float] = 1e-3

    def check_unstrained_lattice_has_no_strain(self, params: Mapping[str, Any]) -> None:
        """A perfect lattice has no strain and no rotation."""
        self._recovered(params, {})

    def check_strain_has_the_right_sign_and_axes(self, params: Mapping[str, Any]) -> None:
        """Each component alone, and all together, come out where and as they are: expansion > 0, theta from x to y."""
        for case in _CASES:
            self._recovered(params, case)

    def check_axes_may_have_different_steps(self, params: Mapping[str, Any]) -> None:
        """Pixels of the detector need not be square."""
        self._recovered(params, _CASES[0], q_step=(0.02, 0.03))

    def check_strain_is_given_in_the_frame_of_the_scan(self, params: Mapping[str, Any]) -> None:
        """With `scan_rotation_deg` 90, what is along x on the detector is along y on the scan, and `frame` says so."""
        result = self._solve(params, examples.lattice_peaks(0.02, 0.0, 0.0, 0.0, scan_rotation_deg=90.0))
        got = {name: float(np.median(result[name].values[:, 6:])) for name in ("e_xx", "e_yy")}
        if result.attrs["frame"] != "scan" or abs(got["e_yy"] - 0.02) > self.max_error or abs(got["e_xx"]) > 2e-3:
            raise ContractError(
                f"e_xx {got['e_xx']:+.4f}, e_yy {got['e_yy']:+.4f} in the frame {result.attrs['frame']!r}, expected "
                "e_xx +0.0000, e_yy +0.0200 in the frame 'scan'",
                where=self._code(params),
                fix="turn the strain by scan_rotation_deg, the angle from the patterns' x axis to the scan's",
            )

    def check_missing_peaks_are_tolerated(self, params: Mapping[str, Any]) -> None:
        """A third of the peaks may be missing."""
        self._recovered(params, _CASES[0], missing=0.33)

    def check_order_of_peaks_does_not_matter(self, params: Mapping[str, Any]) -> None:
        """The peaks of a position may come in any order."""
        data = self._example()["peaks"]
        edges = peaks_schema.offsets(data)
        rng = np.random.default_rng(5)
        order = np.concatenate([rng.permutation(np.arange(a, b)) for a, b in itertools.pairwise(edges)])
        differs = difference(
            self._solve(params, data.isel(peak=order)), self.usual(params).data, rtol=1e-3, atol=self.max_error / 10
        )
        if differs:
            raise ContractError(
                f"another order of the peaks gives another result: {differs}",
                where=self._code(params),
                fix="do not take the first peak, or its neighbours in the table, for anything special",
            )

    def check_positions_without_peaks_are_unfit(self, params: Mapping[str, Any]) -> None:
        """Positions with no peaks, or two, are NaN with `valid` 0, and others stay as they are."""
        data = self._example()["peaks"]
        edges, kept = peaks_schema.offsets(data), np.ones(data.sizes["peak"], bool)
        kept[edges[1] : edges[2]] = False
        kept[edges[9] + 2 : edges[10]] = False
        counts = data["n_peaks"].values.copy()
        counts[1], counts[9] = 0, 2
        spoilt = data.isel(peak=kept)
        spoilt["n_peaks"] = ("pos", counts, data["n_peaks"].attrs)
        result = self._solve(params, spoilt)
        for y, x in ((0, 1), (1, 1)):
            values = {name: float(result[name].values[y, x]) for name in COMPONENTS}
            if any(np.isfinite(list(values.values()))) or result["valid"].values[y, x]:
                raise ContractError(
                    f"at scan_y {y}, scan_x {x}, with {counts[y * 8 + x]} peaks, the strain is {values}",
                    where=self._code(params),
                    fix="NaN and valid 0 where there is no fit, never 0",
                )
        self._compare(params, result, _CASES[0], "beside positions without peaks")

    def check_no_peaks_at_all_are_told(self, params: Mapping[str, Any]) -> None:
        """A scan without any peak raises a RonchiError, or has no valid position."""
        data = self._example()["peaks"]
        empty = data.isel(peak=slice(0, 0))
        empty["n_peaks"] = ("pos", np.zeros(data.sizes["pos"], np.int32), data["n_peaks"].attrs)
        try:
            result = self._solve(params, empty)
        except RonchiError:
            return
        if result["valid"].values.any():
            raise ContractError("positions without peaks are valid", where=self._code(params))

    def check_stated_errors_are_of_the_right_size(self, params: Mapping[str, Any]) -> None:
        """Where `covariance` is claimed, true errors are neither far larger nor far smaller than those stated."""
        if "covariance" not in self.subject.spec.capabilities:
            raise NotApplicable("the spec does not claim `covariance`")
        result = self._solve(params, examples.lattice_peaks(0.0, 0.0, 0.0, 0.0, sigma_px=0.05, seed=3))
        pulls = [np.abs(result[name].values / result[f"se_{name}"].values).ravel() for name in COMPONENTS]
        ratio = float(np.median(np.concatenate(pulls)) / 0.6745)
        if not 0.3 < ratio < 3:
            raise ContractError(
                f"errors are {ratio:.2g} times the standard errors stated (robust mean over all components)",
                where=self._code(params),
                fix="propagate the variances of the peaks to `se_*`",
            )

    def _solve(self, params: Mapping[str, Any], peaks: xr.Dataset) -> xr.Dataset:
        return self.run(params, {"peaks": peaks}).data

    def _recovered(self, params: Mapping[str, Any], strain: Mapping[str, float], **how: Any) -> None:
        given = {name: strain.get(name, 0.0) for name in COMPONENTS}
        text = ", ".join(f"{name} = {value:g}" for name, value in strain.items()) or "no strain"
        peaks = examples.lattice_peaks(*(given[name] for name in COMPONENTS), **how)
        self._compare(params, self._solve(params, peaks), given, f"of {text}")

    def _compare(self, params: Mapping[str, Any], result: xr.Dataset, strain: Mapping[str, float], what: str) -> None:
        got = {name: float(np.nanmedian(result[name].values[:, 6:])) for name in COMPONENTS}
        rest = {name: float(np.nanmedian(result[name].values[:, :6])) for name in COMPONENTS}
        off = {
            name: max(abs(got[name] - strain.get(name, 0.0)), abs(rest[name])) for name in COMPONENTS
        }  # fmt: skip
        wrong = [name for name in COMPONENTS if not off[name] <= self.max_error]
        if wrong:
            table = ", ".join(f"{name} {got[name]:+.4f} ({strain.get(name, 0.0):+.4f})" for name in COMPONENTS)
            raise ContractError(
                f"a lattice {what} comes out with, found (true): {table}{_guess(got, strain, self.max_error)}",
                where=self._code(params),
                fix="real-space strain, expansion > 0, x to the right, y downwards, theta from x towards y",
            )


def _guess(got: Mapping[str, float], true: Mapping[str, float], near: float) -> str:
    """What explains a wrong strain, if exchanged axes or signs do."""
    wanted = [true.get(name, 0.0) for name in COMPONENTS]
    xx, yy, xy, turn = (got[name] for name in COMPONENTS)
    moved = {
        "x and y are exchanged": (yy, xx, xy, -turn),
        "the shear has the wrong sign": (xx, yy, -xy, turn),
        "the shear is twice as large, an angle instead of e_xy": (xx, yy, xy / 2, turn),
        "theta has the wrong sign": (xx, yy, xy, -turn),
        "shear and theta have the wrong signs, as if y ran upwards": (xx, yy, -xy, -turn),
        "strain and rotation are those of the reciprocal lattice": (-xx, -yy, -xy, turn),
        "x and y are exchanged, theta is not turned": (yy, xx, xy, turn),
        "theta is in degrees": (xx, yy, xy, float(np.deg2rad(turn))),
    }
    for text, values in moved.items():
        if np.abs(np.subtract(values, wanted)).max() <= 2 * near:
            return f"; it looks as if {text}"
    return ""
