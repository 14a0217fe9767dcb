"""What core and algorithms hand each other: geometry of patterns, peaks, context, results."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.optics import disk_radius

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Context", "Geometry", "PeakBatch", "Result"]


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """What a detector may know about the patterns before it sees the first block.

    Parameters
    ----------
    shape : tuple of int
        ``(qy, qx)`` of a pattern, in px.
    q_step : tuple of float
        Size of a pixel along y and x in `q_units`.
    q_units : str
        ``"1/angstrom"`` or ``"pixel"``.
    centre_px : tuple of float
        ``(y, x)`` of q = 0 in px.
    mean_pattern : (qy, qx) float32 array or None
        Mean over an evenly spread, deterministic sample of positions.
    bad_pixel : (qy, qx) bool array or None
        True where the detector is not to be trusted.
    beam_energy_eV, semiangle_mrad : float or None
        From the attributes of the data set.
    counts_per_electron : float or None
        Gain of the camera, from the noise of neighbouring patterns; None where it does not show.
    """

    shape: tuple[int, int]
    q_step: tuple[float, float] = (1.0, 1.0)
    q_units: str = "pixel"
    centre_px: tuple[float, float]
    mean_pattern: NDArray[np.floating[Any]] | None = None
    bad_pixel: NDArray[np.bool_] | None = None
    beam_energy_eV: float | None = None
    semiangle_mrad: float | None = None
    counts_per_electron: float | None = None

    @property
    def probe_radius_px(self) -> float | None:
        """Radius of the bright disk from energy and semiangle, or None if uncalibrated."""
        if not (self.beam_energy_eV and self.semiangle_mrad) or self.q_units != "1/angstrom":
            return None
        return disk_radius(self.beam_energy_eV, self.semiangle_mrad) / math.sqrt(self.q_step[0] * self.q_step[1])


@dataclass(frozen=True, kw_only=True)
class PeakBatch:
    """Peaks of a block of patterns, flat, in the order of the patterns.

    All positions are in px of the frame, ``(0, 0)`` at the centre of the first pixel.

    Parameters
    ----------
    counts : (n,) int32
        Number of peaks of each pattern; the other arrays have ``counts.sum()`` entries.
    qy_px, qx_px : float64
        Row and column.
    intensity : float32
        Background-subtracted counts in the disk, or what the `columns` of the spec say.
    score : float32
        Signal-to-noise ratio of the detection, or what they say.
    var_yy, var_yx, var_xx : float32
        Covariance of the position, px^2.
    flags : uint16
        Bits: 1 edge, 2 saturated, 4 overlap, 8 masked, 16 not refined.
    disk_counts : float32, optional
        Background-subtracted counts in the disk, NaN where they are not known, of a detector whose `intensity` is
        something else: a solver tells by them how far a disk may lie from its place.
    """

    counts: NDArray[np.int32]
    qy_px: NDArray[np.float64]
    qx_px: NDArray[np.float64]
    intensity: NDArray[np.float32]
    score: NDArray[np.float32]
    var_yy: NDArray[np.float32]
    var_yx: NDArray[np.float32]
    var_xx: NDArray[np.float32]
    flags: NDArray[np.uint16]
    disk_counts: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        import numpy as np

        told, shape = self.disk_counts, np.shape(self.qy_px)
        # Who keeps a part of the peaks by `dataclasses.replace`, and knows of no counts, leaves as many as there were.
        if told is None or (np.shape(told) != shape and np.isnan(told).all()):
            object.__setattr__(self, "disk_counts", np.full(shape, np.nan, np.float32))


def _ignore_progress(done: int, total: int) -> None:
    """A named function: what is lent is sent to workers."""


@dataclass(kw_only=True)
class Context:
    """What the core lends to an algorithm; there is no other state.

    Parameters
    ----------
    rng : numpy.random.Generator
        Seeded from the pipeline's seed, the algorithm and its parameters: the only source of randomness.
    device : str
        ``"cpu"`` or ``"cuda"`` (``"auto"`` is already resolved).
    n_threads : int
        Threads that the algorithm may use.
    progress : callable
        ``progress(done, total)``; may raise `KeyboardInterrupt` to stop the work.
    log : logging.Logger
    scratch : pathlib.Path or None
        A folder of its own for temporary files and checkpoints.
    map : callable
        ``map(function, items)`` yields the function's values, in any order, from as many processes as the user
        lends: one task after the other by default. The function and its items must be picklable.
    """

    rng: np.random.Generator
    device: str = "cpu"
    n_threads: int = 1
    progress: Callable[[int, int], None] = _ignore_progress
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("ronchi"))
    scratch: Path | None = None
    map: Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]] = map


@dataclass(frozen=True)
class Result:
    """A data set with named side outputs, e.g. ``Result(data, {"truth": truth})``."""

    data: xr.Dataset
    sides: Mapping[str, xr.Dataset] = field(default_factory=dict)
