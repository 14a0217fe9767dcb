"""Contract of strain solvers."""

from __future__ import annotations

from ronchi.testing.advertised import AdvertisedContract

__all__ = ["StrainSolverContract"]


class StrainSolverContract(AdvertisedContract):
    """Contract of a strain solver."""

    kind = "strain_solver"
    min_checks = 5
