"""The finders keep the contract of atom finders."""

from __future__ import annotations

from ronchi.testing import AtomFinderContract


class TestLog(AtomFinderContract):
    algorithm = "log"
    params = ({}, {"refine": False}, {"sigma_px": 1.8, "species_above": (2.0,)})
    max_error_px = 0.2
    min_recall = min_precision = 1.0


class TestAtomnet(AtomFinderContract):
    algorithm = "atomnet"
    # Atoms of the kit lie in no lattice that the network knows: fits take over.
    params = ({}, {"position": "fit"})
    max_error_px = 0.2
    min_recall = min_precision = 0.97


class TestAtomnetByOdds(AtomFinderContract):
    algorithm = "atomnet"
    params = ({"position": "odds"},)
    max_error_px = 0.8
    min_recall = min_precision = 0.97
