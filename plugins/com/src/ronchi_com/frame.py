"""How the detector lies relative to the scan, and how that is known: given, calibrated before, or fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import CalibrationError, Context
from ronchi_com.params import DpcParams
from ronchi_com.rotation import ENOUGH, MIN_SIZE, RotationFit, fit_rotation

__all__ = ["Frame", "frame_of"]

Floats = NDArray[np.float64]

_CONTRADICTION_DEG = 5.0
_CONTRADICTION_SIGMA = 4.0


@dataclass(frozen=True)
class Frame:
    """The frame that is used; see `RotationFit` for the names.

    ``source`` is ``"given"``, ``"scan_rotation_deg"`` or ``"fit"``; ``sd_deg`` is NaN unless fitted. ``sign_source``
    is the same where the angle was told, ``"atoms"`` where the half turn rests on the assumption that the sample
    is atoms or particles, and ``"unknown"`` where nothing tells it.
    """

    rotation_deg: float
    flipped: bool
    source: str
    sd_deg: float = math.nan
    rotation_resolved: bool = True
    flip_resolved: bool = True
    sign_resolved: bool = True

    @property
    def sign_source(self) -> str:
        """What the half turn rests on."""
        return self.source if self.source != "fit" else "atoms" if self.sign_resolved else "unknown"

    def attrs(self) -> dict[str, Any]:
        """Attributes of the result."""
        return {
            "rotation_deg": self.rotation_deg,
            "rotation_sd_deg": self.sd_deg,
            "rotation_source": self.source,
            "rotation_resolved": int(self.rotation_resolved),
            "flipped": int(self.flipped),
            "flip_resolved": int(self.flip_resolved),
            "sign_resolved": int(self.sign_resolved),
            "sign_source": self.sign_source,
        }


def frame_of(
    params: DpcParams,
    attrs: Mapping[str, Any],
    com: tuple[Floats, Floats],
    step: tuple[float, float],
    ctx: Context,
) -> Frame:
    """Choose the frame as the parameters say.

    Parameters
    ----------
    attrs : mapping
        Of the data set; may hold ``scan_rotation_deg``.
    com : tuple of (ny, nx) float
        Deflections y and x in the frame of the detector.
    step : tuple of float
        Distance of the positions along y and x.

    Raises
    ------
    CalibrationError
        The data do not show the rotation and ``on_unclear`` is ``"refuse"``, the scan is too small for that,
        or ``scan_rotation_deg`` is asked for and absent.
    """
    # What nobody said of a detector whose rotation is known is taken for a no, and not for resolved.
    flip = None if params.flip == "auto" else params.flip
    if not isinstance(params.rotation, str):
        return Frame(_wrapped(params.rotation), bool(flip), "given", flip_resolved=flip is not None)
    known = float(attrs.get("scan_rotation_deg", math.nan)) if params.rotation != "fit" else math.nan
    atoms = params.sign == "atoms"
    fit = fit_rotation(*com, step, ctx.rng, flip, atoms) if min(com[0].shape) >= MIN_SIZE else None
    if math.isfinite(known):
        frame = Frame(_wrapped(known), bool(flip), "scan_rotation_deg", flip_resolved=flip is not None)
        if fit is not None:
            _warn_if_contradicted(frame, fit, ctx)
        return frame
    if params.rotation == "known":
        raise CalibrationError(
            "the attribute scan_rotation_deg is missing",
            where="dpc",
            fix="give `rotation` in degrees, or `rotation: fit`",
        )
    return _fitted(fit, com[0].shape, params.on_unclear == "keep", ctx)


def _fitted(fit: RotationFit | None, shape: tuple[int, ...], keep: bool, ctx: Context) -> Frame:
    if fit is None:
        raise CalibrationError(
            f"a scan of {shape[0]} x {shape[1]} positions is too small to show the rotation",
            where="dpc",
            fix=f"give `rotation` in degrees, or scan {ENOUGH} x {ENOUGH} positions or more",
        )
    if not (fit.clear or keep):
        left = f"curl is still {fit.curl_fraction:.0%} of the squared derivatives, as noise may leave it"
        raise CalibrationError(
            "the centres of mass do not show the rotation between scan and detector"
            + (f": at the best angle {left}" if fit.curl_fraction >= 0.005 else ""),
            where="dpc",
            fix="give `rotation` in degrees, or `on_unclear: keep` to go on with the best guess"
            + (f", or scan {ENOUGH} x {ENOUGH} positions or more" if min(shape) < ENOUGH else ""),
        )
    ctx.log.info("rotation %.2f +- %.2f deg, flipped: %s", fit.rotation_deg, fit.sd_deg, fit.flipped)
    if fit.sign_resolved:
        ctx.log.info(
            "the half turn is that of atoms or particles; pores, holes or a window of vacuum would give the opposite "
            "one, and there `sign: unknown` or `rotation` in degrees is right"
        )
    if not fit.sign_resolved:
        ctx.log.warning("the sign of the phase is not resolved: the rotation may be off by 180 deg")
    if not fit.flip_resolved:
        ctx.log.warning("the data do not tell whether the detector is mirrored: taken as not")
    return Frame(fit.rotation_deg, fit.flipped, "fit", fit.sd_deg, fit.clear, fit.flip_resolved, fit.sign_resolved)


def _warn_if_contradicted(frame: Frame, fit: RotationFit, ctx: Context) -> None:
    # A vendor's angle may have the other sign, and a mirror is rarely noted: worth a word, not more.
    period = 360 if fit.sign_resolved else 180
    off = abs((fit.rotation_deg - frame.rotation_deg + period / 2) % period - period / 2)
    turned = off > max(_CONTRADICTION_DEG, _CONTRADICTION_SIGMA * fit.sd_deg)
    mirrored = fit.flip_resolved and fit.flipped != frame.flipped
    if fit.clear and (turned or mirrored):
        ctx.log.warning(
            "scan_rotation_deg is %.1f, but the data show %.1f +- %.1f%s%s: check it, or use `rotation: fit`",
            frame.rotation_deg,
            fit.rotation_deg,
            fit.sd_deg,
            ", mirrored" if fit.flipped else "",
            ", with the half turn of atoms (else `sign: unknown`)" if fit.sign_resolved else ", modulo 180",
        )


def _wrapped(angle_deg: float) -> float:
    """The same angle in (-180, 180]."""
    return 180 - (180 - float(angle_deg)) % 360
