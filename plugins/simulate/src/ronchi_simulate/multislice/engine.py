"""The one door to both engines: `diffract` turns a specimen and beams into diffraction patterns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ronchi.api import ConfigError, DataError
from ronchi_simulate.multislice.atoms import Columns, configurations, from_ase, repeated
from ronchi_simulate.multislice.grid import told_if_coarse
from ronchi_simulate.multislice.request import Request, make_request
from ronchi_simulate.multislice.scattering import Scattering
from ronchi_simulate.optics import Beam

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Engine", "diffract"]

Engine = Literal["torch", "abtem"]

_LOG = logging.getLogger("ronchi.simulate")


def diffract(
    atoms: Atoms,
    beams: Sequence[Beam],
    *,
    pattern_shape: tuple[int, int],
    q_step_inv_angstrom: float,
    positions_angstrom: ArrayLike | None = None,
    tilts_mrad: ArrayLike | None = None,
    exits_angstrom: Sequence[float] | None = None,
    slice_angstrom: float = 2.0,
    frozen_phonons: int = 0,
    engine: Engine = "torch",
    rng: np.random.Generator | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
    wave_shape: tuple[int, int] | None = None,
    memory_mb: float = 1024.0,
    scattering: Scattering | None = None,
    log: logging.Logger | None = _LOG,
) -> NDArray[np.float32]:
    """Diffraction patterns of a specimen for every beam, probe position and thickness.

    Infinite projections of the potential of Lobato and Van Dyck 2014 (doi:10.1107/S205327331401643X) a slice, and
    waves and transmission functions limited to 2/3 of the Nyquist frequency of their grid (Kirkland 2010, ch. 6).

    Parameters
    ----------
    atoms : ase.Atoms
        An orthorhombic cell in angstrom, periodic in x and y; ASE's columns x, y, z. The beam travels along +z and
        enters at z = 0; the thickness is the cell's height. The array ``u_angstrom`` (n,) holds the rms thermal
        displacement along one axis; without it the atoms are still. The array ``occupancy`` (n,) holds the part of
        each atom that is there, as in the mean of an alloy (engine ``"torch"``); without it atoms are whole.
    beams : sequence of Beam
    pattern_shape : tuple of int
        (qy, qx) of the patterns, with q = 0 at N // 2.
    q_step_inv_angstrom : float
        Step of the detector. A probe sees a window of side 1 / q_step around it, periodic. It is the whole cell where
        the cell has that size; a larger cell is cropped for each probe; of a smaller one periodic images fill the
        window (without a seam where the side is a multiple of the cell's).
    positions_angstrom : array_like, optional
        (n, 2) probe positions (y, x) from the corner of the cell, whole or not whole pixels. The cell's centre if
        absent.
    tilts_mrad : array_like, optional
        (n, 2) tilts (y, x) as of `Beam`, one for each position, on top of the beams' own: positions that differ in
        nothing else share a potential.
    exits_angstrom : sequence of float, optional
        Thicknesses, rising, at which patterns are taken; each is rounded to the end of a slice. The whole thickness if
        absent.
    slice_angstrom : float
        Thickness of a slice at most; the cell's height is divided into equal slices.
    frozen_phonons : int
        0: a still lattice, its potential damped by exp(-2 pi^2 u^2 q^2). k: the mean over k configurations of displaced
        atoms; both engines take the same ones from the same ``rng``. The copies of a small cell move each by itself;
        the parts of a mean atom, which share a place, move together.
    engine : str
        ``"torch"`` or ``"abtem"``.
    rng : numpy.random.Generator, optional
        Needed with frozen phonons.
    device : str
        ``"cpu"`` or ``"cuda"``, of the torch engine; abTEM runs on the CPU here.
    progress : callable, optional
        ``progress(done, total)`` of slices, over batches and configurations; may raise to stop the work.
    wave_shape : tuple of int, optional
        (y, x) grid of the waves over the window. Patterns are nothing beyond 2/3 of its half, so that the default is
        the size from 3/2 of the longer side of ``pattern_shape`` on that a Fourier transform likes, along both axes.
        ``pattern_shape`` itself is about 2.5 times faster, and leaves the outer third of the patterns empty.
    memory_mb : float
        What the waves and patterns of a batch may take together.
    scattering : mapping, optional
        Parameters of Lobato by atomic number, (2, 5); abTEM's table if absent. For machines without abTEM.
    log : logging.Logger, optional
        Warned of waves that are too coarse for the heaviest element; None where the caller has done so for many calls.

    Returns
    -------
    numpy.ndarray
        float32 (beam, position, exit, qy, qx): the fraction of the incoming beam in each detector pixel. It sums to 1
        less what the band limit removes and what falls beside the pattern.

    Raises
    ------
    ConfigError
        A parameter is out of its range, or an aperture is wider than what the grid of the waves carries.
    DataError
        The cell is not orthorhombic, an atom's position is not finite or above or below the cell by more than a slice,
        or an element has no scattering factor.
    """
    if not beams:
        raise ConfigError("no beams", where="diffract", fix="give at least one Beam")
    if frozen_phonons < 0 or (frozen_phonons and rng is None):
        raise ConfigError(
            f"frozen_phonons is {frozen_phonons}, rng is {rng}",
            where="diffract",
            fix="give 0 or more configurations, and a Generator with them",
        )
    columns = from_ase(atoms)
    request = make_request(
        columns,
        pattern_shape=pattern_shape,
        q_step_inv_angstrom=q_step_inv_angstrom,
        positions_angstrom=positions_angstrom,
        tilts_mrad=tilts_mrad,
        exits_angstrom=exits_angstrom,
        slice_angstrom=slice_angstrom,
        wave_shape=wave_shape,
    )
    _check_beams(beams, request)
    _check_depths(columns, slice_angstrom)
    if log is not None:
        told_if_coarse(
            max(request.grid.step_angstrom), int(columns.number.max(initial=0)), log, "make wave_shape larger"
        )
    if frozen_phonons:
        columns = repeated(columns, 1 / q_step_inv_angstrom)
    n_configurations = max(1, frozen_phonons)
    mean: NDArray[np.float32] | None = None
    for index, configuration in enumerate(configurations(columns, frozen_phonons, rng)):

        def advance(done: int, total: int, index: int = index) -> None:
            if progress is not None:
                progress(index * total + done, n_configurations * total)

        if engine == "abtem":
            from ronchi_simulate.multislice.abtem_engine import diffract_abtem

            patterns = diffract_abtem(configuration, beams, request, progress=advance)
        else:
            from ronchi_simulate.multislice.torch_engine import diffract_torch

            patterns = diffract_torch(
                configuration,
                beams,
                request,
                device=device,
                memory_mb=memory_mb,
                scattering=scattering,
                progress=advance,
            )
        mean = patterns if mean is None else np.add(mean, patterns, out=mean)
    assert mean is not None
    return mean if n_configurations == 1 else np.divide(mean, n_configurations, out=mean)


def _check_beams(beams: Sequence[Beam], request: Request) -> None:
    """Refuse an aperture that the band limit would cut."""
    for beam in beams:
        if beam.disk_radius_inv_angstrom + request.q_step_inv_angstrom / 2 > request.grid.open_inv_angstrom:
            raise ConfigError(
                f"an aperture of {beam.semiangle_mrad} mrad reaches {beam.disk_radius_inv_angstrom:.3g} 1/angstrom; "
                f"waves of {request.grid.shape[0]} x {request.grid.shape[1]} carry "
                f"{request.grid.open_inv_angstrom:.3g} 1/angstrom, 2/3 of their grid",
                where="diffract",
                fix="use a finer grid of the waves (wave_shape, pattern_shape) or a smaller semiangle",
            )


def _check_depths(atoms: Columns, slice_angstrom: float) -> None:
    """Refuse atoms that the beam meets before or after the specimen: the outermost slice would stand for them."""
    beyond = np.maximum(-atoms.z_angstrom, atoms.z_angstrom - atoms.cell_angstrom[0])
    if beyond.max(initial=0.0) > slice_angstrom:
        raise DataError(
            f"{int((beyond > slice_angstrom).sum())} of {len(beyond)} atoms lie outside of the cell along the beam: "
            f"z is {atoms.z_angstrom.min():.4g} to {atoms.z_angstrom.max():.4g}, the cell {atoms.cell_angstrom[0]:.4g} "
            "angstrom high",
            where="specimen",
            fix="atoms.wrap() where the cell repeats along z, else atoms.center(axis=2) or a higher cell",
        )
