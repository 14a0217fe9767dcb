"""Transform ``rings``: coordination and rings on every atom, and their numbers in every frame."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ronchi.api import Context, Result
from ronchi.schema import atoms as atoms_schema
from ronchi.schema import dynamics
from ronchi.schema.common import variable
from ronchi_movies.network import bond_cutoff, network_of
from ronchi_movies.params import RingsParams
from ronchi_movies.tables import frames_of, positions_of

__all__ = ["Rings"]

_SMALLEST = 3


class Rings:
    """Counts the rings of the network of bonds.

    Parameters
    ----------
    params : RingsParams
    """

    def __init__(self, params: RingsParams) -> None:
        self.params = params

    def apply(self, *, atoms: xr.Dataset, ctx: Context) -> Result:
        """Count.

        Parameters
        ----------
        atoms : xarray.Dataset
            ``atoms/1``.

        Returns
        -------
        Result
            The atoms with ``bonds``, their number, and ``rings`` (atom, ring_size), how many rings of each size an
            atom is on; the attribute ``bond_cutoff`` says what was taken for a bond. Side ``counts``: ``dynamics/1``
            with ``ring_counts`` (frame, ring_size), ``n_larger`` (frame) and ``n_samples`` (frame).

        Raises
        ------
        DataError
            A position is not finite.
        """
        p = self.params
        points, units = positions_of(atoms, "rings")
        times, rows = frames_of(atoms)
        frames = [points[row] for row in rows]
        cutoff = p.cutoff or bond_cutoff(frames)
        sizes = np.arange(_SMALLEST, p.max_size + 1)
        bonds = np.zeros(len(points), np.int32)
        on_atom = np.zeros((len(points), len(sizes)), np.int32)
        in_frame = np.zeros((len(times), len(sizes)), np.int64)
        larger = np.zeros(len(times), np.int64)
        for number, (row, frame) in enumerate(zip(rows, frames, strict=True)):
            found = network_of(frame, cutoff, p.max_size)
            bonds[row] = np.bincount(found.bonds.reshape(-1), minlength=len(row))
            ring, atom = found.members.T
            np.add.at(on_atom, (row[atom], found.rings[ring] - _SMALLEST), 1)
            in_frame[number] = np.bincount(found.rings - _SMALLEST, minlength=len(sizes))
            larger[number] = found.n_larger
            ctx.progress(number + 1, len(times))
        axis = {"ring_size": variable("ring_size", sizes, "1", "atoms of a ring")}
        made = atoms.drop_vars(("bonds", "rings"), errors="ignore").drop_dims("ring_size", errors="ignore")
        made = made.assign(
            bonds=variable("atom", bonds, "1", "bonds of the atom"),
            rings=variable(("atom", "ring_size"), on_atom, "1", "rings that the atom is on"),
        ).assign_coords(axis)
        counts = dynamics.make(
            times,
            {
                "n_samples": variable("frame", [len(row) for row in rows], "1", "atoms"),
                "ring_counts": variable(("frame", "ring_size"), in_frame, "1", "rings"),
                "n_larger": variable("frame", larger, "1", "larger closed faces, such as holes"),
            },
            axis,
            bond_cutoff=cutoff,
            bond_cutoff_units=units,
        )
        return Result(atoms_schema.validate(made.assign_attrs(bond_cutoff=cutoff)), {"counts": counts})
