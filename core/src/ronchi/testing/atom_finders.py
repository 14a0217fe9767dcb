"""Contract of atom finders."""

from __future__ import annotations

from ronchi.testing.advertised import AdvertisedContract

__all__ = ["AtomFinderContract"]


class AtomFinderContract(AdvertisedContract):
    """Contract of a atom finder."""

    kind = "atom_finder"
    min_checks = 5
