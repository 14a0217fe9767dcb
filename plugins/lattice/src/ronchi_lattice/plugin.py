"""Advertises the strain solver ``lattice``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_lattice.params import LatticeParams

__all__ = ["ronchi_strain_solvers"]


@hookimpl
def ronchi_strain_solvers() -> Iterator[AlgorithmSpec]:
    """Yield the lattice solver."""
    yield AlgorithmSpec(
        name="lattice",
        version=8,
        summary="Robust, covariance-weighted lattice fit at every position and exact finite strain with error bars.",
        params=LatticeParams,
        factory="ronchi_lattice.solver:LatticeSolver",
        inputs={"peaks": "peaks/1"},
        output="strain/1",
        sides={"lattice": "lattice/1"},
        capabilities=frozenset({"covariance", "deterministic", "multiple lattices"}),
        citation="Finite strain by polar decomposition: Hoger & Carlson 1984, doi:10.1090/qam/736511",
    )
