"""What a plugin author imports: parameter models, specs, protocols, context; itself neither numpy, xarray nor torch."""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy
from pydantic import BaseModel, ConfigDict, Field

from ronchi.errors import (
    CalibrationError,
    ConfigError,
    DataError,
    OutputError,
    PluginError,
    ReadError,
    RonchiError,
    SchemaError,
)
from ronchi.optics import disk_radius
from ronchi.protocols import (
    AtomFinder,
    DescriptorLearner,
    DiskDetector,
    Metric,
    Reader,
    Simulator,
    StrainSolver,
    Trainer,
    Transform,
    Writer,
)

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "API_VERSION",
    "AlgorithmSpec",
    "AtomFinder",
    "CalibrationError",
    "ConfigError",
    "Context",
    "DataError",
    "DescriptorLearner",
    "DiskDetector",
    "Field",
    "Geometry",
    "Metric",
    "OutputError",
    "Params",
    "PeakBatch",
    "PluginError",
    "ReadError",
    "Reader",
    "Result",
    "RonchiError",
    "SchemaError",
    "Simulator",
    "StrainSolver",
    "Trainer",
    "Transform",
    "Writer",
    "hookimpl",
]

API_VERSION = 1
"""Version of the contract in this module; a spec made for another one is refused."""

hookimpl = pluggy.HookimplMarker("ronchi")
"""Decorator of a plugin's hook implementations."""


class Params(BaseModel):
    """Base of an algorithm's parameters: frozen, closed, every field described, every number finite.

    Give units with ``Field(2.0, description="…", json_schema_extra={"unit": "px"})``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True)
class AlgorithmSpec:
    """What a hook yields: one algorithm, described without importing its code.

    Parameters
    ----------
    name : str
        Lower-case name, the same as the entry point's.
    summary : str
        One sentence.
    params : type[Params]
        Parameter model; the YAML, the CLI and the docs are made from it.
    factory : str
        ``"module:Class"``; called with a ``params`` instance at first use.
    inputs : mapping of str to str
        Input name to accepted schemas, ``"fourd/1"`` or ``"fourd/1|images/1"``; a trailing ``?`` marks it optional.
    output : str
        Schema of the result, e.g. ``"peaks/1"``; ``""`` for a writer.
    sides : mapping of str to str, optional
        Named side outputs and their schemas, referred to as ``step.side``. A writer names the
        sides that its format can hold; ``{"*": "*"}`` stands for any.
    suffixes : tuple of str
        Of a writer: endings of the file names that it writes, lower-case, e.g. ``(".hspy", ".zspy")``.
    better : mapping of str to str
        Of a metric: names of figures, ``*`` for any letters, to ``"lower"`` or ``"higher"``; those of which
        neither is better are left out. Benchmarks judge by it.
    columns : mapping of str to (str, str)
        Of a disk detector: units and meaning of ``intensity`` and ``score``, if not counts and a signal-to-noise ratio.
    files : str, optional
        ``"module:function"`` of a light module: from the parameters to the files, by parameter name, that the result
        depends on beside those whose paths are parameters, such as weights called by a name; the cache key has them.
    trainer, training : str and type[Params], optional
        ``"module:Class"`` of a `Trainer` that learns what the algorithm needs, and its parameters, for `ronchi train`.
    version : int
        Raise it when the numbers change: it is part of the cache key.
    capabilities : frozenset of str
        Free words, e.g. ``"cuda"``, ``"subpixel"``, ``"deterministic"``.
    citation : str
        What to cite, with a DOI.
    api : int
        `API_VERSION` that the algorithm was written for.
    """

    name: str
    summary: str
    params: type[Params]
    factory: str
    inputs: Mapping[str, str]
    output: str
    sides: Mapping[str, str] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()
    better: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    files: str = ""
    trainer: str = ""
    training: type[Params] | None = None
    version: int = 1
    capabilities: frozenset[str] = frozenset()
    citation: str = ""
    api: int = API_VERSION

    def create(self, params: Params | None = None) -> Any:
        """Import the factory and make the algorithm object.

        Raises
        ------
        PluginError
            The factory cannot be imported or is not there.
        """
        return self._imported("factory", self.factory)(self.params() if params is None else params)

    def files_of(self, params: Params) -> dict[str, Path]:
        """Files that a result depends on beside those whose paths are parameters.

        Raises
        ------
        PluginError
            The function that tells them cannot be imported.
        RonchiError
            There is no such file: what the plugin says.
        """
        return dict(self._imported("files", self.files)(params)) if self.files else {}

    def _imported(self, what: str, place: str) -> Any:
        module, _, attribute = place.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, SyntaxError) as error:
            raise PluginError(
                f"the {what} {place!r} of {self.name!r} cannot be imported: {error}",
                fix=f"`ronchi doctor {self.name}` shows where; upgrade or re-install the plugin",
            ) from error


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
