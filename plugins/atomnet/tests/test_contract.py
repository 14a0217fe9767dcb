"""The finders keep the contract of atom finders."""

from __future__ import annotations

from ronchi.testing import AtomFinderContract


class TestLog(AtomFinderContract):
    algorithm = "log"
    params = ({}, {"refine": False}, {"sigma_px": 1.8, "species_above": (2.0,)})
    max_error_px = 0.2
    min_recall = min_precision = 1.0
