"""What an algorithm of each kind does: the protocols of authors, who import them from `ronchi.api`.

An algorithm of any kind whose spec has the capability ``install`` has a method ``install(tell)`` too, which makes what
it needs besides Python packages of this environment, such as an environment of its own: ``ronchi bench --peers`` calls
it before anything runs, once for equal parameters. It does nothing where all is there; ``tell`` gets a line of text
about what it makes; what it raises is told in the rows of this algorithm, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    from ronchi.exchange import Context, Geometry, PeakBatch, Result

    FloatArray = NDArray[np.floating[Any]]

__all__ = [
    "AtomFinder",
    "DescriptorLearner",
    "DiskDetector",
    "Metric",
    "Reader",
    "Simulator",
    "StrainSolver",
    "Trainer",
    "Transform",
    "Writer",
]


@runtime_checkable
class Reader(Protocol):
    """Opens a file as a lazy ``fourd/1`` or ``images/1`` data set.

    A reader that opens more than one file also has ``companions(path) -> list[Path]``, the others of those that are
    there: when one of them changes, what was made of the data is made again. It never raises.
    """

    def confidence(self, path: Path) -> float:
        """0 to 1 from the first bytes only; never raises."""

    def open(self, path: Path) -> xr.Dataset | Result:
        """Open lazily. Raises `ReadError`."""


@runtime_checkable
class Transform(Protocol):
    """Makes one data set out of another; called with its inputs by name.

    One that can change samples on their own may have ``augment_batch(batch, seeds) -> dict`` too, for training, which
    gets the object by name from the catalog. ``batch`` maps ``pattern`` (n, qy, qx) and optionally ``probe``, ``label``
    (both of the same shape) and ``peaks`` (n, m, k >= 2; row and column in px first, NaN in padding) to arrays or torch
    tensors, none of which it edits; ``seeds`` holds a non-negative integer a sample, which alone decides what happens
    to it. The result has the same entries as tensors, all changed alike, and ``bad_pixel`` (n, qy, qx) bool.
    """

    def apply(self, *, ctx: Context, **inputs: xr.Dataset) -> xr.Dataset | Result:
        """Transform the inputs, lazily where the result has the size of the data."""


@runtime_checkable
class DiskDetector(Protocol):
    """Finds Bragg disks in blocks of patterns."""

    def prepare(self, geometry: Geometry, probe: FloatArray | None, ctx: Context) -> None:
        """Called once before the first block; ``probe`` is (qy, qx) float32 or None."""

    def detect(self, frames: NDArray[Any]) -> PeakBatch:
        """Find the disks of ``frames`` (n, qy, qx), any real dtype; never writes to it."""


@runtime_checkable
class DescriptorLearner(Protocol):
    """Maps samples to a few numbers, in scikit-learn's manner.

    ``x`` has the features as its trailing dimensions; all leading ones are samples. Coordinates ``bad_pixel``
    (features) and ``valid`` (samples) say what to leave out; ``probe`` (features) is the probe over vacuum. A
    learner whose spec announces the side ``model`` is saved after the fit, and with the optional input ``model``
    loaded instead of fitted; other sides that it announces come from a method ``sides()``, a mapping of names to
    data sets. Variables over a dimension ``epoch`` in its result are training curves. One that can may have
    ``decode(z)``, (sample, component) latents to images (sample, …), and ``reconstruct(x)``, samples to what it
    takes them to be, pose applied.
    """

    def fit(self, x: xr.DataArray, ctx: Context) -> None:
        """Learn from lazy data; a learner that needs no training does nothing."""

    def transform(self, x: xr.DataArray) -> xr.Dataset:
        """Encode a block that fits in memory as ``descriptors/1``."""

    def save(self, folder: Path) -> None:
        """Write the fitted state as JSON, npz or safetensors; never pickle."""

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; encodings are then equal bit for bit."""


@runtime_checkable
class StrainSolver(Protocol):
    """Fits lattices to peaks and compares them with a reference.

    A solver may have a method ``check(scan_y, scan_x)`` too, which is given the coordinates of the scan (1-D
    DataArrays) before the disks are searched, and raises a `RonchiError`, ``where`` the parameter, if its
    parameters do not suit them. Its step has then failed, and disks that nothing else needs are not searched.
    """

    def solve(self, peaks: xr.Dataset, ctx: Context) -> xr.Dataset | Result:
        """From ``peaks/1`` to ``strain/1``, with the fit as side output ``lattice``."""


@runtime_checkable
class AtomFinder(Protocol):
    """Finds atoms in images."""

    def find(self, images: xr.Dataset, ctx: Context) -> xr.Dataset | Result:
        """From ``images/1`` to ``atoms/1``."""


@runtime_checkable
class Simulator(Protocol):
    """Makes data with truth.

    A simulator whose data may be larger than memory has a method ``simulate_into(folder, ctx)`` too, which
    ``ronchi simulate KIND -o FILE.zarr`` calls: it writes what `simulate` returns as a Zarr store into the folder,
    piece by piece, and goes on from the pieces that an interrupted call with the same parameters and seed has left
    there. A piece depends on its number alone, not on who makes it nor on what was made before.
    """

    def simulate(self, ctx: Context) -> Result:
        """Return the data set, with its truth as side outputs or inside."""


@runtime_checkable
class Metric(Protocol):
    """Scores a result against truth."""

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Named figures; NaN where undefined."""


@runtime_checkable
class Writer(Protocol):
    """Writes data sets in one file format; which schemas it takes stands in ``inputs={"data": "fourd/1|peaks/1"}``.

    The core chooses the writer by the file's name, checks the schema, gives a temporary name in the
    same folder that ends in one of the spec's suffixes, syncs and renames what was written, and removes
    what a failed writer leaves.
    """

    def write(
        self,
        data: xr.Dataset,
        sides: Mapping[str, xr.Dataset],
        path: Path,
        *,
        progress: Callable[[int, int], None],
    ) -> None:
        """Make the file or folder ``path``, which is not there yet.

        Lazy data are to be written block by block: they may be larger than memory. ``progress(done, total)``
        is in any unit, e.g. bytes, and may raise `KeyboardInterrupt`. Raise `OutputError` for what the
        format cannot hold; let `OSError` pass.
        """


@runtime_checkable
class Trainer(Protocol):
    """Learns what an algorithm needs; made with the parameters that the algorithm's spec calls ``training``."""

    def train(self, folder: Path, ctx: Context, create: Callable[..., Any]) -> Mapping[str, Any]:
        """Learn, and leave the result in a folder that exists.

        ``create(kind, name, params)`` makes other algorithms by their names, such as a transform that augments.
        ``ctx.progress`` may raise to stop; the next call with the same folder goes on from there.
        """
